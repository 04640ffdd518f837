/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of this node's keys as a state machine: time and events in, one next step out. CORE. It
 * never sees a private key: SHELL makes the key pair, gives it to the tunnel and reports the public
 * key.
 *
 * The order is fixed. A key is armed before it is published, so that no node ever learns a key that
 * cannot answer; it is published before it is promoted. The tunnel's slots and the published record
 * are the only state needed to continue: both are reported here after a restart, so every step
 * survives a crash before the next.
 */
#pragma once

#include "annotation.h"

#define EPOCH_AHEAD_MAX_MS (24ULL * 3600 * 1000)

/* A peer that sent authenticated data within this time is live, and would notice a missing key. */
#define ROTATE_LIVE_MS		  180000
#define ROTATE_DEADLINE_MS	  120000 /* for the proofs, if the overlap is 10 minutes or more */
#define ROTATE_REQUEST_SPACING_MS 5000	 /* between two rotations requested through the registry */

enum rotate_step {
	ROTATE_WAIT,	  /* nothing to do until the next event */
	ROTATE_MAKE_KEY,  /* make a key pair for `slot` and give it to the tunnel */
	ROTATE_PROMOTE,	  /* next becomes current, current previous */
	ROTATE_CLEAR_KEY, /* wipe the key in `slot` */
};

struct rotate_action {
	enum rotate_step step;
	enum key_slot slot;
	uint64_t epoch;
	bool ends_sessions;
};

enum rotate_state {
	ROTATE_UNKNOWN,	    /* no publishable key */
	ROTATE_CURRENT,	    /* one key, and no rotation */
	ROTATE_PREPARING,   /* a rotation is requested, or its key is not published yet */
	ROTATE_PROVING,	    /* next is published; peers prove that they know it */
	ROTATE_OVERLAPPING, /* the new key is current, and previous still answers */
	ROTATE_DEGRADED,    /* the same after the end of the overlap: a peer still needs previous */
};

/* `wall_ms` makes epochs; `mono_ms` never jumps and measures every duration. */
struct rotate_now {
	uint64_t wall_ms;
	int64_t mono_ms;
};

struct rotate_settings {
	int64_t every_ms; /* 0: only by command */
	int64_t overlap_ms;
	/* previous is cleared when the overlap ends, even if a peer still needs it */
	bool is_strict;
};

/* The identity that the tunnel holds, or that was last published. */
struct rotate_identity {
	char uid[NODE_UID_LEN];
	uint64_t epoch; /* 0: none */
	bool has_key[KEY_SLOTS];
	struct public_key keys[KEY_SLOTS];
};

/* Another node's state with respect to our keys. */
struct rotate_peer {
	bool has_proved[KEY_SLOTS]; /* of our key in that slot */
	uint64_t received_age_ms;   /* UINT64_MAX: never */
};

/* All usable peers, counted after the last step. */
struct rotate_census {
	uint32_t known, live;
	uint32_t known_with_current, live_with_current, live_with_next;
};

struct rotate {
	/* configuration */
	char uid[NODE_UID_LEN];
	struct rotate_settings settings;
	/* state */
	uint64_t last_epoch; /* the greatest epoch of this uid seen anywhere */
	bool is_tunnel_there;
	struct rotate_identity armed; /* the tunnel's identity, ours or not */
	struct rotate_identity published;
	int64_t changed_at_ms, published_at_ms, previous_at_ms, current_at_ms, next_at_ms;
	bool is_wanted;	       /* a rotation must start ... */
	int64_t not_before_ms; /* ... at this time */
	bool was_begun;	       /* in the lifetime of this process, at ... */
	int64_t begun_at_ms;
	bool revokes;
	bool has_census;
	struct rotate_census census;
};

void rotate_init(struct rotate *rotate, const char *uid, const struct rotate_settings *settings);

/* -- events -- */

/* Our own record as the registry shows it, even if another client rewrote it. A record of another
 * uid is ignored, and so is an epoch so far ahead that every peer refuses it. */
void rotate_record_seen(struct rotate *rotate, const struct annotation *annotation,
			struct rotate_now now);
/* The registry accepted the publishable identity. */
void rotate_published(struct rotate *rotate, struct rotate_now now);

/* The tunnel is connected and holds this identity; keys of another uid, or of an epoch older than
 * our record, cannot be ours. */
void rotate_tunnel_found(struct rotate *rotate, const struct rotate_identity *identity,
			 struct rotate_now now);
void rotate_tunnel_lost(struct rotate *rotate);

enum rotate_asker { ROTATE_BY_COMMAND, ROTATE_BY_REGISTRY };

/* True: a rotation is already running or pending, and serves this request. */
bool rotate_ask(struct rotate *rotate, enum rotate_asker asker, bool revokes,
		struct rotate_now now);

/* Counted while the tunnel holds the armed identity; valid until the next step is done. */
void rotate_peers_counted(struct rotate *rotate, const struct rotate_census *census);
void rotate_census_add(struct rotate_census *census, const struct rotate_peer *peer);

/* The step returned by rotate_next is done; `key` is the public key of the pair that it made. */
void rotate_step_done(struct rotate *rotate, const struct rotate_action *action,
		      const struct public_key *key, struct rotate_now now);

/* -- questions -- */

struct rotate_action rotate_next(const struct rotate *rotate, struct rotate_now now);

/* The identity that may be published now, or NULL. Valid until the next event. */
const struct rotate_identity *rotate_publishable(const struct rotate *rotate);

enum rotate_state rotate_state(const struct rotate *rotate, struct rotate_now now);
const char *rotate_state_name(enum rotate_state state);

static inline bool rotate_is_live(const struct rotate_peer *peer)
{
	return peer->received_age_ms < ROTATE_LIVE_MS;
}

/* Does the rotation, or the end of the previous key, wait for this live peer? */
bool rotate_waits_for(const struct rotate *rotate, const struct rotate_peer *peer);

/* When the state started and, while it waits for stragglers, when it ends without them; both in
 * mono_ms. */
int64_t rotate_state_since(const struct rotate *rotate, enum rotate_state state);
int64_t rotate_state_end(const struct rotate *rotate, enum rotate_state state);
