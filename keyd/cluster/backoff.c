// SPDX-License-Identifier: Apache-2.0
/*
 * The delays: first_ms, twice that, and so on up to max_ms.
 */
#include "backoff.h"

void backoff_begin(struct backoff *backoff, uint32_t spread_ms, uint64_t now_ns, uint32_t random)
{
	*backoff = (struct backoff){.due_ns = now_ns + NS_PER_MS * (random % (spread_ms + 1))};
}

void backoff_delay(struct backoff *backoff, const struct backoff_pace *pace, uint64_t now_ns,
		   uint32_t random)
{
	uint32_t jitter_ms = 0;

	backoff->delay_ms = MIN(MAX(2 * backoff->delay_ms, pace->first_ms), pace->max_ms);
	if (pace->jitter_parts)
		jitter_ms = random % (backoff->delay_ms / pace->jitter_parts + 1);
	backoff->due_ns = now_ns + NS_PER_MS * (backoff->delay_ms + jitter_ms);
}
