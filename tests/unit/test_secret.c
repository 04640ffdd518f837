// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/cluster/secret.c: the syntax of a secret file, that no part of it is logged, and that two
 * nodes always choose the same secret and the same preshared keys. Ids and keys are compared with
 * those of another BLAKE2b (Python's hashlib).
 */
#include "cluster/secret.h"
#include "test.h"
#include "vectors/hex.h"

#define SECRET_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" /* bytes 0 to 31 */
#define SECRET_B "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=" /* bytes 1 to 32 */
#define SECRET_C "AgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fICE=" /* bytes 2 to 33 */
#define ZERO	 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define ID_A	 "ee9374e796dda62e"
#define ID_B	 "2e55617c79fa204c"
#define ID_C	 "ba20d65bdb6df38a"

static struct secrets parsed;

static struct secret_ids parse(const char *text)
{
	struct refusal refusal = {0};
	struct secret_ids ids;

	if (!secret_parse(&parsed, text, strlen(text), &refusal))
		fail_msg("'%s' for: %s", refusal.text, text);
	secret_list_ids(&ids, &parsed);
	return ids;
}

/* Also that nothing is left in the result, and that the line shows nothing of the file. */
static void assert_text_refused(const char *text, size_t len, const char *expected)
{
	struct refusal refusal = {0};

	memset(&parsed, 0x55, sizeof(parsed));
	if (secret_parse(&parsed, text, len, &refusal) || !strstr(refusal.text, expected))
		fail_msg("'%s', expected '%s'", refusal.text, expected);
	assert_true(sodium_is_zero((const uint8_t *)&parsed, sizeof(parsed)));
	assert_null(strchr(refusal.text, '\n'));
	for (size_t i = 0; i + 8 <= len; i++) {
		char part[9] = {0};

		memcpy(part, text + i, 8);
		if (strspn(part,
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") ==
		    8)
			assert_null(strstr(refusal.text, part));
	}
}

static void assert_refused(const char *text, const char *expected)
{
	assert_text_refused(text, strlen(text), expected);
}

/* -- the file -- */

TEST(secret_file_of_one_line_is_taken)
{
	struct secret_ids ids = parse(SECRET_A "\n");
	uint8_t bytes[KEY_LEN];

	assert_int_equal(ids.count, 1);
	assert_string_equal(ids.items[0].text, ID_A);
	unhex(bytes, KEY_LEN, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
	assert_memory_equal(parsed.items[0].bytes, bytes, KEY_LEN);
	assert_string_equal(parse(SECRET_A).items[0].text, ID_A);
}

TEST(secret_file_of_two_lines_is_newest_first)
{
	struct secret_ids ids = parse(SECRET_B "\n" SECRET_A "\n");

	assert_int_equal(ids.count, 2);
	assert_string_equal(ids.items[0].text, ID_B);
	assert_string_equal(ids.items[1].text, ID_A);
}

TEST(secret_file_may_hold_blank_lines_and_ends_of_any_kind)
{
	assert_int_equal(parse("\n\r\n \t \n  " SECRET_A "\t\r\n\n\n" SECRET_B " \r\n\n").count, 2);
}

TEST(secret_file_may_list_none_beside_a_secret)
{
	struct secret_ids ids = parse(SECRET_A "\nnone\n");

	assert_string_equal(ids.items[1].text, SECRET_NONE);
	assert_true(parsed.items[1].is_none && !parsed.items[0].is_none);
	assert_true(secret_accepts_none(&ids));
	ids = parse("none\n" SECRET_A);
	assert_string_equal(ids.items[0].text, SECRET_NONE);
	ids = parse(SECRET_A);
	assert_false(secret_accepts_none(&ids));
}

TEST(secret_file_without_a_secret_is_refused)
{
	assert_refused("", "is empty: expected a secret");
	assert_refused("\n \n", "is empty");
	assert_refused("none\n", "contains only none: expected a secret beside it");
	assert_refused("none\nnone\n", "line 2 repeats an earlier line");
}

TEST(secret_file_with_a_bad_line_is_refused_by_its_number)
{
	static const char *const bad[] = {
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",	   /* without its end */
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=",	   /* 32 bytes and two more bits */
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==",	   /* 31 bytes */
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g",	   /* 33 bytes */
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= x",  /* more behind it */
		"AAECAwQFBgcICQoL DA0ODxAREhMUFRYXGBkaGxwdHh8=",   /* a blank inside */
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh\xab=", /* no letter of base64 */
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		"None",
		"none.",
		"# a remark",
		"secret: " SECRET_A};
	char text[256];

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_refused(bad[i], "line 1 is not a secret: expected base64 of 32 bytes");
		snprintf(text, sizeof(text), "\n" SECRET_B "\n\n%s\n", bad[i]);
		assert_refused(text, "line 4 is not a secret");
	}
	assert_refused(ZERO "\n", "line 1 is all zero");
	assert_text_refused(SECRET_A "\0", strlen(SECRET_A) + 1, "line 1 is not a secret");
}

TEST(secret_file_with_three_lines_or_the_same_twice_is_refused)
{
	assert_refused(SECRET_A "\n" SECRET_B "\n\n" SECRET_C "\n",
		       "line 4 is one secret too many");
	assert_refused(SECRET_A "\n" SECRET_B "\nnone\n", "line 3 is one secret too many");
	assert_refused(SECRET_A "\n" SECRET_A "\n", "line 2 repeats an earlier line");
}

TEST(secret_file_that_is_too_large_is_refused)
{
	char text[SECRET_FILE_MAX + 1];

	memset(text, '\n', sizeof(text));
	memcpy(text, SECRET_A, strlen(SECRET_A));
	assert_text_refused(text, sizeof(text), "is larger than 4096 bytes");
	assert_true(secret_parse(&parsed, text, sizeof(text) - 1, &(struct refusal){0}));
}

TEST(secret_file_survives_every_cut_and_flip)
{
	const char good[] = SECRET_A "\n" SECRET_B "\n";
	char text[sizeof(good)];
	struct refusal refusal;

	for (size_t at = 0; at < strlen(good); at++) {
		(void)!secret_parse(&parsed, good, at, &refusal);
		for (unsigned int bit = 0; bit < 8; bit++) {
			memcpy(text, good, sizeof(good));
			text[at] = (char)(text[at] ^ (1U << bit));
			(void)!secret_parse(&parsed, text, strlen(good), &refusal);
			assert_true(parsed.count <= SECRETS_MAX);
		}
	}
}

/* -- ids -- */

TEST(secret_ids_are_sixteen_digits_or_none)
{
	static const char *const bad[] = {"",
					  "None",
					  "ee9374e796dda62",
					  "ee9374e796dda62e0",
					  "EE9374E796DDA62E",
					  "ee9374e796dda62g",
					  "none "};

	assert_true(secret_is_id(ID_A) && secret_is_id(SECRET_NONE));
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(secret_is_id(bad[i]));
}

/* -- the choice -- */

static struct secret_ids ids_of(const char *const *texts)
{
	struct secret_ids ids = {0};

	for (; *texts; texts++)
		copy_text(ids.items[ids.count++].text, SECRET_ID_LEN + 1, *texts);
	return ids;
}

#define IDS(...) ids_of((const char *const[]){__VA_ARGS__, NULL})

/* Of both sides; NULL: they have none in common. */
static void assert_choice(struct secret_ids a, struct secret_ids b, const char *expected)
{
	uint32_t of_a = 99, of_b = 99;
	bool is_common = secret_choose(&of_a, &a, &b);

	assert_true(is_common == secret_choose(&of_b, &b, &a));
	assert_true(is_common == !!expected);
	if (!expected) {
		assert_int_equal(of_a, 99);
		return;
	}
	assert_string_equal(a.count ? a.items[of_a].text : SECRET_NONE, expected);
	assert_string_equal(b.count ? b.items[of_b].text : SECRET_NONE, expected);
}

TEST(secret_in_use_is_the_newest_that_both_have)
{
	assert_choice(IDS(ID_A), IDS(ID_A), ID_A);
	assert_choice(IDS(ID_B, ID_A), IDS(ID_A), ID_A);
	assert_choice(IDS(ID_B, ID_A), IDS(ID_B, ID_A), ID_B);
	assert_choice(IDS(ID_A, ID_B), IDS(ID_A, ID_B), ID_A);
	assert_choice(IDS(ID_B, ID_A), IDS(ID_B), ID_B);
	assert_choice(IDS(ID_B, ID_A), IDS(ID_C, ID_A), ID_A);
}

TEST(secret_is_not_replaced_by_none_or_another)
{
	assert_choice(IDS(ID_A), IDS(ID_B), NULL);
	assert_choice(IDS(ID_B, ID_A), IDS(ID_C), NULL);
	assert_choice(IDS(ID_A), (struct secret_ids){0}, NULL);
	assert_choice(IDS(ID_A), IDS(SECRET_NONE), NULL);
	assert_choice(IDS(ID_B, ID_A), (struct secret_ids){0}, NULL);
}

TEST(secret_may_be_none_if_both_sides_allow_it)
{
	assert_choice((struct secret_ids){0}, (struct secret_ids){0}, SECRET_NONE);
	assert_choice(IDS(ID_A, SECRET_NONE), (struct secret_ids){0}, SECRET_NONE);
	assert_choice(IDS(ID_A, SECRET_NONE), IDS(SECRET_NONE), SECRET_NONE);
	assert_choice(IDS(ID_A, SECRET_NONE), IDS(ID_A, SECRET_NONE), ID_A);
	assert_choice(IDS(ID_A, SECRET_NONE), IDS(ID_A), ID_A);
	assert_choice(IDS(SECRET_NONE, ID_A), IDS(SECRET_NONE, ID_A), SECRET_NONE);
	assert_choice(IDS(SECRET_NONE, ID_A), IDS(ID_A), ID_A);
	assert_choice(IDS(ID_A, SECRET_NONE), IDS(ID_B, SECRET_NONE), SECRET_NONE);
}

TEST(secret_chosen_from_contrary_orders_is_the_same_on_both_sides)
{
	assert_choice(IDS(ID_A, ID_B), IDS(ID_B, ID_A), ID_B); /* the smaller id */
	assert_choice(IDS(ID_A, SECRET_NONE), IDS(SECRET_NONE, ID_A), ID_A);
}

/* All lists of up to three out of four, against each other. */
TEST(secret_choice_is_the_same_whichever_side_asks)
{
	static const char *const names[] = {ID_A, ID_B, ID_C, SECRET_NONE};
	struct secret_ids lists[1 + 4 + 16 + 64] = {{0}};
	uint32_t of_a, of_b, count = 1;

	for (unsigned int len = 1; len <= 3; len++)
		for (unsigned int n = 0; n < 1U << (2 * len); n++, count++)
			for (unsigned int i = 0; i < len; i++)
				copy_text(lists[count].items[lists[count].count++].text,
					  SECRET_ID_LEN + 1, names[n >> (2 * i) & 3]);
	assert_int_equal(count, ARRAY_SIZE(lists));
	for (unsigned int a = 0; a < count; a++)
		for (unsigned int b = 0; b < count; b++) {
			bool is_common = secret_choose(&of_a, &lists[a], &lists[b]);

			assert_true(is_common == secret_choose(&of_b, &lists[b], &lists[a]));
			if (is_common && lists[a].count && lists[b].count)
				assert_string_equal(lists[a].items[of_a].text,
						    lists[b].items[of_b].text);
		}
}

/* -- preshared keys -- */

static struct preshared_key derive(uint32_t number, uint8_t a, uint8_t b)
{
	struct preshared_key preshared;
	struct public_key keys[2];

	memset(keys[0].bytes, a, KEY_LEN);
	memset(keys[1].bytes, b, KEY_LEN);
	secret_derive(&preshared, &parsed.items[number], &keys[0], &keys[1]);
	return preshared;
}

TEST(preshared_key_is_that_of_another_implementation)
{
	struct preshared_key preshared;
	uint8_t expected[KEY_LEN];

	parse(SECRET_A);
	preshared = derive(0, 1, 2);
	unhex(expected, KEY_LEN,
	      "d9df89b14ae3d3254e766937107b9ffa2e96c5bb3128e9f3d0415064dbf71d41");
	assert_memory_equal(preshared.bytes, expected, KEY_LEN);
}

TEST(preshared_key_is_the_same_on_both_sides_and_another_for_all_else)
{
	struct preshared_key there, back, others[3];

	parse(SECRET_A "\n" SECRET_B);
	there = derive(0, 1, 2);
	back = derive(0, 2, 1);
	assert_memory_equal(&there, &back, KEY_LEN);
	others[0] = derive(0, 1, 3);
	others[1] = derive(0, 2, 3);
	others[2] = derive(1, 1, 2);
	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++)
		assert_memory_not_equal(&there, &others[i], KEY_LEN);
}

TEST(preshared_key_of_none_is_none)
{
	struct preshared_key preshared;

	parse(SECRET_A "\nnone");
	preshared = derive(1, 1, 2);
	assert_true(sodium_is_zero(preshared.bytes, KEY_LEN));
	preshared = derive(0, 1, 2);
	assert_false(sodium_is_zero(preshared.bytes, KEY_LEN));
}
