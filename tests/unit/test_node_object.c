// SPDX-License-Identifier: Apache-2.0
/* keyd/registry/kube/node_object.c: reading a Node. */
#include "any_object.h"
#include "registry/kube/node_object.h"
#include "test.h"

#define KEY "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
#define RECORD(f)                                                                                                \
	"{\\\"version\\\":1,\\\"epoch\\\":5,\\\"uid\\\":\\\"u-2\\\",\\\"port\\\":51890,\\\"current\\\":\\\"" KEY \
	"\\\"" f "}"
#define SAYS(text) ",\"annotations\":{\"podveil.io/tunnel\":\"" text "\"}"

static struct cidr pods[ANNOTATION_PODS_MAX];
static struct node node;

static bool decode_node(const char *text)
{
	json_auto_t *object = load(text);

	return node_object_decode(object, &node, pods, &refusal);
}

static void assert_node_refused(const char *text, const char *expected)
{
	if (decode_node(text) || !strstr(refusal.text, expected))
		fail_msg("'%s' for: %.200s", refusal.text, text);
}

TEST(node_whole_object_is_taken)
{
	assert_true(decode_node(NODE(
		SAYS(RECORD("")),
		",\"spec\":{\"podCIDR\":\"10.244.2.0/24\",\"podCIDRs\":[\"10.244.2.0/24\",\"fd00:2::/64\"]},"
		"\"status\":{\"addresses\":[{\"type\":\"Hostname\",\"address\":\"n2\"},"
		"{\"type\":\"InternalIP\",\"address\":\"192.168.50.2\"},"
		"{\"type\":\"ExternalIP\",\"address\":\"203.0.113.5\"},"
		"{\"type\":\"InternalIP\",\"address\":\"fd00::2\"}]}")));
	assert_string_equal(node.name, "n2");
	assert_string_equal(node.uid, "u-2");
	assert_int_equal(node.created_s, 1795348800);
	assert_int_equal(node.pod_cidr_count, 2);
	assert_int_equal(node.address_count, 2);
	assert_int_equal(node.record, RECORD_VALID);
	assert_int_equal(node.annotation.epoch, 5);
	assert_false(node.is_excluded);
}

TEST(node_metadata_alone_have_no_facts)
{
	assert_true(decode_node(
		"{\"kind\":\"PartialObjectMetadata\",\"metadata\":{" META SAYS(RECORD("")) "}}"));
	assert_int_equal(node.record, RECORD_VALID);
	assert_int_equal(node.pod_cidr_count, 0);
	assert_int_equal(node.address_count, 0);
}

TEST(node_with_hostile_annotation_is_garbled_and_no_more)
{
	static const char *const values[] = {
		"\"\"",		 "\"{}\"",	 "7",
		"{\"a\":1}",	 "null",	 "\"\\u0000\"",
		"\"{\\u0000}\"", "\"[[[[[[[[\"", "\"{\\\"version\\\":1e999}\""};
	char text[512];

	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		snprintf(text, sizeof(text),
			 "{\"metadata\":{" META ",\"annotations\":{\"podveil.io/tunnel\":%s}},"
			 "\"spec\":{\"podCIDRs\":[\"10.244.2.0/24\"]}}",
			 values[i]);
		assert_true(decode_node(text));
		assert_int_equal(node.record, RECORD_INVALID);
		assert_true(node.refusal.text[0]);
		assert_int_equal(node.pod_cidr_count, 1);
	}
}

TEST(node_with_a_quarter_megabyte_of_annotation_is_garbled)
{
	size_t len = 255 * 1024;
	char *text = malloc(len + 1024);
	int head =
		sprintf(text, "{\"metadata\":{" META ",\"annotations\":{\"podveil.io/tunnel\":\"");

	memset(text + head, '[', len);
	strcpy(text + head + len, "\"}}}");
	assert_true(decode_node(text));
	assert_int_equal(node.record, RECORD_INVALID);
	free(text);
}

