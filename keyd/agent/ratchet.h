/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which nodes were reached: once a handshake with a node was completed, nothing to or from it goes in clear any more, in
 * no mode and after no restart. SHELL. In permissive mode no packet leads to a handshake before that, so that it is begun
 * here.
 */
#pragma once

#include "agent.h"

/* Notes whom the tunnel has reached by what it said last, and in permissive mode makes it try the others. */
void ratchet_advance(struct agent *agent);

/* Is the mode permissive, and a peer usable that was not reached yet? Then the tunnel is asked every second. */
bool ratchet_is_waiting(const struct agent *agent);

static inline bool ratchet_was_reached(const struct agent *agent,
				       const struct cluster_member *member)
{
	return datapath_was_reached(&agent->datapath, member->id, member->name);
}

/* The mode from now on, by one write to the map; what the ratchet holds is not touched. 0 or -errno. */
MUST_CHECK int ratchet_set_mode(struct agent *agent, enum datapath_mode mode);
