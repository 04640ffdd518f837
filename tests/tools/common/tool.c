/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tool that is stopped still prints its results: a signal only sets a flag, and the tool's loop
 * checks it.
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>

#include "log.h"

volatile sig_atomic_t is_stopping;

static void stop(int signal_number)
{
	(void)signal_number;
	is_stopping = 1;
}

void tool_catch_signals(void)
{
	struct sigaction action = {.sa_handler = stop};

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
}

uint64_t tool_clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

void tool_sleep_until(uint64_t time_ns)
{
	struct timespec until = {.tv_sec = (time_t)(time_ns / NS_PER_S),
				 .tv_nsec = (long)(time_ns % NS_PER_S)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

bool tool_announce(const char *ready_file)
{
	CLEANUP_CLOSE int fd =
		ready_file ? open(ready_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644) : -1;

	if (!ready_file || fd >= 0)
		return true;
	log_error("cannot make '%s': %s", ready_file, strerror(errno));
	return false;
}
