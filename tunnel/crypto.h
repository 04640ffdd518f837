/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The primitives under the paper's names (section 5.4): libsodium for X25519 and the AEADs, libb2
 * for BLAKE2s, HMAC and HKDF built on it here. No state, no logging. Bulk data goes through
 * aead/aead.h.
 */
#pragma once

#include "wire.h"

#define XNONCE_LEN 24

/* Hash(first || second); either may be empty, first may be ret_hash. (crypto_hash is libsodium's
 * SHA-512.) */
void crypto_digest(uint8_t ret_hash[static HASH_LEN], const void *first, size_t first_len,
		   const void *second, size_t second_len);

/* Mac(key, input): BLAKE2s keyed, 16 bytes. key_len is 1 to 32. */
void crypto_mac(uint8_t ret_mac[static MAC_LEN], const void *key, size_t key_len, const void *input,
		size_t input_len);

/* Hmac(key, input): RFC 2104 over BLAKE2s-256. key_len is at most 64, the block: no key here is
 * longer. */
void crypto_hmac(uint8_t ret_hash[static HASH_LEN], const void *key, size_t key_len,
		 const void *input, size_t input_len);

/* Kdf1, Kdf2, Kdf3: the number of outputs is the number of leading pointers that are not NULL. An
 * output may be chaining_key itself. */
void crypto_kdf(uint8_t *ret_first, uint8_t *ret_second, uint8_t *ret_third,
		const uint8_t chaining_key[static HASH_LEN], const void *input, size_t input_len);

/* DH(private, public); false, with ret_shared zero, if the result is all zero (RFC 7748, 6.1). */
MUST_CHECK bool crypto_dh(uint8_t ret_shared[static KEY_LEN],
			  const uint8_t private_key[static KEY_LEN],
			  const uint8_t public_key[static KEY_LEN]);

/* DH-Generate from 32 random bytes, which are clamped in place. */
void crypto_make_pair(uint8_t private_key[static KEY_LEN], uint8_t ret_public[static KEY_LEN]);

/* Aead: ChaCha20-Poly1305 (RFC 8439), nonce = 4 zero bytes and the counter, little endian.
 * ret_sealed gets len + TAG_LEN bytes and may be plain itself. */
void crypto_seal(uint8_t *ret_sealed, const void *plain, size_t len, const void *ad, size_t ad_len,
		 uint64_t counter, const uint8_t key[static KEY_LEN]);

/* sealed_len includes the tag. False: not authentic, or shorter than a tag; ret_plain is then
 * undefined. */
MUST_CHECK bool crypto_open(uint8_t *ret_plain, const void *sealed, size_t sealed_len,
			    const void *ad, size_t ad_len, uint64_t counter,
			    const uint8_t key[static KEY_LEN]);

/* Xaead: XChaCha20-Poly1305 with a random nonce of 24 bytes, for cookies. */
void crypto_xseal(uint8_t *ret_sealed, const void *plain, size_t len, const void *ad, size_t ad_len,
		  const uint8_t nonce[static XNONCE_LEN], const uint8_t key[static KEY_LEN]);
MUST_CHECK bool crypto_xopen(uint8_t *ret_plain, const void *sealed, size_t sealed_len,
			     const void *ad, size_t ad_len, const uint8_t nonce[static XNONCE_LEN],
			     const uint8_t key[static KEY_LEN]);

/* Constant time. */
bool crypto_is_equal(const void *a, const void *b, size_t len);

void crypto_wipe(void *secret, size_t len);
