// SPDX-License-Identifier: Apache-2.0
/* keyd/kube/object.c: what the API server says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "object.h"

#define KEY "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
#define META \
	"\"name\":\"n2\",\"uid\":\"u-2\",\"resourceVersion\":\"7\",\"creationTimestamp\":\"2026-11-22T12:00:00Z\""
#define RECORD(f)                                                                                                \
	"{\\\"version\\\":1,\\\"epoch\\\":5,\\\"uid\\\":\\\"u-2\\\",\\\"port\\\":51890,\\\"current\\\":\\\"" KEY \
	"\\\"" f "}"
#define NODE(m, s) "{\"metadata\":{" META m "}" s "}"
#define SAYS(text) ",\"annotations\":{\"podveil.io/tunnel\":\"" text "\"}"

static struct refusal refusal;
static struct cidr pods[ANNOTATION_PODS_MAX];
static struct node node;

static json_t *load(const char *text)
{
	json_t *object;

	refusal = (struct refusal){0};
	object = object_load(text, strlen(text), &refusal);
	if (!object)
		fail_msg("%s for: %.200s", refusal.text, text);
	return object;
}

static bool decode_node(const char *text)
{
	json_auto_t *object = load(text);

	return object_decode_node(object, &node, pods, &refusal);
}

static void assert_node_refused(const char *text, const char *expected)
{
	if (decode_node(text) || !strstr(refusal.text, expected))
		fail_msg("'%s' for: %.200s", refusal.text, text);
}

/* -- lists -- */

static bool open_list(struct object_list *list, const char *text)
{
	refusal = (struct refusal){0};
	return object_list_open(list, text, strlen(text), &refusal);
}

static void assert_no_list(const char *text)
{
	static struct object_list list;

	if (open_list(&list, text) && !object_list_has_more(&list))
		fail_msg("taken: %.200s", text);
	while (refusal.text[0] == '\0' && object_list_has_more(&list)) {
		json_auto_t *item = object_list_read(&list, &refusal);

		assert_true(item || refusal.text[0]);
	}
	if (!refusal.text[0])
		fail_msg("taken: %.200s", text);
}

/* Names of the items, one after the other; '?' for one that cannot be read. */
static const char *read_names(struct object_list *list)
{
	static char names[64];
	size_t used = 0;

	while (object_list_has_more(list)) {
		json_auto_t *item = object_list_read(list, &refusal);
		const char *name = json_string_value(json_object_get(item, "name"));

		names[used++] = name ? *name : '?';
	}
	names[used] = '\0';
	return names;
}

static void list_is_read_item_by_item(void **state)
{
	static struct object_list list;

	assert_true(open_list(
		&list,
		"{\"kind\":\"NodeList\",\"metadata\":{\"resourceVersion\":\"12\",\"continue\":\"abc\"},"
		"\"items\":[{\"name\":\"a\"}, {\"name\":\"b\",\"x\":[1,{\"y\":\"}]\"}]},{\"name\":\"c\"}]}"));
	assert_string_equal(list.version, "12");
	assert_string_equal(list.next, "abc");
	assert_string_equal(read_names(&list), "abc");
}

static void list_members_may_come_in_any_order_with_any_space(void **state)
{
	static struct object_list list;

	assert_true(open_list(
		&list,
		" {\n\"items\" :\t[ {\"name\":\"a\"}\n,\n{\"name\":\"b\"} ] , \"metadata\" : "
		"{\"resourceVersion\":\"1\"} }\n"));
	assert_string_equal(read_names(&list), "ab");
	assert_string_equal(list.next, "");
}

static void list_without_items_is_empty(void **state)
{
	static const char *const texts[] = {
		"{\"metadata\":{\"resourceVersion\":\"1\"}}",
		"{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":null}",
		"{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[]}",
		"{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[ ]}"};
	static struct object_list list;

	for (unsigned int i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_true(open_list(&list, texts[i]));
		assert_false(object_list_has_more(&list));
	}
}

