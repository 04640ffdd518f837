/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket for the podveil command (include/keyd_control.h): a few clients at a time, and no
 * client can make the agent wait. SHELL.
 */
#pragma once

#include <poll.h>

#include "util.h"

#define CONTROL_CLIENTS_MAX 16
#define CONTROL_FDS	    (CONTROL_CLIENTS_MAX + 1)

/* Returns the whole answer to a request of one line, from malloc; NULL: no memory. */
typedef char *control_answer(void *context, const char *request, size_t len);

struct control_client {
	int fd; /* -1: free */
	uint64_t deadline_ns;
	char *request;
	size_t request_len;
	char *answer;
	size_t answer_len, sent;
};

struct control {
	int fd;
	control_answer *answer;
	void *context;
	struct control_client clients[CONTROL_CLIENTS_MAX];
};

/* Without a socket, and without clients. */
void control_init(struct control *control);

/* Takes over the path from an earlier agent; the caller holds the lock that proves that it has
 * exited. Logs why it fails. */
MUST_CHECK int control_open(struct control *control, const char *path, control_answer *answer,
			    void *context);
void control_close(struct control *control);

/* Fills in the descriptors to wait for, always CONTROL_FDS of them, and serves those that became
 * ready. */
void control_prepare(const struct control *control, struct pollfd fds[static CONTROL_FDS]);
void control_serve(struct control *control, const struct pollfd fds[static CONTROL_FDS],
		   uint64_t now_ns);
