/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyd's requests (include/tunnel_control.h) as a function on the tunnel: bytes in, bytes out.
 * control.c has the sockets. Operations that need a descriptor (opening the port) go through an
 * upcall.
 */
#pragma once

#include "tunnel.h"
#include "tunnel_control.h"

struct device_upcalls {
	/* Opens both families' sockets on the port (0: any free one) with SO_MARK and closes the
	 * old ones; 0 or -errno. On success the callee sets state->port and state->fwmark. If only
	 * the mark changes, the port is the one that is already open. */
	int (*set_device)(void *context, uint16_t port, uint32_t fwmark);
	/* keyd has taken over: the device outlives us (TUNSETPERSIST). */
	void (*persist)(void *context);
	/* Index of a network device by its name; 0: none. NULL: only numbers are understood. */
	uint32_t (*find_interface)(void *context, const char *name);
	/* Updates those of state->drops that the kernel counts for us. NULL: no kernel. */
	void (*count_kernel_drops)(void *context);
	const char *interface;
	uint32_t ifindex;
	uint32_t pid; /* our own, as reported to keyd */
	void *context;
};

/* Answers one request of len bytes and returns the length of the answer (at most
 * CONTROL_PACKET_MAX). Wipes the request, which may hold keys. A refused request changes
 * nothing. */
size_t manage_handle(struct tunnel *tunnel, const struct device_upcalls *device, uint8_t *request,
		     size_t len, uint8_t *ret_answer);
