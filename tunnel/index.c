// SPDX-License-Identifier: Apache-2.0
/*
 * The table of receiver indices (paper, 5.4.2). An index is random, so its low bits serve as its
 * hash. Strangers can look up any index but never create one, so they cannot build long runs.
 */
#include "index.h"

static_assert((INDEX_SLOTS & (INDEX_SLOTS - 1)) == 0, "a mask gives the place");
static_assert(INDEX_SLOTS >= 4 * (SESSIONS_MAX + PAIRS_MAX), "runs stay short");

static uint32_t place_of(uint32_t index)
{
	return index & (INDEX_SLOTS - 1);
}

static uint32_t next_place(uint32_t place)
{
	return (place + 1) & (INDEX_SLOTS - 1);
}

struct index_entry *index_find(struct tunnel_state *state, uint32_t index)
{
	uint32_t place = place_of(index);

	for (; state->indices[place].kind != INDEX_FREE; place = next_place(place))
		if (state->indices[place].index == index)
			return &state->indices[place];
	return NULL;
}

uint32_t index_add(struct tunnel *tunnel, enum index_kind kind, uint32_t owner)
{
	struct tunnel_state *state = tunnel->state;
	uint32_t index, place;

	do
		tunnel->upcalls.random(tunnel->context, &index, sizeof(index));
	while (!index || index_find(state, index));
	place = place_of(index);
	while (state->indices[place].kind != INDEX_FREE)
		place = next_place(place);
	state->indices[place] =
		(struct index_entry){.index = index, .kind = kind, .owner = owner & 0x3fffffff};
	return index;
}

/* May the entry move into the gap, that is, does its run start at or before the gap? Distances wrap
 * around the table. */
static bool may_fill(const struct index_entry *entry, uint32_t at, uint32_t gap)
{
	return place_of(at - place_of(entry->index)) >= place_of(at - gap);
}

void index_remove(struct tunnel_state *state, uint32_t index)
{
	struct index_entry *found = index ? index_find(state, index) : NULL;
	uint32_t gap;

	if (!found)
		return;
	gap = (uint32_t)(found - state->indices);
	/* Entries behind the gap move up; otherwise a search for them would stop at it. */
	for (uint32_t at = next_place(gap); state->indices[at].kind != INDEX_FREE;
	     at = next_place(at)) {
		if (!may_fill(&state->indices[at], at, gap))
			continue;
		state->indices[gap] = state->indices[at];
		gap = at;
	}
	state->indices[gap] = (struct index_entry){.kind = INDEX_FREE};
}
