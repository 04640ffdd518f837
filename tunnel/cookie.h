/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mac1, mac2 and cookie replies (paper, 5.3, 5.4.4, 5.4.7): proof that the sender knows our public
 * key and, under load, that it owns its address. The checker answers other nodes; the jar holds a
 * peer's cookie.
 */
#pragma once

#include "address.h"
#include "identity.h"

/* The responder's half: one per node. Secret. */
struct cookie_checker {
	uint8_t secret[HASH_LEN];
	uint64_t secret_birth_ns; /* 0: none yet */
};

/* The initiator's half: one per pair of static keys. */
struct cookie_jar {
	uint8_t cookie[COOKIE_LEN];
	uint64_t cookie_birth_ns; /* 0: none */
	uint8_t last_mac1[MAC_LEN];
	bool has_sent_mac1; /* a cookie reply may be consumed, once */
};

/* `message` is a whole initiation or response of len bytes, with the macs at its end. An identity
 * that is not set matches no message. */
bool cookie_mac1_matches(const struct identity *own, const void *message, size_t len);

/* Is the secret missing, or older than two minutes? Ask only when a cookie is needed, so that a
 * message without a valid mac1 changes nothing. */
MUST_CHECK bool cookie_wants_secret(const struct cookie_checker *checker, uint64_t now_ns);
void cookie_renew_secret(struct cookie_checker *checker, uint64_t now_ns,
			 const uint8_t fresh_secret[static HASH_LEN]);

/* The cookie of a source: its address and port under the secret, which must not be too old.
 * Secret. */
void cookie_create(uint8_t ret_cookie[static COOKIE_LEN], const struct cookie_checker *checker,
		   const union endpoint *source);

/* True if the message carries the cookie, which proves that its source owns its address. */
bool cookie_mac2_matches(const uint8_t cookie[static COOKIE_LEN], const void *message, size_t len);

/* Answers a message with the cookie of its source. The caller has checked mac1; sender_index is the
 * message's; `nonce` is 24 random bytes. */
void cookie_create_reply(struct message_cookie *ret_reply, const struct identity *own,
			 const struct message_macs *macs, uint32_t sender_index,
			 const uint8_t cookie[static COOKIE_LEN], const uint8_t nonce[static 24]);

/* Writes the macs at the end of our own message to the peer with this mac1 key. */
void cookie_add_macs(void *message, size_t len, struct cookie_jar *jar,
		     const uint8_t remote_mac1_key[static HASH_LEN], uint64_t now_ns);

/* True if the reply answers our last message, which it may do once. A bad reply leaves the jar
 * unchanged. */
MUST_CHECK bool cookie_consume_reply(struct cookie_jar *jar, const struct message_cookie *reply,
				     const uint8_t remote_cookie_key[static HASH_LEN],
				     uint64_t now_ns);
