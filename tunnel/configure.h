/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tunnel's configuration, changed from outside: own keys, peers with their keys and endpoints, the interface. Used by
 * manage.c (keyd), uapi.c (wg) and the loop.
 */
#pragma once

#include "peer.h"
#include "tunnel.h"

/* Our own key. A peer with this very key is removed. NULL clears it.
 * Current: sessions of the old one stop sending, handshakes restart (kernel: B19, B20). Next and previous: the key is
 * armed, and nothing else happens; where there was none before, tunnel_has_room_for_identity has to be true. */
void tunnel_set_private_key(struct tunnel *tunnel, enum key_slot slot,
			    const struct private_key *private_key);
bool tunnel_has_room_for_identity(const struct tunnel *tunnel, enum key_slot slot);

/* Next becomes current, current previous; what was previous is wiped. Sessions go on; a peer that talks gets a fresh
 * one soon if its newest was not made with the new key although it knows it. -ENOENT: there is no next key. */
MUST_CHECK int tunnel_promote_identity(struct tunnel *tunnel);

/* Wipes next or previous. Sessions made with it go on until they are too old, or end now. */
void tunnel_clear_identity(struct tunnel *tunnel, enum key_slot slot, bool ends_sessions);

/* A new peer without endpoint and prefixes. -EEXIST: the key is taken; -ENOSPC; -EADDRNOTAVAIL: it is our own key.
 * A low-order key is taken, as the kernel does, and never causes a packet (N51). */
MUST_CHECK int tunnel_add_peer(struct tunnel *tunnel, const struct public_key *key,
			       uint32_t *ret_peer);

/* Wipes its secrets and sessions, counts its staged packets as dropped. */
void tunnel_remove_peer(struct tunnel *tunnel, uint32_t peer_index);

/* -EEXIST, -EADDRNOTAVAIL as above; -ENOSPC: no room for the pairs. `peer` is NO_PEER for one that is to be added. */
MUST_CHECK int tunnel_check_peer_keys(const struct tunnel *tunnel, uint32_t peer_index,
				      const struct peer_keys *keys);

/* Replaces the peer's keys, which pass the check. A key that only moves to another slot takes everything along. A
 * current one that was in no slot says that the peer has lost its keys: sessions made with a key that is gone end, and a
 * handshake begins if there was any traffic. Otherwise no session is touched, and a new next key is tried: at once if
 * the peer is live (authenticated packet within 180 s), else at a random time within try_next_within_ns. */
void tunnel_change_peer_keys(struct tunnel *tunnel, uint32_t peer_index,
			     const struct peer_keys *keys, uint64_t try_next_within_ns);

/* Between our key in one slot and the peer's in another; where one of them is not set nothing happens. */
void tunnel_set_preshared(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own,
			  enum key_slot remote, const struct preshared_key *preshared);
/* Also accepted of the peer when it answers. NULL: nothing is. */
void tunnel_set_alternate(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own,
			  enum key_slot remote, const struct preshared_key *alternate);
void tunnel_set_endpoint(struct tunnel *tunnel, uint32_t peer_index,
			 const union endpoint *endpoint);
void tunnel_set_keepalive(struct tunnel *tunnel, uint32_t peer_index, uint16_t interval_s);

/* The interface came up: persistent keepalives start (kernel netns test N37). */
void tunnel_interface_up(struct tunnel *tunnel);

/* The interface went down: every session and handshake is wiped, what waits is lost, no timer runs. */
void tunnel_interface_down(struct tunnel *tunnel);
