// SPDX-License-Identifier: Apache-2.0
/*
 * Turns the tunnel's figures into the evidence by which claims are judged. The tunnel's memory
 * outlives keyd, so a restarted keyd judges as its predecessor did.
 */
#include "presence.h"

#include <assert.h>

static_assert(CLUSTER_PLACES_MAX == CONTROL_PLACES_MAX, "the member holds what the status shows");

/* For a peer that was never heard: the age of the tunnel's knowledge of it. */
static uint64_t quiet_ns(const struct control_peer_status *status)
{
	return MIN(status->last_received_age_ns, status->known_age_ns);
}

bool presence_is_quiet(const struct control_peer_status *status)
{
	return status->id && quiet_ns(status) >= PRESENCE_SILENT_NS;
}

uint64_t presence_quiet_in_ns(const struct control_peer_status *status)
{
	return PRESENCE_SILENT_NS - MIN(quiet_ns(status), PRESENCE_SILENT_NS);
}

static bool is_silent(const struct control_peer_status *status)
{
	return presence_is_quiet(status) && status->asked_age_ns != UINT64_MAX &&
	       status->asked_age_ns >= PRESENCE_PATIENCE_NS;
}

static bool was_asked_in_vain(const struct control_place *place, uint64_t now_ns)
{
	return place->asked_ns && place->asked_count >= PRESENCE_LEFT_TRIES &&
	       now_ns - place->asked_ns >= PRESENCE_LEFT_NS;
}

static uint64_t heard_ns(const struct control_peer_status *status, uint64_t now_ns)
{
	return now_ns - MIN(quiet_ns(status), now_ns);
}

/* The time since which the node is at none of its addresses; 0: it may be at one. If the node did
 * not answer at one of its addresses and was not heard since, we need not ask it at the others:
 * questions to a peer are spaced, and traffic waits. */
static uint64_t nowhere_ns(const struct control_peer_status *status, uint64_t now_ns)
{
	for (uint32_t i = 0; i < MIN(status->place_count, (uint32_t)CLUSTER_PLACES_MAX); i++)
		if (was_asked_in_vain(&status->places[i], now_ns) &&
		    status->places[i].asked_ns >= heard_ns(status, now_ns))
			return status->places[i].asked_ns;
	return 0;
}

void presence_note(struct cluster_member *member, const struct control_peer_status *status,
		   uint64_t now_ns)
{
	uint64_t gone_ns = nowhere_ns(status, now_ns);

	member->is_silent = is_silent(status);
	member->is_askable = status->id;
	member->place_count = MIN(status->place_count, (uint32_t)CLUSTER_PLACES_MAX);
	for (uint32_t i = 0; i < member->place_count; i++) {
		const struct control_place *place = &status->places[i];
		bool has_left = was_asked_in_vain(place, now_ns);
		uint64_t left_ns = has_left ? place->asked_ns : gone_ns;

		member->places[i] = (struct cluster_place){
			.address = place->address,
			.proved_ns = place->proved_ns,
			.answered_ns = place->answered_ns,
			.left_ns = left_ns,
			.has_lapsed = has_left && place->asked_ns < heard_ns(status, now_ns),
		};
	}
}

uint64_t presence_ask_delay_ns(uint32_t asked)
{
	static const uint32_t delays_ms[] = {0, 150, 150, 150, 1000, 5000};

	return NS_PER_MS * (asked < ARRAY_SIZE(delays_ms) ? delays_ms[asked] : 15000U);
}
