/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why an input was refused: one line that names the text and the expected form. CORE writes it,
 * SHELL shows it. The line may contain hostile bytes, so they are quoted: printable ASCII only, and
 * short.
 */
#pragma once

#include <stdarg.h>
#include <stdio.h>

#include "util.h"

#define REFUSAL_LEN    320
#define QUOTE_TEXT_MAX 64 /* characters of the original text that are shown */

struct refusal {
	char text[REFUSAL_LEN]; /* empty: nothing was refused */
};

struct quote {
	char text[4 * QUOTE_TEXT_MAX + 6];
};

static inline void PRINTF(2, 3) refusal_write(struct refusal *refusal, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(refusal->text, sizeof(refusal->text), format, arguments);
	va_end(arguments);
}

/* Always false, for checks that end in `return refuse(...)`. */
#define refuse(refusal, ...) (refusal_write(refusal, __VA_ARGS__), false)

static inline const char *quote(struct quote *quote, const char *text)
{
	static const char digits[] = "0123456789abcdef";
	char *end = quote->text;
	unsigned int shown = 0;

	*end++ = '\'';
	for (; text[shown] && shown < QUOTE_TEXT_MAX; shown++) {
		unsigned char c = (unsigned char)text[shown];

		if (c >= 0x20 && c < 0x7f) {
			*end++ = (char)c;
		} else {
			*end++ = '\\';
			*end++ = 'x';
			*end++ = digits[c >> 4];
			*end++ = digits[c & 15];
		}
	}
	*end++ = '\'';
	if (text[shown]) {
		memcpy(end, "...", 3);
		end += 3;
	}
	*end = '\0';
	return quote->text;
}
