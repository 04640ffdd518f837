/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One program on one device, and how often it had to be put back. CORE: time is passed in. Who takes a hook off again and
 * again is not fought without bound: past five repairs within a minute they come at most once a second, and the node
 * says so.
 */
#pragma once

#include "util.h"

#define HOOK_REPAIRS_MAX       5
#define HOOK_REPAIRS_WITHIN_NS (60 * NS_PER_S)
#define HOOK_PACE_NS	       (1 * NS_PER_S)

struct repairs {
	uint64_t count;
	uint64_t at_ns[HOOK_REPAIRS_MAX]; /* the last ones, as a ring; 0: none */
};

void repairs_note(struct repairs *repairs, uint64_t now_ns);

/* Five repairs within the last minute: somebody works against us. */
bool repairs_are_contested(const struct repairs *repairs, uint64_t now_ns);

/* May it be repaired now, or is it too soon after the last time? */
bool repairs_may_go_on(const struct repairs *repairs, uint64_t now_ns);
