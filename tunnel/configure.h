/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes to the tunnel's configuration: own keys, peers with their keys and endpoints, the
 * interface. Called by manage.c (keyd), uapi.c (wg) and the loop.
 */
#pragma once

#include "peer.h"
#include "tunnel.h"

/* Sets our own key; NULL clears it. A peer with this very key is removed. Current: sessions of the
 * old key stop sending and handshakes restart (kernel: B19, B20). Next and previous: the key is
 * armed and nothing else happens; if the slot was empty, tunnel_has_room_for_identity must be
 * true. */
void tunnel_set_private_key(struct tunnel *tunnel, enum key_slot slot,
			    const struct private_key *private_key);
bool tunnel_has_room_for_identity(const struct tunnel *tunnel, enum key_slot slot);

/* Next becomes current, current becomes previous, and the old previous key is wiped. Sessions
 * continue. An active peer that knows the new key soon gets a fresh session, if its newest was made
 * with another key. -ENOENT: no next key is set. */
MUST_CHECK int tunnel_promote_identity(struct tunnel *tunnel);

/* Wipes next or previous. Sessions made with it continue until they expire, or end now. */
void tunnel_clear_identity(struct tunnel *tunnel, enum key_slot slot, bool ends_sessions);

/* Adds a peer without endpoint and prefixes. -EEXIST: another peer has the key; -ENOSPC;
 * -EADDRNOTAVAIL: it is our own key. A low-order key is accepted, as in the kernel, and never
 * causes a packet (N51). */
MUST_CHECK int tunnel_add_peer(struct tunnel *tunnel, const struct public_key *key,
			       uint32_t *ret_peer);

/* Wipes the peer's secrets and sessions, counts its staged packets as dropped. */
void tunnel_remove_peer(struct tunnel *tunnel, uint32_t peer_index);

/* -EEXIST, -EADDRNOTAVAIL as above; -ENOSPC: no room for the pairs. peer_index is NO_PEER for a
 * peer that is to be added. */
MUST_CHECK int tunnel_check_peer_keys(const struct tunnel *tunnel, uint32_t peer_index,
				      const struct peer_keys *keys);

/* Replaces the peer's keys, which must pass the check. A key that only moves to another slot keeps
 * everything that belongs to it. If the current key was in no slot before, the peer has lost its
 * keys: sessions made with a removed key end, and a handshake starts if there was any traffic.
 * Otherwise no session is touched, and a new next key is tried: at once if the peer is live
 * (authenticated packet within 180 s), else at a random time within try_next_within_ns. */
void tunnel_change_peer_keys(struct tunnel *tunnel, uint32_t peer_index,
			     const struct peer_keys *keys, uint64_t try_next_within_ns);

/* Sets the preshared key between our key in one slot and the peer's in another. Does nothing if one
 * of them is not set. */
void tunnel_set_preshared(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own,
			  enum key_slot remote, const struct preshared_key *preshared);
/* Sets a second preshared key that the peer's response may use. NULL: none. */
void tunnel_set_alternate(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own,
			  enum key_slot remote, const struct preshared_key *alternate);
void tunnel_set_endpoint(struct tunnel *tunnel, uint32_t peer_index,
			 const union endpoint *endpoint);
void tunnel_set_keepalive(struct tunnel *tunnel, uint32_t peer_index, uint16_t interval_s);

/* The interface came up: persistent keepalives start (kernel netns test N37). */
void tunnel_interface_up(struct tunnel *tunnel);

/* The interface went down: wipes every session and handshake, drops staged packets, stops all
 * timers. */
void tunnel_interface_down(struct tunnel *tunnel);
