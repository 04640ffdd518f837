// SPDX-License-Identifier: Apache-2.0
/*
 * A handshake has completed when a session was confirmed: by the peer's first authenticated packet
 * on it, or by the response to our own initiation. Either end may be a moment behind the other. In
 * permissive mode cleartext is let in meanwhile, so the change from cleartext to encryption loses
 * no packet.
 */
#include "ratchet.h"

#define TRY_SPREAD_MS 2 /* for each other node: 5,000 first tries take ten seconds */

const struct backoff_pace ratchet_pace = {.first_ms = 5000, .max_ms = 60000, .jitter_parts = 4};

uint32_t ratchet_spread_ms(uint32_t member_count)
{
	return member_count ? TRY_SPREAD_MS * (member_count - 1) : 0;
}

static bool has_completed_handshake(const struct control_peer_status *status)
{
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
		if (status->has_reached[slot] || status->has_proved[slot])
			return true;
	return false;
}

enum ratchet_step ratchet_next(const struct control_peer_status *status, enum datapath_mode mode,
			       bool is_usable)
{
	if (has_completed_handshake(status))
		return RATCHET_NOTE_REACHED;
	return mode == MODE_PERMISSIVE && is_usable ? RATCHET_TRY : RATCHET_WAIT;
}
