// SPDX-License-Identifier: Apache-2.0
/*
 * A library for LD_PRELOAD: advances podveil-keyd's clock (CLOCK_BOOTTIME) by the number of seconds
 * that the file named by PODVEIL_LATER holds at this moment, so that minutes of silence and a day
 * without the API server pass at once. The file always has LATER_LEN characters: it is rewritten in
 * place.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define LATER_LEN 16

static const char *seconds_text;

static void __attribute__((constructor)) open_file(void)
{
	const char *path = getenv("PODVEIL_LATER");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *text = MAP_FAILED;

	if (fd >= 0)
		text = mmap(NULL, LATER_LEN, PROT_READ, MAP_SHARED, fd, 0);
	if (text == MAP_FAILED)
		_exit(127);
	close(fd);
	seconds_text = text;
}

static time_t later_s(void)
{
	return seconds_text ? strtol(seconds_text, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int error = (int)syscall(SYS_clock_gettime, clock, now);

	if (!error && clock == CLOCK_BOOTTIME)
		now->tv_sec += later_s();
	return error;
}

/* The caller gives the advanced time; the kernel needs the real one. */
int timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *was)
{
	struct itimerspec real = *when;

	if ((flags & TFD_TIMER_ABSTIME) && (real.it_value.tv_sec || real.it_value.tv_nsec)) {
		real.it_value.tv_sec -= later_s();
		if (real.it_value.tv_sec < 0)
			real.it_value = (struct timespec){.tv_nsec = 1};
	}
	return (int)syscall(SYS_timerfd_settime, fd, flags, &real, was);
}
