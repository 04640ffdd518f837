/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tunnel's state: one value without pointers, so that it can be handed over as bytes. Structs
 * only: the functions on each are in the header of its name (pair.h, session.h, timers.h, peer.h,
 * index.h).
 *
 * Peers, pairs and sessions live in pools of fixed size and are named by their index in the pool
 * (peer_index, pair_index, session_index). A slot is always a key slot: next, current or previous
 * (enum key_slot).
 */
#pragma once

#include "address.h"
#include "allowedips.h"
#include "cookie.h"
#include "drop_reason.h"
#include "noise.h"
#include "place.h"
#include "ratelimit.h"
#include "replay.h"
#include "stage.h"

#define TUNNEL_STATE_VERSION 7
#define PEERS_MAX	     8192
#define PEER_ENDPOINTS_MAX   8
#define PEER_BUCKETS	     16384 /* power of two */
#define SESSIONS_PER_PEER    4
#define SESSIONS_MAX	     (SESSIONS_PER_PEER * PEERS_MAX)
/* Four for each of 5,000 nodes, the most that a Kubernetes cluster has: all of them may rotate at
 * once. */
#define PAIRS_MAX   20480
#define INDEX_SLOTS 262144 /* power of two, at least four times the indices that can be in use */

#define NO_PAIR	    UINT32_MAX
#define NO_SESSION  UINT32_MAX

/* -- receiver indices (index.h) -- */

enum index_kind { INDEX_FREE, INDEX_HANDSHAKE, INDEX_SESSION };

struct index_entry {
	uint32_t index;
	uint32_t kind : 2;   /* enum index_kind */
	uint32_t owner : 30; /* the pair_index of a handshake, or a session_index */
};

/* -- a pair of static keys, our own and a peer's (pair.h) -- */

struct pair {
	bool is_used;
	bool is_derived; /* static-static was computed, or found to be impossible */
	uint32_t peer_index;
	enum key_slot own, remote;   /* the slots that its keys are in now */
	uint32_t handshake_index;    /* receiver index of the handshake under way; 0: none */
	uint64_t initiated_ns;	     /* when the handshake under way was initiated */
	struct address initiated_to; /* destination of its initiation */
	/* Initiated only to learn whether the peer is there: the endpoint stays. */
	bool is_question;
	uint64_t last_initiation_sent_ns; /* also set by a response; 0: none */
	struct cookie_jar jar;
	uint32_t next_free; /* pair_index; NO_PAIR ends the list */
};

/* -- a session (session.h) -- */

struct session {
	bool is_used;
	bool is_initiator;
	/* Sends no more, but receives: our static key was changed, or the counter ran out. */
	bool is_retired;
	uint32_t peer_index;
	uint32_t pair_index; /* of the keys that it was made with; NO_PAIR: one of them is gone */
	uint32_t next_free;  /* session_index; NO_SESSION ends the list */
	uint32_t local_index, remote_index; /* receiver indices */
	struct address answered_to; /* destination of our response; family 0: we initiated */
	uint64_t birth_ns;	    /* boot clock */
	uint64_t last_received_ns;  /* 0: never */
	uint64_t send_counter;	    /* the next to use */
	struct replay replay;
};

/* -- a peer's timers (timers.h) -- */

/* Timers that are due at once run in this order, so that none undoes the work of another. */
enum timer {
	/* three times REJECT_AFTER_TIME after the last session was made */
	TIMER_ZERO_KEYS,
	/* REKEY_TIMEOUT + jitter after an initiation */
	TIMER_RETRANSMIT_HANDSHAKE,
	/* KEEPALIVE_TIMEOUT after data received, nothing sent */
	TIMER_SEND_KEEPALIVE,
	/* KEEPALIVE_TIMEOUT + REKEY_TIMEOUT + jitter after data sent, nothing received */
	TIMER_NEW_HANDSHAKE,
	TIMER_PERSISTENT_KEEPALIVE,
	/* after the peer's record named a next key, until we have proved to the peer that we know
	 * it */
	TIMER_TRY_NEXT_KEY,
	TIMER_COUNT
};

struct timers {
	uint64_t deadline_ns[TIMER_COUNT]; /* boot clock; 0: not armed */
	uint64_t wake_ns;	/* sort key of the heap: not after the earliest deadline */
	uint32_t heap_position; /* 0: not in the heap */
	/* With any of its keys; also set by a response. 0: none, or a handshake may start at
	 * once. */
	uint64_t last_initiation_sent_ns;
	uint32_t next_key_tries; /* left */
	uint32_t attempts;	 /* retries since the last trigger from outside */
	uint64_t jitter_ns;	 /* drawn for each handshake */
	bool needs_another_keepalive;
};

/* -- a peer (peer.h) -- */

/* The local address that a peer last sent to: replies leave from it. Cleared (family 0) on every
 * retry. */
struct local_source {
	struct address address;
	uint32_t ifindex;
};

