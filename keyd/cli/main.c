// SPDX-License-Identifier: Apache-2.0
/*
 * The podveil command: finds the subcommand among the arguments, parses the flags of that
 * subcommand, and runs it. Flags may stand before and after it. Each subcommand is a row of a
 * table.
 */
#include <net/if.h>

#include "cli.h"
#include "flags.h"

static bool take_control(void *settings, const char *value, char *error, size_t size)
{
	if (!*value)
		return flags_refuse(error, size, "expected the path of podveil-keyd's socket");
	((struct cli_settings *)settings)->control = value;
	return true;
}

static bool take_output(void *settings, const char *value, char *error, size_t size)
{
	bool is_json = !strcmp(value, "json");

	if (!is_json && strcmp(value, "text"))
		return flags_refuse(error, size, "expected text or json");
	((struct cli_settings *)settings)->is_json = is_json;
	return true;
}

static bool take_bpffs(void *settings, const char *value, char *error, size_t size)
{
	if (*value != '/')
		return flags_refuse(error, size, "expected an absolute path such as %s",
				    DEFAULT_BPFFS);
	((struct cli_settings *)settings)->bpffs = value;
	return true;
}

static bool take_interface(void *settings, const char *value, char *error, size_t size)
{
	if (!*value || strlen(value) >= IF_NAMESIZE || strchr(value, '/'))
		return flags_refuse(error, size, "expected the name of a device such as %s",
				    DEFAULT_INTERFACE);
	((struct cli_settings *)settings)->interface = value;
	return true;
}

static bool take_all(void *settings, const char *value, char *error, size_t size)
{
	(void)value, (void)error, (void)size;
	return ((struct cli_settings *)settings)->is_all = true;
}

static bool take_revoke(void *settings, const char *value, char *error, size_t size)
{
	(void)value, (void)error, (void)size;
	return ((struct cli_settings *)settings)->is_revoking = true;
}

static bool take_wait(void *settings, const char *value, char *error, size_t size)
{
	bool is_detached = !strcmp(value, "false");

	if (!is_detached && strcmp(value, "true"))
		return flags_refuse(error, size, "expected true or false");
	((struct cli_settings *)settings)->is_detached = is_detached;
	return true;
}

/* clang-format off */
#define COMMON_FLAGS                                                                               \
	{"control", "PATH", "socket of podveil-keyd (default " KEYD_DEFAULT_CONTROL ")", false,    \
	 take_control},                                                                            \
	{"output", "text|json", "output format (default text)", false, take_output, 'o'}
/* clang-format on */

static const struct flag common_flags[] = {
	COMMON_FLAGS,
	{0},
};

static const struct flag rotate_key_flags[] = {
	COMMON_FLAGS,
	{"all", NULL,
	 "rotate the keys of all nodes of a file registry (Kubernetes: kubectl podveil)", false,
	 take_all},
	{"wait", "true|false", "wait until the nodes use their new keys (default true)", false,
	 take_wait},
	{"revoke", NULL,
	 "end the previous key and its sessions immediately, which may lose packets", false,
	 take_revoke},
	{0},
};

static const struct flag cleanup_flags[] = {
	COMMON_FLAGS,
	{"bpffs", "DIR",
	 "directory in which the agent pinned its programs (default " DEFAULT_BPFFS ")", false,
	 take_bpffs},
	{"interface", "NAME", "name of the tunnel device (default " DEFAULT_INTERFACE ")", false,
	 take_interface},
	{0},
};

static const struct verb {
	const char *name;
	const char *help;
	const struct flag *flags;
	const char *word; /* placeholder for its argument; NULL: none */
	enum cli_exit (*run)(const struct cli_settings *settings);
} verbs[] = {
	{"status", "show whether this node is protected, and if not, why", common_flags, NULL,
	 status_run},
	{"peers", "list the other nodes", common_flags, NULL, peers_run},
	{"key-status", "show the key of every node, its age and its epoch", common_flags, NULL,
	 key_status_run},
	{"rotate-key", "give this node, or every node, a new key without losing a packet",
	 rotate_key_flags, NULL, rotate_key_run},
	{"mode", "set the mode of this node until podveil-keyd restarts", common_flags,
	 "strict|permissive", mode_run},
	{"cleanup", "remove hooks, pins and the device from this node, without a running agent",
	 cleanup_flags, NULL, cleanup_run},
	{"version", "show the version of this command", common_flags, NULL, version_run},
};

