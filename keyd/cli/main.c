// SPDX-License-Identifier: Apache-2.0
/*
 * The podveil command's front door: finds the subcommand among the arguments, reads the flags of that subcommand and
 * runs it. Flags may stand before and after it. Holds no state; every subcommand is one row of a table.
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

static const struct flag common_flags[] = {
	{"control", "PATH", "podveil-keyd's socket", false, take_control},
	{"output", "text|json", "what to print (also -o)", false, take_output},
	{0},
};

static const struct flag rotate_key_flags[] = {
	{"control", "PATH", "podveil-keyd's socket", false, take_control},
	{"output", "text|json", "what to print (also -o)", false, take_output},
	{"all", NULL, "ask every node of the registry", false, take_all},
	{"wait", "true|false", "until the nodes asked use their new keys (default true)", false,
	 take_wait},
	{"revoke", NULL, "end the previous key and its sessions at once: may lose packets", false,
	 take_revoke},
	{0},
};

static const struct flag cleanup_flags[] = {
	{"control", "PATH", "podveil-keyd's socket", false, take_control},
	{"output", "text|json", "what to print (also -o)", false, take_output},
	{"bpffs", "DIR", "where the agent pinned its programs", false, take_bpffs},
	{"interface", "DEV", "the tunnel's device", false, take_interface},
	{0},
};

static const struct verb {
	const char *name;
	const char *help;
	const struct flag *flags;
	bool has_mode; /* one word more */
	enum cli_exit (*run)(const struct cli_settings *settings);
} verbs[] = {
	{"status", "is this node protected, and if not, why not", common_flags, false, status_run},
	{"peers", "the other nodes", common_flags, false, peers_run},
	{"key-status", "every node's key, its age and epoch", common_flags, false, key_status_run},
	{"rotate-key", "give this node, or every node, a new key without losing a packet",
	 rotate_key_flags, false, rotate_key_run},
	{"mode", "strict or permissive, from now on until podveil-keyd starts anew", common_flags,
	 true, mode_run},
	{"cleanup", "take hooks, pins and device off this node, without a running agent",
	 cleanup_flags, false, cleanup_run},
	{"version", "of this command", common_flags, false, version_run},
};

/* "usage" with every subcommand, for --help. */
static void format_usage(char *ret_text, size_t size)
{
	size_t used = (size_t)snprintf(ret_text, size,
				       "usage: podveil [--control PATH] [-o text|json] COMMAND\n");

	for (size_t i = 0; i < ARRAY_SIZE(verbs) && used < size; i++)
		used += (size_t)snprintf(ret_text + used, size - used, "\n  %-12s %s",
					 verbs[i].name, verbs[i].help);
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

/* The one short form there is, and the customary one of --help. */
static void spell_out_short_flags(int argc, char **argv)
{
	static char output[] = "--output", help[] = "--help";

	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "-o"))
			argv[i] = output;
		else if (!strcmp(argv[i], "-h"))
			argv[i] = help;
}

/* Moves the word at `index` out of the arguments, so that flags before and after it are read as one list. */
static void remove_argument(int *argc, char **argv, int index)
{
	memmove(argv + index, argv + index + 1, (size_t)(*argc - index) * sizeof(*argv));
	(*argc)--;
}

/* The word after `mode`, wherever flags stand around it. */
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
	spell_out_short_flags(argc, argv);
	outcome = flags_parse(common_flags, usage, &before_verb, argc, argv, &index);
	if (outcome != FLAGS_RUN)
		return outcome == FLAGS_DONE ? EXIT_FINE : EXIT_USAGE;
	verb = index < argc ? find_verb(argv[index]) : NULL;
	if (!verb) {
		log_wrong_verb(index < argc ? argv[index] : NULL);
		return EXIT_USAGE;
	}
	remove_argument(&argc, argv, index);
	outcome = verb->has_mode ? take_mode(&settings, usage, &argc, argv) : FLAGS_RUN;
	if (outcome == FLAGS_RUN)
		outcome = flags_parse(verb->flags, usage, &settings, argc, argv, NULL);
	if (outcome != FLAGS_RUN)
		return outcome == FLAGS_DONE ? EXIT_FINE : EXIT_USAGE;
	return (int)verb->run(&settings);
}
