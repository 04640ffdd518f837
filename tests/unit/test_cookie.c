// SPDX-License-Identifier: Apache-2.0
/*
 * mac1, mac2 and cookies: byte by byte against an independent implementation, the two clocks, and
 * the addresses and keys that each of them is bound to.
 */
#include "cookie.h"
#include "crypto.h"
#include "values.h"
#include "vectors/handshake.h"

#define NOW_NS (1000 * NS_PER_S)

static const struct handshake_vector *const vector = &handshake_vectors[0];
static struct identity responder;
static struct cookie_checker checker;
static struct cookie_jar jar;
static struct message_initiation initiation;
static uint8_t fresh_secret[HASH_LEN];

/* Replaces the library's function, on which crypto_is_equal is built: the only comparison that
 * takes the same time for any bytes. */
static size_t compared_in_constant_time;

int sodium_memcmp(const void *const a, const void *const b, size_t len)
{
	const volatile unsigned char *left = a, *right = b;
	unsigned char differs = 0;

	for (size_t i = 0; i < len; i++)
		differs |= left[i] ^ right[i];
	compared_in_constant_time += len;
	return differs ? -1 : 0;
}

enum verdict { MAC_INVALID, MAC_VALID, MAC_VALID_WITH_COOKIE };

/* As receive.c does under load. */
static enum verdict check_from(union endpoint source, uint64_t now_ns)
{
	uint8_t cookie[COOKIE_LEN];

	if (!cookie_mac1_matches(&responder, &initiation, sizeof(initiation)))
		return MAC_INVALID;
	if (cookie_wants_secret(&checker, now_ns))
		cookie_renew_secret(&checker, now_ns, fresh_secret);
	cookie_create(cookie, &checker, &source);
	return cookie_mac2_matches(cookie, &initiation, sizeof(initiation)) ? MAC_VALID_WITH_COOKIE
									    : MAC_VALID;
}

static enum verdict check_at(uint64_t now_ns)
{
	return check_from(endpoint_from("192.0.2.1", 51890), now_ns);
}

/* The initiator sends the vector's initiation once more: with mac2 if its jar holds a cookie. */
static void add_macs_at(uint64_t now_ns)
{
	cookie_add_macs(&initiation, sizeof(initiation), &jar, responder.mac1_key, now_ns);
}

static struct message_cookie reply_to(union endpoint source)
{
	struct message_cookie reply;
	uint8_t cookie[COOKIE_LEN];

	cookie_create(cookie, &checker, &source);
	cookie_create_reply(&reply, &responder, &initiation.macs, vector->initiator_index, cookie,
			    vector->cookie_nonce);
	return reply;
}

/* A cookie for the source is in the jar and in the message; the checker's secret and the cookie are
 * as old as NOW_NS. */
static void get_cookie_for(union endpoint source)
{
	struct message_cookie reply;

	assert_int_equal(check_from(source, NOW_NS), MAC_VALID);
	reply = reply_to(source);
	assert_true(cookie_consume_reply(&jar, &reply, responder.cookie_key, NOW_NS));
	add_macs_at(NOW_NS);
	assert_int_equal(check_from(source, NOW_NS), MAC_VALID_WITH_COOKIE);
}

static int begin(void **state)
{
	struct private_key key;

	memcpy(key.bytes, vector->responder_private, KEY_LEN);
	identity_set(&responder, &key);
	memset(&checker, 0, sizeof(checker));
	memset(&jar, 0, sizeof(jar));
	memcpy(fresh_secret, vector->cookie_secret, HASH_LEN);
	memcpy(&initiation, vector->initiation, sizeof(initiation));
	add_macs_at(NOW_NS);
	return 0;
}

static bool is_mac2_zero(void)
{
	return sodium_is_zero(initiation.macs.mac2, MAC_LEN);
}

TEST(macs_and_cookies_are_to_the_byte_those_of_an_independent_implementation, begin)
{
	struct message_cookie reply;

	assert_memory_equal(&initiation, vector->initiation, sizeof(initiation));
	assert_int_equal(check_at(NOW_NS), MAC_VALID);
	reply = reply_to(endpoint_from("192.0.2.1", 51890));
	assert_memory_equal(&reply, vector->cookie_reply, sizeof(reply));
	assert_true(cookie_consume_reply(&jar, &reply, responder.cookie_key, NOW_NS));
	assert_memory_equal(jar.cookie, vector->cookie, COOKIE_LEN);
	add_macs_at(NOW_NS);
	assert_memory_equal(&initiation, vector->initiation_with_cookie, sizeof(initiation));
	assert_int_equal(check_at(NOW_NS), MAC_VALID_WITH_COOKIE);
}

