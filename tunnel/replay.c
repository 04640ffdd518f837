// SPDX-License-Identifier: Apache-2.0
/*
 * RFC 6479: the window is a ring of words, cleared as it moves and never shifted. One word of the
 * 8192 bits is always partly cleared, so 8128 are usable. Callers have checked authenticity.
 */
#include "replay.h"

#define WORD_BITS 64
#define WORDS	  (REPLAY_BITS / WORD_BITS)

void replay_init(struct replay *replay)
{
	memset(replay, 0, sizeof(*replay));
}

/* Clears the words that enter the window as it moves to `position`; all of them after a long
 * jump. */
static void advance(struct replay *replay, uint64_t position)
{
	uint64_t word = replay->greatest / WORD_BITS;
	uint64_t steps = MIN(position / WORD_BITS - word, WORDS);

	for (uint64_t i = 1; i <= steps; i++)
		replay->bitmap[(word + i) % WORDS] = 0;
	replay->greatest = position;
}

bool replay_accept(struct replay *replay, uint64_t counter)
{
	uint64_t position, bit, *word;

	if (counter >= REJECT_AFTER_MESSAGES)
		return false;
	/* Positions count from 1 so that greatest == 0 means none; no overflow, the limit is far
	 * below 2^64. */
	position = counter + 1;
	if (position + REPLAY_WINDOW < replay->greatest)
		return false;
	if (position > replay->greatest)
		advance(replay, position);
	word = &replay->bitmap[position / WORD_BITS % WORDS];
	bit = 1ULL << (position % WORD_BITS);
	if (*word & bit)
		return false;
	*word |= bit;
	return true;
}
