// SPDX-License-Identifier: Apache-2.0
/*
 * include/flags.h: flags from the command line and the environment, and one clear line for each
 * that is wrong.
 */
#include "flags.h"
#include "outputs.h"

#define WORDS_MAX 8

struct settings {
	char name[64];
	bool is_strict;
	char list[128]; /* each value and a semicolon */
};

static bool take_name(void *settings, const char *value, char *error, size_t size)
{
	struct settings *s = settings;

	if (!strcmp(value, "bad"))
		return flags_refuse(error, size, "expected a good name");
	return copy_text(s->name, sizeof(s->name), value);
}

static bool take_strict(void *settings, const char *value, char *error, size_t size)
{
	(void)value, (void)error, (void)size;
	((struct settings *)settings)->is_strict = true;
	return true;
}

static bool take_item(void *settings, const char *value, char *error, size_t size)
{
	struct settings *s = settings;

	(void)error, (void)size;
	strncat(s->list, value, sizeof(s->list) - strlen(s->list) - 2);
	strcat(s->list, ";");
	return true;
}

static const struct flag flags[] = {
	{"node-name", "NAME", "a name", false, take_name},
	{"strict", NULL, "a switch", false, take_strict},
	{"item", "ITEM", "a list", true, take_item, 'i'},
	{"reserved", "VALUE", NULL, false, take_name},
	{0},
};

/* The result of a parse: its outcome, the settings, the index of the first word, and its output. */
struct parsed {
	enum flags_outcome outcome;
	struct settings settings;
	int rest;
	char output[4096]; /* stdout and stderr */
};

/* Parses the words as a command line, up to a NULL; wants_rest: words that are no flags end the
 * flags. */
static struct parsed parse(bool wants_rest, const char *const words[WORDS_MAX])
{
	struct parsed parsed = {0};
	char *arguments[WORDS_MAX + 2] = {(char *)"program"};
	int count = 1;

	while (words[count - 1]) {
		arguments[count] = (char *)words[count - 1];
		count++;
	}
	log_settings.program = "test";
	begin_capture();
	parsed.outcome = flags_parse(flags, "usage: test", &parsed.settings, count, arguments,
				     wants_rest ? &parsed.rest : NULL);
	copy_text(parsed.output, sizeof(parsed.output), end_capture());
	return parsed;
}

#define PARSE(...)	parse(false, (const char *const[WORDS_MAX]){__VA_ARGS__})
#define PARSE_REST(...) parse(true, (const char *const[WORDS_MAX]){__VA_ARGS__})

static void assert_refused(const struct parsed *parsed, const char *message)
{
	assert_int_equal(parsed->outcome, FLAGS_WRONG);
	assert_string_equal(parsed->output, message);
}

static int clear_environment(void **state)
{
	unsetenv("PODVEIL_NODE_NAME");
	unsetenv("PODVEIL_STRICT");
	unsetenv("PODVEIL_ITEM");
	return 0;
}

TEST(flags_are_taken_with_space_or_equals_sign)
{
	struct parsed spaced = PARSE("--node-name", "n1", "--strict");
	struct parsed joined = PARSE("--node-name=n2=x");

	assert_int_equal(spaced.outcome, FLAGS_RUN);
	assert_string_equal(spaced.settings.name, "n1");
	assert_true(spaced.settings.is_strict);
	assert_int_equal(joined.outcome, FLAGS_RUN);
	assert_string_equal(joined.settings.name, "n2=x");
	assert_false(joined.settings.is_strict);
}

TEST(flags_repeat_only_by_adding)
{
	struct parsed parsed =
		PARSE("--item", "a", "--item=b", "--node-name", "x", "--node-name", "y");

	assert_string_equal(parsed.settings.list, "a;b;");
	assert_string_equal(parsed.settings.name, "y");
}

TEST(flags_short_form_is_the_same_flag)
{
	struct parsed parsed = PARSE("--item", "a", "-i", "-i", "-i", "b");
	struct parsed missing = PARSE("-i");
	struct parsed unknown = PARSE("-n", "x");
	struct parsed joined = PARSE("-ix");
	struct parsed help = PARSE("-h");

	assert_string_equal(parsed.settings.list, "a;-i;b;");
	assert_refused(&missing, "test: error: flag '--item' needs a value: ITEM\n");
	assert_refused(&unknown,
		       "test: error: unexpected argument '-n': expected only flags (see --help)\n");
	assert_int_equal(joined.outcome, FLAGS_WRONG);
	assert_int_equal(help.outcome, FLAGS_DONE);
}

TEST(flags_reserved_is_parsed_but_not_in_the_help)
{
	struct parsed help = PARSE("--help");
	struct parsed good = PARSE("--reserved", "n1");
	struct parsed refused = PARSE("--reserved", "bad");

	assert_null(strstr(help.output, "reserved"));
	assert_string_equal(good.settings.name, "n1");
	assert_refused(&refused, "test: error: --reserved: 'bad': expected a good name\n");
}