static void list_that_is_cut_off_anywhere_is_refused(void **state)
{
	static const char whole[] =
		"{\"metadata\":{\"resourceVersion\":\"12\"},\"items\":[{\"name\":\"a\\\"\"},{\"name\":\"b\"}]}";
	static struct object_list list;

	for (size_t len = 0; len < sizeof(whole) - 1; len++) {
		char *part =
			strndup(whole, len); /* so that a sanitizer sees what reads beyond it */

		refusal = (struct refusal){0};
		assert_false(object_list_open(&list, part, len, &refusal));
		assert_true(refusal.text[0]);
		free(part);
	}
}

static void list_that_is_none_is_refused(void **state)
{
	static char deep[4000];

	assert_no_list("");
	assert_no_list("[]");
	assert_no_list("<html>");
	assert_no_list("{}");
	assert_no_list("{\"metadata\":7}");
	assert_no_list("{\"metadata\":{}}");
	assert_no_list("{\"metadata\":{\"resourceVersion\":7}}");
	assert_no_list("{\"metadata\":{\"resourceVersion\":\"1\",\"continue\":7}}");
	assert_no_list("{\"metadata\":{\"resourceVersion\":\"1\"}} {}");
	assert_no_list("{\"metadata\":{\"resourceVersion\":\"1\"},}");
	assert_no_list("{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[{]}]}");
	assert_no_list("{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[{} {}x]}");
	assert_no_list("{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[7]}");
	strcpy(deep, "{\"metadata\":{\"resourceVersion\":\"1\"},\"a\":");
	memset(deep + strlen(deep), '[', 1000);
	memset(deep + strlen(deep), ']', 1000);
	strcat(deep, "}");
	assert_no_list(deep);
}

static void list_item_that_cannot_be_read_spoils_no_other(void **state)
{
	static struct object_list list;

	assert_true(open_list(
		&list,
		"{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[{\"name\":\"a\"},{\"name\":},"
		"17,{\"name\":\"d\"}]}"));
	assert_string_equal(read_names(&list), "a??d");
}

/* -- metadata -- */

static void meta_of_an_object_is_taken(void **state)
{
	json_auto_t *object = load(NODE("", ""));
	struct object_meta meta;

	assert_true(object_decode_meta(object, &meta, &refusal));
	assert_string_equal(meta.name, "n2");
	assert_string_equal(meta.uid, "u-2");
	assert_string_equal(meta.version, "7");
}

static void meta_that_is_hostile_is_refused(void **state)
{
	static const char *const texts[] = {
		"{}",
		"{\"metadata\":[]}",
		"{\"metadata\":{\"name\":\"n2\",\"uid\":\"u\"}}",
		"{\"metadata\":{\"name\":\"../n2\",\"uid\":\"u\",\"resourceVersion\":\"7\"}}",
		"{\"metadata\":{\"name\":\"n2\",\"uid\":\"u/\\n\",\"resourceVersion\":\"7\"}}",
		"{\"metadata\":{\"name\":\"n2\",\"uid\":\"u\",\"resourceVersion\":\"7\\u0000\"}}",
	};
	struct object_meta meta = {.version = "untouched"};

	for (unsigned int i = 0; i < ARRAY_SIZE(texts); i++) {
		json_auto_t *object = load(texts[i]);

		refusal = (struct refusal){0};
		assert_false(object_decode_meta(object, &meta, &refusal));
		assert_true(refusal.text[0]);
		assert_string_equal(meta.version, "untouched");
	}
}

static void versions_are_compared_as_numbers_or_not_at_all(void **state)
{
	assert_true(object_compare_versions("9", "10") < 0);
	assert_true(object_compare_versions("10", "9") > 0);
	assert_true(object_compare_versions("184467440737095516160", "9") > 0);
	assert_int_equal(object_compare_versions("010", "10"), 0);
	assert_int_equal(object_compare_versions("abc", "10"), 0);
	assert_int_equal(object_compare_versions("10", ""), 0);
	assert_int_equal(object_compare_versions("1e9", "10"), 0);
}

/* -- events -- */

static json_t *load_event(const char *line, struct object_event *event)
{
	refusal = (struct refusal){0};
	return object_load_event(line, strlen(line), event, &refusal);
}

