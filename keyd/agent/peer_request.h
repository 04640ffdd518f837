/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request that describes one peer to the tunnel: its keys, the preshared keys that belong to
 * them and to ours, endpoints and allowed addresses. SHELL.
 */
#pragma once

#include "cluster/secret.h"
#include "connection.h"

/* The facts that the requests for all peers have in common. */
struct peer_request_facts {
	const struct cluster_self *self;
	const struct secrets *secrets; /* NULL: none */
	const struct cluster_workspace *workspace;
	int64_t overlap_ms;
};

/* For a usable member, while connected. Nothing is sent if the tunnel knows it already. 0 or
 * -errno. */
MUST_CHECK int peer_request_send(struct connection *connection, struct member *member,
				 const struct peer_request_facts *facts);
