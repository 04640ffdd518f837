/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's one loop, run to completion in one thread: what arrived is opened, cut, sealed and gone before the
 * next turn begins. The only place that reads the clocks. Nothing is allocated once it runs.
 */
#pragma once

#include "control.h"
#include "packet/coalesce.h"
#include "tun.h"
#include "udp.h"

/* What the parent opened. The descriptors become the loop's. */
struct loop_setup {
	struct tun tun;
	int keyd_listener, wireguard_listener;
	int verbs; /* to the parent (verbs_request_sockets); its end is the end */
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
	uint64_t armed_ns; /* what the timer is set to; 0: nothing */
	bool is_leaving;
	int status;
};

/* With privileges still; false after it said why. */
MUST_CHECK bool loop_init(struct loop *loop, const struct loop_setup *setup);

/* Until SIGTERM, the parent's end or the device's: the exit status. */
MUST_CHECK int loop_run(struct loop *loop);

/* Wipes every secret of the state and of the buffers. */
void loop_clear(struct loop *loop);
