/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The podveil command: settings from its flags, one function per subcommand, each in the file of
 * its name. A subcommand prints to stdout, logs an error as one line, and returns the exit status.
 */
#pragma once

#include "util.h"

enum cli_exit {
	EXIT_FINE = 0,
	EXIT_FAILED = 1, /* the command failed, or the node is not protected */
	EXIT_USAGE = 2,
};

struct cli_settings {
	const char *control; /* keyd's socket */
	bool is_json;
	const char *bpffs;		       /* cleanup only */
	const char *interface;		       /* cleanup only */
	bool is_all, is_revoking, is_detached; /* rotate-key only */
	const char *mode;		       /* mode only: its argument */
};

enum cli_exit status_run(const struct cli_settings *settings);
enum cli_exit peers_run(const struct cli_settings *settings);
enum cli_exit key_status_run(const struct cli_settings *settings);
enum cli_exit rotate_key_run(const struct cli_settings *settings);
enum cli_exit mode_run(const struct cli_settings *settings);
enum cli_exit cleanup_run(const struct cli_settings *settings);
enum cli_exit version_run(const struct cli_settings *settings);
