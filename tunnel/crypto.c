// SPDX-License-Identifier: Apache-2.0
/*
 * The primitives of the paper (section 5.4) over libsodium (X25519, the AEADs) and libb2 (BLAKE2s,
 * RFC 7693). HMAC is RFC 2104 and Kdf is HKDF (RFC 5869) without its info field, both over BLAKE2s
 * as in the paper. Never branches on a secret, never leaves one on the stack: each function's
 * secrets are one struct, wiped at its end.
 */
#include "crypto.h"

#include <blake2.h>

#define HMAC_INNER 0x36 /* RFC 2104, section 2 */
#define HMAC_OUTER 0x5c

void crypto_digest(uint8_t ret_hash[static HASH_LEN], const void *first, size_t first_len,
		   const void *second, size_t second_len)
{
	blake2s_state state;

	blake2s_init(&state, HASH_LEN);
	blake2s_update(&state, first, first_len);
	blake2s_update(&state, second, second_len);
	blake2s_final(&state, ret_hash, HASH_LEN);
	crypto_wipe(&state, sizeof(state));
}

void crypto_mac(uint8_t ret_mac[static MAC_LEN], const void *key, size_t key_len, const void *input,
		size_t input_len)
{
	blake2s_state state;

	assert(key_len > 0 && key_len <= BLAKE2S_KEYBYTES);
	blake2s_init_key(&state, MAC_LEN, key, key_len);
	blake2s_update(&state, input, input_len);
	blake2s_final(&state, ret_mac, MAC_LEN);
	crypto_wipe(&state, sizeof(state));
}

void crypto_hmac(uint8_t ret_hash[static HASH_LEN], const void *key, size_t key_len,
		 const void *input, size_t input_len)
{
	struct {
		uint8_t inner[BLAKE2S_BLOCKBYTES], outer[BLAKE2S_BLOCKBYTES];
		uint8_t hash[HASH_LEN];
	} work = {0};

	assert(key_len <= BLAKE2S_BLOCKBYTES);
	memcpy(work.inner, key, key_len);
	memcpy(work.outer, key, key_len);
	for (size_t i = 0; i < BLAKE2S_BLOCKBYTES; i++) {
		work.inner[i] ^= HMAC_INNER;
		work.outer[i] ^= HMAC_OUTER;
	}
	crypto_digest(work.hash, work.inner, sizeof(work.inner), input, input_len);
	crypto_digest(ret_hash, work.outer, sizeof(work.outer), work.hash, HASH_LEN);
	crypto_wipe(&work, sizeof(work));
}

void crypto_kdf(uint8_t *ret_first, uint8_t *ret_second, uint8_t *ret_third,
		const uint8_t chaining_key[static HASH_LEN], const void *input, size_t input_len)
{
	uint8_t *const outputs[] = {ret_first, ret_second, ret_third};
	struct {
		uint8_t extracted[HASH_LEN];
		uint8_t block[HASH_LEN + 1]; /* the previous output, then the number of the next */
	} work;
	size_t block_len = 0;

	crypto_hmac(work.extracted, chaining_key, HASH_LEN, input, input_len);
	for (uint8_t i = 0; i < ARRAY_SIZE(outputs) && outputs[i]; i++) {
		work.block[block_len] = (uint8_t)(i + 1);
		crypto_hmac(work.block, work.extracted, HASH_LEN, work.block, block_len + 1);
		memcpy(outputs[i], work.block, HASH_LEN);
		block_len = HASH_LEN;
	}
	crypto_wipe(&work, sizeof(work));
}

bool crypto_dh(uint8_t ret_shared[static KEY_LEN], const uint8_t private_key[static KEY_LEN],
	       const uint8_t public_key[static KEY_LEN])
{
	if (!crypto_scalarmult(ret_shared, private_key, public_key))
		return true;
	crypto_wipe(ret_shared, KEY_LEN);
	return false;
}

void crypto_make_pair(uint8_t private_key[static KEY_LEN], uint8_t ret_public[static KEY_LEN])
{
	private_key[0] &= 248; /* RFC 7748, section 5 */
	private_key[31] = (uint8_t)((private_key[31] & 127) | 64);
	(void)crypto_scalarmult_base(ret_public, private_key);
}

static void encode_nonce(uint8_t ret_nonce[static crypto_aead_chacha20poly1305_ietf_NPUBBYTES],
			 uint64_t counter)
{
	memset(ret_nonce, 0, 4);
	put_le64(ret_nonce + 4, counter);
}

void crypto_seal(uint8_t *ret_sealed, const void *plain, size_t len, const void *ad, size_t ad_len,
		 uint64_t counter, const uint8_t key[static KEY_LEN])
{
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

	encode_nonce(nonce, counter);
	(void)crypto_aead_chacha20poly1305_ietf_encrypt(ret_sealed, NULL, plain, len, ad, ad_len,
							NULL, nonce, key);
}

bool crypto_open(uint8_t *ret_plain, const void *sealed, size_t sealed_len, const void *ad,
		 size_t ad_len, uint64_t counter, const uint8_t key[static KEY_LEN])
{
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

	encode_nonce(nonce, counter);
	return !crypto_aead_chacha20poly1305_ietf_decrypt(ret_plain, NULL, NULL, sealed, sealed_len,
							  ad, ad_len, nonce, key);
}

void crypto_xseal(uint8_t *ret_sealed, const void *plain, size_t len, const void *ad, size_t ad_len,
		  const uint8_t nonce[static XNONCE_LEN], const uint8_t key[static KEY_LEN])
{
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(ret_sealed, NULL, plain, len, ad, ad_len,
							 NULL, nonce, key);
}

bool crypto_xopen(uint8_t *ret_plain, const void *sealed, size_t sealed_len, const void *ad,
		  size_t ad_len, const uint8_t nonce[static XNONCE_LEN],
		  const uint8_t key[static KEY_LEN])
{
	return !crypto_aead_xchacha20poly1305_ietf_decrypt(ret_plain, NULL, NULL, sealed,
							   sealed_len, ad, ad_len, nonce, key);
}

bool crypto_is_equal(const void *a, const void *b, size_t len)
{
	return !sodium_memcmp(a, b, len);
}

void crypto_wipe(void *secret, size_t len)
{
	sodium_memzero(secret, len);
}
