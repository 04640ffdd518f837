// SPDX-License-Identifier: Apache-2.0
/*
 * The primitives against published vectors, and WireGuard's constructions on them against an
 * independent implementation.
 */
#include <blake2.h>

#include "crypto.h"
#include "test.h"
#include "vectors/blake2s.h"
#include "vectors/chacha20poly1305.h"
#include "vectors/hex.h"
#include "vectors/kdf.h"
#include "vectors/x25519.h"

static void assert_hex(const void *bytes, size_t len, const char *expected)
{
	uint8_t wanted[1024];

	assert_true(len <= sizeof(wanted));
	unhex(wanted, len, expected);
	assert_memory_equal(bytes, wanted, len);
}

TEST(digest_of_abc_is_that_of_rfc_7693)
{
	uint8_t hash[HASH_LEN];

	crypto_digest(hash, "abc", 3, NULL, 0);
	assert_hex(hash, HASH_LEN, BLAKE2S_ABC);
}

TEST(digest_of_two_parts_is_that_of_the_whole)
{
	uint8_t hash[HASH_LEN];

	crypto_digest(hash, "a", 1, "bc", 2);
	assert_hex(hash, HASH_LEN, BLAKE2S_ABC);
	crypto_digest(hash, NULL, 0, "abc", 3);
	assert_hex(hash, HASH_LEN, BLAKE2S_ABC);
}

TEST(digest_may_overwrite_its_input)
{
	uint8_t apart[HASH_LEN], in_place[HASH_LEN] = {1, 2, 3};

	crypto_digest(apart, in_place, HASH_LEN, "tail", 4);
	crypto_digest(in_place, in_place, HASH_LEN, "tail", 4);
	assert_memory_equal(apart, in_place, HASH_LEN);
}

/* RFC 7693, appendix E: a Fibonacci generator. */
static void fill(uint8_t *ret_bytes, size_t len, uint32_t seed)
{
	uint32_t a = 0xDEAD4BADU * seed, b = 1;

	for (size_t i = 0; i < len; i++) {
		uint32_t sum = a + b;

		a = b;
		b = sum;
		ret_bytes[i] = (uint8_t)(sum >> 24);
	}
}

/* One pair of hashes of the self-test; where our own functions have that shape, they must agree
 * with libb2. */
static void hash_both_ways(blake2s_state *all, unsigned int output_len, unsigned int input_len)
{
	uint8_t input[1024], key[32], hash[32], own[32];

	fill(input, input_len, input_len);
	assert_int_equal(blake2s(hash, input, NULL, output_len, input_len, 0), 0);
	blake2s_update(all, hash, output_len);
	if (output_len == HASH_LEN) {
		crypto_digest(own, input, input_len / 2, input + input_len / 2,
			      input_len - input_len / 2);
		assert_memory_equal(own, hash, HASH_LEN);
	}
	fill(key, output_len, output_len);
	assert_int_equal(blake2s(hash, input, key, output_len, input_len, output_len), 0);
	blake2s_update(all, hash, output_len);
	if (output_len == MAC_LEN) {
		crypto_mac(own, key, output_len, input, input_len);
		assert_memory_equal(own, hash, MAC_LEN);
	}
}

