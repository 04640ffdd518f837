// SPDX-License-Identifier: Apache-2.0
/* keyd/cluster/node.c: a node's record in the registry, and its times. */
#include <errno.h>

#include "cluster/node.h"
#include "with_sodium.h"

#define KEY_A	  "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
#define HEAD	  "\"name\":\"n2\",\"uid\":\"u-2\",\"created\":\"2026-11-22T12:00:00Z\""
#define RECORD(f) "{" HEAD f "}"
#define ANNOTATION                                                                                                 \
	"{\\\"version\\\":1,\\\"epoch\\\":5,\\\"uid\\\":\\\"u-2\\\",\\\"port\\\":51890,\\\"current\\\":\\\"" KEY_A \
	"\\\"}"

static struct cidr pods[ANNOTATION_PODS_MAX];
static struct node node;
static struct refusal refusal;

static bool decode(const char *text)
{
	refusal = (struct refusal){0};
	return node_decode(&node, pods, text, strlen(text), &refusal);
}

static void assert_refused(const char *text, const char *expected)
{
	if (decode(text) || !strstr(refusal.text, expected))
		fail_msg("'%s' for: %.200s", refusal.text, text);
}

TEST(node_whole_record_is_taken)
{
	assert_true(decode(RECORD(
		",\"podCIDRs\":[\"10.244.2.0/24\"],\"addresses\":[\"192.168.50.2\",\"fd00::2\"],"
		"\"annotations\":{\"other\":7,\"podveil.io/tunnel\":\"" ANNOTATION "\"}")));
	assert_string_equal(node.name, "n2");
	assert_string_equal(node.uid, "u-2");
	assert_int_equal(node.created_s, 1795348800);
	assert_int_equal(node.pod_cidr_count, 1);
	assert_int_equal(node.address_count, 2);
	assert_int_equal(node.record, RECORD_VALID);
	assert_int_equal(node.annotation.epoch, 5);
}

TEST(node_without_annotation_is_silent)
{
	assert_true(decode(RECORD("")));
	assert_int_equal(node.record, RECORD_MISSING);
	assert_true(decode(RECORD(",\"annotations\":{}")));
	assert_int_equal(node.record, RECORD_MISSING);
}

TEST(node_with_bad_annotation_still_shows_its_pods)
{
	assert_true(decode(RECORD(
		",\"podCIDRs\":[\"10.244.2.0/24\"],\"annotations\":{\"podveil.io/tunnel\":\"{\"}")));
	assert_int_equal(node.record, RECORD_INVALID);
	assert_int_equal(node.pod_cidr_count, 1);
	assert_non_null(strstr(node.refusal.text, "not JSON"));
	assert_true(decode(RECORD(",\"annotations\":{\"podveil.io/tunnel\":[1]}")));
	assert_int_equal(node.record, RECORD_INVALID);
	assert_string_equal(node.refusal.text, "it is an array: expected a string");
}

TEST(node_refuses_records_that_are_none)
{
	assert_refused("", "not JSON");
	assert_refused("{" HEAD, "not JSON");
	assert_refused("[]", "expected a JSON object");
	assert_refused("{}", "'name' is missing");
	assert_refused("{\"name\":1}", "'name' is an integer");
	assert_refused("{\"name\":\"../n\",\"uid\":\"u\",\"created\":\"x\"}", "'name' is '../n'");
	assert_refused("{\"name\":\"N2\",\"uid\":\"u\",\"created\":\"x\"}", "'name' is 'N2'");
	assert_refused("{\"name\":\".n\",\"uid\":\"u\",\"created\":\"x\"}", "'name' is '.n'");
	assert_refused("{\"name\":\"n2\",\"uid\":\"\",\"created\":\"x\"}", "'uid' is ''");
	assert_refused("{\"name\":\"n2\",\"uid\":\"u\",\"created\":\"yesterday\"}",
		       "'created' is 'yesterday'");
	assert_refused(RECORD(",\"podCIDRs\":{}"), "'podCIDRs' is an object");
	assert_refused(RECORD(",\"podCIDRs\":[\"10.0.0.0/99\"]"), "'podCIDRs' holds '10.0.0.0/99'");
	assert_refused(RECORD(",\"addresses\":[\"10.0.0.0/8\"]"), "'addresses' holds '10.0.0.0/8'");
	assert_refused(RECORD(",\"addresses\":[1]"), "'addresses' holds an integer");
	assert_refused(RECORD(",\"annotations\":[]"), "'annotations' is an array");
}

