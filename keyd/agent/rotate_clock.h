/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time as rotate.c wants it. SHELL.
 */
#pragma once

#include "cluster/rotate.h"
#include "host/clock.h"

static inline struct rotate_now rotate_clock_now(void)
{
	return (struct rotate_now){.wall_ms = wall_ms(),
				   .mono_ms = (int64_t)(boot_ns() / NS_PER_MS)};
}
