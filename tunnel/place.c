// SPDX-License-Identifier: Apache-2.0
/*
 * A peer has few places: its endpoints in use, and addresses that another node claims too. An
 * address without a proof is replaced first, so that questions never evict a proof while another
 * place is left.
 */
#include "place.h"

static struct peer_place *find(struct peer_place places[static PEER_PLACES_MAX],
			       const struct address *address)
{
	for (unsigned int i = 0; i < PEER_PLACES_MAX; i++)
		if (places[i].address.family && address_is_equal(&places[i].address, address))
			return &places[i];
	return NULL;
}

/* A free place has answered_ns 0 and no address; it is used before any other. */
static struct peer_place *find_or_replace(struct peer_place places[static PEER_PLACES_MAX],
					  const struct address *address)
{
	struct peer_place *place = find(places, address), *oldest = &places[0];

	if (place)
		return place;
	for (unsigned int i = 0; i < PEER_PLACES_MAX && oldest->address.family; i++)
		if (!places[i].address.family || places[i].answered_ns < oldest->answered_ns)
			oldest = &places[i];
	*oldest = (struct peer_place){.address = *address};
	return oldest;
}

void place_note_asked(struct peer_place places[static PEER_PLACES_MAX],
		      const struct address *address, uint64_t now_ns)
{
	struct peer_place *place = find_or_replace(places, address);

	if (!place->asked_ns)
		place->asked_ns = now_ns;
	place->asked_count++;
}

void place_note_answered(struct peer_place places[static PEER_PLACES_MAX],
			 const struct address *address, uint64_t now_ns)
{
	struct peer_place *place = find_or_replace(places, address);

	if (!place->proved_ns)
		place->proved_ns = now_ns;
	place->answered_ns = now_ns;
	place->asked_ns = 0;
	place->asked_count = 0;
}

void place_forget(struct peer_place places[static PEER_PLACES_MAX], const struct address *address)
{
	struct peer_place *place = find(places, address);

	if (place)
		*place = (struct peer_place){0};
}
