/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the tools that run until their time is over or a signal stops them.
 */
#pragma once

#include <signal.h>
#include <time.h>

#include "util.h"

/* True after SIGTERM or SIGINT. */
extern volatile sig_atomic_t is_stopping;
void tool_catch_signals(void);

uint64_t tool_clock_ns(clockid_t clock);
void tool_sleep_until(uint64_t time_ns); /* of CLOCK_MONOTONIC */

static inline uint64_t tool_now_ns(void)
{
	return tool_clock_ns(CLOCK_MONOTONIC);
}

static inline uint64_t tool_now_ms(void)
{
	return tool_now_ns() / NS_PER_MS;
}

/* Creates the file that reports readiness; NULL: no file. False after a logged line. */
bool tool_announce(const char *ready_file);