static void event_of_every_type_is_taken(void **state)
{
	static const char *const names[] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"};
	struct object_event event;
	char line[512];

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		json_auto_t *root = NULL;

		snprintf(line, sizeof(line), "{\"type\":\"%s\",\"object\":" NODE("", "") "}",
			 names[i]);
		root = load_event(line, &event);
		assert_non_null(root);
		assert_int_equal(event.type, i);
		assert_string_equal(event.meta.version, "7");
	}
}

static void event_that_is_a_bookmark_has_a_version_only(void **state)
{
	struct object_event event;
	json_auto_t *root = load_event(
		"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"99\"}}}",
		&event);

	assert_non_null(root);
	assert_int_equal(event.type, OBJECT_BOOKMARK);
	assert_string_equal(event.meta.version, "99");
}

static void event_that_is_an_error_tells_its_status(void **state)
{
	struct object_event event;
	json_auto_t *root = load_event(
		"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\","
		"\"message\":\"too old\\u001b[2J\",\"details\":{\"retryAfterSeconds\":3}}}",
		&event);

	assert_non_null(root);
	assert_int_equal(event.type, OBJECT_ERROR);
	assert_int_equal(event.status.code, 410);
	assert_int_equal(event.status.retry_after_s, 3);
	assert_string_equal(event.status.text.text, "too old?[2J");
}

static void event_that_is_none_is_refused(void **state)
{
	static const char *const lines[] = {
		"",
		"x",
		"[]",
		"{}",
		"{\"type\":\"ADDED\"}",
		"{\"type\":\"ADDED\",\"object\":7}",
		"{\"type\":\"OTHER\",\"object\":" NODE("", "") "}",
		"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"7\"}}}",
		"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"7\",\"name\":\"n2\"}}}",
		"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{}}}",
	};
	struct object_event event;

	for (unsigned int i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_null(load_event(lines[i], &event));
		assert_true(refusal.text[0]);
	}
}

static void status_that_says_nothing_is_no_failure(void **state)
{
	static const char *const texts[] = {"",
					    "no JSON",
					    "[]",
					    "{}",
					    "{\"code\":\"410\",\"details\":7}",
					    "{\"code\":-1,\"details\":{\"retryAfterSeconds\":-5}}"};
	struct object_status status;

	for (unsigned int i = 0; i < ARRAY_SIZE(texts); i++) {
		object_read_status(texts[i], strlen(texts[i]), &status);
		assert_int_equal(status.code, -1);
		assert_int_equal(status.retry_after_s, -1);
		assert_string_equal(status.text.text, "");
	}
}

/* -- Nodes -- */

static void node_whole_object_is_taken(void **state)
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
	assert_int_equal(node.voice, NODE_PUBLISHED);
	assert_int_equal(node.annotation.epoch, 5);
	assert_false(node.is_excluded);
}

static void node_metadata_alone_have_no_facts(void **state)
{
	assert_true(decode_node(
		"{\"kind\":\"PartialObjectMetadata\",\"metadata\":{" META SAYS(RECORD("")) "}}"));
	assert_int_equal(node.voice, NODE_PUBLISHED);
	assert_int_equal(node.pod_cidr_count, 0);
	assert_int_equal(node.address_count, 0);
}

static void node_with_hostile_annotation_is_garbled_and_no_more(void **state)
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
		assert_int_equal(node.voice, NODE_GARBLED);
		assert_true(node.refusal.text[0]);
		assert_int_equal(node.pod_cidr_count, 1);
	}
}

static void node_with_a_quarter_megabyte_of_annotation_is_garbled(void **state)
{
	size_t len = 255 * 1024;
	char *text = malloc(len + 1024);
	int head =
		sprintf(text, "{\"metadata\":{" META ",\"annotations\":{\"podveil.io/tunnel\":\"");

	memset(text + head, '[', len);
	strcpy(text + head + len, "\"}}}");
	assert_true(decode_node(text));
	assert_int_equal(node.voice, NODE_GARBLED);
	free(text);
}

