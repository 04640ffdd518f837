// SPDX-License-Identifier: Apache-2.0
/*
 * Under load a handshake message costs no scalar multiplication before its sender has shown, with a
 * cookie, that it is where it says; then as many as its rate allows (paper, 5.3 and 5.4.7).
 */
#include "wire_by_hand.h"

/* Replaces the library's function, which crypto.c calls: a stranger must not cause a scalar
 * multiplication for free. */
static unsigned int multiplications;

int crypto_scalarmult(unsigned char *q, const unsigned char *n, const unsigned char *p)
{
	multiplications++;
	return crypto_scalarmult_curve25519(q, n, p);
}

int crypto_scalarmult_base(unsigned char *q, const unsigned char *n)
{
	multiplications++;
	return crypto_scalarmult_curve25519_base(q, n);
}

static void force_load(unsigned int node)
{
	world->nodes[node].tunnel.state->under_load_until_ns = UINT64_MAX;
}

SILENT_TEST(initiation_under_load_gets_a_cookie_and_no_more)
{
	force_load(B);
	ping(A, 1);
	assert_int_equal(world->nodes[B].sent[MESSAGE_COOKIE], 1);
	assert_int_equal(world->nodes[B].sent[MESSAGE_RESPONSE], 0);
	assert_int_equal(drops(B, DROP_UNDER_LOAD), 1);
	assert_int_equal(pair_of(B)->state, HANDSHAKE_NONE);
	assert_int_not_equal(handshake_of(A)->jar.cookie_birth_ns, 0);
	assert_int_equal(world->nodes[A].sent[MESSAGE_INITIATION], 1); /* it waits for the retry */
	world_sleep(6 * NS_PER_S);
	assert_int_equal(came(B, 1), 1);
	assert_int_equal(world->nodes[B].sent[MESSAGE_COOKIE], 1);
}

/* How many multiplications this initiation costs. */
static unsigned int price_of(const uint8_t *bytes, size_t len)
{
	unsigned int before = multiplications;

	give_b(bytes, len);
	tunnel_flush(tunnel_of_b());
	return multiplications - before;
}

SILENT_TEST(multiplication_under_load_is_earned_with_a_cookie)
{
	uint8_t without[148], with[148], reply[64];
	size_t len = take_initiation(without);

	force_load(B);
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(price_of(without, len), 0);
	assert_int_equal(drops(B, DROP_UNDER_LOAD), 100);
	assert_int_equal(world->nodes[B].sent[MESSAGE_COOKIE], 100);
	memcpy(reply, world->wire[99].bytes, sizeof(reply));
	clear_wire();
	give(A, &world->nodes[B].address, reply, sizeof(reply));
	world_set_clock(world->now_ns + NS_PER_S);
	len = take_initiation(with);
	with[len - 1] ^= 1; /* of mac2 */
	assert_int_equal(price_of(with, len), 0);
	with[len - 1] ^= 1;
	assert_int_not_equal(price_of(with, len), 0);
	assert_int_equal(world->nodes[B].sent[MESSAGE_RESPONSE], 1);
	for (unsigned int i = 1; i < 5; i++)
		assert_int_not_equal(price_of(with, len), 0); /* known by what it costs to open */
	assert_int_equal(price_of(with, len), 0);	      /* the rate of the source is spent */
}

SILENT_TEST(mac2_is_not_looked_at_without_load)
{
	uint8_t bytes[148];
	size_t len = take_initiation(bytes);

	world_fill_random(NULL, bytes + len - MAC_LEN, MAC_LEN);
	assert_int_not_equal(price_of(bytes, len), 0);
	assert_int_equal(world->nodes[B].sent[MESSAGE_RESPONSE], 1);
	assert_int_equal(all_drops(B), 0);
}

SILENT_TEST(response_under_load_gets_a_cookie_too)
{
	force_load(A);
	ping(A, 1);
	assert_int_equal(world->nodes[A].sent[MESSAGE_COOKIE], 1);
	assert_int_equal(peer_of(A)->current, NO_SESSION);
	world_sleep(12 * NS_PER_S);
	assert_int_equal(came(B, 1), 1);
}

