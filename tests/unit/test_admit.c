// SPDX-License-Identifier: Apache-2.0
/*
 * A flood of messages with a valid mac1: when the responder is under load, and the cost of each
 * message then.
 */
#include "receive.h"

#include "world.h"

static unsigned int calls_for_randomness;

static void counting_random(void *context, void *bytes, size_t len)
{
	calls_for_randomness++;
	world_fill_random(context, bytes, len);
}

static struct tunnel_state *state_of_b(void)
{
	return world->nodes[B].tunnel.state;
}

static void force_load(void)
{
	state_of_b()->under_load_until_ns = UINT64_MAX;
	world->nodes[B].tunnel.upcalls.random = counting_random;
	calls_for_randomness = 0;
}

/* Right is mac1 alone, and where mac1_flaw is not 0 not even that. */
static void flood_b(unsigned int count, uint8_t mac1_flaw)
{
	struct message_initiation forged;
	struct cookie_jar jar = {0};

	for (unsigned int i = 0; i < count; i++) {
		world_fill_random(NULL, &forged, sizeof(forged));
		put_le32(forged.type, MESSAGE_INITIATION);
		cookie_add_macs(&forged, sizeof(forged), &jar,
				peer_of(A)->keys[KEY_CURRENT].mac1_key, world->now_ns);
		forged.macs.mac1[0] ^= mac1_flaw;
		receive_bytes(&world->nodes[B], &world->nodes[A].address, (uint8_t *)&forged,
			      sizeof(forged));
	}
	tunnel_flush(&world->nodes[B].tunnel);
}

/* -- what is load -- */

SILENT_TEST(burst_of_512_is_no_load_and_one_more_is)
{
	flood_b(512, 0);
	assert_int_equal(drops(B, DROP_BAD_HANDSHAKE), 512);
	assert_int_equal(drops(B, DROP_UNDER_LOAD), 0);
	flood_b(1, 0);
	assert_int_equal(drops(B, DROP_UNDER_LOAD), 1);
}

static void flood_for_a_second(unsigned int each_ms)
{
	for (unsigned int ms = 0; ms < 1000; ms++) {
		world_set_clock(world->now_ns + NS_PER_MS);
		flood_b(each_ms, 0);
	}
}

SILENT_TEST(thousand_a_second_are_no_load_and_two_thousand_are)
{
	flood_for_a_second(1);
	assert_int_equal(drops(B, DROP_BAD_HANDSHAKE), 1000);
	flood_for_a_second(2);
	assert_in_range(drops(B, DROP_BAD_HANDSHAKE), 1000 + 1000, 1000 + 1024);
	assert_int_equal(drops(B, DROP_BAD_HANDSHAKE) + drops(B, DROP_UNDER_LOAD), 3000);
}

/* -- what a message costs under load -- */

SILENT_TEST(wrong_mac1_under_load_asks_for_no_secret)
{
	force_load();
	flood_b(100, 1);
	assert_int_equal(drops(B, DROP_BAD_MAC1), 100);
	assert_int_equal(calls_for_randomness, 0);
	assert_true(sodium_is_zero((const uint8_t *)&state_of_b()->secrets.cookie_checker,
				   sizeof(struct cookie_checker)));
}

SILENT_TEST(thousand_cookies_cost_few_calls_for_randomness)
{
	force_load();
	flood_b(1000, 0);
	assert_int_equal(world->nodes[B].sent[MESSAGE_COOKIE], 1000);
	assert_in_range(calls_for_randomness, 2, 1 + 1000 / 30);
}

SILENT_TEST(secret_of_cookies_is_new_every_two_minutes)
{
	const struct cookie_checker *checker = &state_of_b()->secrets.cookie_checker;
	struct cookie_checker first;

	force_load();
	flood_b(1, 0);
	first = *checker;
	assert_int_equal(first.secret_birth_ns, world->now_ns);
	assert_false(sodium_is_zero(first.secret, sizeof(first.secret)));
	world_set_clock(world->now_ns + 120 * NS_PER_S - 1);
	flood_b(1, 0);
	assert_memory_equal(checker, &first, sizeof(first));
	world_set_clock(world->now_ns + 1);
	flood_b(1, 0);
	assert_int_equal(checker->secret_birth_ns, world->now_ns);
	assert_memory_not_equal(checker->secret, first.secret, sizeof(first.secret));
}

static int compare_nonces(const void *a, const void *b)
{
	return memcmp(a, b, XNONCE_LEN);
}

/* Replies of one length to one address arrive joined. */
static unsigned int take_nonces(uint8_t (*ret_nonces)[XNONCE_LEN])
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < world->wire_len; i++) {
		const struct datagram *datagram = &world->wire[i];

		for (uint32_t at = 0; at < datagram->len; at += sizeof(struct message_cookie)) {
			const struct message_cookie *reply =
				(const struct message_cookie *)(datagram->bytes + at);

			memcpy(ret_nonces[count++], reply->nonce, XNONCE_LEN);
		}
	}
	return count;
}

SILENT_TEST(no_nonce_of_a_cookie_is_used_twice)
{
	static uint8_t taken[1000][XNONCE_LEN];

	force_load();
	flood_b(ARRAY_SIZE(taken), 0);
	assert_int_equal(take_nonces(taken), ARRAY_SIZE(taken));
	qsort(taken, ARRAY_SIZE(taken), sizeof(*taken), compare_nonces);
	for (size_t i = 1; i < ARRAY_SIZE(taken); i++)
		assert_memory_not_equal(taken[i - 1], taken[i], XNONCE_LEN);
}
