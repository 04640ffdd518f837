/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines as tables. Each flag has a long name, sometimes a short one, a line in --help, and
 * an environment variable that gives its default: PODVEIL_ and the name in upper case, with '_' for
 * '-'. The variable of a repeatable flag is split at commas. The man pages and docs/reference.md
 * are generated from --help.
 */
#pragma once

#include <ctype.h>

#include "keyd_control.h"
#include "log.h"

#define FLAG_TEXT_LEN 64

struct flag {
	const char *name;  /* without the dashes */
	const char *value; /* placeholder for the value in --help; NULL: a switch */
	const char *help;  /* ends with "(default X)" if there is one; NULL: not listed in --help */
	bool is_repeatable;
	/*
	 * Parses one value ("" for a switch) into *settings. Returns false for a bad value, after
	 * describing a good one in `error`.
	 */
	bool (*take)(void *settings, const char *value, char *error, size_t size);
	char letter; /* of the short form; 0: none */
};

/* Few flags have a short form, so tables leave `letter` out. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* Writes the line for `error`, and returns false. */
static inline bool PRINTF(3, 4) flags_refuse(char *error, size_t size, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error, size, format, arguments);
	va_end(arguments);
	return false;
}

/* -- help -- */

/* "-o, --output text|json"; returns its length. */
static inline int flags_format_name(char text[static FLAG_TEXT_LEN], const struct flag *flag)
{
	const char letter[] = {'-', flag->letter, ',', ' ', '\0'};

	return snprintf(text, FLAG_TEXT_LEN, "%s--%s%s%s", flag->letter ? letter : "", flag->name,
			flag->value ? " " : "", flag->value ? flag->value : "");
}

static inline int flags_name_width(const struct flag *flags)
{
	char text[FLAG_TEXT_LEN];
	int width = 0;

	for (; flags->name; flags++)
		width = flags->help ? MAX(width, flags_format_name(text, flags)) : width;
	return width;
}

static inline void flags_print_list(const struct flag *flags, int width)
{
	char text[FLAG_TEXT_LEN];

	for (; flags->name; flags++) {
		if (!flags->help)
			continue;
		flags_format_name(text, flags);
		printf("  %-*s  %s%s\n", width, text, flags->help,
		       flags->is_repeatable ? " (repeatable)" : "");
	}
}

static inline void flags_print_help(const char *usage, const struct flag *flags)
{
	static const struct flag common[] = {
		{"version", .help = "print the version and exit"},
		{"help", .letter = 'h', .help = "print this help and exit"},
		{0},
	};
	int width = MAX(flags_name_width(flags), flags_name_width(common));

	printf("%s\n\nFlags:\n", usage);
	flags_print_list(flags, width);
	flags_print_list(common, width);
	puts("\nEvery flag has an environment variable: PODVEIL_ and the name of the flag in upper\n"
	     "case, with '_' for '-'. The command line overrides the environment.");
}

/* True if the word asks for help or the version, which are printed. */
static inline bool flags_answer(const char *word, const char *usage, const struct flag *flags)
{
	bool wants_version = !strcmp(word, "--version");

	if (wants_version)
		printf("%s %s\n", log_settings.program, PODVEIL_VERSION);
	else if (!strcmp(word, "--help") || !strcmp(word, "-h"))
		flags_print_help(usage, flags);
	else
		return false;
	return true;
}

/* -- one flag -- */

static inline bool flags_take(const struct flag *flag, void *settings, const char *value,
			      const char *origin)
{
	char error[512] = "";

	if (flag->take(settings, value, error, sizeof(error)))
		return true;
	log_error("%s%s: '%s': %s", origin, flag->name, value, error);
	return false;
}

/* -- environment -- */

static inline void flags_format_variable(char text[static FLAG_TEXT_LEN], const struct flag *flag)
{
	char *c = text;

	snprintf(text, FLAG_TEXT_LEN, "PODVEIL_%s", flag->name);
	for (c += strlen("PODVEIL_"); *c; c++)
		*c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
}

