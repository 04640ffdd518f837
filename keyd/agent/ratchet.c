// SPDX-License-Identifier: Apache-2.0
/*
 * A handshake was completed where a session was confirmed: by the peer's first authenticated packet on it, or by the
 * response to our own initiation. Either end may be a moment behind the other, and in permissive mode what comes in clear
 * is let in, so that the change from clear to encrypted loses nothing.
 */
#include "ratchet.h"

#include <sodium.h>

#include "host/clock.h"
#include "log.h"

#define TRY_FIRST_MS	 5000
#define TRY_MAX_MS	 60000
#define TRY_SPREAD_MS	 2 /* for each other node: 5,000 first tries take ten seconds */
#define TRY_JITTER_PARTS 4 /* a quarter, at random */

static bool has_completed_handshake(const struct control_peer_status *status)
{
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
		if (status->has_reached[slot] || status->has_proved[slot])
			return true;
	return false;
}

static void note_reached(struct agent *agent, const struct cluster_member *member)
{
	if (datapath_note_reached(&agent->datapath, member->id))
		agent_add_reason(agent, REASON_MAPS, "", "the BPF maps cannot be written");
	else if (agent->mode == MODE_PERMISSIVE)
		log_info("node %s was reached: from now on nothing to it goes in clear",
			 member->name);
}

static uint64_t random_ms(uint32_t limit_ms)
{
	return randombytes_uniform(limit_ms + 1);
}

static void try_peer(struct agent *agent, struct member *member, uint64_t now_ns)
{
	if (!member->try_ns) {
		member->try_delay_ms = TRY_FIRST_MS;
		member->try_ns =
			now_ns + NS_PER_MS * random_ms(TRY_SPREAD_MS * (agent->members.count - 1));
	}
	if (now_ns < member->try_ns)
		return;
	(void)!tunnel_client_try_peer(&agent->tunnel,
				      member->core.id); /* again later, if it failed */
	member->try_ns = now_ns + NS_PER_MS * (member->try_delay_ms +
					       random_ms(member->try_delay_ms / TRY_JITTER_PARTS));
	member->try_delay_ms = MIN(2 * member->try_delay_ms, (uint32_t)TRY_MAX_MS);
}

void ratchet_advance(struct agent *agent)
{
	uint64_t now_ns = boot_ns();

	for (uint32_t i = 0; i < agent->members.count; i++) {
		struct member *member = member_of(agent->members.items[i]);

		if (!member->core.id || ratchet_was_reached(agent, &member->core))
			continue;
		if (has_completed_handshake(&member->status))
			note_reached(agent, &member->core);
		else if (agent->mode == MODE_PERMISSIVE && member->core.state == MEMBER_USABLE &&
			 tunnel_client_is_connected(&agent->tunnel))
			try_peer(agent, member, now_ns);
	}
}

bool ratchet_is_waiting(const struct agent *agent)
{
	if (agent->mode != MODE_PERMISSIVE)
		return false;
	for (uint32_t i = 0; i < agent->members.count; i++)
		if (agent->members.items[i]->state == MEMBER_USABLE &&
		    !ratchet_was_reached(agent, agent->members.items[i]))
			return true;
	return false;
}

int ratchet_set_mode(struct agent *agent, enum datapath_mode mode)
{
	struct datapath_config config = agent->datapath.config;
	int error;

	config.mode = mode;
	error = datapath_set_config(&agent->datapath, &config);
	if (!error)
		agent->mode = mode;
	return error;
}
