/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mac1, mac2 and cookie replies (paper, 5.3, 5.4.4, 5.4.7): proof that the sender knows whom it speaks to and, under
 * load, that it owns its address. Both halves: the checker answers, the jar holds what a peer answered us.
 */
#pragma once

#include "address.h"
#include "identity.h"

/* The responder's half: one for the node. Secret. */
struct cookie_checker {
	uint8_t secret[HASH_LEN];
	uint64_t secret_birth_ns; /* 0: none yet */
};

/* The initiator's half: one for each pair of statics. */
struct cookie_jar {
	uint8_t cookie[COOKIE_LEN];
	uint64_t cookie_birth_ns; /* 0: none */
	uint8_t last_mac1[MAC_LEN];
	bool has_sent_mac1; /* a cookie reply may be consumed, once */
};

enum mac_verdict {
	MAC_INVALID,	      /* mac1 is wrong: silence */
	MAC_VALID,	      /* mac1 is right, mac2 absent or wrong */
	MAC_VALID_WITH_COOKIE /* both right: the source owns its address */
};

/* `message` is a whole initiation or response of len bytes, macs at its end. Where mac1 is right, renews a secret
 * that is too old from `fresh_secret` (32 random bytes). An identity that is not set matches nothing. */
enum mac_verdict cookie_check_macs(struct cookie_checker *checker, const struct identity *own,
				   const void *message, size_t len, const union endpoint *source,
				   uint64_t now_ns, const uint8_t fresh_secret[static HASH_LEN]);

/* mac1 alone, for finding which of our identities a message addresses. */
bool cookie_mac1_matches(const struct identity *own, const void *message, size_t len);

/* Answers the message whose macs are given, towards `source`; only after cookie_check_macs found its mac1 right.
 * sender_index is that message's; `nonce` is 24 random bytes. */
void cookie_create_reply(struct message_cookie *ret_reply, const struct cookie_checker *checker,
			 const struct identity *own, const struct message_macs *macs,
			 uint32_t sender_index, const union endpoint *source,
			 const uint8_t nonce[static 24]);

/* Fills the macs at the end of our own message to the peer whose mac1 key is given. */
void cookie_add_macs(void *message, size_t len, struct cookie_jar *jar,
		     const uint8_t remote_mac1_key[static HASH_LEN], uint64_t now_ns);

/* True where the reply answers our last message; it may do so once. A bad one leaves the jar alone. */
MUST_CHECK bool cookie_consume_reply(struct cookie_jar *jar, const struct message_cookie *reply,
				     const uint8_t remote_cookie_key[static HASH_LEN],
				     uint64_t now_ns);
