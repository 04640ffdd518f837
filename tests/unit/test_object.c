// SPDX-License-Identifier: Apache-2.0
/* keyd/registry/kube/object.c: reading any object of the API server. */
#include "any_object.h"
#include "test.h"

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

TEST(list_is_read_item_by_item)
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

TEST(list_members_may_come_in_any_order_with_any_space)
{
	static struct object_list list;

	assert_true(open_list(
		&list,
		" {\n\"items\" :\t[ {\"name\":\"a\"}\n,\n{\"name\":\"b\"} ] , \"metadata\" : "
		"{\"resourceVersion\":\"1\"} }\n"));
	assert_string_equal(read_names(&list), "ab");
	assert_string_equal(list.next, "");
}

TEST(list_without_items_is_empty)
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

TEST(list_that_is_cut_off_anywhere_is_refused)
{
	static const char whole[] =
		"{\"metadata\":{\"resourceVersion\":\"12\"},\"items\":[{\"name\":\"a\\\"\"},{\"name\":\"b\"}]}";
	static struct object_list list;

	for (size_t len = 0; len < sizeof(whole) - 1; len++) {
		char *part = strndup(whole, len); /* so that a sanitizer detects a read beyond it */

		refusal = (struct refusal){0};
		assert_false(object_list_open(&list, part, len, &refusal));
		assert_true(refusal.text[0]);
		free(part);
	}
}

TEST(list_that_is_none_is_refused)
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

TEST(list_item_that_cannot_be_read_spoils_no_other)
{
	static struct object_list list;

	assert_true(open_list(
		&list,
		"{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[{\"name\":\"a\"},{\"name\":},"
		"17,{\"name\":\"d\"}]}"));
	assert_string_equal(read_names(&list), "a??d");
}

/* -- metadata -- */

TEST(meta_of_an_object_is_taken)
{
	json_auto_t *object = load(NODE("", ""));
	struct object_meta meta;

	assert_true(object_decode_meta(object, &meta, &refusal));
	assert_string_equal(meta.name, "n2");
	assert_string_equal(meta.uid, "u-2");
	assert_string_equal(meta.version, "7");
}

TEST(meta_that_is_hostile_is_refused)
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

TEST(versions_are_compared_as_numbers_or_not_at_all)
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

TEST(event_of_every_type_is_taken)
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

TEST(event_that_is_a_bookmark_has_a_version_only)
{
	struct object_event event;
	json_auto_t *root = load_event(
		"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"99\"}}}",
		&event);

	assert_non_null(root);
	assert_int_equal(event.type, OBJECT_BOOKMARK);
	assert_string_equal(event.meta.version, "99");
}

TEST(error_event_reports_its_status)
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

TEST(event_that_is_none_is_refused)
{
	static const char *const lines[] = {
		"",
		"x",
		"[]",
		"{}",
		"{\"type\":\"ADDED\"}",
		"{\"type\":\"ADDED\",\"object\":7}",
		"{\"type\":\"OTHER\",\"object\":" NODE("", "") "}",
		"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"n2\",\"uid\":\"u2\"}}}",
		"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":7,\"name\":\"N 2\",\"uid\":\"u2\"}}}",
		"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{}}}",
	};
	struct object_event event;

	for (unsigned int i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_null(load_event(lines[i], &event));
		assert_true(refusal.text[0]);
	}
}

TEST(event_of_an_object_that_cannot_be_used_keeps_its_version)
{
	static const char *const metas[] = {
		"",
		",\"name\":\"n2\"",
		",\"name\":\"n2\",\"uid\":\"\"",
		",\"name\":\"n2\",\"uid\":7",
		",\"name\":\"n2\",\"uid\":\"a b\"",
		",\"name\":\"N 2\",\"uid\":\"u2\"",
		",\"name\":7,\"uid\":\"u2\"",
	};
	struct object_event event;
	char line[512];

	for (unsigned int i = 0; i < ARRAY_SIZE(metas); i++) {
		json_auto_t *root = NULL;

		snprintf(
			line, sizeof(line),
			"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"7\"%s}}}",
			metas[i]);
		root = load_event(line, &event);
		assert_non_null(root);
		assert_string_equal(event.meta.version, "7");
		assert_true(event.refusal.text[0]);
	}
}

static enum object_naming find_name(const char *text, char name[static NODE_NAME_LEN])
{
	json_auto_t *object = json_loads(text, JSON_ALLOW_NUL, NULL);

	assert_non_null(object);
	return object_find_name(object, name);
}

TEST(name_of_a_node_is_found)
{
	char name[NODE_NAME_LEN] = "";

	assert_int_equal(find_name("{\"metadata\":{\"name\":\"n2\"}}", name), OBJECT_NAMED);
	assert_string_equal(name, "n2");
}

TEST(name_that_no_node_can_have_is_no_nodes_name)
{
	char name[NODE_NAME_LEN] = "before";

	assert_int_equal(find_name("{\"metadata\":{\"name\":\"N 2\"}}", name), OBJECT_MISNAMED);
	assert_int_equal(find_name("{\"metadata\":{\"name\":\"n2\\u0000\"}}", name),
			 OBJECT_MISNAMED);
	assert_string_equal(name, "before");
}

TEST(object_without_a_name_is_distinguished)
{
	static const char *const texts[] = {"{}",
					    "[]",
					    "{\"metadata\":7}",
					    "{\"metadata\":{}}",
					    "{\"metadata\":{\"name\":7}}",
					    "{\"metadata\":{\"name\":\"\"}}"};
	char name[NODE_NAME_LEN];

	for (unsigned int i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(find_name(texts[i], name), OBJECT_UNNAMED);
	assert_int_equal(object_find_name(NULL, name), OBJECT_UNNAMED);
}

TEST(unreadable_status_leaves_every_field_unset)
{
	static const char *const texts[] = {"",
					    "not JSON",
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