/* The path to the endpoint, as the kernel last described it (path.h). */
struct path {
	uint32_t mtu;	   /* of whole outer packets; 0: not known */
	uint64_t asked_ns; /* boot clock; 0: never */
};

/* One of a peer's static keys. */
struct peer_key {
	bool is_set;
	struct public_key key;
	/* of messages to the peer, and of cookies from it */
	uint8_t mac1_key[HASH_LEN], cookie_key[HASH_LEN];
	uint32_t hash_next; /* chain of the table of public keys */
};

/* A key that is no longer in the peer's record and may return: an initiation made with it is not
 * accepted twice. */
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
	uint64_t epoch;	 /* the record's, for a restarted keyd */
	struct peer_key keys[KEY_SLOTS]; /* current always */
	struct peer_former_key former_key;
	union endpoint published[PEER_ENDPOINTS_MAX]; /* best first */
	uint32_t published_count;
	uint16_t persistent_keepalive_s; /* 0: off */
	uint32_t next_free;		 /* peer_index; NO_PEER ends the list */

	/* state */
	/* pair_index by our slot, then the peer's. NO_PAIR where one of the keys is not set, except
	 * that our current slot always has its pairs. */
	uint32_t pairs[KEY_SLOTS][KEY_SLOTS];
	/* Authenticated data arrived on a session made with our key in that slot. */
	bool has_proved[KEY_SLOTS];
	/* A session made with the peer's key in that slot is confirmed. */
	bool has_reached[KEY_SLOTS];
	bool has_endpoint;
	union endpoint endpoint;
	struct local_source source;
	struct path path;
	/* session_index or NO_SESSION (paper, 6.3 and 6.4; session.h) */
	uint32_t next, current, previous, former;
	uint32_t unanswered; /* initiations since the last complete handshake */
	struct timers timers;
	uint32_t stage_head, stage_tail; /* packets that wait for a session (stage.h) */
	uint32_t stage_count;		 /* their number, in segments */
	bool has_sent_lastminute_handshake;
	struct peer_place places[PEER_PLACES_MAX];
	/* boot clock: the first initiation since the last authenticated packet; 0: none */
	uint64_t asked_ns;
	uint64_t last_question_ns;

	/* figures */
	uint64_t received_bytes, sent_bytes; /* outer UDP payload, as in the kernel */
	uint64_t known_ns;		     /* boot clock: when the peer was added */
	uint64_t last_handshake_wall_ns;     /* 0: never */
	uint64_t last_received_ns;	     /* boot clock, authenticated; 0: never */
};

/* -- the whole -- */

/* The part that is locked in memory and left out of core dumps; page-aligned, nothing else in its
 * pages. */
struct tunnel_secrets {
	struct identity identities[KEY_SLOTS];
	struct cookie_checker cookie_checker;
	struct noise_pair pairs[PAIRS_MAX];
	struct session_keys session_keys[SESSIONS_MAX];
};

static_assert(sizeof(struct tunnel_secrets) < (8 * 1024 - 128) * 1024,
	      "RLIMIT_MEMLOCK may be no more than 8 MiB, and the stack needs some of it");

struct tunnel_state {
	_Alignas(4096) struct tunnel_secrets secrets;
	/* Inaccessible at run time: no overflow of the rest reaches the secrets. */
	_Alignas(4096) uint8_t guard[4096];
	uint32_t version;
	bool is_managed;
	char uid[64];
	uint64_t epoch;
	uint32_t mtu;
	uint16_t port;
	uint32_t fwmark;
	uint64_t last_timestamp_wall_ns; /* our TAI64N never goes back, even if the clock does */
	uint64_t last_timestamp_ns;	 /* when that was, by the boot clock */
	uint64_t load_drained_ns;	 /* until when load_count was drained */
	uint32_t load_count;		 /* level of recent handshake messages to us (receive.h) */
	uint64_t under_load_until_ns;	 /* UINT64_MAX: forced */
	uint64_t path_hint_ns;		 /* when tunnel_path_changed was last called */

	uint32_t peer_count;
	uint32_t peers_used_end;	     /* peers at and above it were never used */
	uint32_t peer_free;		     /* list through next_free; NO_PEER ends it */
	uint32_t peer_buckets[PEER_BUCKETS]; /* hash table of all public keys (peer.c) */
	uint32_t peer_key_count;
	uint8_t peer_hash_key[16];
	struct peer peers[PEERS_MAX];
	uint32_t allowedips_heads[PEERS_MAX];

	uint32_t pair_free, pairs_used_end, pair_count;
	struct pair pairs[PAIRS_MAX];

	uint32_t session_free, sessions_used_end;
	struct session sessions[SESSIONS_MAX];
	struct index_entry indices[INDEX_SLOTS];

	uint32_t deadline_heap[PEERS_MAX + 1]; /* peer_index by earliest deadline, from 1 */
	uint32_t deadline_count;

	struct allowedips allowedips;
	struct ratelimit ratelimit;
	struct stage stage;
	uint64_t drops[DROP_REASON_COUNT];
};
