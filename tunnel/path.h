/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The largest packet that may go to a peer: the kernel's path MTU to its endpoint, less the
 * tunnel's overhead, and never more than the device's own MTU.
 */
#pragma once

#include "tunnel.h"

/* Greatest length of an inner packet to the peer, padding included. Queries the kernel again at
 * intervals, so that a change of route, device or path is noticed; the peer has an endpoint. */
size_t path_inner_mtu(struct tunnel *tunnel, uint32_t peer_index);

/* The endpoint changed: discards the old path. */
void path_forget(struct peer *peer);
