/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines as tables: long flags only, each with an environment variable (PODVEIL_ + upper case, '-' as '_') that
 * gives its default, and a --help made from the same table. A repeatable flag's variable is split at commas.
 */
#pragma once

#include <ctype.h>

#include "keyd_control.h"
#include "log.h"

struct flag {
	const char *name;  /* without the dashes */
	const char *value; /* what stands for the value in --help; NULL: a switch */
	const char *help;
	bool is_repeatable;
	/* Takes one value ("" for a switch) into *settings; on false it has written to `error` what was expected. */
	bool (*take)(void *settings, const char *value, char *error, size_t size);
};

/* Line for `error`: names the text and what was expected. */
static inline bool PRINTF(3, 4) flags_refuse(char *error, size_t size, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error, size, format, arguments);
	va_end(arguments);
	return false;
}

static inline void flags_print_help(const char *usage, const struct flag *flags)
{
	printf("%s\n\n", usage);
	for (const struct flag *flag = flags; flag->name; flag++) {
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", flag->name, flag->value ? " " : "",
			 flag->value ? flag->value : "");
		printf("  %-32s %s%s\n", left, flag->help,
		       flag->is_repeatable ? " (may be repeated)" : "");
	}
	printf("  %-32s %s\n", "--version", "print the version and exit");
	printf("  %-32s %s\n", "--help", "print this and exit");
	printf("\nEvery flag has an environment variable: PODVEIL_ and the flag in upper case, '-' as '_'.\n");
}

static inline bool flags_take(const struct flag *flag, void *settings, const char *value,
			      const char *origin)
{
	char error[512] = "";

	if (flag->take(settings, value, error, sizeof(error)))
		return true;
	log_error("%s%s: '%s': %s", origin, flag->name, value, error);
	return false;
}

static inline bool flags_take_environment(const struct flag *flags, void *settings)
{
	for (const struct flag *flag = flags; flag->name; flag++) {
		char name[64] = "PODVEIL_", *rest = NULL, *part;
		size_t used = strlen(name);
		const char *value;
		CLEANUP_FREE char *copy = NULL;

		for (const char *c = flag->name; *c && used + 1 < sizeof(name); c++)
			name[used++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
		value = getenv(name);
		if (!value || !*value)
			continue;
		if (!flag->is_repeatable) {
			if (!flag->value && strcmp(value, "true") && strcmp(value, "false") &&
			    strcmp(value, "1") && strcmp(value, "0")) {
				log_error("%s: '%s': expected true or false", name, value);
				return false;
			}
			if (!flag->value && (!strcmp(value, "false") || !strcmp(value, "0")))
				continue;
			if (!flags_take(flag, settings, flag->value ? value : "", "environment: "))
				return false;
			continue;
		}
		copy = strdup(value);
		for (part = copy ? strtok_r(copy, ",", &rest) : NULL; part;
		     part = strtok_r(NULL, ",", &rest))
			if (!flags_take(flag, settings, part, "environment: "))
				return false;
	}
	return true;
}

enum flags_outcome { FLAGS_RUN, FLAGS_DONE, FLAGS_WRONG };

/*
 * Environment first, then the command line, which wins (a repeatable flag adds to its variable). Both "--flag value" and "--flag=value". Stops at the first
 * word that is no flag: *ret_rest is its index (argc if none; NULL: such a word is an error). Prints --help and
 * --version itself (FLAGS_DONE: exit 0) and logs what is wrong (FLAGS_WRONG: exit 2).
 */
static inline enum flags_outcome flags_parse(const struct flag *flags, const char *usage,
					     void *settings, int argc, char **argv, int *ret_rest)
{
	int i;

	if (!flags_take_environment(flags, settings))
		return FLAGS_WRONG;
	for (i = 1; i < argc; i++) {
		const struct flag *flag = flags;
		const char *name, *equals;
		size_t length;

		if (strncmp(argv[i], "--", 2) || !argv[i][2]) {
			if (ret_rest)
				break;
			log_error("unexpected argument '%s': expected only flags (see --help)",
				  argv[i]);
			return FLAGS_WRONG;
		}
		name = argv[i] + 2;
		equals = strchr(name, '=');
		length = equals ? (size_t)(equals - name) : strlen(name);
		if (!strcmp(name, "help")) {
			flags_print_help(usage, flags);
			return FLAGS_DONE;
		}
		if (!strcmp(name, "version")) {
			printf("%s %s\n", log_settings.program, PODVEIL_VERSION);
			return FLAGS_DONE;
		}
		while (flag->name &&
		       (strlen(flag->name) != length || strncmp(flag->name, name, length)))
			flag++;
		if (!flag->name) {
			log_error("unknown flag '%s': see --help for those there are", argv[i]);
			return FLAGS_WRONG;
		}
		if (!flag->value && equals) {
			log_error("flag '%s' takes no value", argv[i]);
			return FLAGS_WRONG;
		}
		if (flag->value && !equals && i + 1 == argc) {
			log_error("flag '--%s' needs a value: %s", flag->name, flag->value);
			return FLAGS_WRONG;
		}
		if (!flags_take(flag, settings,
				!flag->value ? ""
				: equals     ? equals + 1
					     : argv[++i],
				"--"))
			return FLAGS_WRONG;
	}
	if (ret_rest)
		*ret_rest = i;
	return FLAGS_RUN;
}
