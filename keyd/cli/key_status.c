// SPDX-License-Identifier: Apache-2.0
/* podveil key-status: the public key of each node, its age, and whether it is usable. */
#include <inttypes.h>

#include "cli.h"
#include "client.h"
#include "text.h"

static const char *const titles[] = {"NODE", "KEY",    "AGE",	      "EPOCH", "STATE",
				     "NEXT", "PROVED", "WAITING FOR", "LEFT",  "WHY"};

/* Columns that only this node has, and only during a rotation. */
static void add_rotation(struct table *table, const json_t *key)
{
	const json_t *stragglers = json_object_get(key, "stragglers");
	const json_t *left = json_object_get(key, "time_left");
	CLEANUP_FREE char *names = text_join(stragglers);
	CLEANUP_FREE char *proved = NULL;
	char text[TEXT_AMOUNT_LEN];

	if (json_is_integer(json_object_get(key, "peers_live")) &&
	    asprintf(&proved, "%" PRIu64 " of %" PRIu64, answer_count(key, "peers_proved"),
		     answer_count(key, "peers_live")) < 0)
		proved = NULL;
	table_add(table, answer_text(key, "next"));
	table_add(table, proved ? proved : "");
	table_add(table, names);
	table_add(table,
		  json_is_number(left) ? text_format_duration(text, json_number_value(left)) : "");
}

static void add_node(struct table *table, const json_t *key)
{
	CLEANUP_FREE char *node = NULL;
	CLEANUP_FREE char *epoch = NULL;
	const json_t *age = json_object_get(key, "age");
	char text[TEXT_AMOUNT_LEN];

	if (asprintf(&node, "%s%s", answer_text(key, "node"),
		     json_is_true(json_object_get(key, "is_self")) ? " (this)" : "") < 0)
		node = NULL;
	if (asprintf(&epoch, "%" PRIu64, answer_count(key, "epoch")) < 0)
		epoch = NULL;
	table_add(table, node ? node : "?");
	table_add(table, answer_text(key, "fingerprint"));
	table_add(table,
		  json_is_number(age) ? text_format_duration(text, json_number_value(age)) : "");
	table_add(table, epoch ? epoch : "?");
	table_add(table, answer_text(key, "state"));
	add_rotation(table, key);
	table_add(table, answer_text(key, "reason"));
}

static void print_keys(const json_t *keys)
{
	CLEANUP_TABLE struct table table = {.columns = ARRAY_SIZE(titles)};
	json_t *key;
	size_t index;

	for (size_t i = 0; i < ARRAY_SIZE(titles); i++)
		table_add(&table, titles[i]);
	json_array_foreach(keys, index, key)
		add_node(&table, key);
	table_print(&table);
}

enum cli_exit key_status_run(const struct cli_settings *settings)
{
	CLEANUP_JSON json_t *answer = client_ask(settings->control, "key-status");

	if (!answer)
		return EXIT_FAILED;
	if (settings->is_json)
		text_print_json(answer);
	else
		print_keys(json_object_get(answer, "keys"));
	return EXIT_FINE;
}
