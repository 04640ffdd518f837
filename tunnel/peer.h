/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything the tunnel knows of one peer but its secrets. Peers live in a pool of fixed size and are named by their
 * slot; references are slots, never pointers, so that the whole state can be handed over as bytes.
 */
#pragma once

#include "address.h"
#include "pair.h"
#include "place.h"
#include "session.h"
#include "timers.h"

#define PEERS_MAX	   8192
#define PEER_ENDPOINTS_MAX 8
#define SESSIONS_PER_PEER  4

struct tunnel;

/* The local address a peer last spoke to: replies leave from it. Cleared (family 0) on every retry. */
struct local_source {
	struct address address;
	uint32_t ifindex;
};

/* The way to the endpoint, as the kernel last described it (path.h). */
struct path {
	uint32_t mtu;	   /* of whole outer packets; 0: not known */
	uint64_t asked_ns; /* boot clock; 0: never */
};

/* One of a peer's statics. */
struct peer_key {
	bool is_set;
	struct public_key key;
	uint8_t mac1_key[HASH_LEN],
		cookie_key[HASH_LEN]; /* of messages to it and cookies from it */
	uint32_t hash_next;	      /* chain of the table of public keys */
};

/* A key that a record named no more, and may name again: no initiation under it is taken twice. */
struct peer_former_key {
	struct public_key key;
	uint8_t latest_timestamp[TIMESTAMP_LEN];
};

struct peer {
	/* configuration */
	bool is_used;
	bool is_managed; /* by keyd: roams within published[] only */
	uint32_t id;	 /* keyd's; 0 for a peer of wg(8) */
	char uid[64];	 /* of the record that the keys are from; empty without keyd */
	uint64_t epoch;	 /* the record's: keyd forgets it when it ends */
	struct peer_key keys[KEY_SLOTS]; /* current always */
	struct peer_former_key former_key;
	union endpoint published[PEER_ENDPOINTS_MAX]; /* best first */
	uint32_t published_count;
	uint16_t persistent_keepalive_s; /* 0: off */
	uint32_t next_free;

	/* state */
	uint32_t pairs
		[KEY_SLOTS]
		[KEY_SLOTS]; /* by our slot, then the peer's; NO_PAIR where one of the keys is not set,
						 but with our current one always */
	bool has_proved
		[KEY_SLOTS]; /* authenticated data came on a session made with our key in that slot */
	bool has_reached
		[KEY_SLOTS]; /* a session was made with its key in that slot, and is confirmed */
	bool has_endpoint;
	union endpoint endpoint;
	struct local_source source;
	struct path path;
	uint32_t next, current, previous,
		former;	     /* session slots or NO_SESSION (paper, 6.3 and 6.4; session.h) */
	uint32_t unanswered; /* initiations since a handshake was last complete */
	struct timers timers;
	uint32_t stage_head, stage_tail; /* packets that wait for a session (stage.h) */
	uint32_t stage_count;		 /* segments they stand for */
	bool has_sent_lastminute_handshake;
	struct peer_place places[PEER_PLACES_MAX];
	uint64_t
		asked_ns; /* boot clock: the first initiation since the last authenticated packet; 0: none */
	uint64_t last_question_ns;

	/* figures */
	uint64_t received_bytes, sent_bytes; /* outer UDP payload, as in the kernel */
	uint64_t known_ns;		     /* boot clock: when the peer was added */
	uint64_t last_handshake_wall_ns;     /* 0: never */
	uint64_t last_received_ns;	     /* boot clock, authenticated; 0: never */
};

/* The pair of the statics with these public halves, ours and a peer's; NO_PAIR. */
uint32_t peer_find_pair(const struct tunnel *tunnel, enum key_slot own,
			const struct public_key *remote);

/* With which statics the next handshake is to be begun. Ours is the newest that the peer has proved to know; the peer's
 * is its next one, which it armed before it published it. Where that stays without an answer the tries alternate, so
 * that no traffic depends on a record that is old. */
uint32_t peer_choose_pair(const struct tunnel *tunnel, uint32_t peer);
uint32_t peer_choose_newest_pair(const struct tunnel *tunnel, uint32_t peer);

/* Its next key, or the current one where there is none: a next one may have been promoted before we tried it. */
enum key_slot peer_newest_key(const struct peer *peer);

/* Our key in that slot is there now, is another one than it was, or is gone. There has to be room for pairs. */
void peer_add_own(struct tunnel *tunnel, uint32_t peer, enum key_slot own);
void peer_renew_own(struct tunnel *tunnel, uint32_t peer, enum key_slot own);
void peer_remove_own(struct tunnel *tunnel, uint32_t peer, enum key_slot own);

/* Our keys move on by one slot; there are no pairs of the previous one any more. */
void peer_promote_own(struct tunnel *tunnel, uint32_t peer);

/* Is a handshake under way that we began, young enough for an answer to come? */
bool peer_is_initiating(const struct tunnel *tunnel, uint32_t peer);

/* Wipes the handshakes under way: all, or those that we began with another pair. */
void peer_forget_handshakes(struct tunnel *tunnel, uint32_t peer);
void peer_forget_initiations_but(struct tunnel *tunnel, uint32_t peer, uint32_t pair);

/* The record is another node's from now on: what was learnt of the one before says nothing of it. */
void peer_forget_node(struct tunnel *tunnel, uint32_t peer);

/* Authenticated data came on the session: the peer knows the key of ours that it was made with. */
void peer_note_proof(struct tunnel *tunnel, uint32_t session);

/* An authenticated datagram came from there: answers go there, if the peer may be there. */
void peer_follow(struct tunnel *tunnel, uint32_t peer, const union endpoint *from,
		 const struct local_source *to);
