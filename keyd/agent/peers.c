// SPDX-License-Identifier: Apache-2.0
/*
 * The order carries promise 1: a peer is in the maps (unusable: drop) before a prefix points to it, in the tunnel before it
 * is usable in the maps, and out of the maps before the tunnel forgets it.
 */
#include "peers.h"

#include <errno.h>

#include "cluster/presence.h"
#include "event.h"
#include "facts.h"
#include "log.h"
#include "peer_request.h"
#include "pod_cidrs.h"

/* -- what the tunnel says of them -- */

/* While the tunnel is away, what it knew last of the peers holds. */
static void forget_presence_of_unknown(struct agent *agent)
{
	static const struct control_peer_status unknown;

	for (uint32_t i = 0; i < agent->members.count; i++)
		if (!member_of(agent->members.items[i])->status.id)
			presence_note(agent->members.items[i], &unknown, 0);
}

bool peers_refresh_status(struct agent *agent)
{
	static struct control_page page; /* large, and only used here */
	struct tunnel_client *tunnel = &agent->tunnel;
	uint32_t after = 0;

	for (uint32_t i = 0; i < agent->members.count; i++)
		member_of(agent->members.items[i])->status = (struct control_peer_status){0};
	do {
		if (!tunnel_client_is_connected(tunnel) ||
		    tunnel_client_list_peers(tunnel, after, &page))
			return false;
		for (uint32_t i = 0; i < page.count; i++) {
			struct member *member = members_find_id(&agent->members, page.peers[i].id);

			after = page.peers[i].id;
			if (!member)
				continue;
			member->status = page.peers[i];
			presence_note(&member->core, &member->status, page.now_ns);
		}
	} while (!page.is_last && page.count);
	forget_presence_of_unknown(agent);
	return true;
}

/* The keys in the other slots are known by what the tunnel was told; after a restart that is nothing yet. */
void peers_note_proofs(struct agent *agent)
{
	for (uint32_t i = 0; i < agent->members.count; i++) {
		struct member *member = member_of(agent->members.items[i]);
		const struct control_peer_status *status = &member->status;

		for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
			if (status->has_reached[slot] && slot == KEY_CURRENT)
				cluster_note_proof(&member->core, &status->key);
			else if (status->has_reached[slot] && member->was_told[slot])
				cluster_note_proof(&member->core, &member->told_keys[slot]);
	}
}

/* -- what it is told of them -- */

/* Drop its packets first, then forget it: in the other order the tunnel would get packets for nobody. */
static void disarm_peer(struct agent *agent, struct member *member)
{
	if (datapath_set_peer(&agent->datapath, member->core.id, member->core.name, false))
		agent_add_reason(agent, REASON_MAPS, "", "the BPF maps cannot be written");
	if (member->status.id && !tunnel_client_remove_peer(&agent->tunnel, member->core.id)) {
		member->status = (struct control_peer_status){0};
		agent->changes++;
	}
	member->is_sent = false;
}

static void arm_peer(struct agent *agent, struct member *member)
{
	int error;

	if (!tunnel_client_is_connected(&agent->tunnel))
		return; /* what the maps say stays: without the tunnel its packets are dropped anyway */
	error = peer_request_send(agent, member);
	if (error && !tunnel_client_is_connected(&agent->tunnel))
		agent_add_reason(agent, REASON_TUNNEL, "", "podveil-tunnel at %s went away: %s",
				 agent->settings->tunnel, strerror(-error));
	else if (error)
		agent_add_warning(agent, WARNING_PEER, member->core.name,
				  "podveil-tunnel refuses node %s: %s", member->core.name,
				  strerror(-error));
	else if (datapath_set_peer(&agent->datapath, member->core.id, member->core.name, true))
		agent_add_reason(agent, REASON_MAPS, "", "the BPF maps cannot be written");
}

void peers_identify(struct agent *agent)
{
	for (uint32_t i = 0; i < agent->members.count; i++) {
		struct cluster_member *member = agent->members.items[i];

		if (member->id)
			continue;
		member->id = datapath_find_id(&agent->datapath, member->name, &member->was_found);
		if (!member->id) {
			member->id = datapath_new_id(&agent->datapath, agent->last_id);
			if (datapath_set_peer(&agent->datapath, member->id, member->name, false))
				agent_add_reason(agent, REASON_MAPS, "",
						 "the BPF maps cannot be written");
		}
		agent->last_id = MAX(agent->last_id, member->id);
	}
}