SILENT_TEST(cookie_is_good_for_one_address_and_port)
{
	uint8_t bytes[148];
	size_t len;

	force_load(B);
	ping(A, 1);
	len = take_initiation(bytes);
	give(B,
	     &(union endpoint){
		     .in4 = {AF_INET, htons(1), world->nodes[A].address.in4.sin_addr, {0}}},
	     bytes, len);
	assert_int_equal(drops(B, DROP_UNDER_LOAD), 2);
	give_b(bytes, len);
	assert_int_equal(drops(B, DROP_UNDER_LOAD), 2);
	tunnel_flush(tunnel_of_b());
	assert_int_equal(world->nodes[B].sent[MESSAGE_RESPONSE], 1);
}

SILENT_TEST(cookie_reply_is_accepted_once_and_only_for_the_message_that_was_sent)
{
	uint8_t initiation[148], reply[64];
	size_t len = take_initiation(initiation);

	force_load(B);
	give_b(initiation, len);
	tunnel_flush(tunnel_of_b());
	len = take_from_wire(reply);
	reply[40] ^= 1;
	give(A, &world->nodes[B].address, reply, len);
	assert_int_equal(handshake_of(A)->jar.cookie_birth_ns, 0);
	reply[40] ^= 1;
	give(A, &world->nodes[B].address, reply, len);
	assert_int_not_equal(handshake_of(A)->jar.cookie_birth_ns, 0);
	give(A, &world->nodes[B].address, reply, len);
	assert_int_equal(drops(A, DROP_BAD_HANDSHAKE), 2);
	put_le32(reply + 4, 1);
	give(A, &world->nodes[B].address, reply, len);
	assert_int_equal(drops(A, DROP_UNKNOWN_INDEX), 1);
	assert_silent(A);
}

SILENT_TEST(sources_with_a_cookie_are_held_to_their_rate)
{
	uint8_t bytes[148];
	size_t len = 0;

	force_load(B);
	ping(A, 1);
	for (unsigned int i = 0; i < 8; i++) {
		len = take_initiation(bytes);
		give_b(bytes, len);
	}
	/* Five are let through, of which the clock's whitening makes four replays. */
	assert_int_equal(drops(B, DROP_HANDSHAKE_REPLAY) + drops(B, DROP_HANDSHAKE_FLOOD), 4);
	assert_int_equal(drops(B, DROP_UNDER_LOAD), 1 + 3);
	world_set_clock(world->now_ns + 60 * NS_PER_MS);
	len = take_initiation(bytes);
	give_b(bytes, len);
	assert_int_equal(drops(B, DROP_UNDER_LOAD), 4);
}

SILENT_TEST(load_begins_with_a_flood_and_ends_a_second_after_it)
{
	struct message_initiation forged;
	struct cookie_jar jar = {0};

	for (unsigned int i = 0; i <= LOAD_MESSAGES_MAX; i++) {
		assert_int_equal(drops(B, DROP_UNDER_LOAD), 0);
		world_fill_random(NULL, &forged, sizeof(forged));
		put_le32(forged.type, MESSAGE_INITIATION);
		cookie_add_macs(&forged, sizeof(forged), &jar,
				peer_of(A)->keys[KEY_CURRENT].mac1_key, world->now_ns);
		give(B, &(union endpoint){.in4 = {AF_INET, 9, {9}, {0}}}, &forged, sizeof(forged));
	}
	assert_int_equal(drops(B, DROP_UNDER_LOAD), 1);
	assert_int_equal(drops(B, DROP_BAD_HANDSHAKE), LOAD_MESSAGES_MAX);
	world_set_clock(world->now_ns + NS_PER_S - 1);
	give(B, &world->nodes[A].address, &forged, sizeof(forged));
	assert_int_equal(drops(B, DROP_UNDER_LOAD), 2);
	world_set_clock(world->now_ns + 1);
	give(B, &world->nodes[A].address, &forged, sizeof(forged));
	assert_int_equal(drops(B, DROP_UNDER_LOAD), 2);
}

SILENT_TEST(junk_is_no_load)
{
	uint8_t junk[148] = {MESSAGE_INITIATION};

	for (unsigned int i = 0; i < 10 * LOAD_MESSAGES_MAX; i++) {
		world_fill_random(NULL, junk + 4, sizeof(junk) - 4);
		give_b(junk, sizeof(junk));
	}
	assert_int_equal(drops(B, DROP_BAD_MAC1), 10 * LOAD_MESSAGES_MAX);
	ping(A, 1);
	assert_int_equal(came(B, 1), 1);
}
