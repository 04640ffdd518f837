// SPDX-License-Identifier: Apache-2.0
/*
 * A library for LD_PRELOAD that makes a program's boot clock and its timers run HASTY_CLOCK times
 * as fast as the machine's: a rekey that is due after two minutes comes after seconds, and
 * everything else stays real. Other clocks are unchanged. It reports itself on stderr with the
 * first timer, so that a test sees that it is active. A forked child continues with its parent's
 * clock.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

#define NS_OF(time) ((uint64_t)(time)->tv_sec * NS_PER_S + (uint64_t)(time)->tv_nsec)
#define FASTEST	    1000U

static uint64_t began_ns;
static unsigned int times = 1;
static int (*real_clock_gettime)(clockid_t clock, struct timespec *ret_time);

static struct timespec time_of(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S),
				 .tv_nsec = (long)(ns % NS_PER_S)};
}

__attribute__((constructor)) static void begin(void)
{
	const char *text = getenv("HASTY_CLOCK");
	void *symbol = dlsym(RTLD_NEXT, "clock_gettime");
	struct timespec now;

	memcpy(&real_clock_gettime, &symbol, sizeof(symbol));
	if (!symbol || real_clock_gettime(CLOCK_BOOTTIME, &now))
		abort();
	began_ns = NS_OF(&now);
	if (text)
		times = (unsigned int)strtoul(text, NULL, 10);
	if (!times || times > FASTEST)
		abort();
}

int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
	int status = real_clock_gettime(clock, ret_time);

	if (!status && clock == CLOCK_BOOTTIME)
		*ret_time = time_of(began_ns + (NS_OF(ret_time) - began_ns) * times);
	return status;
}

/* The machine's time at which this fast clock shows fast_ns. Rounds up: a timer that expires too
 * early would be set again and again. */
static uint64_t machine_ns(uint64_t fast_ns)
{
	return fast_ns > began_ns ? began_ns + (fast_ns - began_ns) / times + 1 : fast_ns;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *ret_old)
{
	static bool is_said;
	struct itimerspec machine = *value;

	if (!is_said)
		dprintf(STDERR_FILENO, "hasty_clock: %u times as fast\n", times);
	is_said = true;
	if (flags & TFD_TIMER_ABSTIME && NS_OF(&value->it_value))
		machine.it_value = time_of(machine_ns(NS_OF(&value->it_value)));
	return (int)syscall(SYS_timerfd_settime, fd, flags, &machine, ret_old);
}
