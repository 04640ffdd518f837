/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the parts of flow: one file for each way to send or to receive, and three helpers for
 * all of them. Each way (udp_send, ...) runs to its end, prints its line and returns the exit
 * status.
 */
#pragma once

#include "../common/marker.h"
#include "../common/tool.h"
#include "address.h"

#define DATAGRAM_MAX   65507
#define BATCH	       64
#define PATTERN_SHIFTS 4093
#define END_DATAGRAMS  20
#define OTHERS_MAX     64 /* of a mesh */

struct settings {
	union endpoint bind, to[OTHERS_MAX];
	unsigned int to_count;
	bool has_bind, has_marker, is_joined;
	uint8_t marker[MARKER_LEN];
	uint64_t rate, count;
	unsigned int seconds, idle_ms;
	size_t size;
	const char *ready_file, *start_file;
};

/* In front of every datagram; the pattern follows. Both ends run on the same machine, so numbers
 * are in its byte order. */
struct head {
	uint8_t marker[MARKER_LEN];
	uint64_t run, sequence;
	uint64_t sent_ns; /* with the end: how long the sender was kept from sending */
	uint32_t is_end;  /* sequence is then the number of datagrams sent */
	uint32_t size;
};

static inline double ms_of(uint64_t ns)
{
	return (double)ns / 1e6;
}

/* -- pattern.c -- */

/* Called once, before everything else. The same in every process. */
void pattern_make(void);

const uint8_t *pattern_of(uint64_t sequence);

/* -- socket.c -- */

/* Bound to the address; -1 after a logged line. */
int socket_open(int type, const union endpoint *bind_to);

/* Bound to --bind, or to an address that the kernel chooses. */
int socket_open_sender(const struct settings *settings, int type);

/* SO_SNDBUF or SO_RCVBUF, and the option that forces it. */
void socket_set_buffer(int fd, int forced, int ordinary);

/* -- pace.c -- */

/* Releases datagrams at an even rate. A backlog beyond BACKLOG_NS moves the schedule instead: a
 * burst after a pause of the sender would be lost in queues and prove nothing. */
struct pace {
	uint64_t start_ns, rate, given;
	uint64_t held_ns; /* the total by which the schedule was moved */
};

/* How many are due now. */
uint64_t pace_due(struct pace *pace);

/* -- udp_send.c -- */

struct udp_sender {
	const struct settings *settings;
	int fd;
	const union endpoint *to; /* NULL: the socket is connected */
	uint64_t run, sent, errors;
	uint8_t *buffers; /* BATCH of settings->size */
};

/* Sends the datagrams that are due, up to `total` in all. */
void udp_send_due(struct udp_sender *sender, struct pace *pace, uint64_t total);

/* Announces the number of datagrams sent, once. */
void udp_send_end(struct udp_sender *sender, const struct pace *pace);

/* -- udp_receive.c -- */

struct udp_receiver {
	const struct settings *settings;
	int fd;
	const union endpoint *from; /* NULL: anybody */
	uint64_t run, highest, announced, held_ns;
	bool has_run, has_end;
	uint64_t received, duplicate, reordered, corrupt, foreign;
	uint64_t last_ns, longest_gap_ns, longest_delay_ns; /* by the kernel's timestamps */
	uint8_t *seen;					    /* one bit for each number */
	size_t seen_bytes;
};

/* Reads a batch from the `receivers`' common socket and assigns each datagram to its receiver;
 * returns the number of datagrams. */
unsigned int udp_receive_batch(struct udp_receiver *receivers, unsigned int receiver_count);

void udp_print_received(const struct udp_receiver *receiver);

/* -- the ways -- */

int udp_send(const struct settings *settings);
int udp_recv(const struct settings *settings);
int udp_mesh(const struct settings *settings);
int tcp_send(const struct settings *settings);
int tcp_recv(const struct settings *settings);
