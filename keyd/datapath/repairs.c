// SPDX-License-Identifier: Apache-2.0
/*
 * The rate of repairs. The ring's next place is always the oldest of the last five, so that one comparison tells how
 * long those five took.
 */
#include "repairs.h"

void hook_note_repair(struct hook_repairs *repairs, uint64_t now_ns)
{
	repairs->at_ns[repairs->count++ % HOOK_REPAIRS_MAX] = now_ns;
}

bool hook_is_contested(const struct hook_repairs *repairs, uint64_t now_ns)
{
	uint64_t oldest_ns = repairs->at_ns[repairs->count % HOOK_REPAIRS_MAX];

	return repairs->count >= HOOK_REPAIRS_MAX && now_ns - oldest_ns < HOOK_REPAIRS_WITHIN_NS;
}

bool hook_may_repair(const struct hook_repairs *repairs, uint64_t now_ns)
{
	uint64_t last_ns;

	if (!hook_is_contested(repairs, now_ns))
		return true;
	last_ns = repairs->at_ns[(repairs->count - 1) % HOOK_REPAIRS_MAX];
	return now_ns - last_ns >= HOOK_PACE_NS;
}