TEST(message_with_any_bit_flipped_up_to_mac1_is_invalid, begin)
{
	get_cookie_for(endpoint_from("192.0.2.1", 51890));
	for (size_t bit = 0; bit < 8 * sizeof(initiation); bit++) {
		bool is_in_mac2 = bit >= 8 * offsetof(struct message_initiation, macs.mac2);

		((uint8_t *)&initiation)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(check_at(NOW_NS), is_in_mac2 ? MAC_VALID : MAC_INVALID);
		((uint8_t *)&initiation)[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(check_at(NOW_NS), MAC_VALID_WITH_COOKIE);
}

TEST(macs_are_compared_in_constant_time, begin)
{
	get_cookie_for(endpoint_from("192.0.2.1", 51890));
	for (size_t i = 0; i < MAC_LEN; i++) {
		compared_in_constant_time = 0;
		initiation.macs.mac2[i] ^= 1;
		assert_int_equal(check_at(NOW_NS), MAC_VALID);
		assert_int_equal(compared_in_constant_time, 2 * MAC_LEN);
		initiation.macs.mac1[i] ^= 1;
		assert_int_equal(check_at(NOW_NS), MAC_INVALID);
		assert_int_equal(compared_in_constant_time, 3 * MAC_LEN);
		initiation.macs.mac1[i] ^= 1;
		initiation.macs.mac2[i] ^= 1;
	}
}

TEST(mac1_shows_which_own_identity_is_addressed, begin)
{
	struct private_key other_key = {{7}};
	struct identity other = {0};

	identity_set(&other, &other_key);
	assert_true(cookie_mac1_matches(&responder, &initiation, sizeof(initiation)));
	assert_false(cookie_mac1_matches(&other, &initiation, sizeof(initiation)));
	cookie_add_macs(&initiation, sizeof(initiation), &jar, other.mac1_key, NOW_NS);
	assert_false(cookie_mac1_matches(&responder, &initiation, sizeof(initiation)));
	assert_true(cookie_mac1_matches(&other, &initiation, sizeof(initiation)));
}

/* Its mac key is zero, so anybody could address it. */
TEST(identity_that_is_not_set_matches_no_mac1, begin)
{
	identity_clear(&responder);
	add_macs_at(NOW_NS);
	assert_false(cookie_mac1_matches(&responder, &initiation, sizeof(initiation)));
	assert_int_equal(check_at(NOW_NS), MAC_INVALID);
}

TEST(responses_carry_macs_like_initiations, begin)
{
	struct private_key key;
	struct identity initiator;
	struct message_response response;

	memcpy(key.bytes, vector->initiator_private, KEY_LEN);
	identity_set(&initiator, &key);
	memcpy(&response, vector->response, sizeof(response));
	assert_true(cookie_mac1_matches(&initiator, &response, sizeof(response)));
	memset(&response.macs, 0, sizeof(response.macs));
	cookie_add_macs(&response, sizeof(response), &jar, initiator.mac1_key, NOW_NS);
	assert_memory_equal(&response, vector->response, sizeof(response));
}

TEST(mac2_is_bound_to_the_address_and_the_port, begin)
{
	get_cookie_for(endpoint_from("192.0.2.1", 51890));
	assert_int_equal(check_from(endpoint_from("192.0.2.1", 51891), NOW_NS), MAC_VALID);
	assert_int_equal(check_from(endpoint_from("192.0.2.1", 51890 ^ 0x100), NOW_NS), MAC_VALID);
	assert_int_equal(check_from(endpoint_from("192.0.2.2", 51890), NOW_NS), MAC_VALID);
	assert_int_equal(check_from(endpoint_from("::ffff:192.0.2.1", 51890), NOW_NS), MAC_VALID);
}

TEST(mac2_is_bound_to_all_of_an_ipv6_address, begin)
{
	get_cookie_for(endpoint_from("2001:db8::1", 51890));
	assert_int_equal(check_from(endpoint_from("2001:db8::2", 51890), NOW_NS), MAC_VALID);
	assert_int_equal(check_from(endpoint_from("3001:db8::1", 51890), NOW_NS), MAC_VALID);
	assert_int_equal(check_from(endpoint_from("2001:db8::1", 1), NOW_NS), MAC_VALID);
	assert_int_equal(check_from(endpoint_from("2001:db8::1", 51890), NOW_NS),
			 MAC_VALID_WITH_COOKIE);
}

TEST(mac2_of_zeros_is_no_cookie, begin)
{
	assert_true(is_mac2_zero());
	assert_int_equal(check_at(NOW_NS), MAC_VALID);
}

TEST(secret_is_renewed_after_120_seconds, begin)
{
	get_cookie_for(endpoint_from("192.0.2.1", 51890));
	memset(fresh_secret, 0x55, sizeof(fresh_secret));
	assert_int_equal(check_at(NOW_NS + 120 * NS_PER_S - 1), MAC_VALID_WITH_COOKIE);
	assert_memory_equal(checker.secret, vector->cookie_secret, HASH_LEN);
	assert_int_equal(check_at(NOW_NS + 120 * NS_PER_S), MAC_VALID);
	assert_memory_equal(checker.secret, fresh_secret, HASH_LEN);
	assert_true(checker.secret_birth_ns == NOW_NS + 120 * NS_PER_S);
}

TEST(initiator_trusts_a_cookie_for_115_seconds, begin)
{
	get_cookie_for(endpoint_from("192.0.2.1", 51890));
	add_macs_at(NOW_NS + 115 * NS_PER_S - 1);
	assert_false(is_mac2_zero());
	add_macs_at(NOW_NS + 115 * NS_PER_S);
	assert_true(is_mac2_zero());
}

TEST(reply_is_consumed_once, begin)
{
	struct message_cookie reply;

	assert_int_equal(check_at(NOW_NS), MAC_VALID);
	reply = reply_to(endpoint_from("192.0.2.1", 51890));
	assert_true(cookie_consume_reply(&jar, &reply, responder.cookie_key, NOW_NS));
	assert_false(cookie_consume_reply(&jar, &reply, responder.cookie_key, NOW_NS + 1));
	assert_true(jar.cookie_birth_ns == NOW_NS);
}

TEST(reply_without_a_sent_message_is_refused, begin)
{
	struct message_cookie reply;

	assert_int_equal(check_at(NOW_NS), MAC_VALID);
	reply = reply_to(endpoint_from("192.0.2.1", 51890));
	memset(&jar, 0, sizeof(jar));
	assert_false(cookie_consume_reply(&jar, &reply, responder.cookie_key, NOW_NS));
	assert_true(sodium_is_zero((const uint8_t *)&jar, sizeof(jar)));
}

TEST(reply_to_an_earlier_message_is_refused, begin)
{
	struct message_cookie reply;

	assert_int_equal(check_at(NOW_NS), MAC_VALID);
	reply = reply_to(endpoint_from("192.0.2.1", 51890));
	initiation.sealed_timestamp[0] ^= 1;
	add_macs_at(NOW_NS);
	assert_false(cookie_consume_reply(&jar, &reply, responder.cookie_key, NOW_NS));
}

TEST(reply_from_another_node_is_refused, begin)
{
	struct private_key other_key = {{7}};
	struct identity other = {0};
	struct message_cookie reply;

	assert_int_equal(check_at(NOW_NS), MAC_VALID);
	reply = reply_to(endpoint_from("192.0.2.1", 51890));
	identity_set(&other, &other_key);
	assert_false(cookie_consume_reply(&jar, &reply, other.cookie_key, NOW_NS));
}

/* Type and receiver are not sealed: the first chose this function, the second this jar. */
TEST(forged_replies_leave_the_jar_alone, begin)
{
	struct message_cookie reply;
	struct cookie_jar before;

	get_cookie_for(endpoint_from("192.0.2.1", 51890));
	before = jar;
	reply = reply_to(endpoint_from("192.0.2.1", 51890));
	for (size_t bit = 8 * offsetof(struct message_cookie, nonce); bit < 8 * sizeof(reply);
	     bit++) {
		((uint8_t *)&reply)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(cookie_consume_reply(&jar, &reply, responder.cookie_key, NOW_NS + 1));
		assert_memory_equal(&jar, &before, sizeof(jar));
		((uint8_t *)&reply)[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(cookie_consume_reply(&jar, &reply, responder.cookie_key, NOW_NS + 1));
}
