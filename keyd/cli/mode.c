// SPDX-License-Identifier: Apache-2.0
/*
 * podveil mode: makes this node strict or permissive until podveil-keyd restarts with the mode of
 * its flags. Lists the nodes that the change affects, which are those never reached: strict cuts
 * them off, permissive sends cleartext to them.
 */
#include <inttypes.h>

#include "cli.h"
#include "client.h"
#include "text.h"

static void print_mode(const json_t *answer)
{
	const json_t *peers = json_object_get(answer, "clear_peers");
	CLEANUP_FREE char *names = text_join(peers);
	const char *mode = answer_text(answer, "mode");
	bool is_strict = !strcmp(mode, "strict");

	if (!strcmp(mode, answer_text(answer, "before")))
		text_print_line("the mode is already %s", mode);
	else
		text_print_line("the mode is %s until podveil-keyd restarts", mode);
	if (!is_strict)
		text_print_line("POD TRAFFIC to and from nodes never reached IS CLEARTEXT");
	if (json_array_size(peers))
		text_print_line("%s: %s",
				is_strict ? "cut off, because they were never reached"
					  : "never reached",
				names);
	else
		text_print_line("all other nodes were reached: nothing changes for them");
}

enum cli_exit mode_run(const struct cli_settings *settings)
{
	CLEANUP_JSON json_t *request =
		json_pack("{s:s, s:s}", "verb", "mode", "mode", settings->mode);
	CLEANUP_JSON json_t *answer = client_request(settings->control, request);

	if (!answer)
		return EXIT_FAILED;
	if (settings->is_json)
		text_print_json(answer);
	else
		print_mode(answer);
	return EXIT_FINE;
}
