// SPDX-License-Identifier: Apache-2.0
/*
 * Nothing forged moves the handshake: no message with a single bit flipped, and no point of low
 * order (RFC 7748, 6.1), with which anybody would know the product.
 */
#include "handshake_sides.h"

#include "vectors/hex.h"
#include "vectors/x25519.h"

/* -- every bit -- */

static void flip(void *message, size_t bit)
{
	((uint8_t *)message)[bit / 8] ^= (uint8_t)(1 << bit % 8);
}

/* As the receiver asks it: is mac1 right, then noise. mac2 is not looked at while there is no
 * load. */
static bool is_initiation_taken(void)
{
	return get_le32(initiation.type) == MESSAGE_INITIATION &&
	       cookie_mac1_matches(&responder, &initiation, sizeof(initiation)) &&
	       consume_initiation_at(NOW_NS) == NOISE_ACCEPTED;
}

static bool is_response_taken(void)
{
	return get_le32(response.type) == MESSAGE_RESPONSE &&
	       cookie_mac1_matches(&initiator, &response, sizeof(response)) &&
	       noise_consume_response(&to_responder, &response, &initiator);
}

TEST(initiation_with_any_bit_flipped_is_refused, begin)
{
	struct noise_pair before = to_initiator;

	create_initiation_at(WALL_NS);
	for (size_t bit = 0; bit < 8 * offsetof(struct message_initiation, macs.mac2); bit++) {
		flip(&initiation, bit);
		assert_false(is_initiation_taken());
		assert_memory_equal(&to_initiator, &before, sizeof(before));
		flip(&initiation, bit);
	}
	assert_true(is_initiation_taken());
}

TEST(response_with_any_bit_flipped_is_refused, begin)
{
	struct noise_pair before;

	shake_hands_up_to_the_response();
	before = to_responder;
	for (size_t bit = 0; bit < 8 * offsetof(struct message_response, macs.mac2); bit++) {
		flip(&response, bit);
		assert_false(is_response_taken());
		assert_memory_equal(&to_responder, &before, sizeof(before));
		flip(&response, bit);
	}
	assert_true(is_response_taken());
}

/* mac1 needs only public keys, so an attacker that knows them passes it, and noise must refuse each
 * bit by itself. The indices of the sender are the one part that only mac1 covers. */
TEST(noise_alone_refuses_any_bit_of_an_initiation_flipped, begin)
{
	struct noise_pair before = to_initiator;

	create_initiation_at(WALL_NS);
	for (size_t bit = 8 * offsetof(struct message_initiation, ephemeral);
	     bit < 8 * offsetof(struct message_initiation, macs); bit++) {
		flip(&initiation, bit);
		assert_int_equal(consume_initiation_at(NOW_NS), NOISE_REFUSED);
		assert_memory_equal(&to_initiator, &before, sizeof(before));
		flip(&initiation, bit);
	}
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_ACCEPTED);
}

TEST(noise_alone_refuses_any_bit_of_a_response_flipped, begin)
{
	struct noise_pair before;

	shake_hands_up_to_the_response();
	before = to_responder;
	for (size_t bit = 8 * offsetof(struct message_response, receiver_index);
	     bit < 8 * offsetof(struct message_response, macs); bit++) {
		flip(&response, bit);
		assert_false(noise_consume_response(&to_responder, &response, &initiator));
		assert_memory_equal(&to_responder, &before, sizeof(before));
		flip(&response, bit);
	}
	finish();
}

/* -- points of low order: the product is zero, which anybody knows -- */

#define LOW_ORDER_POINTS (2 * ARRAY_SIZE(x25519_low_order))

static void low_order_point(uint8_t ret_point[static KEY_LEN], size_t i)
{
	unhex(ret_point, KEY_LEN, x25519_low_order[i / 2]);
	ret_point[KEY_LEN - 1] |= i % 2 ? 0x80 : 0;
}

TEST(static_key_of_low_order_never_causes_a_message, begin)
{
	for (size_t i = 0; i < LOW_ORDER_POINTS; i++) {
		struct message_initiation untouched = initiation;
		struct public_key remote;

		low_order_point(remote.bytes, i);
		noise_pair_init(&to_responder, &initiator, &remote, NULL);
		assert_false(to_responder.is_usable);
		assert_false(noise_create_initiation(&initiation, &to_responder, &initiator, 1,
						     vector->initiator_ephemeral,
						     vector->timestamp));
		assert_memory_equal(&initiation, &untouched, sizeof(initiation));
		assert_false(noise_create_response(&response, &to_responder, 1,
						   vector->responder_ephemeral));
	}
}

static const uint8_t zero[KEY_LEN];

/* An initiation up to its static key, made with the given product of its ephemeral and `receiver`:
 * every tag is right, so that only the receiver's own checks can refuse it. */
