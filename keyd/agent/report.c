// SPDX-License-Identifier: Apache-2.0
/*
 * The verbs. The answers are built from the current state on each request; no state is kept for
 * them. Texts from outside were escaped when they were refused, so they are always valid JSON
 * strings.
 */
#include "report.h"

#include "commands.h"
#include "report_parts.h"

static const struct verb {
	const char *name;
	json_t *(*answer)(struct agent *agent, const json_t *request);
} verbs[] = {{"status", report_status},		 {"peers", report_peers},
	     {"key-status", report_key_status},	 {"rotate-key", command_rotate_key},
	     {"rotate-all", command_rotate_all}, {"mode", command_mode}};

static json_t *answer_to(struct agent *agent, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "verb"));

	for (unsigned int i = 0; name && i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, name))
			return verbs[i].answer(agent, request);
	return report_refusal(
		name ? "unknown verb: expected status, peers, key-status, rotate-key, rotate-all or mode (is "
		       "the podveil command of another version?)"
		     : "no request: expected one line of JSON such as {\"verb\":\"status\"}");
}

char *report_answer(void *agent, const char *request, size_t len)
{
	json_auto_t *root = json_loadb(request, len, JSON_REJECT_DUPLICATES, NULL);
	json_auto_t *answer = answer_to(agent, root);

	return json_dumps(answer, JSON_COMPACT);
}
