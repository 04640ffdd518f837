// SPDX-License-Identifier: Apache-2.0
/* keyd/cluster/annotation.c: the annotation's text, good, bad and hostile. */
#include <errno.h>
#include <jansson.h>

#include "cluster/annotation.h"
#include "with_sodium.h"

#define KEY_A		"yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=" /* as in wg(8)'s manual */
#define KEY_B		"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define ALLOCATIONS_MAX 1000 /* of one record */
#define ZERO		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

#define RECORD(fields)                                                                   \
	"{\"version\":1,\"epoch\":7,\"uid\":\"u-1\",\"port\":51890,\"current\":\"" KEY_A \
	"\"" fields "}"

static struct cidr pods[ANNOTATION_PODS_MAX];

/* NULL: decoded; else the refusal. */
static const char *refusal_of(const char *text, size_t len)
{
	static struct refusal refusal;
	struct annotation annotation;

	refusal = (struct refusal){0};
	return annotation_decode(&annotation, pods, text, len, &refusal) ? NULL : refusal.text;
}

static void assert_refused(const char *text, const char *expected)
{
	const char *refusal = refusal_of(text, strlen(text));

	if (!refusal || !strstr(refusal, expected))
		fail_msg("'%s' for: %.200s", refusal ? refusal : "(taken)", text);
	assert_null(strchr(refusal, '\n'));
}

TEST(annotation_whole_record_is_taken)
{
	const char *text =
		"{\"version\":1,\"epoch\":1795348800000,\"uid\":\"abc-1\",\"current\":\"" KEY_A
		"\",\"next\":\"" KEY_B
		"\",\"port\":51890,\"endpoints\":[\"192.168.50.1\",\"fd00::1\"],"
		"\"pods\":[\"10.244.1.7/24\",\"fd00:1::/64\"],\"secrets\":[\"ee9374e796dda62e\",\"none\"]}";
	struct refusal refusal = {0};
	struct annotation got;
	char key[KEY_BASE64_LEN + 1], prefix[CIDR_TEXT_LEN];

	assert_true(annotation_decode(&got, pods, text, strlen(text), &refusal));
	assert_int_equal(got.epoch, 1795348800000);
	assert_string_equal(got.uid, "abc-1");
	assert_int_equal(got.port, 51890);
	assert_true(got.has_key[KEY_CURRENT] && got.has_key[KEY_NEXT] &&
		    !got.has_key[KEY_PREVIOUS]);
	public_key_encode(key, &got.keys[KEY_NEXT]);
	assert_string_equal(key, KEY_B);
	assert_int_equal(got.endpoint_count, 2);
	assert_int_equal(got.endpoints[1].family, AF_INET6);
	assert_int_equal(got.pod_count, 2);
	assert_string_equal(cidr_format(prefix, &got.pods[0]), "10.244.1.0/24");
	assert_int_equal(got.secrets.count, 2);
	assert_string_equal(got.secrets.items[0].text, "ee9374e796dda62e");
	assert_string_equal(got.secrets.items[1].text, "none");
}

TEST(annotation_survives_encoding_and_decoding)
{
	struct annotation given = {.epoch = 42,
				   .uid = "u",
				   .port = 1,
				   .endpoint_count = 1,
				   .pod_count = 1},
			  got;
	struct cidr pod, storage[ANNOTATION_PODS_MAX];
	struct refusal refusal = {0};
	char text[4096];
	ssize_t len;

	assert_true(cidr_parse(&pod, "10.1.0.0/16") &&
		    address_parse(&given.endpoints[0], "fd00::5"));
	given.pods = &pod;
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
		given.has_key[slot] = true;
		memset(given.keys[slot].bytes, (int)slot + 9, KEY_LEN);
	}
	len = annotation_encode(text, sizeof(text), &given);
	assert_true(len > 0 && (size_t)len == strlen(text));
	if (!annotation_decode(&got, storage, text, (size_t)len, &refusal))
		fail_msg("%s", refusal.text);
	assert_int_equal(got.epoch, 42);
	assert_memory_equal(got.keys, given.keys, sizeof(given.keys));
	assert_true(address_is_equal(&got.endpoints[0], &given.endpoints[0]));
	assert_true(cidr_is_equal(&got.pods[0], &pod));
}

