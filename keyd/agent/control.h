/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket for the podveil command (include/keyd_control.h): a few clients at a time, none of which can make the
 * agent wait. SHELL.
 */
#pragma once

#include <poll.h>

#include "util.h"

#define CONTROL_CLIENTS_MAX 16
#define CONTROL_FDS	    (CONTROL_CLIENTS_MAX + 1)

/* The whole answer to one line of request, from malloc; NULL: no memory. */
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

/* Closed, with no client. */
void control_init(struct control *control);

/* Takes the path over from an agent that is gone: the caller holds the lock that says so. Logs why it fails. */
MUST_CHECK int control_open(struct control *control, const char *path, control_answer *answer,
			    void *context);
void control_close(struct control *control);

/* Descriptors to wait for, always CONTROL_FDS of them, and what came of it. */
void control_prepare(const struct control *control, struct pollfd fds[static CONTROL_FDS]);
void control_serve(struct control *control, const struct pollfd fds[static CONTROL_FDS],
		   uint64_t now_ns);
