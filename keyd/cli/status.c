// SPDX-License-Identifier: Apache-2.0
/*
 * podveil status: shows whether the pod traffic of this node is protected, and if not, why. The
 * first line is the verdict; the exit status is 0 if the node does what its mode promises.
 */
#include <inttypes.h>

#include "cli.h"
#include "client.h"
#include "keyd_control.h"
#include "text.h"

static bool is_protected(const json_t *status)
{
	return !strcmp(answer_text(status, "state"), "protected");
}

/* The node does what its mode promises. */
static bool is_fine(const json_t *status)
{
	return is_protected(status) || !strcmp(answer_text(status, "state"), "permissive");
}

static bool is_permissive(const json_t *status)
{
	return !strcmp(answer_text(status, "mode"), "permissive");
}

static void print_permissive(const json_t *status)
{
	const json_t *clear = json_object_get(status, "clear");
	const json_t *out = json_object_get(clear, "out"), *in = json_object_get(clear, "in");

	text_print_line(
		"PERMISSIVE: pod traffic of %s to and from nodes never reached IS CLEARTEXT: "
		"%" PRIu64 " packets out, %" PRIu64 " in",
		answer_text(status, "node"), answer_count(out, "packets"),
		answer_count(in, "packets"));
}

/* keyd limits the length of the list; `count` is of all. */
static void print_lines(const json_t *list, const char *mark, uint64_t count)
{
	json_t *line;
	size_t index;

	json_array_foreach((json_t *)list, index, line)
		text_print_line("  %s%s", mark,
				json_is_string(line) ? json_string_value(line) : "?");
	if (count > json_array_size(list))
		text_print_line("  %sand %" PRIu64 " more", mark, count - json_array_size(list));
}

static void print_verdict(const json_t *status)
{
	const json_t *peers = json_object_get(status, "peers");
	const char *state = answer_text(status, "state");
	if (is_permissive(status))
		print_permissive(status);
	else if (is_protected(status))
		text_print_line("protected: pod traffic of %s to %" PRIu64 " of %" PRIu64
				" other nodes is encrypted",
				answer_text(status, "node"), answer_count(peers, "usable"),
				answer_count(peers, "total"));
	else
		text_print_line("%s: %s", *state ? state : "unknown", answer_text(status, "node"));
	print_lines(json_object_get(status, "reasons"), "- ", answer_count(status, "reason_count"));
	print_lines(json_object_get(status, "warnings"),
		    "WARNING: ", answer_count(status, "warning_count"));
	putchar('\n');
}

static void print_list(const char *title, const json_t *list)
{
	CLEANUP_FREE char *text = text_join(list);

	text_print_line("%-10s %s", title, text);
}

static void print_secret(const json_t *secret)
{
	if (json_is_object(secret))
		print_list("secret", json_object_get(secret, "ids"));
	else
		text_print_line("secret     none");
}

static void print_tunnel(const json_t *status)
{
	const json_t *tunnel = json_object_get(status, "tunnel");

	if (!json_is_true(json_object_get(tunnel, "is_connected"))) {
		text_print_line("tunnel     podveil-tunnel does not answer");
		return;
	}
	text_print_line("tunnel     %s, UDP port %" PRIu64 ", MTU %" PRIu64 ", process %" PRIu64,
			answer_text(status, "interface"), answer_count(status, "port"),
			answer_count(status, "mtu"), answer_count(tunnel, "pid"));
}

static void print_datapath(const json_t *datapath)
{
	CLEANUP_FREE char *uplinks = text_join(json_object_get(datapath, "uplinks"));
	CLEANUP_FREE char *pods = text_join(json_object_get(datapath, "pods"));

	text_print_line("datapath   %s on %s; pods behind %s", answer_text(datapath, "mechanism"),
			uplinks, pods);
}

static void print_peers(const json_t *peers)
{
	text_print_line("peers      %" PRIu64 " usable of %" PRIu64 ", %" PRIu64
			" with a session, %" PRIu64 " refused",
			answer_count(peers, "usable"), answer_count(peers, "total"),
			answer_count(peers, "with_session"), answer_count(peers, "refused"));
}

static void print_traffic(const char *title, const json_t *traffic)
{
	char bytes[TEXT_AMOUNT_LEN];

	text_print_line("%-10s %" PRIu64 " packets, %s", title, answer_count(traffic, "packets"),
			text_format_bytes(bytes, answer_count(traffic, "bytes")));
}

