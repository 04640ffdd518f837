/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vectors stay in the hexadecimal of the document they come from, so that they can be compared with it by eye.
 */
#pragma once

#include <assert.h>
#include <sodium.h>
#include <string.h>

/* Exactly len bytes; blanks between digits are skipped. */
static inline void unhex(void *ret_bytes, size_t len, const char *text)
{
	size_t got = 0;
	int error = sodium_hex2bin(ret_bytes, len, text, strlen(text), " \n", &got, NULL);

	assert(!error && got == len);
	(void)error;
}
