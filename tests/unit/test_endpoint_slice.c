// SPDX-License-Identifier: Apache-2.0
/* keyd/registry/kube/endpoint_slice.c: where the API server is. */
#include "any_object.h"
#include "registry/kube/endpoint_slice.h"
#include "test.h"

static bool decode_servers(const char *text, struct bypass_key *keys, uint32_t max, uint32_t *count)
{
	json_auto_t *object = load(text);

	return endpoint_slice_decode(object, keys, max, count, &refusal);
}

#define SLICE(addresses, ports) "{\"endpoints\":[" addresses "],\"ports\":[" ports "]}"
#define HTTPS			"{\"name\":\"https\",\"port\":6443,\"protocol\":\"TCP\"}"

TEST(servers_of_both_families_are_taken)
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

TEST(servers_that_can_be_none_are_refused)
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
