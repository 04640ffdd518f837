/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a datagram or a block of the stream has behind its number: any bytes, but of each number its own.
 */
#include "flow.h"

static uint8_t pattern[PATTERN_SHIFTS + DATAGRAM_MAX];

/* Any bytes, the same in every process (a linear congruential generator's upper ones). */
void pattern_make(void)
{
	uint32_t state = 1;

	for (size_t i = 0; i < sizeof(pattern); i++) {
		state = state * 1664525 + 1013904223;
		pattern[i] = (uint8_t)(state >> 24);
	}
}

/* Each number has its own piece of it, so that bytes of one datagram are wrong in another. */
const uint8_t *pattern_of(uint64_t sequence)
{
	return pattern + sequence * 131 % PATTERN_SHIFTS;
}