TEST(annotation_encoding_refuses_too_little_room)
{
	struct annotation given = {.epoch = 1, .uid = "u", .port = 1};
	char text[16];

	assert_int_equal(annotation_encode(text, sizeof(text), &given), -ENOSPC);
}

static unsigned int allocations, failing_allocation;

static void *allocate_but_once(size_t size)
{
	return allocations++ == failing_allocation ? NULL : malloc(size);
}

/* A record that says less than there is would take a node's pods from it. */
TEST(annotation_is_encoded_whole_or_not_at_all)
{
	struct annotation given = {
		.epoch = 42, .uid = "u", .port = 1, .endpoint_count = 2, .pod_count = 2};
	struct cidr two_pods[2];
	char whole[4096], text[4096];
	ssize_t whole_len, len;
	unsigned int failed = 0;

	assert_true(cidr_parse(&two_pods[0], "10.1.0.0/16") &&
		    cidr_parse(&two_pods[1], "10.2.0.0/16"));
	assert_true(address_parse(&given.endpoints[0], "fd00::5") &&
		    address_parse(&given.endpoints[1], "10.0.0.5"));
	given.pods = two_pods;
	given.secrets.count = 2;
	copy_text(given.secrets.items[0].text, sizeof(given.secrets.items[0].text), "none");
	copy_text(given.secrets.items[1].text, sizeof(given.secrets.items[1].text),
		  "ee9374e796dda62e");
	whole_len = annotation_encode(whole, sizeof(whole), &given);
	assert_true(whole_len > 0);
	json_set_alloc_funcs(allocate_but_once, free);
	for (failing_allocation = 0; failing_allocation < ALLOCATIONS_MAX; failing_allocation++) {
		allocations = 0;
		len = annotation_encode(text, sizeof(text), &given);
		if (allocations <= failing_allocation)
			break;
		failed += len < 0;
		assert_true(len < 0 || (len == whole_len && !strcmp(text, whole)));
	}
	json_set_alloc_funcs(malloc, free);
	assert_true(failed > 20 && failing_allocation < ALLOCATIONS_MAX);
}

TEST(annotation_unknown_fields_are_left_alone)
{
	const char *text = RECORD(",\"later\":{\"a\":[1,2]},\"pods\":[]");

	assert_null(refusal_of(text, strlen(text)));
}

TEST(annotation_that_is_no_object_is_refused)
{
	assert_refused("", "not JSON");
	assert_refused("{", "not JSON");
	assert_refused(RECORD(",\"pods\":[\"10.0.0.0/8\""), "not JSON");
	assert_refused(RECORD("") "x", "not JSON");
	assert_refused("[1]", "an array: expected a JSON object");
	assert_refused("\"text\"", "not JSON");
	assert_refused("null", "not JSON");
	assert_refused("\xff\xfe", "not JSON");
}

TEST(annotation_refuses_json_bombs)
{
	static char deep[ANNOTATION_TEXT_MAX];

	memset(deep, '[', sizeof(deep));
	assert_non_null(refusal_of(deep, sizeof(deep)));
	for (size_t i = 0; i + 5 < sizeof(deep); i += 5)
		memcpy(deep + i, "{\"a\":", 5);
	assert_non_null(refusal_of(deep, sizeof(deep)));
}

TEST(annotation_refuses_duplicate_fields_and_nuls)
{
	assert_refused(RECORD(",\"epoch\":8"), "duplicate");
	assert_refused(RECORD(",\"uid2\":\"a\\u0000b\""), "not JSON");
	assert_non_null(refusal_of("{\"version\":1,\0\"epoch\":1}", 24));
}

TEST(annotation_that_is_too_long_is_refused)
{
	static char text[ANNOTATION_TEXT_MAX + 2];

	memset(text, ' ', sizeof(text));
	assert_string_equal(refusal_of(text, ANNOTATION_TEXT_MAX + 1),
			    "it has 65537 bytes: expected at most 65536");
}

