/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exponential back-off with jitter: when the next attempt is due. CORE: time and randomness are
 * passed in.
 */
#pragma once

#include "util.h"

struct backoff_pace {
	uint32_t first_ms, max_ms;
	uint32_t jitter_parts; /* up to 1/jitter_parts of a delay is added at random; 0: nothing */
};

/* All zero before the first attempt. */
struct backoff {
	uint64_t due_ns; /* the next attempt; 0: at once */
	uint32_t delay_ms;
};

/* The first attempt is due at a random time within spread_ms, so that many do not make theirs
 * together. */
void backoff_begin(struct backoff *backoff, uint32_t spread_ms, uint64_t now_ns, uint32_t random);

/* An attempt was made or has failed: the next one is due after a delay that doubles up to
 * max_ms. */
void backoff_delay(struct backoff *backoff, const struct backoff_pace *pace, uint64_t now_ns,
		   uint32_t random);

static inline bool backoff_has_begun(const struct backoff *backoff)
{
	return backoff->due_ns;
}

static inline bool backoff_is_due(const struct backoff *backoff, uint64_t now_ns)
{
	return now_ns >= backoff->due_ns;
}
