// SPDX-License-Identifier: Apache-2.0
/* keyd/registry/kube/request.c: the requests to the API server. */
#include <errno.h>

#include "registry/kube/request.h"
#include "test.h"

static char text[4096];

static void assert_json(ssize_t len, const char *expected)
{
	json_auto_t *is = json_loads(text, 0, NULL), *shall = json_loads(expected, 0, NULL);

	assert_int_equal(len, strlen(text));
	if (!json_equal(is, shall))
		fail_msg("%s", text);
}

TEST(patch_of_an_annotation_names_uid_and_version)
{
	static const struct object_meta meta = {.name = "n1", .uid = "u-1", .version = "12"};

	assert_json(
		request_encode_annotation_patch(text, sizeof(text), &meta, "a/b", "c\"d"),
		"{\"metadata\":{\"uid\":\"u-1\",\"resourceVersion\":\"12\",\"annotations\":{\"a/b\":\"c\\\"d\"}}}");
	assert_json(request_encode_annotation_patch(text, sizeof(text), NULL, "a/b", "c"),
		    "{\"metadata\":{\"annotations\":{\"a/b\":\"c\"}}}");
	assert_int_equal(request_encode_annotation_patch(text, 20, NULL, "a/b", "c"), -ENOSPC);
}

TEST(patch_of_the_taint_takes_no_other)
{
	assert_json(
		request_encode_taint_patch(text, sizeof(text), "u-1", 3),
		"[{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":\"u-1\"},"
		"{\"op\":\"test\",\"path\":\"/spec/taints/3/key\",\"value\":\"podveil.io/agent-not-ready\"},"
		"{\"op\":\"remove\",\"path\":\"/spec/taints/3\"}]");
}

TEST(event_is_about_the_node)
{
	const struct request_event event = {.node = "n1",
					    .uid = "u-1",
					    .reason = "RecordRefused",
					    .text = "node n2: no",
					    .unix_s = 1795348800};

	assert_json(
		request_encode_event(text, sizeof(text), &event),
		"{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"type\":\"Warning\",\"reason\":\"RecordRefused\","
		"\"message\":\"node n2: no\",\"count\":1,\"metadata\":{\"generateName\":\"podveil-\",\"namespace\":\"default\"},"
		"\"involvedObject\":{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":\"n1\",\"uid\":\"u-1\"},"
		"\"firstTimestamp\":\"2026-11-22T12:00:00Z\",\"lastTimestamp\":\"2026-11-22T12:00:00Z\","
		"\"source\":{\"component\":\"podveil\",\"host\":\"n1\"}}");
}

TEST(escape_leaves_nothing_that_means_something_in_a_url)
{
	assert_true(request_escape(text, sizeof(text), "aZ0-._~ &=/%\n\xff"));
	assert_string_equal(text, "aZ0-._~%20%26%3D%2F%25%0A%FF");
	assert_false(request_escape(text, 6, "&&"));
	assert_true(request_escape(text, 8, "&&"));
}