TEST(annotation_refuses_wrong_types)
{
	assert_refused("{\"version\":\"1\"}", "'version' is a string: expected an integer");
	assert_refused("{\"version\":2}", "'version' is 2: expected 1 to 1");
	assert_refused("{}", "'version' is missing");
	assert_refused("{\"version\":1,\"epoch\":1.5}", "'epoch' is a fraction");
	assert_refused("{\"version\":1,\"epoch\":0}", "'epoch' is 0");
	assert_refused("{\"version\":1,\"epoch\":-4}", "'epoch' is -4");
	assert_refused("{\"version\":1,\"epoch\":99999999999999999999}", "not JSON");
	assert_refused("{\"version\":1,\"epoch\":1,\"port\":0}",
		       "'port' is 0: expected 1 to 65535");
	assert_refused("{\"version\":1,\"epoch\":1,\"port\":65536}", "'port' is 65536");
	assert_refused("{\"version\":1,\"epoch\":1,\"port\":1}", "'uid' is missing");
	assert_refused("{\"version\":1,\"epoch\":1,\"port\":1,\"uid\":7}", "'uid' is an integer");
	assert_refused(RECORD(",\"endpoints\":\"192.168.50.1\""),
		       "'endpoints' is a string: expected an array");
	assert_refused(RECORD(",\"pods\":[null]"), "'pods' holds null: expected strings");
	assert_refused(RECORD(",\"secrets\":[7]"), "'secrets' holds an integer");
	assert_refused(RECORD(",\"next\":null"), "'next' is null");
}

TEST(annotation_refuses_uids_that_are_none)
{
	static const char *const bad[] = {"", "a b", "a/b", "../x", "%s", "\\u00e4", NULL};
	char text[256];

	for (unsigned int i = 0; bad[i]; i++) {
		snprintf(text, sizeof(text),
			 "{\"version\":1,\"epoch\":1,\"port\":1,\"uid\":\"%s\"}", bad[i]);
		assert_refused(text, "'uid' is '");
	}
	snprintf(text, sizeof(text), "{\"version\":1,\"epoch\":1,\"port\":1,\"uid\":\"%064d\"}", 1);
	assert_refused(text, "expected 1 to 63");
}

TEST(annotation_refuses_keys_that_are_none)
{
	static const char *const bad[] = {
		"",
		"yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBg==", /* 31 bytes */
		"yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmlm", /* 33 bytes */
		"yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk",	/* no padding */
		"yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBml=", /* bits beyond the end */
		"yAnz5TF-lXXJte14tji3zlMNq-hd2rYUIgJBgB3fBmk=", /* the URL alphabet */
		"yAnz5TF+lXXJte14tji3zlMNq+hd2rYU gJBgB3fBmk=",
		NULL,
	};
	char text[512];

	for (unsigned int i = 0; bad[i]; i++) {
		snprintf(text, sizeof(text),
			 "{\"version\":1,\"epoch\":1,\"port\":1,\"uid\":\"u\",\"current\":\"%s\"}",
			 bad[i]);
		assert_refused(text, "expected a key");
	}
	assert_refused("{\"version\":1,\"epoch\":1,\"port\":1,\"uid\":\"u\"}",
		       "'current' is missing");
}

/* The points of small order of RFC 7748's curve, and the same beyond the prime. */
TEST(annotation_refuses_low_order_keys)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	char key[KEY_BASE64_LEN + 1], text[512];
	struct public_key point;

	for (unsigned int i = 0; i < ARRAY_SIZE(points); i++) {
		sodium_hex2bin(point.bytes, KEY_LEN, points[i], 2 * KEY_LEN, NULL, NULL, NULL);
		public_key_encode(key, &point);
		snprintf(text, sizeof(text),
			 "{\"version\":1,\"epoch\":1,\"port\":1,\"uid\":\"u\",\"current\":\"%s\"}",
			 key);
		assert_refused(text, "low-order");
	}
}

TEST(annotation_refuses_one_key_in_two_slots)
{
	assert_refused(RECORD(",\"next\":\"" KEY_A "\""), "'next' and 'current' are the same key");
	assert_refused(RECORD(",\"previous\":\"" KEY_A "\""),
		       "'current' and 'previous' are the same key");
	assert_refused(RECORD(",\"next\":\"" ZERO "\""), "'next' is");
}

