/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's only loop, single-threaded, run to completion: everything that arrived is processed
 * and sent before the next turn starts. The only place that reads the clocks. Nothing is allocated
 * while it runs.
 */
#pragma once

#include "control.h"
#include "packet/coalesce.h"
#include "tun.h"
#include "udp.h"

/* Opened by the parent; the loop owns the descriptors from now on. */
struct loop_setup {
	struct tun tun;
	int keyd_listener, wireguard_listener;
	int verbs; /* to the parent (verbs.h); the engine exits when it is closed */
	struct tunnel_state *state;
	const struct aead_engine *aead;
};

struct loop_buffers {
	struct outbox outbox;
	uint8_t udp[UDP_RECEIVE_MESSAGES][UDP_MESSAGE_MAX];
	uint8_t packet[TUN_PACKET_MAX + 1];
	uint8_t control_request[CONTROL_PACKET_MAX], control_answer[CONTROL_PACKET_MAX];
};

struct loop {
	struct tunnel tunnel;
	struct tun tun;
	struct udp udp;
	struct control control;
	struct device_upcalls device;
	struct coalescer coalescer;
	struct loop_buffers *buffers;
	int epoll, timer, signals, verbs;
	uint64_t armed_ns; /* the timer's setting; 0: disarmed */
	bool is_leaving;
	int status;
};

/* Runs with privileges. False after logging the reason. */
MUST_CHECK bool loop_init(struct loop *loop, const struct loop_setup *setup);

/* Runs until SIGTERM, the parent's exit or the device's removal. Returns the exit status. */
MUST_CHECK int loop_run(struct loop *loop);

/* Wipes every secret of the state and of the buffers. */
void loop_clear(struct loop *loop);
