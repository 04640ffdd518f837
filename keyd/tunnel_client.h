/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to podveil-tunnel (include/tunnel_control.h). SHELL. A request waits for its
 * answer, at most a few seconds. A tunnel that does not answer, or answers another request, is
 * disconnected. All functions return 0 or -errno; after a failure tunnel_client_is_connected shows
 * whether the tunnel rejected the request or the connection was lost.
 */
#pragma once

#include "tunnel_control.h"

struct tunnel_client {
	const char *path;
	/* -1: not connected. Readable while no request is under way: the tunnel has closed it. */
	int fd;
};

/* The desired state of a peer. */
struct tunnel_peer {
	struct control_peer fixed; /* its counts are the lengths of the arrays */
	const union endpoint *endpoints;
	const struct cidr *cidrs;
};

static inline bool tunnel_client_is_connected(const struct tunnel_client *client)
{
	return client->fd >= 0;
}

void tunnel_client_init(struct tunnel_client *client, const char *path);
MUST_CHECK int tunnel_client_connect(struct tunnel_client *client);
void tunnel_client_close(struct tunnel_client *client);

MUST_CHECK int tunnel_client_hello(struct tunnel_client *client, struct control_hello *ret_hello);
/* next becomes current, and current becomes previous. */
MUST_CHECK int tunnel_client_promote(struct tunnel_client *client, uint64_t epoch);
MUST_CHECK int tunnel_client_clear_key(struct tunnel_client *client, enum key_slot slot,
				       uint64_t epoch, bool ends_sessions);
MUST_CHECK int tunnel_client_set_device(struct tunnel_client *client, uint16_t port);
MUST_CHECK int tunnel_client_set_peer(struct tunnel_client *client, const struct tunnel_peer *peer);
MUST_CHECK int tunnel_client_remove_peer(struct tunnel_client *client, uint32_t id);
/* Starts a handshake with the peer, unless it has a session or a handshake is under way. */
MUST_CHECK int tunnel_client_try_peer(struct tunnel_client *client, uint32_t id);
/* Sends a handshake initiation to that address, without changing the endpoint in use. -EAGAIN:
 * the last one to this address is too recent. */
MUST_CHECK int tunnel_client_ask_peer(struct tunnel_client *client, uint32_t id,
				      const union endpoint *to);
MUST_CHECK int tunnel_client_forget_place(struct tunnel_client *client, uint32_t id,
					  const struct address *address);
MUST_CHECK int tunnel_client_read_drops(struct tunnel_client *client,
					struct control_drops *ret_drops);

/* The peers after `after_id`, in ascending order; continue with the id of the last one until
 * is_last. */
MUST_CHECK int tunnel_client_list_peers(struct tunnel_client *client, uint32_t after_id,
					struct control_page *ret_page);

/* Creates a key pair in locked memory, sends it to the tunnel and wipes it, all before it
 * returns: no other function of this program ever sees a private key. */
MUST_CHECK int tunnel_client_give_new_key(struct tunnel_client *client, enum key_slot slot,
					  const char *uid, uint64_t epoch,
					  struct public_key *ret_public);