static struct endpoint_key endpoint_key_of(const struct address *address, uint16_t port)
{
	struct cidr cidr = cidr_of_address(address);
	struct prefix_key prefix = prefix_key_of_cidr(&cidr);
	struct endpoint_key key = {.port = htons(port)};

	memcpy(key.address, prefix.address, sizeof(key.address));
	return key;
}

int peers_settle_endpoints(struct agent *agent, bool may_remove)
{
	const struct members *members = &agent->members;
	struct address targets[CLUSTER_TARGETS_MAX];
	CLEANUP_FREE struct endpoint_key *wanted =
		calloc((size_t)members->count * CLUSTER_TARGETS_MAX + 1, sizeof(*wanted));
	uint32_t count = 0, found;
	int error = wanted ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < members->count && wanted; i++) {
		const struct cluster_member *member = members->items[i];

		may_remove &= !member->is_held;
		if (member->state != MEMBER_USABLE)
			continue;
		found = cluster_list_targets(&members->workspace, member, targets,
					     CLUSTER_TARGETS_MAX);
		for (uint32_t k = 0; k < found && count < ENDPOINTS_MAX; k++)
			wanted[count++] =
				endpoint_key_of(&targets[k], member->chosen->annotation.port);
	}
	if (!error)
		error = datapath_set_endpoints(&agent->datapath, wanted, count, may_remove);
	if (error)
		agent_add_reason(agent, REASON_MAPS, "", "the BPF maps cannot be written");
	return error;
}

static bool has_lost_key(const struct member *member)
{
	return member->core.has_lost_seen || member->core.has_lost_good;
}

static void settle_peer(struct agent *agent, struct member *member)
{
	if (member->core.state == MEMBER_USABLE)
		arm_peer(agent, member);
	else if (!member->core.is_held)
		disarm_peer(agent, member);
}

/* The tunnel refuses a key that another peer has, so a key goes from its loser first. A prefix that changes hands is its
 * new node's in the tunnel before its old one gives it up. */
void peers_settle(struct agent *agent)
{
	const struct members *members = &agent->members;

	for (uint32_t i = 0; i < members->count; i++)
		if (has_lost_key(member_of(members->items[i])))
			settle_peer(agent, member_of(members->items[i]));
	members_rank(&agent->members, agent->datapath.entries, agent->datapath.entry_count);
	for (unsigned int rank = 0; rank < MEMBER_RANKS; rank++)
		for (uint32_t i = 0; i < members->count; i++) {
			struct member *member = member_of(members->items[i]);

			if (member_rank(member) == rank && !has_lost_key(member))
				settle_peer(agent, member);
		}
}

/* A peer that the tunnel refuses is told again in the next pass, which warns of it. */
void peers_tell(struct agent *agent)
{
	if (!agent->self.secrets.count)
		return;
	facts_describe(agent);
	for (uint32_t i = 0; i < agent->members.count; i++) {
		struct member *member = member_of(agent->members.items[i]);

		if (member->core.state == MEMBER_USABLE &&
		    tunnel_client_is_connected(&agent->tunnel))
			(void)!peer_request_send(agent, member);
	}
}

/* -- their prefixes -- */

/* What is nobody's goes in clear in permissive mode, so that what was a reached node's stays its own, and is dropped,
 * when its record goes away. */
static bool is_kept(const struct agent *agent, const struct datapath_peer *peer)
{
	return agent->mode == MODE_PERMISSIVE && peer->value.was_reached &&
	       !members_find_id(&agent->members, peer->id);
}

static uint32_t list_held(const struct agent *agent, uint32_t *ret_ids)
{
	const struct members *members = &agent->members;
	const struct datapath *datapath = &agent->datapath;
	uint32_t count = 0;

	for (uint32_t i = 0; i < members->count; i++)
		if (members->items[i]->is_held)
			ret_ids[count++] = members->items[i]->id;
	for (uint32_t i = 0; i < datapath->peer_count; i++)
		if (is_kept(agent, &datapath->peers[i]))
			ret_ids[count++] = datapath->peers[i].id;
	return count;
}

