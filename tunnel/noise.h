/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Noise_IKpsk2 between one of our statics and one static of a peer (paper, 5.4.1-5.4.5). Bytes, time and randomness
 * come in, bytes and advice go out: this file knows neither peers nor sockets. Every function commits to *pair only
 * after the whole message proved good; a bad message leaves it as it was. macs are cookie.h's affair.
 */
#pragma once

#include "identity.h"

enum handshake_state {
	HANDSHAKE_NONE,
	HANDSHAKE_INITIATION_SENT,     /* we initiate and wait for the response */
	HANDSHAKE_INITIATION_CONSUMED, /* they initiate; a response is to be created */
	HANDSHAKE_RESPONSE_SENT,       /* session can be derived, as responder */
	HANDSHAKE_RESPONSE_CONSUMED,   /* session can be derived, as initiator */
};

/* The handshake between a pair of statics. Secret as a whole: lives in locked memory. */
struct noise_pair {
	/* configuration */
	struct public_key remote;
	struct preshared_key preshared; /* zero: none */
	struct preshared_key alternate; /* what the responder may have used instead; zero: none */
	bool has_alternate;
	uint8_t static_static[KEY_LEN]; /* DH(ours, theirs), made once */
	bool is_usable;			/* false: low order, or our own identity is missing */

	/* state of the handshake that is under way */
	enum handshake_state state;
	uint8_t ephemeral_private[KEY_LEN];
	uint8_t remote_ephemeral[KEY_LEN];
	uint8_t hash[HASH_LEN];
	uint8_t chaining_key[HASH_LEN];
	uint32_t local_index;
	uint32_t remote_index;

	/* what outlives it */
	uint8_t latest_timestamp[TIMESTAMP_LEN]; /* greatest accepted */
	uint64_t last_consumed_ns;		 /* boot clock; 0: never */
};

/* An initiation opened as far as the peer's static key, before we know whose it is. Wipe after use. */
struct noise_opening {
	struct public_key remote;
	uint8_t remote_ephemeral[KEY_LEN];
	uint8_t hash[HASH_LEN];
	uint8_t chaining_key[HASH_LEN];
};

/* An initiation of ours that waits for its answer. */
struct noise_initiation {
	bool is_set;
	uint8_t ephemeral_private[KEY_LEN];
	uint8_t hash[HASH_LEN];
	uint8_t chaining_key[HASH_LEN];
	uint32_t local_index;
};

enum noise_verdict {
	NOISE_ACCEPTED,
	NOISE_REFUSED, /* not authentic, or in no state to take it */
	NOISE_REPLAY,  /* timestamp not greater than the greatest accepted */
	NOISE_FLOOD,   /* closer than INITIATION_SPACING_NS to the last one accepted */
};

struct session_keys {
	uint8_t send[KEY_LEN];
	uint8_t receive[KEY_LEN];
};

/*
 * Also after our own static changed, then with the pair's own remote and preshared if they stay. `own` may be NULL,
 * preshared too (none). Keeps the alternate and what outlives a handshake if remote is the key it was; drops any
 * handshake. Storage is zeroed before the first call.
 */
void noise_pair_init(struct noise_pair *pair, const struct identity *own,
		     const struct public_key *remote, const struct preshared_key *preshared);

/* Wipes the handshake under way, keeps configuration and latest_timestamp. The indices are no secrets and stay
 * readable until the next handshake overwrites them: they have to leave the caller's table. */
void noise_pair_clear_handshake(struct noise_pair *pair);

/*
 * Writes everything of *ret_message but its macs. `ephemeral` is 32 random bytes, clamped and kept; the timestamp
 * must be greater than any this node sent before. False where the pair is unusable.
 */
MUST_CHECK bool noise_create_initiation(struct message_initiation *ret_message,
					struct noise_pair *pair, const struct identity *own,
					uint32_t local_index,
					const uint8_t ephemeral[static KEY_LEN],
					const uint8_t timestamp[static TIMESTAMP_LEN]);

/* First half, addressed to `own` as mac1 told: whose initiation is this? */
MUST_CHECK bool noise_open_initiation(struct noise_opening *ret_opening,
				      const struct message_initiation *message,
				      const struct identity *own);

/*
 * While the peer's initiation is answered ours is set aside, where one is under way, and then taken back (which wipes
 * *initiation, set or not). Both handshakes may be completed: where the two cross each other, and each took the place of
 * the other, neither answer would find what it belongs to, and both nodes would wait five seconds.
 */
void noise_set_aside_initiation(struct noise_initiation *ret_initiation,
				const struct noise_pair *pair);
void noise_take_back_initiation(struct noise_pair *pair, struct noise_initiation *initiation);

/* Second half, with the pair that the opening's static key names. */
enum noise_verdict noise_consume_initiation(struct noise_pair *pair,
					    const struct message_initiation *message,
					    const struct noise_opening *opening, uint64_t now_ns);

MUST_CHECK bool noise_create_response(struct message_response *ret_message, struct noise_pair *pair,
				      uint32_t local_index,
				      const uint8_t ephemeral[static KEY_LEN]);

/* pair is the one whose local_index the message names. */
MUST_CHECK bool noise_consume_response(struct noise_pair *pair,
				       const struct message_response *message,
				       const struct identity *own);

/* In state RESPONSE_SENT or RESPONSE_CONSUMED only: the transport keys. Wipes the handshake but for its indices,
 * which are the session's from now on. */
MUST_CHECK bool noise_derive_session(struct session_keys *ret_keys, bool *ret_is_initiator,
				     struct noise_pair *pair);

/* TAI64N of a Unix time in nanoseconds, whitened to TIMESTAMP_WHITENING_NS. */
void noise_timestamp(uint8_t ret_timestamp[static TIMESTAMP_LEN], uint64_t wall_ns);
