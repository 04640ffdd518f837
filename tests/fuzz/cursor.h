/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by all fuzz targets: the input as a cursor that never ends (zeros follow the last byte),
 * copies of exactly the stated length, so that AddressSanitizer sees the first byte too many, and
 * MUST for invariants. A target is one function of its input: no clock, no randomness, no state
 * left over from the previous input.
 */
#pragma once

#include <stdio.h>

#include "util.h"

struct cursor {
	const uint8_t *at;
	size_t left;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* An invariant for every input; active also where asserts are off and a target has silenced
 * stderr. */
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

/* The next bytes in a memory block of their own, so that a read beyond the end is detected. The
 * caller frees them. */
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