/* What the members make of the prefixes, and the exceptions of this node. NULL: no memory. */
static struct prefix_entry *list_wanted(const struct agent *agent, uint32_t *ret_count)
{
	const struct settings *settings = agent->settings;
	const struct members *members = &agent->members;
	uint32_t count = members->entry_count;
	struct prefix_entry *wanted =
		calloc((size_t)count + settings->except_count + 1, sizeof(*wanted));

	if (!wanted)
		return NULL;
	memcpy(wanted, members->entries, count * sizeof(*wanted));
	for (uint32_t i = 0; i < settings->except_count; i++)
		wanted[count++] = (struct prefix_entry){prefix_key_of_cidr(&settings->excepts[i]),
							{.class = PREFIX_EXCEPT}};
	*ret_count = prefix_entries_settle(wanted, count);
	return wanted;
}

int peers_settle_prefixes(struct agent *agent)
{
	CLEANUP_FREE uint32_t *held = calloc(
		(size_t)agent->members.count + agent->datapath.peer_count + 1, sizeof(*held));
	uint32_t count = 0;
	CLEANUP_FREE struct prefix_entry *wanted = list_wanted(agent, &count);
	int error = -ENOMEM;

	if (held && wanted)
		error = datapath_set_prefixes(&agent->datapath, wanted, count, held,
					      list_held(agent, held),
					      agent->are_all_listed && pod_cidrs_are_known(agent));
	if (error)
		agent_add_reason(agent, REASON_MAPS, "", "the BPF maps cannot be written");
	return error;
}

/* -- who is gone, who is refused -- */

/* Peers that the tunnel has and nobody claims any more, page by page. */
static void remove_strangers(struct agent *agent)
{
	static struct control_page page; /* large, and only used here */
	struct tunnel_client *tunnel = &agent->tunnel;
	uint32_t after = 0;

	do {
		if (!tunnel_client_is_connected(tunnel) ||
		    tunnel_client_list_peers(tunnel, after, &page))
			return;
		for (uint32_t i = 0; i < page.count; i++) {
			after = page.peers[i].id;
			if (members_find_id(&agent->members, after))
				continue;
			if (tunnel_client_remove_peer(tunnel, after))
				return;
			agent->changes++;
		}
	} while (!page.is_last && page.count);
}

void peers_remove_gone(struct agent *agent)
{
	struct datapath *datapath = &agent->datapath;

	for (uint32_t i = datapath->peer_count; i-- > 0;) {
		const struct datapath_peer *peer = &datapath->peers[i];
		int error = 0;

		if (is_kept(agent, peer))
			error = datapath_set_peer(datapath, peer->id, peer->value.node, false);
		else if (!members_find_id(&agent->members, peer->id))
			error = datapath_remove_peer(datapath, peer->id);
		if (error)
			agent_add_reason(agent, REASON_MAPS, "", "the BPF maps cannot be written");
	}
	remove_strangers(agent);
}

static void report_refusal(struct agent *agent, struct member *member)
{
	const char *text = member->core.refusal.text;

	if (!strcmp(member->logged, text))
		return;
	copy_text(member->logged, sizeof(member->logged), text);
	if (!text[0]) {
		log_info("node %s: its record is good again", member->core.name);
		return;
	}
	log_warning("node %s: %s", member->core.name, text);
	event_tell(agent, EVENT_REFUSED, "the record of node %s is refused: %s", member->core.name,
		   text);
}

/* Of a node that cannot run the agent nothing is expected. */
static bool is_excluded(const struct cluster_member *member)
{
	return member->seen && member->seen->is_excluded;
}

void peers_report_refusals(struct agent *agent)
{
	for (uint32_t i = 0; i < agent->members.count; i++) {
		struct member *member = member_of(agent->members.items[i]);

		report_refusal(agent, member);
		if (member->core.refusal.text[0] && !is_excluded(&member->core))
			agent_add_warning(agent, WARNING_RECORD, member->core.name, "node %s: %s",
					  member->core.name, member->core.refusal.text);
	}
}
