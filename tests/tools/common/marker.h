/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The marker that a run's traffic carries and a detector searches the wire for: 16 random bytes, on
 * command lines in hexadecimal. Traffic of many kinds at once has numbered markers, which differ in
 * their last four bytes.
 */
#pragma once

#include "flags.h"

#define MARKER_LEN	 16
#define MARKER_NUMBER_AT 12
#define MARKER_NUMBERS	 1024 /* of one run, at most */

/* False if the text is not a marker; then `error` holds the expected form. */
static inline bool marker_take(uint8_t ret_marker[static MARKER_LEN], const char *text, char *error,
			       size_t size)
{
	if (strlen(text) != 2 * MARKER_LEN ||
	    strspn(text, "0123456789abcdefABCDEF") != 2 * MARKER_LEN)
		return flags_refuse(error, size, "expected %d hexadecimal digits", 2 * MARKER_LEN);
	for (unsigned int i = 0; i < MARKER_LEN; i++)
		sscanf(text + 2 * i, "%2hhx", &ret_marker[i]);
	return true;
}

/* The number of this run's first marker in the frame; -1: no marker. */
static inline int64_t marker_number(const uint8_t marker[static MARKER_LEN], const uint8_t *frame,
				    size_t len)
{
	const uint8_t *at = memmem(frame, len, marker, MARKER_NUMBER_AT);

	if (!at || (size_t)(frame + len - at) < MARKER_LEN)
		return -1;
	return get_be32(at + MARKER_NUMBER_AT);
}

static inline bool marker_take_number(uint8_t marker[static MARKER_LEN], const char *text,
				      char *error, size_t size)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (!*text || *end || number >= MARKER_NUMBERS)
		return flags_refuse(error, size, "expected 0 to %d", MARKER_NUMBERS - 1);
	put_be32(marker + MARKER_NUMBER_AT, (uint32_t)number);
	return true;
}
