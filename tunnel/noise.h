/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Noise_IKpsk2 between our static key and a peer's (paper, 5.4.1-5.4.5). Bytes, time and randomness
 * come in, bytes and advice go out: this file knows neither peers nor sockets. Every function
 * commits to *pair only after the whole message proved good; a bad message leaves it unchanged.
 * cookie.h handles the macs.
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

/* The handshake between a pair of static keys. Secret as a whole: lives in locked memory. */
struct noise_pair {
	/* configuration */
	struct public_key remote;
	struct preshared_key preshared; /* zero: none */
	/* the responder may have used this one instead; zero: none */
	struct preshared_key alternate;
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

	/* kept after the handshake */
	uint8_t latest_timestamp[TIMESTAMP_LEN]; /* greatest accepted */
	uint64_t last_consumed_ns;		 /* boot clock; 0: never */
};

/* An initiation opened as far as the peer's static key, before the peer is looked up. Wipe after
 * use. */
struct noise_opening {
	struct public_key remote;
	uint8_t remote_ephemeral[KEY_LEN];
	uint8_t hash[HASH_LEN];
	uint8_t chaining_key[HASH_LEN];
};

/* Our own initiation that waits for its answer. */
struct noise_initiation {
	bool is_set;
	uint8_t ephemeral_private[KEY_LEN];
	uint8_t hash[HASH_LEN];
	uint8_t chaining_key[HASH_LEN];
	uint32_t local_index;
};

enum noise_verdict {
	NOISE_ACCEPTED,
	NOISE_REFUSED, /* not authentic, or not expected in this state */
	NOISE_REPLAY,  /* timestamp not greater than the greatest accepted */
	NOISE_FLOOD,   /* closer than INITIATION_SPACING_NS to the last one accepted */
};

struct session_keys {
	uint8_t send[KEY_LEN];
	uint8_t receive[KEY_LEN];
};

/*
 * Initializes the pair; also used after our own static key changed, then with the pair's own remote
 * and preshared if they stay. `own` and `preshared` may be NULL (none). Keeps the alternate key and
 * the replay protection if remote is unchanged; drops any handshake. Storage is zeroed before the
 * first call.
 */
void noise_pair_init(struct noise_pair *pair, const struct identity *own,
		     const struct public_key *remote, const struct preshared_key *preshared);

/* Wipes the handshake under way, keeps configuration and latest_timestamp. The indices are not
 * secret and stay readable until the next handshake overwrites them: the caller has to remove them
 * from its table. */
void noise_pair_clear_handshake(struct noise_pair *pair);

/*
 * Writes all of *ret_message but its macs. `ephemeral` is 32 random bytes, clamped and kept; the
 * timestamp must be greater than any this node sent before. False if the pair is unusable.
 */
MUST_CHECK bool noise_create_initiation(struct message_initiation *ret_message,
					struct noise_pair *pair, const struct identity *own,
					uint32_t local_index,
					const uint8_t ephemeral[static KEY_LEN],
					const uint8_t timestamp[static TIMESTAMP_LEN]);

/* First half: the static key of the sender of an initiation whose mac1 is for `own`. */
MUST_CHECK bool noise_open_initiation(struct noise_opening *ret_opening,
				      const struct message_initiation *message,
				      const struct identity *own);

/*
 * While the peer's initiation is answered, our own initiation (if any) is set aside, and afterwards
 * restored (which wipes *initiation, set or not). Both handshakes may complete: if they cross and
 * each replaced the other, neither response would find its handshake, and both nodes would wait
 * five seconds.
 */
void noise_set_aside_initiation(struct noise_initiation *ret_initiation,
				const struct noise_pair *pair);
void noise_take_back_initiation(struct noise_pair *pair, struct noise_initiation *initiation);

/* Second half, with the pair of the static key in the opening. */
enum noise_verdict noise_consume_initiation(struct noise_pair *pair,
					    const struct message_initiation *message,
					    const struct noise_opening *opening, uint64_t now_ns);

MUST_CHECK bool noise_create_response(struct message_response *ret_message, struct noise_pair *pair,
				      uint32_t local_index,
				      const uint8_t ephemeral[static KEY_LEN]);

/* `pair` has the local_index that the message names. */
MUST_CHECK bool noise_consume_response(struct noise_pair *pair,
				       const struct message_response *message,
				       const struct identity *own);

/* In state RESPONSE_SENT or RESPONSE_CONSUMED only: derives the transport keys. Wipes the handshake
 * but for its indices, which now belong to the session. */
MUST_CHECK bool noise_derive_session(struct session_keys *ret_keys, bool *ret_is_initiator,
				     struct noise_pair *pair);

/* TAI64N of a Unix time in nanoseconds, whitened to TIMESTAMP_WHITENING_NS. */
void noise_timestamp(uint8_t ret_timestamp[static TIMESTAMP_LEN], uint64_t wall_ns);
