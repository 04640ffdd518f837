/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sliding window of counters seen (paper, 5.4.6; RFC 6479): 8192 bits of which 8128 are usable.
 */
#pragma once

#include "wire.h"

struct replay {
	uint64_t greatest; /* counter + 1; 0: none seen */
	uint64_t bitmap[REPLAY_BITS / 64];
};

void replay_init(struct replay *replay);

/* Call only for authentic packets. False: seen before, too old, or at REJECT_AFTER_MESSAGES and
 * above. */
MUST_CHECK bool replay_accept(struct replay *replay, uint64_t counter);
