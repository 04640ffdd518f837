// SPDX-License-Identifier: Apache-2.0
/* podveil peers: the other nodes, one line each, with the reason of a refusal. */
#include <inttypes.h>

#include "cli.h"
#include "client.h"
#include "text.h"

static const char *const titles[] = {"NODE",	   "STATE",  "SESSION",	 "ENDPOINT",
				     "LAST HEARD", "SENT",   "RECEIVED", "REACHED",
				     "CLEAR",	   "SECRET", "PODS",	 "WHY"};

/* Cleartext packets to and from it; should be 0. */
static void add_clear(struct table *table, const json_t *peer)
{
	uint64_t packets = answer_count(json_object_get(peer, "clear_out"), "packets") +
			   answer_count(json_object_get(peer, "clear_in"), "packets");
	char text[TEXT_AMOUNT_LEN];

	snprintf(text, sizeof(text), "%" PRIu64, packets);
	table_add(table, text);
}

static void add_last_heard(struct table *table, const json_t *peer)
{
	const json_t *age = json_object_get(peer, "last_received_age");
	char text[TEXT_AMOUNT_LEN];

	table_add(table, json_is_number(age) ? text_format_duration(text, json_number_value(age))
					     : "never");
}

static void add_peer(struct table *table, const json_t *peer)
{
	CLEANUP_FREE char *pods = text_join(json_object_get(peer, "pods"));
	char bytes[TEXT_AMOUNT_LEN];

	table_add(table, answer_text(peer, "node"));
	table_add(table, answer_text(peer, "state"));
	table_add(table, json_is_true(json_object_get(peer, "has_session")) ? "yes" : "no");
	table_add(table, answer_text(peer, "endpoint"));
	add_last_heard(table, peer);
	table_add(table, text_format_bytes(bytes, answer_count(peer, "sent_bytes")));
	table_add(table, text_format_bytes(bytes, answer_count(peer, "received_bytes")));
	table_add(table, json_is_true(json_object_get(peer, "was_reached")) ? "yes" : "no");
	add_clear(table, peer);
	table_add(table, answer_text(peer, "secret"));
	table_add(table, pods);
	table_add(table, answer_text(peer, "reason"));
}

static void print_peers(const json_t *peers)
{
	CLEANUP_TABLE struct table table = {.columns = ARRAY_SIZE(titles)};
	json_t *peer;
	size_t index;

	if (!json_array_size(peers)) {
		text_print_line("no other node is known");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(titles); i++)
		table_add(&table, titles[i]);
	json_array_foreach(peers, index, peer)
		add_peer(&table, peer);
	table_print(&table);
}

enum cli_exit peers_run(const struct cli_settings *settings)
{
	CLEANUP_JSON json_t *answer = client_ask(settings->control, "peers");

	if (!answer)
		return EXIT_FAILED;
	if (settings->is_json)
		text_print_json(answer);
	else
		print_peers(json_object_get(answer, "peers"));
	return EXIT_FINE;
}
