/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by every fuzz target: the input as an endless cursor (zeros follow the last byte), copies
 * of exactly the announced length, so that AddressSanitizer detects the first byte too many, and
 * MUST for assertions. A target is a function of its input alone: no clock, no randomness, no state
 * from the input before.
 */
#pragma once

#include <stdio.h>

#include "util.h"

struct cursor {
	const uint8_t *at;
	size_t left;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Must hold for every input; works even where asserts are off and a target has silenced stderr. */
#define MUST(condition)                                                                 \
	do {                                                                            \
		if (!(condition)) {                                                     \
			dprintf(STDERR_FILENO, "%s:%d: MUST(%s)\n", __FILE__, __LINE__, \
				#condition);                                            \
			abort();                                                        \
		}                                                                       \
	} while (0)

static inline void take(struct cursor *cursor, void *ret_bytes, size_t len)
{
	size_t there = MIN(len, cursor->left);

	memset(ret_bytes, 0, len);
	if (there)
		memcpy(ret_bytes, cursor->at, there);
	cursor->at += there;
	cursor->left -= there;
}

static inline uint8_t take_8(struct cursor *cursor)
{
	uint8_t byte;

	take(cursor, &byte, 1);
	return byte;
}

static inline uint16_t take_16(struct cursor *cursor)
{
	uint8_t bytes[2];

	take(cursor, bytes, 2);
	return get_be16(bytes);
}

static inline uint32_t take_32(struct cursor *cursor)
{
	uint8_t bytes[4];

	take(cursor, bytes, 4);
	return get_be32(bytes);
}

static inline uint64_t take_64(struct cursor *cursor)
{
	uint8_t bytes[8];

	take(cursor, bytes, 8);
	return get_le64(bytes);
}

/* The next bytes in memory of their own, of which nothing may be read beyond the end. The caller
 * frees them. */
static inline uint8_t *take_copy(struct cursor *cursor, size_t len)
{
	uint8_t *copy = malloc(len);

	MUST(copy || !len);
	take(cursor, copy, len);
	return copy;
}

static inline uint8_t *copy_bytes(const void *bytes, size_t len)
{
	uint8_t *copy = malloc(len);

	MUST(copy || !len);
	if (len)
		memcpy(copy, bytes, len);
	return copy;
}