TEST(node_refuses_a_record_over_one_mebibyte)
{
	char *text = test_malloc(NODE_TEXT_MAX + 1);

	memset(text, ' ', NODE_TEXT_MAX + 1);
	memcpy(text, RECORD(""), strlen(RECORD("")));
	assert_true(node_decode(&node, pods, text, NODE_TEXT_MAX, &refusal));
	assert_false(node_decode(&node, pods, text, NODE_TEXT_MAX + 1, &refusal));
	assert_string_equal(refusal.text, "it has 1048577 bytes: expected at most 1048576");
	test_free(text);
}

TEST(node_survives_encoding_and_decoding)
{
	struct node given = {
		.name = "n7", .uid = "u-7", .created_s = 1795348800, .record = RECORD_VALID};
	char text[8192];
	ssize_t len;

	given.pod_cidr_count = given.address_count = 1;
	assert_true(cidr_parse(&given.pod_cidrs[0], "10.244.7.0/24"));
	assert_true(address_parse(&given.addresses[0], "192.168.50.7"));
	given.annotation = (struct annotation){
		.epoch = 3, .uid = "u-7", .port = 5, .has_key[KEY_CURRENT] = true};
	memset(given.annotation.keys[KEY_CURRENT].bytes, 9, KEY_LEN);
	len = node_encode(text, sizeof(text), &given);
	assert_true(len > 0);
	if (!decode(text))
		fail_msg("%s: %s", refusal.text, text);
	assert_string_equal(node.name, "n7");
	assert_int_equal(node.created_s, given.created_s);
	assert_int_equal(node.record, RECORD_VALID);
	assert_int_equal(node.annotation.epoch, 3);
	assert_true(cidr_is_equal(&node.pod_cidrs[0], &given.pod_cidrs[0]));
	assert_int_equal(node_encode(text, 64, &given), -ENOMEM);
	given.record = RECORD_MISSING;
	assert_int_equal(node_encode(text, 64, &given), -ENOSPC);
}

TEST(node_times_are_read_and_written)
{
	static const struct {
		const char *text;
		int64_t unix_s;
	} times[] = {
		{"1970-01-01T00:00:00Z", 0},	      {"1999-12-31T23:59:59Z", 946684799},
		{"2000-02-29T12:30:00Z", 951827400},  {"2026-11-22T12:00:00Z", 1795348800},
		{"2100-03-01T00:00:00Z", 4107542400},
	};
	char text[NODE_TIME_LEN];
	int64_t got;

	for (unsigned int i = 0; i < ARRAY_SIZE(times); i++) {
		assert_true(node_parse_time(&got, times[i].text));
		assert_int_equal(got, times[i].unix_s);
		assert_string_equal(node_format_time(text, times[i].unix_s), times[i].text);
	}
	assert_true(node_parse_time(&got, "2026-11-22T12:00:00.123456Z"));
	assert_int_equal(got, 1795348800);
}

TEST(node_refuses_times_that_are_none)
{
	static const char *const bad[] = {
		"",
		"2026-11-22",
		"2026-11-22 12:00:00Z",
		"2026-11-22T12:00:00",
		"2026-11-22T12:00:00+01:00",
		"2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z",
		"2026-02-29T00:00:00Z",
		"2100-02-29T00:00:00Z",
		"2026-11-31T00:00:00Z",
		"2026-11-22T24:00:00Z",
		"2026-11-22T12:60:00Z",
		"0000-01-01T00:00:00Z",
		"1969-12-31T23:59:59Z",
		"2026-11-22T12:00:00Zz",
		"-026-11-22T12:00:00Z",
	};
	int64_t got = 7;

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		if (node_parse_time(&got, bad[i]))
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(got, 7);
}

TEST(node_names_are_safe_as_file_names)
{
	char name[300];

	assert_true(node_is_name("n1") && node_is_name("ip-10-0-0-1.ec2.internal"));
	assert_false(node_is_name("") || node_is_name(".") || node_is_name("..") ||
		     node_is_name("-x"));
	assert_false(node_is_name("a/b") || node_is_name("a b") || node_is_name("A") ||
		     node_is_name("\xc3\xa4"));
	memset(name, 'a', sizeof(name));
	name[253] = '\0';
	assert_true(node_is_name(name));
	name[253] = 'a';
	name[254] = '\0';
	assert_false(node_is_name(name));
}