static void node_that_cannot_be_identified_is_refused(void **state)
{
	assert_node_refused(
		"{\"metadata\":{\"resourceVersion\":\"7\",\"uid\":\"u\",\"creationTimestamp\":\"2026-11-22T12:00:00Z\"}}",
		"no name and uid");
	assert_node_refused(
		"{\"metadata\":{\"resourceVersion\":\"7\",\"name\":\"n2\",\"creationTimestamp\":\"2026-11-22T12:00:00Z\"}}",
		"no name and uid");
	assert_node_refused(
		"{\"metadata\":{\"resourceVersion\":\"7\",\"name\":\"n2\",\"uid\":\"u\"}}",
		"creationTimestamp");
	assert_node_refused(
		"{\"metadata\":{\"resourceVersion\":\"7\",\"name\":\"n2\",\"uid\":\"u\",\"creationTimestamp\":\"noon\"}}",
		"'noon'");
}

static void node_with_bad_facts_is_refused(void **state)
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

static void node_with_more_addresses_than_fit_is_refused(void **state)
{
	json_auto_t *object = load(NODE("", ""));
	json_t *addresses = json_array();

	for (int i = 0; i <= NODE_ADDRESSES_MAX; i++)
		json_array_append_new(addresses, json_pack("{s:s, s:s+}", "type", "InternalIP",
							   "address", "10.0.0.", "1"));
	json_object_set_new(object, "status", json_pack("{s:o}", "addresses", addresses));
	assert_false(object_decode_node(object, &node, pods, &refusal));
	assert_non_null(strstr(refusal.text, "more than 64"));
}

static void node_says_by_label_that_it_is_excluded(void **state)
{
	assert_true(decode_node(NODE(",\"labels\":{\"podveil.io/exclude\":\"true\"}", "")));
	assert_true(node.is_excluded);
	assert_true(decode_node(NODE(",\"labels\":{\"podveil.io/exclude\":\"\"}", "")));
	assert_true(node.is_excluded);
	assert_true(decode_node(NODE(",\"labels\":{\"podveil.io/exclude\":\"false\"}", "")));
	assert_false(node.is_excluded);
}

static void decode_asks(const char *text, struct object_asks *asks)
{
	json_auto_t *object = load(text);

	object_decode_asks(object, asks);
}

static void asks_change_with_record_and_label_and_nothing_else(void **state)
{
	static const char *const others[] = {
		NODE(SAYS("a"), ""), NODE(SAYS("b"), ""), NODE(SAYS(""), ""), NODE("", ""),
		NODE(SAYS("a") ",\"labels\":{\"podveil.io/exclude\":\"true\"}", "")};
	struct object_asks asks[ARRAY_SIZE(others)], same;

	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
		decode_asks(others[i], &asks[i]);
		for (unsigned int k = 0; k < i; k++)
			assert_memory_not_equal(asks[i].digest, asks[k].digest, OBJECT_DIGEST_LEN);
	}
	decode_asks(NODE(SAYS("a") ",\"labels\":{\"zone\":\"1\"}",
			 ",\"spec\":{\"unschedulable\":true}"),
		    &same);
	assert_memory_equal(same.digest, asks[0].digest, OBJECT_DIGEST_LEN);
}

static void asks_digest_is_that_of_the_text(void **state)
{
	uint8_t digest[OBJECT_DIGEST_LEN];
	struct object_asks asks;

	decode_asks(NODE(SAYS("text"), ""), &asks);
	object_digest_record("text", 4, false, digest);
	assert_memory_equal(asks.digest, digest, OBJECT_DIGEST_LEN);
	object_digest_record("text", 4, true, digest);
	assert_memory_not_equal(asks.digest, digest, OBJECT_DIGEST_LEN);
	decode_asks(NODE("", ""), &asks);
	object_digest_record(NULL, 0, false, digest);
	assert_memory_equal(asks.digest, digest, OBJECT_DIGEST_LEN);
}

