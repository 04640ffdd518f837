// SPDX-License-Identifier: Apache-2.0
/*
 * The order keeps cleartext in: a peer is in the maps (unusable: drop) before a prefix points to
 * it, in the tunnel before it is usable in the maps, and out of the maps before the tunnel forgets
 * it.
 */
#include "peers.h"

#include <errno.h>

#include "cluster/presence.h"
#include "events.h"
#include "log.h"

/* -- the tunnel's status -- */

/* While the tunnel is unreachable, the last known presence of the peers holds. */
static void forget_presence_of_unknown(struct members *members)
{
	static const struct control_peer_status unknown;

	for (uint32_t i = 0; i < members->count; i++)
		if (!member_of(members->items[i])->status.id)
			presence_note(members->items[i], &unknown, 0);
}

static void note_page(struct members *members, const struct control_page *page)
{
	for (uint32_t i = 0; i < page->count; i++) {
		struct member *member = members_find_id(members, page->peers[i].id);

		if (!member)
			continue;
		member->status = page->peers[i];
		presence_note(&member->core, &member->status, page->now_ns);
	}
}

bool peers_refresh_status(struct members *members, struct connection *connection)
{
	struct control_page *page = &connection->page;
	uint32_t after = 0;

	for (uint32_t i = 0; i < members->count; i++)
		member_of(members->items[i])->status = (struct control_peer_status){0};
	do {
		if (!connection_is_open(connection) ||
		    tunnel_client_list_peers(&connection->client, after, page))
			return false;
		note_page(members, page);
		if (page->count)
			after = page->peers[page->count - 1].id;
	} while (!page->is_last && page->count);
	forget_presence_of_unknown(members);
	return true;
}

/* The tunnel reports which slots were reached; the keys in the slots other than current are
 * known from the last request, and unknown after a restart. */
void peers_note_proofs(struct members *members)
{
	for (uint32_t i = 0; i < members->count; i++) {
		struct member *member = member_of(members->items[i]);
		const struct control_peer_status *status = &member->status;

		for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
			if (status->has_reached[slot] && slot == KEY_CURRENT)
				cluster_note_proof(&member->core, &status->key);
			else if (status->has_reached[slot] && member->was_sent[slot])
				cluster_note_proof(&member->core, &member->sent_keys[slot]);
	}
}

/* -- peers in the tunnel and in the maps -- */

/* First drop its packets, then forget it: in the other order the tunnel would get packets for an
 * unknown peer. */
static void disarm_peer(const struct peers_parts *parts, struct member *member)
{
	struct connection *connection = parts->connection;

	if (datapath_set_peer(parts->datapath, member->core.id, member->core.name, false))
		verdict_add_map_failure(parts->verdict);
	if (member->status.id && !tunnel_client_remove_peer(&connection->client, member->core.id)) {
		member->status = (struct control_peer_status){0};
		connection->changes++;
	}
	member->is_sent = false;
}

static int send_peer(const struct peers_parts *parts, struct member *member)
{
	struct peer_request_facts facts = {
		.self = parts->self,
		.secrets = parts->secrets,
		.workspace = &parts->members->workspace,
		.overlap_ms = parts->settings->rotate.overlap_ms,
	};

	return peer_request_send(parts->connection, member, &facts);
}

static void arm_peer(const struct peers_parts *parts, struct member *member)
{
	const char *name = member->core.name;
	int error;

	if (!connection_is_open(parts->connection))
		/* the maps stay as they are: without the tunnel its packets are dropped anyway */
		return;
	error = send_peer(parts, member);
	if (error && !connection_is_open(parts->connection))
		verdict_add_reason(parts->verdict, REASON_TUNNEL, "",
				   "lost the connection to podveil-tunnel at %s: %s",
				   parts->settings->tunnel, strerror(-error));
	else if (error)
		verdict_add_warning(parts->verdict, WARNING_PEER, name,
				    "podveil-tunnel rejects node %s: %s", name, strerror(-error));
	else if (datapath_set_peer(parts->datapath, member->core.id, name, true))
		verdict_add_map_failure(parts->verdict);
}

