/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs one line per event to stderr, as text or JSON. Only SHELL code logs; CORE never does.
 * Arguments may contain hostile bytes (annotations, file names): control characters never reach the
 * terminal. Keys are never arguments.
 */
#pragma once

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "util.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

struct log_settings {
	const char *program;
	enum log_level level;
	bool is_json;
};

/* One per program, however many files include this header. */
__attribute__((weak)) struct log_settings log_settings = {.program = "podveil", .level = LOG_INFO};

static inline bool log_parse_level(enum log_level *ret_level, const char *text)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(text, names[i])) {
			*ret_level = (enum log_level)i;
			return true;
		}
	return false;
}

/* Copies text so that it fits into one line: a byte that is not printable ASCII becomes \xNN; for
 * JSON, quotes and backslashes are escaped. */
static inline void log_escape(char *ret_line, size_t size, const char *text, bool is_json)
{
	static const char digits[] = "0123456789abcdef";
	size_t used = 0;

	for (const unsigned char *c = (const unsigned char *)text; *c && used + 7 < size; c++) {
		if (is_json && (*c == '"' || *c == '\\')) {
			ret_line[used++] = '\\';
			ret_line[used++] = (char)*c;
		} else if (*c >= 0x20 && *c < 0x7f) {
			ret_line[used++] = (char)*c;
		} else {
			memcpy(ret_line + used, is_json ? "\\u00" : "\\x", is_json ? 4 : 2);
			used += is_json ? 4 : 2;
			ret_line[used++] = digits[*c >> 4];
			ret_line[used++] = digits[*c & 15];
		}
	}
	ret_line[used] = '\0';
}

static inline void PRINTF(2, 3) log_write(enum log_level level, const char *format, ...)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	char text[2048], line[4096], when[32];
	struct timespec now;
	struct tm utc;
	va_list arguments;

	if (level > log_settings.level)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	log_escape(line, sizeof(line), text, log_settings.is_json);
	if (!log_settings.is_json) {
		fprintf(stderr, "%s: %s: %s\n", log_settings.program, names[level], line);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &utc);
	fprintf(stderr,
		"{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"program\":\"%s\",\"message\":\"%s\"}\n",
		when, now.tv_nsec / 1000000, names[level], log_settings.program, line);
}

#define log_error(...)	 log_write(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_info(...)	 log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...)	 log_write(LOG_DEBUG, __VA_ARGS__)
