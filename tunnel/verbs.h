/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two privileged verbs that the engine may ask of its parent, and their messages on the socket
 * between the two. monitor.c carries them out; the list is closed.
 */
#pragma once

#include "udp.h"

#define VERB_DESCRIPTORS_MAX UDP_SOCKETS_MAX

enum verb { VERB_OPEN_SOCKETS = 1, VERB_OPEN_DEVICE };

struct verb_request {
	uint32_t verb;
	uint32_t fwmark;
	uint32_t port;
};

/* `count` descriptors go with it: one device; or sockets, first those that carry packets (IPv4,
 * then IPv6), then as many that ask for the path MTU. */
struct verb_answer {
	int32_t error;
	uint32_t port;
	uint32_t count;
	int fds[VERB_DESCRIPTORS_MAX];
};

/* The engine's side. Requests sockets on the port (0: any free one) with the mark. On success
 * *ret_sockets holds new sockets; if only the mark changed, the present sockets stay and
 * *ret_sockets is untouched. */
MUST_CHECK int verbs_request_sockets(int verbs, uint16_t port, uint32_t fwmark, uint16_t *ret_port,
				     struct udp_sockets *ret_sockets);

/* Requests a new device after the present one was deleted. */
MUST_CHECK int verbs_request_device(int verbs, int *ret_fd);

/* The parent's side. Descriptors that were added stay the caller's. */
void verbs_add_device(struct verb_answer *answer, int fd);
void verbs_add_sockets(struct verb_answer *answer, const struct udp_sockets *sockets);

/* Sends the answer. 0 or -errno. */
MUST_CHECK int verbs_answer(int verbs, const struct verb_answer *answer);
