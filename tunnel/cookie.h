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

/* `message` is a whole initiation or response of len bytes, macs at its end. An identity that is not set matches
 * nothing. */
bool cookie_mac1_matches(const struct identity *own, const void *message, size_t len);

/* A secret lives for two minutes. Only who needs a cookie asks, so that what has no right mac1 changes nothing. */
MUST_CHECK bool cookie_wants_secret(const struct cookie_checker *checker, uint64_t now_ns);
void cookie_renew_secret(struct cookie_checker *checker, uint64_t now_ns,
			 const uint8_t fresh_secret[static HASH_LEN]);

/* What a source has to know: its address and port under the secret, which must not be too old. Secret. */
void cookie_create(uint8_t ret_cookie[static COOKIE_LEN], const struct cookie_checker *checker,
		   const union endpoint *source);

/* True where the message carries the cookie: its source owns its address. */
bool cookie_mac2_matches(const uint8_t cookie[static COOKIE_LEN], const void *message, size_t len);

/* Answers the message whose macs are given, mac1 found right, with the cookie of its source. sender_index is that
 * message's; `nonce` is 24 random bytes. */
void cookie_create_reply(struct message_cookie *ret_reply, const struct identity *own,
			 const struct message_macs *macs, uint32_t sender_index,
			 const uint8_t cookie[static COOKIE_LEN], const uint8_t nonce[static 24]);

/* Fills the macs at the end of our own message to the peer whose mac1 key is given. */
void cookie_add_macs(void *message, size_t len, struct cookie_jar *jar,
		     const uint8_t remote_mac1_key[static HASH_LEN], uint64_t now_ns);

/* True where the reply answers our last message; it may do so once. A bad one leaves the jar alone. */
MUST_CHECK bool cookie_consume_reply(struct cookie_jar *jar, const struct message_cookie *reply,
				     const uint8_t remote_cookie_key[static HASH_LEN],
				     uint64_t now_ns);
