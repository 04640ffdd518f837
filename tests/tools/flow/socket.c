/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets with buffers so large that losses happen only on the path.
 */
#include "flow.h"

#include <errno.h>

#define BUFFER_BYTES (64 << 20)

/* Forcing the size needs a capability; without it the ordinary maximum is the best available. */
void socket_set_buffer(int fd, int forced, int ordinary)
{
	int bytes = BUFFER_BYTES;

	if (setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, ordinary, &bytes, sizeof(bytes));
}

int socket_open(int type, const union endpoint *bind_to)
{
	int on = 1, fd = socket(bind_to->any.sa_family, type | SOCK_CLOEXEC, 0);
	char text[ENDPOINT_TEXT_LEN];

	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    bind(fd, &bind_to->any, endpoint_len(bind_to)) == 0)
		return fd;
	log_error("cannot use %s: %s", endpoint_format(text, bind_to), strerror(errno));
	fd_close(&fd);
	return -1;
}

/* Bound to --bind, or to an address that the kernel chooses. */
int socket_open_sender(const struct settings *settings, int type)
{
	union endpoint from = {.any.sa_family = settings->to[0].any.sa_family};

	return socket_open(type, settings->has_bind ? &settings->bind : &from);
}
