// SPDX-License-Identifier: Apache-2.0
/* podveil version: the version of this command. podveil status shows that of the agent. */
#include "cli.h"
#include "client.h"
#include "keyd_control.h"
#include "text.h"

enum cli_exit version_run(const struct cli_settings *settings)
{
	CLEANUP_JSON json_t *version = json_pack("{s:s}", "version", PODVEIL_VERSION);

	if (settings->is_json && version)
		text_print_json(version);
	else
		text_print_line("podveil %s", PODVEIL_VERSION);
	return EXIT_FINE;
}