TEST(node_that_cannot_be_identified_is_refused)
{
	assert_node_refused(
		"{\"metadata\":{\"resourceVersion\":\"7\",\"uid\":\"u\",\"creationTimestamp\":\"2026-11-22T12:00:00Z\"}}",
		"no valid name and uid");
	assert_node_refused(
		"{\"metadata\":{\"resourceVersion\":\"7\",\"name\":\"n2\",\"creationTimestamp\":\"2026-11-22T12:00:00Z\"}}",
		"no valid name and uid");
	assert_node_refused(
		"{\"metadata\":{\"resourceVersion\":\"7\",\"name\":\"n2\",\"uid\":\"u\"}}",
		"creationTimestamp");
	assert_node_refused(
		"{\"metadata\":{\"resourceVersion\":\"7\",\"name\":\"n2\",\"uid\":\"u\",\"creationTimestamp\":\"noon\"}}",
		"'noon'");
}

TEST(node_with_bad_facts_is_refused)
{
	assert_node_refused(NODE("", ",\"spec\":{\"podCIDRs\":[\"10.244.2.0/33\"]}"),
			    "'10.244.2.0/33'");
	assert_node_refused(NODE("", ",\"spec\":{\"podCIDRs\":7}"), "'podCIDRs' is an integer");
	assert_node_refused(
		NODE("",
		     ",\"status\":{\"addresses\":[{\"type\":\"InternalIP\",\"address\":\"999.1.1.1\"}]}"),
		"'999.1.1.1'");
	assert_node_refused(NODE("", ",\"status\":{\"addresses\":[{\"type\":\"InternalIP\"}]}"),
			    "'addresses' holds ''");
}

TEST(node_with_more_addresses_than_fit_is_refused)
{
	json_auto_t *object = load(NODE("", ""));
	json_t *addresses = json_array();

	for (int i = 0; i <= NODE_ADDRESSES_MAX; i++)
		json_array_append_new(addresses, json_pack("{s:s, s:s+}", "type", "InternalIP",
							   "address", "10.0.0.", "1"));
	json_object_set_new(object, "status", json_pack("{s:o}", "addresses", addresses));
	assert_false(node_object_decode(object, &node, pods, &refusal));
	assert_non_null(strstr(refusal.text, "more than 64"));
}

TEST(label_excludes_a_node)
{
	assert_true(decode_node(NODE(",\"labels\":{\"podveil.io/exclude\":\"true\"}", "")));
	assert_true(node.is_excluded);
	assert_true(decode_node(NODE(",\"labels\":{\"podveil.io/exclude\":\"\"}", "")));
	assert_true(node.is_excluded);
	assert_true(decode_node(NODE(",\"labels\":{\"podveil.io/exclude\":\"false\"}", "")));
	assert_false(node.is_excluded);
}

static void decode_asks(const char *text, struct node_asks *asks)
{
	json_auto_t *object = load(text);

	node_object_decode_asks(object, asks);
}

TEST(asks_change_with_record_and_label_and_nothing_else)
{
	static const char *const others[] = {
		NODE(SAYS("a"), ""), NODE(SAYS("b"), ""), NODE(SAYS(""), ""), NODE("", ""),
		NODE(SAYS("a") ",\"labels\":{\"podveil.io/exclude\":\"true\"}", "")};
	struct node_asks asks[ARRAY_SIZE(others)], same;

	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
		decode_asks(others[i], &asks[i]);
		for (unsigned int k = 0; k < i; k++)
			assert_memory_not_equal(asks[i].digest, asks[k].digest, NODE_DIGEST_LEN);
	}
	decode_asks(NODE(SAYS("a") ",\"labels\":{\"zone\":\"1\"}",
			 ",\"spec\":{\"unschedulable\":true}"),
		    &same);
	assert_memory_equal(same.digest, asks[0].digest, NODE_DIGEST_LEN);
}

