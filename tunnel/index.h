/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiver indices: the number by which the other side names a handshake or a session of ours (paper, 5.4.2). Random,
 * unique among all that live, never 0; freed with what they name. Open addressing without tombstones, as an array of
 * values, so that the table can be handed over as bytes.
 */
#pragma once

#include "tunnel.h"

/* Makes an index for the thing in this slot. */
uint32_t index_add(struct tunnel *tunnel, enum index_kind kind, uint32_t owner);

/* NULL: nothing of ours has this index. */
struct index_entry *index_find(struct tunnel_state *state, uint32_t index);

/* 0, or an index that is gone already: nothing happens. */
void index_remove(struct tunnel_state *state, uint32_t index);