TEST(blake2s_passes_the_self_test_of_rfc_7693)
{
	blake2s_state all;
	uint8_t hash[32];

	assert_int_equal(blake2s_init(&all, sizeof(hash)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(blake2s_selftest_output_lens); i++)
		for (size_t j = 0; j < ARRAY_SIZE(blake2s_selftest_input_lens); j++)
			hash_both_ways(&all, blake2s_selftest_output_lens[i],
				       blake2s_selftest_input_lens[j]);
	assert_int_equal(blake2s_final(&all, hash, sizeof(hash)), 0);
	assert_hex(hash, sizeof(hash), BLAKE2S_SELFTEST);
}

TEST(construction_hashes_to_the_initial_chaining_key_and_hash)
{
	uint8_t chaining_key[HASH_LEN], hash[HASH_LEN];

	crypto_digest(chaining_key, NOISE_CONSTRUCTION, strlen(NOISE_CONSTRUCTION), NULL, 0);
	assert_memory_equal(chaining_key, initial_chaining_key, HASH_LEN);
	crypto_digest(hash, chaining_key, HASH_LEN, NOISE_IDENTIFIER, strlen(NOISE_IDENTIFIER));
	assert_memory_equal(hash, initial_hash, HASH_LEN);
}

TEST(hmac_and_mac_agree_with_hashlib)
{
	for (size_t i = 0; i < ARRAY_SIZE(kdf_vectors); i++) {
		const struct kdf_vector *v = &kdf_vectors[i];
		uint8_t hash[HASH_LEN], mac[MAC_LEN];

		crypto_hmac(hash, v->key, HASH_LEN, v->input, v->input_len);
		assert_memory_equal(hash, v->hmac, HASH_LEN);
		crypto_mac(mac, v->key, HASH_LEN, v->input, v->input_len);
		assert_memory_equal(mac, v->mac, MAC_LEN);
	}
}

TEST(kdf_gives_one_two_or_three_outputs)
{
	for (size_t i = 0; i < ARRAY_SIZE(kdf_vectors); i++) {
		const struct kdf_vector *v = &kdf_vectors[i];
		uint8_t outputs[3][HASH_LEN];

		for (size_t count = 1; count <= 3; count++) {
			memset(outputs, 0, sizeof(outputs));
			crypto_kdf(outputs[0], count > 1 ? outputs[1] : NULL,
				   count > 2 ? outputs[2] : NULL, v->key, v->input, v->input_len);
			assert_memory_equal(outputs, v->outputs, count * HASH_LEN);
			assert_true(sodium_is_zero(outputs[0] + count * HASH_LEN,
						   (3 - count) * HASH_LEN));
		}
	}
}

TEST(kdf_may_overwrite_its_chaining_key)
{
	for (size_t i = 0; i < ARRAY_SIZE(kdf_vectors); i++) {
		const struct kdf_vector *v = &kdf_vectors[i];
		uint8_t chaining_key[HASH_LEN], second[HASH_LEN], third[HASH_LEN];

		memcpy(chaining_key, v->key, HASH_LEN);
		crypto_kdf(chaining_key, second, third, chaining_key, v->input, v->input_len);
		assert_memory_equal(chaining_key, v->outputs[0], HASH_LEN);
		assert_memory_equal(second, v->outputs[1], HASH_LEN);
		assert_memory_equal(third, v->outputs[2], HASH_LEN);
	}
}

TEST(dh_agrees_with_rfc_7748)
{
	for (size_t i = 0; i < ARRAY_SIZE(x25519_products); i++) {
		uint8_t scalar[KEY_LEN], point[KEY_LEN], product[KEY_LEN];

		unhex(scalar, KEY_LEN, x25519_products[i].scalar);
		unhex(point, KEY_LEN, x25519_products[i].point);
		assert_true(crypto_dh(product, scalar, point));
		assert_hex(product, KEY_LEN, x25519_products[i].product);
	}
}

TEST(dh_iterated_a_thousand_times_agrees_with_rfc_7748)
{
	uint8_t k[KEY_LEN] = {9}, u[KEY_LEN] = {9}, product[KEY_LEN];

	for (unsigned int round = 1; round <= 1000; round++) {
		assert_true(crypto_dh(product, k, u));
		memcpy(u, k, KEY_LEN);
		memcpy(k, product, KEY_LEN);
		if (round == 1)
			assert_hex(k, KEY_LEN, X25519_ITERATED_1);
	}
	assert_hex(k, KEY_LEN, X25519_ITERATED_1000);
}

TEST(pairs_agree_on_the_secret_of_rfc_7748)
{
	uint8_t alice[KEY_LEN], bob[KEY_LEN], alice_public[KEY_LEN], bob_public[KEY_LEN];
	uint8_t shared[KEY_LEN];

	unhex(alice, KEY_LEN, X25519_ALICE_PRIVATE);
	unhex(bob, KEY_LEN, X25519_BOB_PRIVATE);
	crypto_make_pair(alice, alice_public);
	crypto_make_pair(bob, bob_public);
	assert_hex(alice_public, KEY_LEN, X25519_ALICE_PUBLIC);
	assert_hex(bob_public, KEY_LEN, X25519_BOB_PUBLIC);
	assert_true(crypto_dh(shared, alice, bob_public));
	assert_hex(shared, KEY_LEN, X25519_SHARED);
	assert_true(crypto_dh(shared, bob, alice_public));
	assert_hex(shared, KEY_LEN, X25519_SHARED);
}

TEST(make_pair_clamps_in_place)
{
	uint8_t private_key[KEY_LEN], public_key[KEY_LEN];

	memset(private_key, 0xff, KEY_LEN);
	crypto_make_pair(private_key, public_key);
	assert_int_equal(private_key[0], 0xf8);
	assert_int_equal(private_key[31], 0x7f);
	memset(private_key, 0, KEY_LEN);
	crypto_make_pair(private_key, public_key);
	assert_int_equal(private_key[31], 0x40);
}

TEST(dh_refuses_every_point_of_low_order)
{
	for (size_t i = 0; i < 2 * ARRAY_SIZE(x25519_low_order); i++) {
		uint8_t scalar[KEY_LEN] = {0x77, [7] = 0x12, [31] = 0x40}, point[KEY_LEN];
		uint8_t shared[KEY_LEN];

		unhex(point, KEY_LEN, x25519_low_order[i / 2]);
		point[31] |= i % 2 ? 0x80 : 0;
		memset(shared, 0xaa, KEY_LEN);
		assert_false(crypto_dh(shared, scalar, point));
		assert_true(sodium_is_zero(shared, KEY_LEN));
	}
}

/* Its nonce is not one of WireGuard's: this calls the library below crypto_seal directly. */
TEST(libsodium_seals_as_rfc_8439_2_8_2)
{
	uint8_t key[KEY_LEN], nonce[12], ad[12], sealed[SUNSCREEN_LEN + TAG_LEN];

	unhex(key, sizeof(key), SUNSCREEN_KEY);
	unhex(nonce, sizeof(nonce), RFC8439_2_8_2_NONCE);
	unhex(ad, sizeof(ad), SUNSCREEN_AD);
	crypto_aead_chacha20poly1305_ietf_encrypt(sealed, NULL, (const uint8_t *)SUNSCREEN,
						  SUNSCREEN_LEN, ad, sizeof(ad), NULL, nonce, key);
	assert_hex(sealed, sizeof(sealed), RFC8439_2_8_2_SEALED);
}

TEST(seal_and_open_agree_with_rfc_8439_a_5)
{
	uint8_t key[KEY_LEN], ad[12], plain[RFC8439_A_5_LEN], sealed[RFC8439_A_5_LEN + TAG_LEN];

	unhex(key, sizeof(key), RFC8439_A_5_KEY);
	unhex(ad, sizeof(ad), RFC8439_A_5_AD);
	unhex(plain, sizeof(plain), RFC8439_A_5_PLAIN);
	crypto_seal(sealed, plain, sizeof(plain), ad, sizeof(ad), RFC8439_A_5_COUNTER, key);
	assert_hex(sealed, sizeof(sealed), RFC8439_A_5_SEALED);
	memset(plain, 0, sizeof(plain));
	assert_true(crypto_open(plain, sealed, sizeof(sealed), ad, sizeof(ad), RFC8439_A_5_COUNTER,
				key));
	assert_hex(plain, sizeof(plain), RFC8439_A_5_PLAIN);
}

TEST(open_refuses_every_flipped_bit)
{
	uint8_t key[KEY_LEN] = {1}, ad[4] = {2}, plain[20] = {3}, sealed[sizeof(plain) + TAG_LEN];

	crypto_seal(sealed, plain, sizeof(plain), ad, sizeof(ad), 7, key);
	for (size_t bit = 0; bit < 8 * sizeof(sealed); bit++) {
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(crypto_open(plain, sealed, sizeof(sealed), ad, sizeof(ad), 7, key));
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_false(crypto_open(plain, sealed, sizeof(sealed), ad, sizeof(ad), 8, key));
	assert_false(crypto_open(plain, sealed, sizeof(sealed), ad, sizeof(ad) - 1, 7, key));
	assert_true(crypto_open(plain, sealed, sizeof(sealed), ad, sizeof(ad), 7, key));
}

TEST(open_refuses_input_shorter_than_a_tag)
{
	uint8_t key[KEY_LEN] = {0}, sealed[TAG_LEN] = {0}, plain[TAG_LEN];

	for (size_t len = 0; len < TAG_LEN; len++)
		assert_false(crypto_open(plain, sealed, len, NULL, 0, 0, key));
}

TEST(xseal_and_xopen_agree_with_the_draft)
{
	uint8_t key[KEY_LEN], nonce[XNONCE_LEN], ad[12], sealed[SUNSCREEN_LEN + TAG_LEN];
	uint8_t plain[SUNSCREEN_LEN];

	unhex(key, sizeof(key), SUNSCREEN_KEY);
	unhex(nonce, sizeof(nonce), XCHACHA_A_3_1_NONCE);
	unhex(ad, sizeof(ad), SUNSCREEN_AD);
	crypto_xseal(sealed, SUNSCREEN, SUNSCREEN_LEN, ad, sizeof(ad), nonce, key);
	assert_hex(sealed, sizeof(sealed), XCHACHA_A_3_1_SEALED);
	assert_true(crypto_xopen(plain, sealed, sizeof(sealed), ad, sizeof(ad), nonce, key));
	assert_memory_equal(plain, SUNSCREEN, SUNSCREEN_LEN);
	sealed[0] ^= 1;
	assert_false(crypto_xopen(plain, sealed, sizeof(sealed), ad, sizeof(ad), nonce, key));
}

TEST(equality_and_wiping_see_every_byte)
{
	uint8_t a[33] = {0}, b[33] = {0};

	for (size_t i = 0; i < sizeof(a); i++) {
		assert_true(crypto_is_equal(a, b, sizeof(a)));
		a[i] = 0x80;
		assert_false(crypto_is_equal(a, b, sizeof(a)));
		crypto_wipe(a, sizeof(a));
	}
	assert_true(crypto_is_equal(a, b, sizeof(a)));
}
