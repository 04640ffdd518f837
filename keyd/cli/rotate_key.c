// SPDX-License-Identifier: Apache-2.0
/*
 * podveil rotate-key: asks this node, or with --all every node in the registry, to rotate its key,
 * and waits until they use the new one. A terminal shows a progress line that is rewritten; any
 * other output gets a line for each change. The wait is bounded: keyd continues without stragglers
 * after two minutes, so a node that takes longer does not answer.
 */
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "client.h"
#include "log.h"
#include "progress.h"
#include "text.h"

#define POLL_MS	     100
#define WAIT_S	     180 /* the deadline for proofs, and a minute for the registry */
#define BAR_LEN	     20
#define NAMES_MAX    5
#define PROGRESS_LEN 1024

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / (double)NS_PER_S;
}

static void nap(void)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * NS_PER_MS};

	nanosleep(&pause, NULL);
}

/* The answer of rotate-all, or that of rotate-key with an `asked` list added. */
static json_t *ask_to_rotate(const struct cli_settings *settings, const json_t *before)
{
	CLEANUP_JSON json_t *request = NULL;
	const json_t *key;
	json_t *answer;
	size_t index;

	if (settings->is_all)
		return client_ask(settings->control, "rotate-all");
	request = json_pack("{s:s, s:b}", "verb", "rotate-key", "revoke", settings->is_revoking);
	answer = client_request(settings->control, request);
	json_array_foreach(json_object_get(before, "keys"), index, key)
		if (answer && json_is_true(json_object_get(key, "is_self")))
			json_object_set_new(answer, "asked",
					    json_pack("[{s:s, s:s}]", "node",
						      answer_text(key, "node"), "fingerprint",
						      answer_text(answer, "fingerprint")));
	return answer;
}

/* -- output -- */

static size_t put(char *line, size_t used, const char *format, ...) PRINTF(3, 4);
static size_t put(char *line, size_t used, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line + used, PROGRESS_LEN - used, format, arguments);
	va_end(arguments);
	return length < 0 ? used : MIN(used + (size_t)length, PROGRESS_LEN - 1);
}

static size_t put_bar(char *line, const struct progress *progress)
{
	size_t filled = progress->nodes ? BAR_LEN * progress->done / progress->nodes : 0;
	size_t used = put(line, 0, "[");

	for (size_t i = 0; i < BAR_LEN; i++)
		used = put(line, used, "%c", i < filled ? '#' : '.');
	return put(line, used, "] ");
}

static size_t put_stragglers(char *line, size_t used, const json_t *names)
{
	size_t index, count = json_array_size(names);
	const json_t *name;

	json_array_foreach((json_t *)names, index, name)
		if (index < NAMES_MAX)
			used = put(line, used, "%s%s", index ? ", " : "; waiting for ",
				   json_string_value(name));
	return count > NAMES_MAX ? put(line, used, " and %zu more", count - NAMES_MAX) : used;
}

/* The seconds left are for terminals only: in a log, each second would be a line. */
static void show_progress(const struct progress *progress, double time_left, bool is_terminal,
			  char shown[static PROGRESS_LEN])
{
	char line[PROGRESS_LEN] = "";
	size_t used = is_terminal ? put_bar(line, progress) : 0;

	used = put(line, used, "%zu nodes: %zu prepared, %zu proved, %zu done", progress->nodes,
		   progress->prepared, progress->proved, progress->done);
	if (is_terminal && !progress_is_finished(progress))
		used = put(line, used, ", %.0f s left", time_left);
	put_stragglers(line, used, progress->stragglers);
	if (is_terminal)
		text_print_over(line);
	else if (strcmp(line, shown))
		text_print_line("%s", line);
	copy_text(shown, PROGRESS_LEN, line);
}

