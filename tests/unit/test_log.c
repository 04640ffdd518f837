// SPDX-License-Identifier: Apache-2.0
/*
 * include/log.h: a terminal or a log collector receives one line of printable text for any message.
 */

#include <jansson.h>

#include "log.h"
#include "outputs.h"

static void assert_escaped(const char *text, bool is_json, const char *expected)
{
	char line[256];

	log_escape(line, sizeof(line), text, is_json);
	assert_string_equal(line, expected);
}

TEST(log_escape_leaves_printable_ascii_alone)
{
	assert_escaped("node n1: 10.244.1.0/24 ~ 'x'", false, "node n1: 10.244.1.0/24 ~ 'x'");
	assert_escaped("", false, "");
}

TEST(log_escape_never_passes_a_control_character)
{
	char text[] = "?", line[64];

	for (int c = 1; c < 256; c++) {
		text[0] = (char)c;
		for (int is_json = 0; is_json < 2; is_json++) {
			log_escape(line, sizeof(line), text, is_json);
			for (const char *p = line; *p; p++)
				assert_in_range(*p, 0x20, 0x7e);
		}
	}
}

TEST(log_escape_shows_what_it_replaced)
{
	assert_escaped("a\x1b[2J\nb\x7f\xc3", false, "a\\x1b[2J\\x0ab\\x7f\\xc3");
	assert_escaped("a\x1b\n", true, "a\\u001b\\u000a");
}

TEST(log_escape_keeps_quotes_from_ending_a_json_string)
{
	assert_escaped("say \"no\" \\ ", true, "say \\\"no\\\" \\\\ ");
	assert_escaped("say \"no\"", false, "say \"no\"");
}

TEST(log_escape_cuts_at_the_end_of_its_room)
{
	char line[12];

	memset(line, 'x', sizeof(line));
	log_escape(line, sizeof(line), "\n\n\n\n\n\n\n\n", true);
	assert_in_range(strlen(line), 1, sizeof(line) - 1);
	assert_int_equal(strlen(line) % 6, 0); /* no half escape */
}

TEST(log_level_is_parsed_by_name_only)
{
	enum log_level level = LOG_INFO;

	assert_true(log_parse_level(&level, "debug"));
	assert_int_equal(level, LOG_DEBUG);
	assert_false(log_parse_level(&level, "verbose"));
	assert_false(log_parse_level(&level, ""));
	assert_false(log_parse_level(&level, "INFO"));
	assert_int_equal(level, LOG_DEBUG);
}

/* Returns the output of one message. */
static const char *written(bool is_json, enum log_level level, const char *message)
{
	begin_capture();
	log_settings =
		(struct log_settings){.program = "test", .level = LOG_INFO, .is_json = is_json};
	log_write(level, "%s", message);
	return end_capture();
}

TEST(log_text_is_one_line_with_program_and_level)
{
	assert_string_equal(written(false, LOG_WARNING, "two\nlines"),
			    "test: warning: two\\x0alines\n");
}

TEST(log_json_is_one_document_for_any_message)
{
	const char *text = written(true, LOG_ERROR, "a \"quoted\"\n\x01 \\ word");
	json_t *document = json_loads(text, 0, NULL);

	assert_non_null(document);
	assert_string_equal(json_string_value(json_object_get(document, "level")), "error");
	assert_string_equal(json_string_value(json_object_get(document, "program")), "test");
	assert_string_equal(json_string_value(json_object_get(document, "message")),
			    "a \"quoted\"\n\x01 \\ word");
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	json_decref(document);
}

TEST(log_below_its_level_writes_nothing)
{
	assert_string_equal(written(false, LOG_DEBUG, "not wanted"), "");
}