/* Lists only the hooks that are not in place, or that had to be repaired. */
static void print_hooks(const json_t *hooks)
{
	json_t *hook;
	size_t index, in_place = 0;

	json_array_foreach(hooks, index, hook)
		in_place += !strcmp(answer_text(hook, "state"), "in_place");
	text_print_line("hooks      %zu of %zu in place", in_place, json_array_size(hooks));
	json_array_foreach(hooks, index, hook) {
		if (!strcmp(answer_text(hook, "state"), "in_place") &&
		    !answer_count(hook, "repairs"))
			continue;
		text_print_line("           %s on %s: %s, repaired %" PRIu64 " times",
				answer_text(hook, "program"), answer_text(hook, "device"),
				answer_text(hook, "state"), answer_count(hook, "repairs"));
	}
}

/* Cleartext counts stay visible after a return to strict mode. */
static void print_clear(const json_t *status, const char *title, const char *direction)
{
	const json_t *traffic = json_object_get(json_object_get(status, "clear"), direction);

	if (is_permissive(status) || answer_count(traffic, "packets"))
		print_traffic(title, traffic);
}

/* Only if there are any. */
static void print_exceptions(const char *title, const json_t *list)
{
	if (json_array_size(list))
		print_list(title, list);
}

static void print_registry(const json_t *status)
{
	const json_t *registry = json_object_get(status, "registry_status");
	const char *contact = answer_text(registry, "last_contact");
	char bytes[TEXT_AMOUNT_LEN];

	if (!json_is_object(registry))
		text_print_line("registry   %s", answer_text(status, "registry"));
	else
		text_print_line("registry   %s, last answer %s; %" PRIu64 " requests, %s received",
				answer_text(status, "registry"), *contact ? contact : "never",
				answer_count(registry, "requests"),
				text_format_bytes(bytes, answer_count(registry, "received_bytes")));
}

/* Bypasses in force, and those that the registry lists without being in force. */
static void print_bypasses(const json_t *bypasses)
{
	CLEANUP_TABLE struct table table = {.columns = 5};
	json_t *bypass;
	size_t index;

	json_array_foreach(bypasses, index, bypass) {
		table_add(&table, index ? "         " : "bypassed ");
		table_add(&table, answer_text(bypass, "endpoint"));
		table_add(&table, answer_text(bypass, "protocols"));
		table_add(&table, answer_text(bypass, "source"));
		table_add(&table, answer_text(bypass, "state"));
	}
	table_print(&table);
}

static void print_drops(const json_t *drops)
{
	CLEANUP_TABLE struct table table = {.columns = 4};
	json_t *drop;
	size_t index;

	if (!json_array_size(drops)) {
		text_print_line("dropped    none");
		return;
	}
	json_array_foreach(drops, index, drop) {
		char packets[TEXT_AMOUNT_LEN];

		snprintf(packets, sizeof(packets), "%" PRIu64, answer_count(drop, "packets"));
		table_add(&table, index ? "         " : "dropped  ");
		table_add(&table, packets);
		table_add(&table, answer_text(drop, "reason"));
		table_add(&table, answer_text(drop, "text"));
	}
	table_print(&table);
}

static void print_status(const json_t *status)
{
	const json_t *traffic = json_object_get(status, "traffic");

	print_verdict(status);
	text_print_line("node       %s, podveil %s, mode %s", answer_text(status, "node"),
			answer_text(status, "version"), answer_text(status, "mode"));
	if (answer_count(status, "warning_count"))
		text_print_line("warnings   %" PRIu64, answer_count(status, "warning_count"));
	print_registry(status);
	print_list("cluster", json_object_get(status, "cluster_cidrs"));
	print_exceptions("cleartext", json_object_get(status, "except_cidrs"));
	print_bypasses(json_object_get(status, "bypasses"));
	print_list("own pods", json_object_get(status, "pod_cidrs"));
	print_list("reached at", json_object_get(status, "endpoints"));
	print_secret(json_object_get(status, "cluster_secret"));
	print_tunnel(status);
	print_datapath(json_object_get(status, "datapath"));
	print_hooks(json_object_get(status, "hooks"));
	print_peers(json_object_get(status, "peers"));
	print_traffic("sent", json_object_get(traffic, "to_tunnel"));
	print_traffic("received", json_object_get(traffic, "from_tunnel"));
	print_clear(status, "clear out", "out");
	print_clear(status, "clear in", "in");
	print_drops(json_object_get(status, "drops"));
}

enum cli_exit status_run(const struct cli_settings *settings)
{
	CLEANUP_JSON json_t *status = client_ask(settings->control, "status");

	if (!status)
		return EXIT_FAILED;
	if (settings->is_json)
		text_print_json(status);
	else
		print_status(status);
	return is_fine(status) ? EXIT_FINE : EXIT_FAILED;
}