static void asks_for_a_rotation_are_taken_up_to_their_limit(void **state)
{
	char text[1024], value[OBJECT_REQUEST_MAX + 2];
	struct object_asks asks;

	decode_asks(
		NODE(",\"annotations\":{\"podveil.io/rotate-requested\":\"a\",\"podveil.io/rotate-served\":\"b\"}",
		     ""),
		&asks);
	assert_string_equal(asks.requested, "a");
	assert_string_equal(asks.served, "b");
	assert_false(asks.is_too_long);
	memset(value, 'x', sizeof(value));
	for (int len = OBJECT_REQUEST_MAX; len <= OBJECT_REQUEST_MAX + 1; len++) {
		snprintf(text, sizeof(text),
			 NODE(",\"annotations\":{\"podveil.io/rotate-requested\":\"%.*s\"}", ""),
			 len, value);
		decode_asks(text, &asks);
		assert_int_equal(strlen(asks.requested), len > OBJECT_REQUEST_MAX ? 0 : len);
		assert_int_equal(asks.is_too_long, len > OBJECT_REQUEST_MAX);
	}
	decode_asks(NODE(",\"annotations\":{\"podveil.io/rotate-requested\":7}", ""), &asks);
	assert_true(asks.is_too_long);
	assert_string_equal(asks.requested, "");
}

static void places_change_with_endpoints_and_pods_and_not_with_keys(void **state)
{
	static const char *const others[] = {
		NODE(SAYS(RECORD("")), ""),
		NODE(SAYS(RECORD(",\\\"endpoints\\\":[\\\"10.0.0.1\\\"]")), ""),
		NODE(SAYS(RECORD(",\\\"pods\\\":[\\\"10.244.2.0/24\\\"]")), "")};
	uint8_t digests[ARRAY_SIZE(others)][OBJECT_DIGEST_LEN], same[OBJECT_DIGEST_LEN];

	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
		assert_true(decode_node(others[i]));
		object_digest_places(&node.annotation, digests[i]);
		for (unsigned int k = 0; k < i; k++)
			assert_memory_not_equal(digests[i], digests[k], OBJECT_DIGEST_LEN);
	}
	node.annotation.epoch++;
	node.annotation.keys[KEY_CURRENT].bytes[3] ^= 1;
	object_digest_places(&node.annotation, same);
	assert_memory_equal(same, digests[ARRAY_SIZE(others) - 1], OBJECT_DIGEST_LEN);
}

static void taint_is_found_where_it_stands(void **state)
{
	json_auto_t *with = load(
		NODE("", ",\"spec\":{\"taints\":[{\"key\":\"other\",\"effect\":\"NoSchedule\"},7,"
			 "{\"key\":\"podveil.io/agent-not-ready\",\"effect\":\"NoSchedule\"}]}"));
	json_auto_t *without = load(NODE("", ",\"spec\":{\"taints\":[{\"key\":\"other\"}]}"));
	json_auto_t *none = load(NODE("", ",\"spec\":{\"taints\":\"all\"}"));

	assert_int_equal(object_find_startup_taint(with), 2);
	assert_int_equal(object_find_startup_taint(without), -1);
	assert_int_equal(object_find_startup_taint(none), -1);
}

/* -- servers, mode -- */

static bool decode_servers(const char *text, struct bypass_key *keys, uint32_t max, uint32_t *count)
{
	json_auto_t *object = load(text);

	return object_decode_servers(object, keys, max, count, &refusal);
}

#define SLICE(addresses, ports) "{\"endpoints\":[" addresses "],\"ports\":[" ports "]}"
#define HTTPS			"{\"name\":\"https\",\"port\":6443,\"protocol\":\"TCP\"}"

static void servers_of_both_families_are_taken(void **state)
{
	struct bypass_key keys[4];
	char text[BYPASS_TEXT_LEN];
	uint32_t count;

	assert_true(decode_servers(
		SLICE("{\"addresses\":[\"10.0.0.1\",\"fd00::1\"]},{\"addresses\":[\"10.0.0.1\"],"
		      "\"conditions\":{\"ready\":false}}",
		      HTTPS ",{\"port\":53,\"protocol\":\"UDP\"},{\"name\":\"none\"}"),
		keys, 4, &count));
	assert_int_equal(count, 2);
	assert_string_equal(bypass_format(text, &keys[0]), "10.0.0.1:6443");
	assert_string_equal(bypass_format(text, &keys[1]), "[fd00::1]:6443");
}

