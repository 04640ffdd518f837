/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiver indices: the number by which the other side names a handshake or a session of ours (paper, 5.4.2). Random,
 * unique among all that live, never 0; freed with what they name. Open addressing without tombstones, as an array of
 * values, so that the table can be handed over as bytes.
 */
#pragma once

#include "util.h"

#define INDEX_SLOTS 262144 /* power of two, at least four times the indices that can live */

struct tunnel;
struct tunnel_state;

enum index_kind { INDEX_FREE, INDEX_HANDSHAKE, INDEX_SESSION };

struct index_entry {
	uint32_t index;
	uint32_t kind : 2;  /* enum index_kind */
	uint32_t slot : 30; /* a pair's for a handshake, a session's for a session */
};

/* Makes an index for the thing in this slot. */
uint32_t index_add(struct tunnel *tunnel, enum index_kind kind, uint32_t slot);

/* NULL: nothing of ours has this index. */
struct index_entry *index_find(struct tunnel_state *state, uint32_t index);

/* 0, or an index that is gone already: nothing happens. */
void index_remove(struct tunnel_state *state, uint32_t index);
