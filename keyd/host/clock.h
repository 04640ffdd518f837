/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two clocks of podveil-keyd, for SHELL alone: CORE gets the time from its callers. Deadlines
 * use the clock that cannot be set and that also runs while the machine sleeps; times that other
 * nodes read use the wall clock.
 */
#pragma once

#include <time.h>

#include "util.h"

static inline uint64_t boot_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static inline uint64_t wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_PER_MS;
}
