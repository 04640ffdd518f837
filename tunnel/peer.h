/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything the tunnel knows of one peer but its secrets. Peers live in a pool of fixed size and are named by their
 * slot; references are slots, never pointers, so that the whole state can be handed over as bytes.
 */
#pragma once

#include "address.h"
#include "cookie.h"
#include "session.h"
#include "timers.h"

#define PEERS_MAX	   8192
#define PEER_ENDPOINTS_MAX 8

struct tunnel;

/* The local address a peer last spoke to: replies leave from it. Cleared (family 0) on every retry. */
struct local_source {
	struct address address;
	uint32_t ifindex;
};

struct peer {
	/* configuration */
	bool is_used;
	bool is_managed; /* by keyd: roams within published[] only */
	uint32_t id;	 /* keyd's; 0 for a peer of wg(8) */
	struct public_key key;
	uint8_t remote_mac1_key[HASH_LEN], remote_cookie_key[HASH_LEN];
	union endpoint published[PEER_ENDPOINTS_MAX]; /* best first */
	uint32_t published_count;
	uint16_t persistent_keepalive_s; /* 0: off */
	uint32_t hash_next;		 /* chain of the table of public keys */

	/* state */
	bool has_endpoint;
	union endpoint endpoint;
	struct local_source source;
	uint32_t next, current, previous; /* session slots or NO_SESSION (paper, 6.3 and 6.4) */
	uint32_t handshake_index;	  /* receiver index of the handshake under way; 0: none */
	struct cookie_jar jar;
	struct timers timers;
	uint32_t stage_head, stage_tail; /* packets that wait for a session (stage.h) */
	uint32_t stage_count;		 /* segments they stand for */
	bool has_sent_lastminute_handshake;

	/* figures */
	uint64_t received_bytes, sent_bytes; /* outer UDP payload, as in the kernel */
	uint64_t last_handshake_wall_ns;     /* 0: never */
	uint64_t last_received_ns;	     /* boot clock, authenticated; 0: never */
};

/* The own identity with which the peer is spoken to. */
const struct identity *peer_identity(const struct tunnel *tunnel, uint32_t peer);

/* Derives anew what the peer and our identity share; a handshake under way is forgotten. */
void peer_renew_pair(struct tunnel *tunnel, uint32_t peer);

/* The handshake under way has this index from now on (0: there is none); the one before is free. */
void peer_set_handshake_index(struct tunnel *tunnel, uint32_t peer, uint32_t index);

/* Wipes the handshake under way. */
void peer_forget_handshake(struct tunnel *tunnel, uint32_t peer);

/* An authenticated datagram came from there: answers go there, if the peer may be there. */
void peer_follow(struct tunnel *tunnel, uint32_t peer, const union endpoint *from,
		 const struct local_source *to);
