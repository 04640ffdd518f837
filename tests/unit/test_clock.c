// SPDX-License-Identifier: Apache-2.0
/*
 * Time and randomness as the kernel gives them to CORE. This file replaces both system calls: a
 * machine that has slept, one whose clock was set, and one that has just booted.
 */
#include "clock.h"
#include "test.h"

static struct timespec clocks[16]; /* by clockid_t */

int clock_gettime(clockid_t clock, struct timespec *ret_now)
{
	assert_in_range(clock, 0, ARRAY_SIZE(clocks) - 1);
	*ret_now = clocks[clock];
	return 0;
}

/* The kernel's generator: seeded or not yet, interrupted so often, at most so much at a time. */
static struct {
	bool is_ready;
	unsigned int interruptions;
	size_t most;
	uint8_t next;
	unsigned int waits;
} generator;

ssize_t getrandom(void *bytes, size_t len, unsigned int flags)
{
	assert_int_equal(flags, 0); /* neither unseeded (GRND_INSECURE) nor without waiting */
	if (!generator.is_ready) {
		generator.waits++;
		generator.is_ready = true;
	}
	if (generator.interruptions) {
		generator.interruptions--;
		errno = EINTR;
		return -1;
	}
	len = MIN(len, generator.most);
	for (size_t i = 0; i < len; i++)
		((uint8_t *)bytes)[i] = generator.next++;
	return (ssize_t)len;
}

TEST(time_goes_on_while_the_machine_sleeps)
{
	struct tunnel tunnel = {0};

	clocks[CLOCK_BOOTTIME] = (struct timespec){1000, 7};
	clocks[CLOCK_MONOTONIC] = (struct timespec){1000, 7};
	clocks[CLOCK_REALTIME] = (struct timespec){1795348800, 9};
	clock_update(&tunnel);
	assert_true(tunnel.now_ns == 1000 * NS_PER_S + 7);
	assert_true(tunnel.wall_ns == 1795348800 * NS_PER_S + 9);
	clocks[CLOCK_BOOTTIME].tv_sec += 3600; /* it slept */
	clocks[CLOCK_REALTIME].tv_sec = 5;     /* and somebody set the clock */
	clock_update(&tunnel);
	assert_true(tunnel.now_ns == 4600 * NS_PER_S + 7);
	assert_true(tunnel.wall_ns == 5 * NS_PER_S + 9);
}

TEST(randomness_is_waited_for_and_comes_whole)
{
	uint8_t bytes[300];

	memset(&generator, 0, sizeof(generator));
	generator.interruptions = 3;
	generator.most = 7;
	clock_fill_random(NULL, bytes, sizeof(bytes));
	assert_int_equal(generator.waits, 1);
	for (size_t i = 0; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], (uint8_t)i);
}