/* For --help before a command: lists every command. */
static void format_usage(char *ret_text, size_t size)
{
	size_t used = (size_t)snprintf(ret_text, size,
				       "usage: podveil [FLAG]... COMMAND [FLAG]...\n\nCommands:\n");

	for (size_t i = 0; i < ARRAY_SIZE(verbs) && used < size; i++)
		used += (size_t)snprintf(ret_text + used, size - used, "%s  %-12s %s",
					 i ? "\n" : "", verbs[i].name, verbs[i].help);
}

static void format_verb_usage(char *ret_text, size_t size, const struct verb *verb)
{
	snprintf(ret_text, size, "usage: podveil %s%s%s [FLAG]...\n\n%s", verb->name,
		 verb->word ? " " : "", verb->word ? verb->word : "", verb->help);
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

static void log_wrong_verb(const char *name)
{
	char names[256] = "";
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_SIZE(verbs) && used < sizeof(names); i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
					 verbs[i].name);
	if (name)
		log_error("unknown command '%s': expected one of %s", name, names);
	else
		log_error("no command given: expected one of %s", names);
}

/* Removes the word at `index`, so that the flags before and after it are parsed as one list. */
static void remove_argument(int *argc, char **argv, int index)
{
	memmove(argv + index, argv + index + 1, (size_t)(*argc - index) * sizeof(*argv));
	(*argc)--;
}

/* Parses the word after `mode`; flags may stand before and after it. */
static enum flags_outcome take_mode(struct cli_settings *settings, const char *usage, int *argc,
				    char **argv)
{
	struct cli_settings unused = *settings;
	enum flags_outcome outcome;
	int index;

	outcome = flags_parse(common_flags, usage, &unused, *argc, argv, &index);
	if (outcome != FLAGS_RUN)
		return outcome;
	settings->mode = index < *argc ? argv[index] : "";
	if (strcmp(settings->mode, "strict") && strcmp(settings->mode, "permissive")) {
		log_error("mode '%s': expected strict or permissive", settings->mode);
		return FLAGS_WRONG;
	}
	remove_argument(argc, argv, index);
	return FLAGS_RUN;
}

int main(int argc, char **argv)
{
	struct cli_settings settings = {.control = KEYD_DEFAULT_CONTROL,
					.bpffs = DEFAULT_BPFFS,
					.interface = DEFAULT_INTERFACE};
	struct cli_settings before_verb = settings;
	const struct verb *verb;
	enum flags_outcome outcome;
	char usage[1024];
	int index;

	format_usage(usage, sizeof(usage));
	outcome = flags_parse(common_flags, usage, &before_verb, argc, argv, &index);
	if (outcome != FLAGS_RUN)
		return outcome == FLAGS_DONE ? EXIT_FINE : EXIT_USAGE;
	verb = index < argc ? find_verb(argv[index]) : NULL;
	if (!verb) {
		log_wrong_verb(index < argc ? argv[index] : NULL);
		return EXIT_USAGE;
	}
	remove_argument(&argc, argv, index);
	format_verb_usage(usage, sizeof(usage), verb);
	outcome = verb->word ? take_mode(&settings, usage, &argc, argv) : FLAGS_RUN;
	if (outcome == FLAGS_RUN)
		outcome = flags_parse(verb->flags, usage, &settings, argc, argv, NULL);
	if (outcome != FLAGS_RUN)
		return outcome == FLAGS_DONE ? EXIT_FINE : EXIT_USAGE;
	return (int)verb->run(&settings);
}
