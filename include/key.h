/* SPDX-License-Identifier: Apache-2.0 */
/*
 * X25519 keys and their text form: standard base64 of 32 bytes, 44 characters, as `wg show` prints
 * it. A private key has a type of its own so that it can be neither logged nor copied by accident;
 * its owner wipes it.
 */
#pragma once

#include <sodium.h>

#include "util.h"

#define KEY_LEN	       32
#define KEY_BASE64_LEN 44 /* without the terminating zero */

struct public_key {
	uint8_t bytes[KEY_LEN];
};

struct private_key {
	uint8_t bytes[KEY_LEN];
};

struct preshared_key {
	uint8_t bytes[KEY_LEN];
};

/* The slots for static keys, our own and those of peers, during a rotation. */
enum key_slot { KEY_NEXT, KEY_CURRENT, KEY_PREVIOUS, KEY_SLOTS };

static inline const char *key_slot_name(enum key_slot slot)
{
	static const char *const names[KEY_SLOTS] = {"next", "current", "previous"};

	return names[slot];
}

static inline bool public_key_is_equal(const struct public_key *a, const struct public_key *b)
{
	return !memcmp(a->bytes, b->bytes, KEY_LEN);
}

static inline bool public_key_is_zero(const struct public_key *key)
{
	return sodium_is_zero(key->bytes, KEY_LEN);
}

static inline void public_key_encode(char text[static KEY_BASE64_LEN + 1],
				     const struct public_key *key)
{
	sodium_bin2base64(text, KEY_BASE64_LEN + 1, key->bytes, KEY_LEN,
			  sodium_base64_VARIANT_ORIGINAL);
}

/* True only for canonical base64 of exactly 32 bytes; *ret_key is untouched otherwise. The key is
 * encoded again and compared, because libsodium accepts some bytes above 127 as '+'. */
static inline bool public_key_decode(struct public_key *ret_key, const char *text)
{
	char canonical[KEY_BASE64_LEN + 1];
	struct public_key key;
	size_t length;

	if (strlen(text) != KEY_BASE64_LEN ||
	    sodium_base642bin(key.bytes, KEY_LEN, text, KEY_BASE64_LEN, NULL, &length, NULL,
			      sodium_base64_VARIANT_ORIGINAL) ||
	    length != KEY_LEN)
		return false;
	public_key_encode(canonical, &key);
	if (strcmp(canonical, text))
		return false;
	*ret_key = key;
	return true;
}

/* True for a low-order point (RFC 7748, section 6.1): multiplied by a clamped scalar it gives
 * zero. */
static inline bool public_key_is_low_order(const struct public_key *key)
{
	static const uint8_t scalar[KEY_LEN] = {0x40, [31] = 0x40};
	uint8_t product[KEY_LEN];

	return crypto_scalarmult(product, scalar, key->bytes) != 0;
}
