// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/cli/progress.c: the nodes that have rotated, the stragglers, and answers that make no sense.
 */
#include "cli/progress.h"
#include "test.h"

#define ASKED \
	"[{\"node\":\"n1\",\"fingerprint\":\"aaaa\"},{\"node\":\"n2\",\"fingerprint\":\"bbbb\"}]"

static struct progress progress;

static int end(void **state)
{
	progress_clear(&progress);
	return 0;
}

static void count(const char *asked, const char *failed, const char *keys)
{
	json_t *ask = json_loads(asked, 0, NULL), *fail = json_loads(failed, 0, NULL);
	json_t *status = json_loads(keys, 0, NULL);

	progress_count(&progress, ask, fail, status);
	json_decref(ask);
	json_decref(fail);
	json_decref(status);
}

static void assert_counts(size_t nodes, size_t prepared, size_t proved, size_t done)
{
	assert_int_equal(progress.nodes, nodes);
	assert_int_equal(progress.prepared, prepared);
	assert_int_equal(progress.proved, proved);
	assert_int_equal(progress.done, done);
}

TEST(progress_is_finished_when_every_fingerprint_is_another, NULL, end)
{
	count(ASKED, "[]",
	      "{\"keys\":[{\"node\":\"n1\",\"fingerprint\":\"cccc\"},{\"node\":\"n2\",\"fingerprint\":\"dddd\"}]}");
	assert_counts(2, 2, 2, 2);
	assert_true(progress_is_finished(&progress));
	assert_int_equal(json_array_size(progress.stragglers), 0);
}

TEST(progress_names_each_straggler_once, NULL, end)
{
	count(ASKED, "[]",
	      "{\"keys\":[{\"node\":\"n1\",\"is_self\":true,\"fingerprint\":\"aaaa\",\"next\":\"cccc\",\"peers_proved\":1,"
	      "\"peers_live\":2,\"time_left\":17.5,\"stragglers\":[\"n2\",\"n2\"]},"
	      "{\"node\":\"n2\",\"fingerprint\":\"bbbb\",\"next\":\"\"}]}");
	assert_counts(2, 1, 0, 0);
	assert_int_equal(json_array_size(progress.stragglers), 2);
	assert_true(progress.time_left > 17 && progress.time_left < 18);
}

TEST(progress_counts_a_node_with_all_proofs_as_proved, NULL, end)
{
	count(ASKED, "[]",
	      "{\"keys\":[{\"node\":\"n1\",\"is_self\":true,\"fingerprint\":\"aaaa\",\"next\":\"cccc\",\"peers_proved\":2,"
	      "\"peers_live\":2},{\"node\":\"n2\",\"fingerprint\":\"dddd\"}]}");
	assert_counts(2, 2, 2, 1);
	assert_false(progress_is_finished(&progress));
}

TEST(progress_is_not_finished_while_a_node_could_not_be_asked, NULL, end)
{
	count("[{\"node\":\"n1\",\"fingerprint\":\"aaaa\"}]", "[{\"node\":\"n3\"}]",
	      "{\"keys\":[{\"node\":\"n1\",\"fingerprint\":\"cccc\"}]}");
	assert_counts(2, 1, 1, 1);
	assert_false(progress_is_finished(&progress));
	assert_string_equal(json_string_value(json_array_get(progress.stragglers, 0)), "n3");
}

TEST(progress_counts_a_node_that_is_gone_or_keyless_as_not_done, NULL, end)
{
	count(ASKED, "[]", "{\"keys\":[{\"node\":\"n2\",\"fingerprint\":\"\"}]}");
	assert_counts(2, 0, 0, 0);
	assert_int_equal(json_array_size(progress.stragglers), 2);
}

TEST(progress_survives_fields_of_other_types, NULL, end)
{
	count("[7,null,{\"node\":1,\"fingerprint\":[]}]", "{}",
	      "{\"keys\":[[],{\"node\":\"n1\",\"is_self\":true,\"stragglers\":[1],\"time_left\":\"x\"}]}");
	assert_counts(3, 0, 0, 0);
	progress_clear(&progress);
	count("{}", "7", "[]");
	assert_counts(0, 0, 0, 0);
	assert_false(progress_is_finished(&progress));
}