TEST(flags_unknown_is_named)
{
	struct parsed parsed = PARSE("--nodename", "n1");
	struct parsed prefix = PARSE("--node", "n1");

	assert_refused(&parsed, "test: error: unknown flag '--nodename': see --help\n");
	assert_int_equal(prefix.outcome, FLAGS_WRONG); /* no abbreviations */
}

TEST(flags_without_value_are_named)
{
	struct parsed missing = PARSE("--node-name");
	struct parsed unwanted = PARSE("--strict=yes");

	assert_refused(&missing, "test: error: flag '--node-name' needs a value: NAME\n");
	assert_refused(&unwanted, "test: error: flag '--strict=yes' takes no value\n");
}

TEST(flags_bad_value_is_quoted_with_the_expected_form)
{
	struct parsed parsed = PARSE("--node-name", "bad");

	assert_refused(&parsed, "test: error: --node-name: 'bad': expected a good name\n");
}

TEST(flags_hostile_text_stays_one_line)
{
	struct parsed parsed = PARSE("--x\n\x1b[2Jy");

	assert_refused(&parsed, "test: error: unknown flag '--x\\x0a\\x1b[2Jy': see --help\n");
}

TEST(flags_words_are_errors_unless_wanted)
{
	struct parsed refused = PARSE("--strict", "word");
	struct parsed wanted = PARSE_REST("--strict", "word", "--unknown");
	struct parsed none = PARSE_REST("--strict");

	assert_refused(
		&refused,
		"test: error: unexpected argument 'word': expected only flags (see --help)\n");
	assert_int_equal(wanted.outcome, FLAGS_RUN);
	assert_int_equal(wanted.rest, 2);
	assert_int_equal(none.rest, 2);
}

TEST(flags_come_from_the_environment, NULL, clear_environment)
{
	struct parsed parsed;

	setenv("PODVEIL_NODE_NAME", "from-env", 1);
	setenv("PODVEIL_STRICT", "true", 1);
	setenv("PODVEIL_ITEM", "a,b", 1);
	parsed = PARSE(NULL);
	assert_int_equal(parsed.outcome, FLAGS_RUN);
	assert_string_equal(parsed.settings.name, "from-env");
	assert_true(parsed.settings.is_strict);
	assert_string_equal(parsed.settings.list, "a;b;");
}

TEST(flags_command_line_wins_over_the_environment, NULL, clear_environment)
{
	struct parsed parsed;

	setenv("PODVEIL_NODE_NAME", "from-env", 1);
	setenv("PODVEIL_STRICT", "0", 1);
	setenv("PODVEIL_ITEM", "a", 1);
	parsed = PARSE("--node-name", "from-line", "--item", "b");
	assert_string_equal(parsed.settings.name, "from-line");
	assert_false(parsed.settings.is_strict);
	assert_string_equal(parsed.settings.list, "a;b;");
}

TEST(flags_empty_variable_counts_as_unset, NULL, clear_environment)
{
	struct parsed parsed;

	setenv("PODVEIL_NODE_NAME", "", 1);
	setenv("PODVEIL_STRICT", "", 1); /* neither true nor false */
	parsed = PARSE(NULL);
	assert_int_equal(parsed.outcome, FLAGS_RUN);
	assert_string_equal(parsed.settings.name, "");
	assert_false(parsed.settings.is_strict);
}

TEST(flags_bad_variable_is_named, NULL, clear_environment)
{
	struct parsed value, truth;

	setenv("PODVEIL_NODE_NAME", "bad", 1);
	value = PARSE(NULL);
	assert_refused(&value,
		       "test: error: environment: node-name: 'bad': expected a good name\n");
	clear_environment(NULL);
	setenv("PODVEIL_STRICT", "perhaps", 1);
	truth = PARSE(NULL);
	assert_refused(&truth, "test: error: PODVEIL_STRICT: 'perhaps': expected true or false\n");
}

TEST(flags_help_lists_every_flag)
{
	struct parsed parsed = PARSE("--strict", "--help");

	assert_int_equal(parsed.outcome, FLAGS_DONE);
	assert_non_null(strstr(parsed.output, "usage: test"));
	for (const struct flag *flag = flags; flag->name; flag++)
		assert_true(!flag->help || strstr(parsed.output, flag->help));
	assert_non_null(strstr(parsed.output, "  -i, --item ITEM  "));
}

TEST(flags_version_names_program_and_version)
{
	struct parsed parsed = PARSE("--version");

	assert_int_equal(parsed.outcome, FLAGS_DONE);
	assert_string_equal(parsed.output, "test " PODVEIL_VERSION "\n");
}

TEST_GROUP(clear_environment, NULL);
