// SPDX-License-Identifier: Apache-2.0
/*
 * Compares the replay window with a plain set of all accepted counters (C18, C2): both give the
 * same answer for each counter, in any order, over jumps of any length, up to the limit.
 */
#include "cursor.h"
#include "replay.h"

#define TAKEN_MAX 1024

static struct {
	unsigned int count;
	uint64_t greatest;
	uint64_t counters[TAKEN_MAX];
} taken;

static bool is_new(uint64_t counter)
{
	if (counter >= REJECT_AFTER_MESSAGES)
		return false;
	if (taken.count && counter < taken.greatest && taken.greatest - counter > REPLAY_WINDOW)
		return false;
	for (unsigned int i = 0; i < taken.count; i++)
		if (taken.counters[i] == counter)
			return false;
	return true;
}

static void note(uint64_t counter)
{
	taken.greatest = taken.count ? MAX(taken.greatest, counter) : counter;
	taken.counters[taken.count++] = counter;
}

/* Near the window, at its edges, at the limit, or anywhere. */
static uint64_t choose_counter(struct cursor *cursor)
{
	uint8_t how = take_8(cursor);

	switch (how % 6) {
	case 0:
		return taken.greatest + how / 6;
	case 1:
		return taken.greatest - take_16(cursor) % (2 * REPLAY_BITS);
	case 2:
		return taken.greatest - REPLAY_WINDOW + how / 6 - 20;
	case 3:
		return taken.greatest + take_16(cursor);
	case 4:
		return REJECT_AFTER_MESSAGES + how / 6 - 20;
	default:
		return take_64(cursor);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cursor cursor = {data, len};
	struct replay replay;

	memset(&replay, 0xaa, sizeof(replay));
	replay_init(&replay);
	taken.count = 0;
	taken.greatest = 0;
	while (cursor.left && taken.count < TAKEN_MAX) {
		uint64_t counter = choose_counter(&cursor);
		bool expected = is_new(counter);

		MUST(replay_accept(&replay, counter) == expected);
		if (expected)
			note(counter);
	}
	return 0;
}
