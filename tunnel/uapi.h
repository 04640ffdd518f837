/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The WireGuard cross-platform configuration protocol (wireguard.com/xplatform), as wg(8) uses it.
 * Text in, text out; control.c has the sockets. On a device that keyd manages, `set` answers EPERM
 * and `get` shows no secret key.
 */
#pragma once

#include "manage.h"

/* Consumes text for the client; it may hold keys and is wiped after the call. */
typedef void uapi_emit_fn(void *context, const char *text, size_t len);

/* `request` is everything before the empty line that ends it, including its last newline, and a
 * terminating zero; it is split in place and wiped. The answer includes the "errno=" line and the
 * empty line. A malformed line refuses the whole request; a shortage while applying it (room, the
 * port) ends it at that line. */
void uapi_handle(struct tunnel *tunnel, const struct device_upcalls *device, char *request,
		 uapi_emit_fn *emit, void *context);