static inline bool flags_take_switch(const struct flag *flag, void *settings, const char *variable,
				     const char *value)
{
	if (!strcmp(value, "false") || !strcmp(value, "0"))
		return true;
	if (!strcmp(value, "true") || !strcmp(value, "1"))
		return flags_take(flag, settings, "", "environment: ");
	log_error("%s: '%s': expected true or false", variable, value);
	return false;
}

static inline bool flags_take_list(const struct flag *flag, void *settings, const char *value)
{
	CLEANUP_FREE char *copy = strdup(value);
	char *rest = NULL;

	for (char *part = copy ? strtok_r(copy, ",", &rest) : NULL; part;
	     part = strtok_r(NULL, ",", &rest))
		if (!flags_take(flag, settings, part, "environment: "))
			return false;
	return true;
}

/* An empty variable counts as unset. */
static inline bool flags_take_variable(const struct flag *flag, void *settings)
{
	char variable[FLAG_TEXT_LEN];
	const char *value;

	flags_format_variable(variable, flag);
	value = getenv(variable);
	if (!value || !*value)
		return true;
	if (flag->is_repeatable)
		return flags_take_list(flag, settings, value);
	if (!flag->value)
		return flags_take_switch(flag, settings, variable, value);
	return flags_take(flag, settings, value, "environment: ");
}

static inline bool flags_take_environment(const struct flag *flags, void *settings)
{
	for (; flags->name; flags++)
		if (!flags_take_variable(flags, settings))
			return false;
	return true;
}

/* -- command line -- */

static inline bool flags_is_long(const char *word)
{
	return !strncmp(word, "--", 2) && word[2];
}

/* The flag that "--name", "--name=value" or "-n" names; NULL if there is none. */
static inline const struct flag *flags_find(const struct flag *flags, const char *word)
{
	size_t length = flags_is_long(word) ? strcspn(word + 2, "=") : 0;

	for (; flags->name; flags++) {
		if (length && strlen(flags->name) == length &&
		    !strncmp(flags->name, word + 2, length))
			return flags;
		if (flags->letter && word[0] == '-' && word[1] == flags->letter && !word[2])
			return flags;
	}
	return NULL;
}

/* Parses the flag at argv[*index]; its value may be the next word, which moves *index. */
static inline bool flags_take_word(const struct flag *flags, void *settings, int argc, char **argv,
				   int *index)
{
	const char *word = argv[*index], *equals = strchr(word, '=');
	const struct flag *flag = flags_find(flags, word);
	const char *value = equals ? equals + 1 : "";

	if (!flag) {
		log_error("unknown flag '%s': see --help", word);
		return false;
	}
	if (!flag->value && equals) {
		log_error("flag '%s' takes no value", word);
		return false;
	}
	if (flag->value && !equals) {
		if (*index + 1 == argc) {
			log_error("flag '--%s' needs a value: %s", flag->name, flag->value);
			return false;
		}
		value = argv[++*index];
	}
	return flags_take(flag, settings, value, "--");
}

enum flags_outcome { FLAGS_RUN, FLAGS_DONE, FLAGS_WRONG };

/*
 * Parses the environment, then the command line, which overrides it (a repeatable flag adds to its
 * variable). Stops at the first word that is not a flag and stores its index in *ret_rest (argc if
 * there is none); with ret_rest NULL, such a word is an error. Prints --help and --version itself
 * (FLAGS_DONE: exit with 0), and logs an error as one line (FLAGS_WRONG: exit with 2).
 */
static inline enum flags_outcome flags_parse(const struct flag *flags, const char *usage,
					     void *settings, int argc, char **argv, int *ret_rest)
{
	int i;

	if (!flags_take_environment(flags, settings))
		return FLAGS_WRONG;
	for (i = 1; i < argc; i++) {
		if (flags_answer(argv[i], usage, flags))
			return FLAGS_DONE;
		if (!flags_is_long(argv[i]) && !flags_find(flags, argv[i])) {
			if (ret_rest)
				break;
			log_error("unexpected argument '%s': expected only flags (see --help)",
				  argv[i]);
			return FLAGS_WRONG;
		}
		if (!flags_take_word(flags, settings, argc, argv, &i))
			return FLAGS_WRONG;
	}
	if (ret_rest)
		*ret_rest = i;
	return FLAGS_RUN;
}