TEST(annotation_refuses_addresses_and_prefixes_that_are_none)
{
	assert_refused(RECORD(",\"endpoints\":[\"192.168.50.1:51890\"]"),
		       "'endpoints' holds '192.168.50.1:51890'");
	assert_refused(RECORD(",\"endpoints\":[\"n1.example\"]"), "expected IP addresses");
	assert_refused(RECORD(",\"pods\":[\"10.0.0.0/33\"]"), "'pods' holds '10.0.0.0/33'");
	assert_refused(RECORD(",\"pods\":[\"10.0.0.0/-1\"]"), "expected prefixes");
	assert_refused(RECORD(",\"pods\":[\"10.0.0/8\"]"), "expected prefixes");
	assert_refused(RECORD(",\"pods\":[\"fd00::/129\"]"), "expected prefixes");
	assert_refused(RECORD(",\"pods\":[\"\"]"), "expected prefixes");
}

TEST(annotation_refuses_ids_of_secrets_that_are_none)
{
	assert_refused(RECORD(",\"secrets\":[\"s1\"]"),
		       "'secrets' holds 's1': expected ids of 16 hexadecimal digits, or none");
	assert_refused(RECORD(",\"secrets\":[\"\"]"), "'secrets' holds ''");
	assert_refused(RECORD(",\"secrets\":[\"none\",\"EE9374E796DDA62E\"]"), "expected ids");
	assert_refused(RECORD(",\"secrets\":[\"ee9374e796dda62e0\"]"), "expected ids");
	assert_refused(RECORD(",\"secrets\":[\"none\",\"none\",\"none\",\"none\",\"none\","
			      "\"none\",\"none\",\"none\",\"none\"]"),
		       "'secrets' has 9 items: expected at most 8");
}

TEST(annotation_refuses_more_than_the_bounds)
{
	static char text[ANNOTATION_TEXT_MAX];
	size_t used = (size_t)snprintf(
		text, sizeof(text), "%s",
		"{\"version\":1,\"epoch\":1,\"port\":1,\"uid\":\"u\",\"current\":\"" KEY_A
		"\",\"pods\":[\"1.1.1.1\"");

	assert_refused(
		RECORD(",\"endpoints\":[\"::1\",\"::1\",\"::1\",\"::1\",\"::1\",\"::1\",\"::1\",\"::1\",\"::1\"]"),
		"'endpoints' has 9 items: expected at most 8");
	for (unsigned int i = 0; i < ANNOTATION_PODS_MAX; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, ",\"1.1.1.1\"");
	snprintf(text + used, sizeof(text) - used, "]}");
	assert_refused(text, "'pods' has 4033 items");
}

TEST(annotation_hostile_text_is_quoted_in_one_short_line)
{
	char text[8192] = "{\"version\":1,\"epoch\":1,\"port\":1,\"uid\":\"\\u001b[31m%n%n\\n";
	const char *refusal;

	memset(text + strlen(text), 'A', 4000);
	strcat(text, "\"}");
	refusal = refusal_of(text, strlen(text));
	assert_non_null(refusal);
	assert_non_null(strstr(refusal, "\\x1b[31m%n%n\\x0a"));
	assert_true(strlen(refusal) < REFUSAL_LEN);
	for (const char *c = refusal; *c; c++)
		assert_true(*c >= 0x20 && *c < 0x7f);
}

TEST(annotation_refusal_leaves_the_result_alone)
{
	struct annotation annotation = {.epoch = 99};
	struct refusal refusal;

	assert_false(annotation_decode(&annotation, pods, "{}", 2, &refusal));
	assert_int_equal(annotation.epoch, 99);
}

/* Every prefix of a good record, and every single changed byte, is taken or refused: nothing else
 * happens. */
TEST(annotation_survives_every_cut_and_flip)
{
	const char *good = RECORD(",\"next\":\"" KEY_B
				  "\",\"endpoints\":[\"192.168.50.1\"],\"pods\":[\"10.0.0.0/8\"]");
	size_t len = strlen(good);
	char text[1024];

	for (size_t cut = 0; cut < len; cut++)
		assert_non_null(refusal_of(good, cut));
	for (size_t at = 0; at < len; at++)
		for (unsigned int bit = 0; bit < 8; bit++) {
			memcpy(text, good, len);
			text[at] = (char)(text[at] ^ (1U << bit));
			refusal_of(text, len);
		}
}
