/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The WireGuard cross-platform configuration protocol (wireguard.com/xplatform), as wg(8) speaks it. Text in, text
 * out; control.c has the sockets. On a device that keyd manages `set` answers EPERM and `get` shows no secret key.
 */
#pragma once

#include "manage.h"

/* Takes text for the client; it may hold keys and is wiped after the call. */
typedef void uapi_emit_fn(void *context, const char *text, size_t len);

/* `request` is everything up to and without the empty line that ends it, with its last newline, and a terminating
 * zero; it is cut up in place and wiped. The answer includes the "errno=" line and the empty line. A line that is not
 * understood refuses the whole request; what runs out on the way (room, the port) ends it at that line. */
void uapi_handle(struct tunnel *tunnel, const struct device_upcalls *device, char *request,
		 uapi_emit_fn *emit, void *context);
