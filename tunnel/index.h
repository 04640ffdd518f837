/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiver indices: the number by which the other side names one of our handshakes or sessions
 * (paper, 5.4.2). Random, unique among all in use, never 0; freed with its handshake or session.
 * Open addressing without tombstones, as an array of values, so that the table can be handed over
 * as bytes.
 */
#pragma once

#include "tunnel.h"

/* Creates an index for the pair (a handshake) or the session with this index in its pool. */
uint32_t index_add(struct tunnel *tunnel, enum index_kind kind, uint32_t owner);

/* NULL: the index is not in use. */
struct index_entry *index_find(struct tunnel_state *state, uint32_t index);

/* Does nothing for 0 and for an index that is not in use. */
void index_remove(struct tunnel_state *state, uint32_t index);
