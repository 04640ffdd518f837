/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time and randomness, which CORE must not fetch itself. The boot clock, because it continues while
 * the machine is suspended: an old session must not look young afterwards. The wall clock is only
 * for TAI64N and for people. Randomness comes from the kernel, and we wait for it: a node whose
 * keys could be guessed must not send.
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "tunnel.h"

static inline uint64_t clock_read_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static inline void clock_update(struct tunnel *tunnel)
{
	tunnel->now_ns = clock_read_ns(CLOCK_BOOTTIME);
	tunnel->wall_ns = clock_read_ns(CLOCK_REALTIME);
}

/* The upcall. Keys need randomness: without it no safe way to continue exists. */
static inline void clock_fill_random(void *context, void *bytes, size_t len)
{
	uint8_t *next = bytes;

	(void)context;
	while (len) {
		ssize_t got = getrandom(next, len, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			abort();
		next += got;
		len -= (size_t)got;
	}
}
