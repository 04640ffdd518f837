/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to podveil-tunnel (include/tunnel_control.h). SHELL. Requests wait for their answer, at most a few
 * seconds; a tunnel that does not answer, or answers what was not asked, is disconnected. All return 0 or -errno; after
 * a failure the caller looks at tunnel_client_is_connected to learn whether the tunnel refused or is gone.
 */
#pragma once

#include "tunnel_control.h"

struct tunnel_client {
	const char *path;
	int fd; /* -1: not connected; readable otherwise than during a request: the tunnel is gone */
};

/* What a peer should be. */
struct tunnel_peer {
	struct control_peer fixed; /* the counts are those of the arrays */
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
/* next becomes current, current previous. */
MUST_CHECK int tunnel_client_promote(struct tunnel_client *client, uint64_t epoch);
MUST_CHECK int tunnel_client_clear_key(struct tunnel_client *client, enum key_slot slot,
				       uint64_t epoch, bool ends_sessions);
MUST_CHECK int tunnel_client_set_device(struct tunnel_client *client, uint16_t port);
MUST_CHECK int tunnel_client_set_peer(struct tunnel_client *client, const struct tunnel_peer *peer);
MUST_CHECK int tunnel_client_remove_peer(struct tunnel_client *client, uint32_t id);
/* Begins a handshake with it, where there is neither a session nor a handshake under way. */
MUST_CHECK int tunnel_client_try_peer(struct tunnel_client *client, uint32_t id);
/* Asks for a handshake at that address, and leaves the endpoint in use as it is. -EAGAIN: it was asked only just now. */
MUST_CHECK int tunnel_client_ask_peer(struct tunnel_client *client, uint32_t id,
				      const union endpoint *to);
MUST_CHECK int tunnel_client_forget_place(struct tunnel_client *client, uint32_t id,
					  const struct address *address);
MUST_CHECK int tunnel_client_read_drops(struct tunnel_client *client,
					struct control_drops *ret_drops);

/* The peers after `after_id`, in ascending order; go on with the last one's id until is_last. */
MUST_CHECK int tunnel_client_list_peers(struct tunnel_client *client, uint32_t after_id,
					struct control_page *ret_page);

/* Makes a key pair in locked memory, gives it to the tunnel and wipes it, all before it returns: there is no other place
 * in this program that ever sees a private key. */
MUST_CHECK int tunnel_client_give_new_key(struct tunnel_client *client, enum key_slot slot,
					  const char *uid, uint64_t epoch,
					  struct public_key *ret_public);