static void forge_initiation(const uint8_t receiver[static KEY_LEN],
			     const uint8_t ephemeral[static KEY_LEN],
			     const uint8_t product[static KEY_LEN])
{
	uint8_t hash[HASH_LEN], chaining_key[HASH_LEN], key[KEY_LEN];

	memcpy(initiation.ephemeral, ephemeral, KEY_LEN);
	crypto_digest(chaining_key, NOISE_CONSTRUCTION, strlen(NOISE_CONSTRUCTION), NULL, 0);
	crypto_digest(hash, chaining_key, HASH_LEN, NOISE_IDENTIFIER, strlen(NOISE_IDENTIFIER));
	crypto_digest(hash, hash, HASH_LEN, receiver, KEY_LEN);
	crypto_digest(hash, hash, HASH_LEN, ephemeral, KEY_LEN);
	crypto_kdf(chaining_key, NULL, NULL, chaining_key, ephemeral, KEY_LEN);
	crypto_kdf(chaining_key, key, NULL, chaining_key, product, KEY_LEN);
	crypto_seal(initiation.sealed_static, initiator.public_key.bytes, KEY_LEN, hash, HASH_LEN,
		    0, key);
}

/* The forger's own positive control: with the true product the same bytes open. */
TEST(forged_initiation_with_the_true_product_opens, begin)
{
	uint8_t ephemeral_private[KEY_LEN] = {3}, ephemeral[KEY_LEN], product[KEY_LEN];
	struct noise_opening opening;

	crypto_make_pair(ephemeral_private, ephemeral);
	assert_true(crypto_dh(product, ephemeral_private, responder.public_key.bytes));
	forge_initiation(responder.public_key.bytes, ephemeral, product);
	assert_true(noise_open_initiation(&opening, &initiation, &responder));
	assert_memory_equal(opening.remote.bytes, initiator.public_key.bytes, KEY_LEN);
}

/* Both halves of a cleared identity are zero bytes, which still multiply. */
TEST(initiation_to_a_cleared_identity_is_refused, begin)
{
	uint8_t ephemeral_private[KEY_LEN] = {3}, ephemeral[KEY_LEN], product[KEY_LEN];
	struct noise_opening opening;

	identity_clear(&responder);
	crypto_make_pair(ephemeral_private, ephemeral);
	assert_true(crypto_dh(product, responder.private_key.bytes, ephemeral));
	forge_initiation(responder.public_key.bytes, ephemeral, product);
	assert_false(noise_open_initiation(&opening, &initiation, &responder));
}

TEST(ephemeral_of_low_order_in_an_initiation_is_refused, begin)
{
	struct noise_opening opening, untouched;

	memset(&opening, 0xaa, sizeof(opening));
	untouched = opening;
	for (size_t i = 0; i < LOW_ORDER_POINTS; i++) {
		uint8_t point[KEY_LEN];

		low_order_point(point, i);
		forge_initiation(responder.public_key.bytes, point, zero);
		assert_false(noise_open_initiation(&opening, &initiation, &responder));
		assert_memory_equal(&opening, &untouched, sizeof(opening));
	}
}

/* The hardest case: an attacker that knows even the initiator's chaining key. */
static void forge_response(const uint8_t point[static KEY_LEN])
{
	uint8_t hash[HASH_LEN], chaining_key[HASH_LEN], key[KEY_LEN], preshared_hash[HASH_LEN];

	memcpy(response.ephemeral, point, KEY_LEN);
	crypto_digest(hash, to_responder.hash, HASH_LEN, point, KEY_LEN);
	crypto_kdf(chaining_key, NULL, NULL, to_responder.chaining_key, point, KEY_LEN);
	crypto_kdf(chaining_key, NULL, NULL, chaining_key, zero, KEY_LEN);
	crypto_kdf(chaining_key, NULL, NULL, chaining_key, zero, KEY_LEN);
	crypto_kdf(chaining_key, preshared_hash, key, chaining_key, to_responder.preshared.bytes,
		   KEY_LEN);
	crypto_digest(hash, hash, HASH_LEN, preshared_hash, HASH_LEN);
	crypto_seal(response.sealed_nothing, NULL, 0, hash, HASH_LEN, 0, key);
}

TEST(ephemeral_of_low_order_in_a_response_is_refused, begin)
{
	struct message_response genuine;
	struct noise_pair before;

	shake_hands_up_to_the_response();
	genuine = response;
	before = to_responder;
	for (size_t i = 0; i < LOW_ORDER_POINTS; i++) {
		uint8_t point[KEY_LEN];

		low_order_point(point, i);
		forge_response(point);
		assert_false(noise_consume_response(&to_responder, &response, &initiator));
		assert_memory_equal(&to_responder, &before, sizeof(before));
	}
	response = genuine;
	finish();
}
