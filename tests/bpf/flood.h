/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that sends to an unusable peer while a test changes the hooks: no packet of it may
 * arrive, and each is counted once.
 */
#pragma once

#include "veth.h"

#include <pthread.h>
#include <stdatomic.h>

struct flood {
	pthread_t thread;
	int wire;
	atomic_bool is_over;
	atomic_ulong sent;
};

static inline void *send_flood(void *argument)
{
	struct flood *flood = argument;
	struct frame frame;

	frame_make_udp(&frame, local_pod.ip4, unusable_pod.ip4);
	while (!atomic_load(&flood->is_over)) {
		if (send(flood->wire, frame.bytes, frame.len, 0) >= 0 || errno == ENOBUFS)
			atomic_fetch_add(&flood->sent, 1);
	}
	return NULL;
}

static inline void start_flood(struct flood *flood)
{
	flood->wire = open_wire("up0");
	atomic_store(&flood->is_over, false);
	atomic_store(&flood->sent, 0);
	assert_int_equal(pthread_create(&flood->thread, NULL, send_flood, flood), 0);
}

static inline uint64_t stop_flood(struct flood *flood)
{
	atomic_store(&flood->is_over, true);
	pthread_join(flood->thread, NULL);
	close(flood->wire);
	return atomic_load(&flood->sent);
}

static inline void wait_for_packets(struct flood *flood, unsigned long count)
{
	unsigned long goal = atomic_load(&flood->sent) + count;

	while (atomic_load(&flood->sent) < goal)
		sched_yield();
}