static void servers_that_can_be_none_are_refused(void **state)
{
	static const char *const texts[] = {
		SLICE("{\"addresses\":[\"127.0.0.1\"]}", HTTPS),
		SLICE("{\"addresses\":[\"api.example\"]}", HTTPS),
		SLICE("{\"addresses\":[\"\"]}", HTTPS),
		SLICE("{\"addresses\":[\"10.0.0.1\",\"10.0.0.2\",\"10.0.0.3\"]}", HTTPS)};
	struct bypass_key keys[2];
	uint32_t count = 77;

	for (unsigned int i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_false(decode_servers(texts[i], keys, 2, &count));
		assert_int_equal(count, 77);
	}
	assert_true(decode_servers("{\"endpoints\":null}", keys, 2, &count));
	assert_int_equal(count, 0);
	assert_true(decode_servers("{\"endpoints\":7,\"ports\":[7]}", keys, 2, &count));
	assert_true(decode_servers(SLICE("7,{\"addresses\":[7]}", "7,{\"port\":70000}"), keys, 2,
				   &count));
	assert_int_equal(count, 0);
}

static void mode_is_taken_or_absent_or_refused(void **state)
{
	static const struct {
		const char *text;
		bool is_taken, has_mode;
		enum datapath_mode mode;
	} cases[] = {{"{\"data\":{\"mode\":\"strict\"}}", true, true, MODE_STRICT},
		     {"{\"data\":{\"mode\":\"permissive\"}}", true, true, MODE_PERMISSIVE},
		     {"{\"data\":{\"mode\":\"\"}}", true, false, 0},
		     {"{\"data\":{}}", true, false, 0},
		     {"{}", true, false, 0},
		     {"{\"data\":{\"mode\":\"Permissive\"}}", false, false, 0},
		     {"{\"data\":{\"mode\":\"permissive \"}}", false, false, 0},
		     {"{\"data\":{\"mode\":7}}", false, false, 0}};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		json_auto_t *object = load(cases[i].text);
		enum datapath_mode mode = MODE_STRICT;
		bool has_mode = true;

		assert_int_equal(object_decode_mode(object, &has_mode, &mode, &refusal),
				 cases[i].is_taken);
		assert_int_equal(has_mode, cases[i].has_mode);
		if (has_mode)
			assert_int_equal(mode, cases[i].mode);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_is_read_item_by_item),
		cmocka_unit_test(list_members_may_come_in_any_order_with_any_space),
		cmocka_unit_test(list_without_items_is_empty),
		cmocka_unit_test(list_that_is_cut_off_anywhere_is_refused),
		cmocka_unit_test(list_that_is_none_is_refused),
		cmocka_unit_test(list_item_that_cannot_be_read_spoils_no_other),
		cmocka_unit_test(meta_of_an_object_is_taken),
		cmocka_unit_test(meta_that_is_hostile_is_refused),
		cmocka_unit_test(versions_are_compared_as_numbers_or_not_at_all),
		cmocka_unit_test(event_of_every_type_is_taken),
		cmocka_unit_test(event_that_is_a_bookmark_has_a_version_only),
		cmocka_unit_test(event_that_is_an_error_tells_its_status),
		cmocka_unit_test(event_that_is_none_is_refused),
		cmocka_unit_test(status_that_says_nothing_is_no_failure),
		cmocka_unit_test(node_whole_object_is_taken),
		cmocka_unit_test(node_metadata_alone_have_no_facts),
		cmocka_unit_test(node_with_hostile_annotation_is_garbled_and_no_more),
		cmocka_unit_test(node_with_a_quarter_megabyte_of_annotation_is_garbled),
		cmocka_unit_test(node_that_cannot_be_identified_is_refused),
		cmocka_unit_test(node_with_bad_facts_is_refused),
		cmocka_unit_test(node_with_more_addresses_than_fit_is_refused),
		cmocka_unit_test(node_says_by_label_that_it_is_excluded),
		cmocka_unit_test(asks_change_with_record_and_label_and_nothing_else),
		cmocka_unit_test(asks_digest_is_that_of_the_text),
		cmocka_unit_test(asks_for_a_rotation_are_taken_up_to_their_limit),
		cmocka_unit_test(places_change_with_endpoints_and_pods_and_not_with_keys),
		cmocka_unit_test(taint_is_found_where_it_stands),
		cmocka_unit_test(servers_of_both_families_are_taken),
		cmocka_unit_test(servers_that_can_be_none_are_refused),
		cmocka_unit_test(mode_is_taken_or_absent_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
