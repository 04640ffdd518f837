/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The marker that a run's traffic carries and the wire is searched for: 16 random bytes, on command lines in
 * hexadecimal.
 */
#pragma once

#include "flags.h"

#define MARKER_LEN 16

/* False, with what was expected in `error`, where the text is no marker. */
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
