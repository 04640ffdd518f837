/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a datagram, or of a block of the stream, after its number: arbitrary, but different
 * for each number.
 */
#include "flow.h"

static uint8_t pattern[PATTERN_SHIFTS + DATAGRAM_MAX];

/* Arbitrary bytes, the same in every process (the upper bytes of a linear congruential
 * generator). */
void pattern_make(void)
{
	uint32_t state = 1;

	for (size_t i = 0; i < sizeof(pattern); i++) {
		state = state * 1664525 + 1013904223;
		pattern[i] = (uint8_t)(state >> 24);
	}
}

/* Each number has its own part of it, so that bytes of one datagram are wrong in another. */
const uint8_t *pattern_of(uint64_t sequence)
{
	return pattern + sequence * 131 % PATTERN_SHIFTS;
}
