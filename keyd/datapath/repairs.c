// SPDX-License-Identifier: Apache-2.0
/*
 * The rate of repairs. The next slot of the ring always holds the oldest of the last five repairs,
 * so one comparison shows how long those five took.
 */
#include "repairs.h"

void repairs_note(struct repairs *repairs, uint64_t now_ns)
{
	repairs->at_ns[repairs->count++ % HOOK_REPAIRS_MAX] = now_ns;
}

bool repairs_are_contested(const struct repairs *repairs, uint64_t now_ns)
{
	uint64_t oldest_ns = repairs->at_ns[repairs->count % HOOK_REPAIRS_MAX];

	return repairs->count >= HOOK_REPAIRS_MAX && now_ns - oldest_ns < HOOK_REPAIRS_WITHIN_NS;
}

bool repairs_may_go_on(const struct repairs *repairs, uint64_t now_ns)
{
	uint64_t last_ns;

	if (!repairs_are_contested(repairs, now_ns))
		return true;
	last_ns = repairs->at_ns[(repairs->count - 1) % HOOK_REPAIRS_MAX];
	return now_ns - last_ns >= HOOK_PACE_NS;
}