static void print_request(const struct cli_settings *settings, const json_t *answer)
{
	const json_t *failed;
	size_t index;

	if (settings->is_revoking)
		log_warning("--revoke ends the sessions made under the previous key at once: "
			    "packets may be lost");
	json_array_foreach(json_object_get(answer, "failed"), index, failed)
		log_error("cannot ask node %s to rotate: %s", answer_text(failed, "node"),
			  answer_text(failed, "reason"));
	if (!settings->is_json && json_is_true(json_object_get(answer, "is_merged")))
		text_print_line("a rotation is already running: it serves this request too");
	else if (!settings->is_json && settings->is_all)
		text_print_line("asked %zu nodes to rotate their keys",
				json_array_size(json_object_get(answer, "asked")));
}

static void print_outcome(const json_t *answer, const struct progress *progress)
{
	CLEANUP_JSON json_t *document = json_pack(
		"{s:b, s:I, s:I, s:I, s:I, s:O}", "finished", progress_is_finished(progress),
		"nodes", (json_int_t)progress->nodes, "prepared", (json_int_t)progress->prepared,
		"proved", (json_int_t)progress->proved, "done", (json_int_t)progress->done,
		"stragglers", progress->stragglers);

	if (document && !json_object_update_missing(document, (json_t *)answer))
		text_print_json(document);
}

/* -- waiting -- */

/* False if keyd no longer answers, which is logged. */
static bool follow(const struct cli_settings *settings, const json_t *answer,
		   struct progress *ret_progress)
{
	const json_t *asked = json_object_get(answer, "asked");
	const json_t *failed = json_object_get(answer, "failed");
	bool is_terminal = !settings->is_json && isatty(STDOUT_FILENO), is_over = false;
	double end_s = now_s() + WAIT_S, left_s;
	char shown[PROGRESS_LEN] = "";

	while (!is_over) {
		CLEANUP_JSON json_t *keys = client_ask(settings->control, "key-status");

		progress_clear(ret_progress);
		progress_count(ret_progress, asked, failed, keys);
		if (!keys)
			return false;
		left_s = MAX(end_s - now_s(), 0.0);
		is_over = left_s <= 0 || progress_is_finished(ret_progress) ||
			  ret_progress->done == json_array_size(asked);
		if (ret_progress->time_left >= 0)
			left_s = MIN(left_s, ret_progress->time_left);
		if (!settings->is_json)
			show_progress(ret_progress, left_s, is_terminal, shown);
		if (!is_over)
			nap();
	}
	if (is_terminal)
		text_print_line("%s", "");
	return true;
}

static enum cli_exit wait_for(const struct cli_settings *settings, const json_t *answer)
{
	struct progress progress = {0};
	bool is_answered = follow(settings, answer, &progress);
	bool is_finished = is_answered && progress_is_finished(&progress);

	if (is_answered && settings->is_json)
		print_outcome(answer, &progress);
	if (is_answered && !is_finished)
		log_error("%zu of %zu nodes have not rotated: run podveil key-status on them",
			  progress.nodes - progress.done, progress.nodes);
	progress_clear(&progress);
	return is_finished ? EXIT_FINE : EXIT_FAILED;
}

enum cli_exit rotate_key_run(const struct cli_settings *settings)
{
	CLEANUP_JSON json_t *before = NULL;
	CLEANUP_JSON json_t *answer = NULL;

	if (settings->is_all && settings->is_revoking) {
		log_error(
			"--revoke and --all exclude each other: use --revoke on one node after another");
		return EXIT_USAGE;
	}
	before = client_ask(settings->control, "key-status"); /* for the entry of this node */
	answer = before ? ask_to_rotate(settings, before) : NULL;
	if (!answer)
		return EXIT_FAILED;
	if (!json_array_size(json_object_get(answer, "asked"))) {
		log_error(
			"the answer of podveil-keyd lists no node: are both of the same version?");
		return EXIT_FAILED;
	}
	print_request(settings, answer);
	if (!settings->is_detached)
		return wait_for(settings, answer);
	if (settings->is_json)
		text_print_json(answer);
	return json_array_size(json_object_get(answer, "failed")) ? EXIT_FAILED : EXIT_FINE;
}
