// SPDX-License-Identifier: Apache-2.0
/*
 * The map is written first, so that a claimed address is closed in the pass in which the claim came, and a probe starts
 * only after the map lets it through.
 */
#include "bypasses.h"

#include <errno.h>

#include "agent.h"
#include "log.h"
#include "pod_cidrs.h"

/* -- facts -- */

void bypasses_begin(struct agent *agent)
{
	const struct datapath *datapath = &agent->datapath;

	if (agent->registry->is_server)
		bypass_inherit(&agent->bypasses.table, datapath->bypasses, datapath->bypass_count);
	else
		agent->bypasses.is_list_known = true;
}

void bypasses_take_servers(struct bypasses *bypasses, const struct registry_change *change)
{
	bypasses->is_list_known |= change->are_all;
	bypasses->has_own_server = change->has_own_server;
	bypasses->own_server = change->own_server;
	bypasses->listed_count = change->server_count;
	memcpy(bypasses->listed, change->servers, sizeof(bypasses->listed));
}

void bypasses_take_proof(struct bypasses *bypasses, const struct registry_change *change)
{
	bypass_note_proof(&bypasses->table, &change->servers[0]);
}

/* -- words -- */

static const char *claimant_name(const struct agent *agent, uint32_t id)
{
	const struct member *member = members_find_id(&agent->members, id);

	return member ? member->core.name : datapath_node_name(&agent->datapath, id);
}

const char *bypasses_format_state(char text[static BYPASSING_STATE_LEN], const struct agent *agent,
				  const struct bypass_item *item)
{
	switch (item->state) {
	case BYPASS_IN_FORCE:
		return "in force";
	case BYPASS_KEPT:
		return "kept";
	case BYPASS_UNREACHED:
		return "not reached yet";
	case BYPASS_CLAIMED:
		break;
	}
	if (!item->claimant)
		return "claimed by this node";
	snprintf(text, BYPASSING_STATE_LEN, "claimed by node %s",
		 claimant_name(agent, item->claimant));
	return text;
}

static void log_item(const struct agent *agent, const struct bypass_item *item,
		     const struct bypass_item *was)
{
	char text[BYPASS_TEXT_LEN], state[BYPASSING_STATE_LEN];
	bool was_open = was && bypass_is_in_force(was);

	bypass_format(text, &item->key);
	if (item->state == BYPASS_CLAIMED &&
	    (!was || was->state != BYPASS_CLAIMED || was->claimant != item->claimant))
		log_warning(
			"the registry lists a server at %s, which is refused: its address is a pod's, %s",
			text, bypasses_format_state(state, agent, item));
	else if (bypass_is_in_force(item) && !was_open)
		log_info(
			"a server of the registry is reached at %s: TCP to and from it stays outside the tunnel",
			text);
}

static void log_changes(const struct agent *agent, const struct bypass_table *before)
{
	const struct bypass_table *now = &agent->bypasses.table;
	char text[BYPASS_TEXT_LEN];

	for (uint32_t i = 0; i < now->count; i++)
		if (now->items[i].is_listed)
			log_item(agent, &now->items[i], bypass_find(before, &now->items[i].key));
	for (uint32_t i = 0; i < before->count; i++) {
		const struct bypass_item *is = bypass_find(now, &before->items[i].key);

		if (bypass_is_in_force(&before->items[i]) && (!is || !bypass_is_in_force(is)))
			log_info("%s stays outside the tunnel no longer",
				 bypass_format(text, &before->items[i].key));
	}
}

/* -- as it should be -- */

static void select_bypasses(struct agent *agent, const struct bypass_table *before)
{
	struct bypasses *bypasses = &agent->bypasses;
	const struct bypass_facts facts = {
		.flags = agent->settings->bypasses,
		.flag_count = agent->settings->bypass_count,
		.account = bypasses->has_own_server ? &bypasses->own_server : NULL,
		.listed = bypasses->listed,
		.listed_count = bypasses->listed_count,
		.is_list_known = bypasses->is_list_known,
		.are_members_known = agent->is_listed && pod_cidrs_are_known(agent),
		.judged = agent->members.entries,
		.judged_count = agent->members.entry_count,
		.mapped = agent->datapath.entries,
		.mapped_count = agent->datapath.entry_count,
	};

	bypass_select(&bypasses->table, before, &facts);
}

static void ask_for_proofs(const struct agent *agent)
{
	static struct bypass_key servers[BYPASS_ITEMS_MAX]; /* large, and only used here */
	const struct registry_operations *operations = agent->registry->operations;

	if (operations->probe)
		operations->probe(agent->registry, servers,
				  bypass_list_unproved(&agent->bypasses.table, servers));
}

int bypasses_settle(struct agent *agent)
{
	static struct bypass_table before;		      /* large, and only used here */
	static struct bypass_entry entries[BYPASS_ITEMS_MAX]; /* this too */
	int error;

	before = agent->bypasses.table;
	select_bypasses(agent, &before);
	error = datapath_set_bypasses(&agent->datapath, entries,
				      bypass_list_entries(&agent->bypasses.table, entries));
	ask_for_proofs(agent);
	log_changes(agent, &before);
	return error;
}
