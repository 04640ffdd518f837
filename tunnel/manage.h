/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyd's requests (include/tunnel_control.h) as a function on the tunnel: bytes in, bytes out. control.c has the
 * sockets. What needs a descriptor (opening the port) goes through an upcall.
 */
#pragma once

#include "tunnel.h"
#include "tunnel_control.h"

struct device_upcalls {
	/* Opens both families' sockets on the port (0: any free one) with SO_MARK and closes the old; 0 or -errno. On
	 * success state->port and state->fwmark are set by the callee. Called with the port that is open already when
	 * only the mark changes. */
	int (*set_device)(void *context, uint16_t port, uint32_t fwmark);
	/* keyd has taken over: the device outlives us (TUNSETPERSIST). */
	void (*persist)(void *context);
	/* Index of a network device by its name, 0: there is none. NULL: names are not understood, numbers are. */
	uint32_t (*find_interface)(void *context, const char *name);
	/* Brings those of state->drops up to date that the kernel counts for us. NULL: there is no kernel. */
	void (*count_kernel_drops)(void *context);
	const char *interface;
	uint32_t ifindex;
	uint32_t pid; /* ours, as keyd shall see it */
	void *context;
};

/* Answers one request of len bytes; the answer's length (at most CONTROL_PACKET_MAX) is returned. Wipes the request,
 * which may hold keys. A refused request changes nothing. */
size_t manage_handle(struct tunnel *tunnel, const struct device_upcalls *device, uint8_t *request,
		     size_t len, uint8_t *ret_answer);