void peers_identify(struct members *members, struct datapath *datapath, struct verdict *verdict)
{
	for (uint32_t i = 0; i < members->count; i++) {
		struct cluster_member *member = members->items[i];

		if (member->id)
			continue;
		member->id = datapath_find_id(datapath, member->name, &member->was_found);
		if (!member->id) {
			member->id = datapath_new_id(datapath, members->last_id);
			if (datapath_set_peer(datapath, member->id, member->name, false))
				verdict_add_map_failure(verdict);
		}
		members->last_id = MAX(members->last_id, member->id);
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

int peers_settle_endpoints(struct members *members, struct datapath *datapath, bool may_remove,
			   struct verdict *verdict)
{
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
		error = datapath_set_endpoints(datapath, wanted, count, may_remove);
	if (error)
		verdict_add_map_failure(verdict);
	return error;
}

static bool has_lost_key(const struct member *member)
{
	return member->core.has_lost_seen || member->core.has_lost_good;
}

static void settle_peer(const struct peers_parts *parts, struct member *member)
{
	if (member->core.state == MEMBER_USABLE)
		arm_peer(parts, member);
	else if (!member->core.is_held)
		disarm_peer(parts, member);
}

/* The tunnel refuses a key that another peer has, so the node that lost a key comes first. A
 * prefix that changes hands is given to its new node in the tunnel before its old one loses it. */
void peers_settle(const struct peers_parts *parts)
{
	struct members *members = parts->members;

	for (uint32_t i = 0; i < members->count; i++)
		if (has_lost_key(member_of(members->items[i])))
			settle_peer(parts, member_of(members->items[i]));
	members_rank(members, parts->datapath->entries, parts->datapath->entry_count);
	for (unsigned int rank = 0; rank < MEMBER_RANKS; rank++)
		for (uint32_t i = 0; i < members->count; i++) {
			struct member *member = member_of(members->items[i]);

			if (member_rank(member) == rank && !has_lost_key(member))
				settle_peer(parts, member);
		}
}

/* A peer that the tunnel refuses is sent again in the next pass, which warns of it. */
void peers_send(const struct peers_parts *parts)
{
	for (uint32_t i = 0; i < parts->members->count; i++) {
		struct member *member = member_of(parts->members->items[i]);

		if (member->core.state == MEMBER_USABLE && connection_is_open(parts->connection))
			(void)!send_peer(parts, member);
	}
}

/* -- their prefixes -- */

/* Permissive mode sends traffic to prefixes without an owner in cleartext. Therefore the
 * prefixes of a node that was reached stay its own when its record disappears, and their traffic
 * is dropped. */
static bool is_kept(const struct peers_parts *parts, const struct datapath_peer *peer)
{
	return parts->mode->current == MODE_PERMISSIVE && peer->value.was_reached &&
	       !members_find_id(parts->members, peer->id);
}

static uint32_t list_held(const struct peers_parts *parts, uint32_t *ret_ids)
{
	const struct members *members = parts->members;
	const struct datapath *datapath = parts->datapath;
	uint32_t count = 0;

	for (uint32_t i = 0; i < members->count; i++)
		if (members->items[i]->is_held)
			ret_ids[count++] = members->items[i]->id;
	for (uint32_t i = 0; i < datapath->peer_count; i++)
		if (is_kept(parts, &datapath->peers[i]))
			ret_ids[count++] = datapath->peers[i].id;
	return count;
}

/* The members' prefixes as judged, and the exceptions of this node. NULL: no memory. */
static struct prefix_entry *list_wanted(const struct settings *settings,
					const struct members *members, uint32_t *ret_count)
{
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

int peers_settle_prefixes(const struct peers_parts *parts)
{
	const struct members *members = parts->members;
	CLEANUP_FREE uint32_t *held =
		calloc((size_t)members->count + parts->datapath->peer_count + 1, sizeof(*held));
	uint32_t count = 0;
	CLEANUP_FREE struct prefix_entry *wanted = list_wanted(parts->settings, members, &count);
	int error = -ENOMEM;

	if (held && wanted)
		error = datapath_set_prefixes(parts->datapath, wanted, count, held,
					      list_held(parts, held),
					      members->are_all_listed && parts->are_pods_known);
	if (error)
		verdict_add_map_failure(parts->verdict);
	return error;
}

/* -- nodes that left, records that are refused -- */

/* Removes the peers of the tunnel that are no members, page by page. */
static void remove_strangers(const struct members *members, struct connection *connection)
{
	struct control_page *page = &connection->page;
	uint32_t after = 0;

	do {
		if (!connection_is_open(connection) ||
		    tunnel_client_list_peers(&connection->client, after, page))
			return;
		for (uint32_t i = 0; i < page->count; i++) {
			after = page->peers[i].id;
			if (members_find_id(members, after))
				continue;
			if (tunnel_client_remove_peer(&connection->client, after))
				return;
			connection->changes++;
		}
	} while (!page->is_last && page->count);
}

void peers_remove_gone(const struct peers_parts *parts)
{
	struct datapath *datapath = parts->datapath;

	for (uint32_t i = datapath->peer_count; i-- > 0;) {
		const struct datapath_peer *peer = &datapath->peers[i];
		int error = 0;

		if (is_kept(parts, peer))
			error = datapath_set_peer(datapath, peer->id, peer->value.node, false);
		else if (!members_find_id(parts->members, peer->id))
			error = datapath_remove_peer(datapath, peer->id);
		if (error)
			verdict_add_map_failure(parts->verdict);
	}
	remove_strangers(parts->members, parts->connection);
}

static void log_refusal(struct member *member, struct registry *registry)
{
	const char *text = member->core.refusal.text;

	if (!strcmp(member->logged, text))
		return;
	copy_text(member->logged, sizeof(member->logged), text);
	if (!text[0]) {
		log_info("node %s: its record is accepted again", member->core.name);
		return;
	}
	log_warning("node %s: %s", member->core.name, text);
	events_send(registry, EVENT_REFUSED, "the record of node %s is refused: %s",
		    member->core.name, text);
}

/* A node that cannot run the agent is not expected to have a good record. */
static bool is_excluded(const struct cluster_member *member)
{
	return member->seen && member->seen->is_excluded;
}

void peers_report_refusals(struct members *members, struct registry *registry,
			   struct verdict *verdict)
{
	for (uint32_t i = 0; i < members->count; i++) {
		struct member *member = member_of(members->items[i]);

		log_refusal(member, registry);
		if (member->core.refusal.text[0] && !is_excluded(&member->core))
			verdict_add_warning(verdict, WARNING_RECORD, member->core.name,
					    "node %s: %s", member->core.name,
					    member->core.refusal.text);
	}
}
