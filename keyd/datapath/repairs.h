/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often one program on one device had to be repaired. CORE: time is passed in. If another
 * program keeps removing a hook, keyd does not fight it without bound: after five repairs within a
 * minute it repairs at most once a second, and the node reports it.
 */
#pragma once

#include "util.h"

#define HOOK_REPAIRS_MAX       5
#define HOOK_REPAIRS_WITHIN_NS (60 * NS_PER_S)
#define HOOK_PACE_NS	       (1 * NS_PER_S)

struct repairs {
	uint64_t count;
	uint64_t at_ns[HOOK_REPAIRS_MAX]; /* the last repairs, as a ring; 0: none */
};

void repairs_note(struct repairs *repairs, uint64_t now_ns);

/* Five repairs within the last minute: another program is working against us. */
bool repairs_are_contested(const struct repairs *repairs, uint64_t now_ns);

/* False if it is too soon after the last repair. */
bool repairs_may_go_on(const struct repairs *repairs, uint64_t now_ns);
