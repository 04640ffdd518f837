/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How large a packet may be that goes to a peer: the kernel's path MTU to its endpoint, less what the tunnel puts
 * around it, and never more than the device's own MTU.
 */
#pragma once

#include "tunnel.h"

/* Greatest length of an inner packet to the peer, padding included. Asks the kernel again now and then, so a change of
 * route, device or path is picked up; the peer has an endpoint. */
size_t path_inner_mtu(struct tunnel *tunnel, uint32_t peer_index);

/* The endpoint is another one: what was known is of no use. */
void path_forget(struct peer *peer);
