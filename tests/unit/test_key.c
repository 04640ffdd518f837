// SPDX-License-Identifier: Apache-2.0
/*
 * Keys as text: only canonical base64 of 32 bytes is a key, and the points of low order are known for what they are
 * (RFC 7748, 6.1 and 7; the list is that of https://cr.yp.to/ecdh.html).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "key.h"

/* Bob's public key, RFC 7748, 6.1 */
static const struct public_key example = {{0xde, 0x9e, 0xdb, 0x7d, 0x7b, 0x7d, 0xc1, 0xb4,
					   0xd3, 0x5b, 0x61, 0xc2, 0xec, 0xe4, 0x35, 0x37,
					   0x3f, 0x83, 0x43, 0xc8, 0x5b, 0x78, 0x67, 0x4d,
					   0xad, 0xfc, 0x7e, 0x14, 0x6f, 0x88, 0x2b, 0x4f}};
#define EXAMPLE_TEXT "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="

static void key_is_written_as_wg_prints_it(void **state)
{
	char text[KEY_BASE64_LEN + 1];

	(void)state;
	public_key_encode(text, &example);
	assert_string_equal(text, EXAMPLE_TEXT);
}

static void key_written_is_read_back(void **state)
{
	struct public_key key = {0};

	(void)state;
	assert_true(public_key_decode(&key, EXAMPLE_TEXT));
	assert_true(public_key_is_equal(&key, &example));
	assert_false(public_key_is_zero(&key));
}

static void text_that_is_no_key_is_refused_and_leaves_the_key_alone(void **state)
{
	static const char *const bad[] = {
		"",
		"=",
		"3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08",	/* no padding */
		"3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK0==", /* 31 bytes */
		"3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08A", /* 33 bytes */
		"3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK09=", /* bits after the last byte */
		"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08=", /* the alphabet for URLs */
		" 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
		"3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=\n",
		"3p7bfXt9wbTTW2HC7OQ1\nz+DQ8hbeGdNrfx+FG+IK08=",
		"3p7bfXt9wbTTW2HC7OQ1=z+DQ8hbeGdNrfx+FG+IK08=",
		"\xc3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		struct public_key key = example;

		if (public_key_decode(&key, bad[i]))
			fail_msg("'%s' was taken for a key", bad[i]);
		assert_memory_equal(&key, &example, sizeof(key));
	}
}

static void points_of_low_order_are_found_out(void **state)
{
	static const struct public_key low[] = {
		{{0}},
		{{1}},
		{{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
		  0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
		  0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00}},
		{{0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1,
		  0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c,
		  0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57}},
		/* p - 1, p and p + 1, where p = 2^255 - 19 */
		{{0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}},
		{{0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}},
		{{0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}},
	};

	(void)state;
	assert_false(public_key_is_low_order(&example));
	for (unsigned int i = 0; i < ARRAY_SIZE(low); i++) {
		struct public_key with_high_bit = low[i];

		assert_true(public_key_is_low_order(&low[i]));
		with_high_bit.bytes[31] |= 0x80; /* not part of the point */
		assert_true(public_key_is_low_order(&with_high_bit));
	}
}

static void slots_have_names(void **state)
{
	(void)state;
	assert_string_equal(key_slot_name(KEY_NEXT), "next");
	assert_string_equal(key_slot_name(KEY_CURRENT), "current");
	assert_string_equal(key_slot_name(KEY_PREVIOUS), "previous");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_is_written_as_wg_prints_it),
		cmocka_unit_test(key_written_is_read_back),
		cmocka_unit_test(text_that_is_no_key_is_refused_and_leaves_the_key_alone),
		cmocka_unit_test(points_of_low_order_are_found_out),
		cmocka_unit_test(slots_have_names),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests_name("key", tests, NULL, NULL);
}
