/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two sockets that configure the tunnel: keyd's (include/tunnel_control.h, one packet, one
 * answer) and wg(8)'s (a stream of text). Root only. manage.c and uapi.c interpret the requests.
 */
#pragma once

#include "manage.h"

#define CONTROL_CLIENTS_MAX 32

/* Growing text, in pages of its own: wiped when cleared, never copied when it grows. */
struct control_text {
	char *bytes; /* NULL: empty */
	size_t len, size;
};

struct control_client {
	int fd; /* -1: free */
	bool is_stream;
	struct control_text request, answer; /* of a stream */
	size_t answer_sent;
	bool is_answer_too_long;
};

struct control {
	int epoll; /* readable when control_handle has something to do */
	int listeners[2];
	struct tunnel *tunnel;
	const struct device_upcalls *device;
	uint8_t *request, *answer; /* CONTROL_PACKET_MAX each; the caller's */
	struct control_client clients[CONTROL_CLIENTS_MAX];
};

/* Listens on a path with mode 0600; replaces a socket that no process answers on. Returns a
 * descriptor, or -1 after logging the reason. `type` is SOCK_SEQPACKET or SOCK_STREAM. Called by
 * the parent. */
MUST_CHECK int control_listen(const char *path, int type);

/* The caller keeps the descriptors. 0 or -errno. */
MUST_CHECK int control_init(struct control *control, int keyd_listener, int wireguard_listener,
			    struct tunnel *tunnel, const struct device_upcalls *device,
			    uint8_t *request, uint8_t *answer);

/* Is a keyd connected? */
bool control_has_keyd(const struct control *control);

/* Reads and answers the pending requests, without blocking. */
void control_handle(struct control *control);

void control_clear(struct control *control);
