/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of our own static keys, with the keys that are derived from its public half once: those of
 * mac1 and of cookies. mac1 of an arriving handshake message shows which of our identities it is
 * addressed to.
 */
#pragma once

#include "wire.h"

struct identity {
	bool is_set;
	struct private_key private_key;
	struct public_key public_key;
	uint8_t mac1_key[HASH_LEN];   /* Hash(LABEL_MAC1 || public): messages to us */
	uint8_t cookie_key[HASH_LEN]; /* Hash(LABEL_COOKIE || public): cookies from us */
};

/* Copies and clamps the key; the caller wipes its own copy. */
void identity_set(struct identity *identity, const struct private_key *private_key);

/* Wipes everything. */
void identity_clear(struct identity *identity);

/* The two derived keys of any public key: our own for messages to us, a peer's for messages and
 * cookies between us. */
void identity_derive_mac_keys(uint8_t ret_mac1_key[static HASH_LEN],
			      uint8_t ret_cookie_key[static HASH_LEN],
			      const struct public_key *public_key);