TEST(asks_digest_is_that_of_the_text)
{
	uint8_t digest[NODE_DIGEST_LEN];
	struct node_asks asks;

	decode_asks(NODE(SAYS("text"), ""), &asks);
	node_object_digest_record("text", 4, false, digest);
	assert_memory_equal(asks.digest, digest, NODE_DIGEST_LEN);
	node_object_digest_record("text", 4, true, digest);
	assert_memory_not_equal(asks.digest, digest, NODE_DIGEST_LEN);
	decode_asks(NODE("", ""), &asks);
	node_object_digest_record(NULL, 0, false, digest);
	assert_memory_equal(asks.digest, digest, NODE_DIGEST_LEN);
}

TEST(asks_for_a_rotation_are_taken_up_to_their_limit)
{
	char text[1024], value[NODE_REQUEST_MAX + 2];
	struct node_asks asks;

	decode_asks(
		NODE(",\"annotations\":{\"podveil.io/rotate-requested\":\"a\",\"podveil.io/rotate-served\":\"b\"}",
		     ""),
		&asks);
	assert_string_equal(asks.requested, "a");
	assert_string_equal(asks.served, "b");
	assert_false(asks.is_too_long);
	memset(value, 'x', sizeof(value));
	for (int len = NODE_REQUEST_MAX; len <= NODE_REQUEST_MAX + 1; len++) {
		snprintf(text, sizeof(text),
			 NODE(",\"annotations\":{\"podveil.io/rotate-requested\":\"%.*s\"}", ""),
			 len, value);
		decode_asks(text, &asks);
		assert_int_equal(strlen(asks.requested), len > NODE_REQUEST_MAX ? 0 : len);
		assert_int_equal(asks.is_too_long, len > NODE_REQUEST_MAX);
	}
	decode_asks(NODE(",\"annotations\":{\"podveil.io/rotate-requested\":7}", ""), &asks);
	assert_true(asks.is_too_long);
	assert_string_equal(asks.requested, "");
}

TEST(places_change_with_endpoints_and_pods_and_not_with_keys)
{
	static const char *const others[] = {
		NODE(SAYS(RECORD("")), ""),
		NODE(SAYS(RECORD(",\\\"endpoints\\\":[\\\"10.0.0.1\\\"]")), ""),
		NODE(SAYS(RECORD(",\\\"pods\\\":[\\\"10.244.2.0/24\\\"]")), "")};
	uint8_t digests[ARRAY_SIZE(others)][NODE_DIGEST_LEN], same[NODE_DIGEST_LEN];

	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
		assert_true(decode_node(others[i]));
		node_object_digest_places(&node.annotation, digests[i]);
		for (unsigned int k = 0; k < i; k++)
			assert_memory_not_equal(digests[i], digests[k], NODE_DIGEST_LEN);
	}
	node.annotation.epoch++;
	node.annotation.keys[KEY_CURRENT].bytes[3] ^= 1;
	node_object_digest_places(&node.annotation, same);
	assert_memory_equal(same, digests[ARRAY_SIZE(others) - 1], NODE_DIGEST_LEN);
}

TEST(taint_is_found_at_its_position)
{
	json_auto_t *with = load(
		NODE("", ",\"spec\":{\"taints\":[{\"key\":\"other\",\"effect\":\"NoSchedule\"},7,"
			 "{\"key\":\"podveil.io/agent-not-ready\",\"effect\":\"NoSchedule\"}]}"));
	json_auto_t *without = load(NODE("", ",\"spec\":{\"taints\":[{\"key\":\"other\"}]}"));
	json_auto_t *none = load(NODE("", ",\"spec\":{\"taints\":\"all\"}"));

	assert_int_equal(node_object_find_startup_taint(with), 2);
	assert_int_equal(node_object_find_startup_taint(without), -1);
	assert_int_equal(node_object_find_startup_taint(none), -1);
}
