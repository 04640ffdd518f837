// SPDX-License-Identifier: Apache-2.0
/*
 * The map is written first: a claimed address is closed in the pass in which the claim arrived, and
 * a probe starts only after the map lets it through.
 */
#include "bypasses.h"

#include <errno.h>

#include "log.h"

/* -- facts -- */

void bypasses_begin(struct bypasses *bypasses, const struct datapath *datapath, bool is_server)
{
	if (is_server)
		bypass_inherit(&bypasses->table, datapath->bypasses, datapath->bypass_count);
	else
		bypasses->is_list_known = true;
}

void bypasses_set_servers(struct bypasses *bypasses, const struct registry_change *change)
{
	bypasses->is_list_known |= change->are_all;
	bypasses->has_own_server = change->has_own_server;
	bypasses->own_server = change->own_server;
	bypasses->listed_count = change->server_count;
	memcpy(bypasses->listed, change->servers, sizeof(bypasses->listed));
}

void bypasses_note_proof(struct bypasses *bypasses, const struct registry_change *change)
{
	bypass_note_proof(&bypasses->table, &change->servers[0]);
}

/* -- texts -- */

static const char *claimant_name(const struct members *members, const struct datapath *datapath,
				 uint32_t id)
{
	const struct member *member = members_find_id(members, id);

	return member ? member->core.name : datapath_node_name(datapath, id);
}

const char *bypasses_format_state(char text[static BYPASSING_STATE_LEN],
				  const struct members *members, const struct datapath *datapath,
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
		 claimant_name(members, datapath, item->claimant));
	return text;
}

static void log_item(const struct members *members, const struct datapath *datapath,
		     const struct bypass_item *item, const struct bypass_item *was)
{
	char text[BYPASS_TEXT_LEN], state[BYPASSING_STATE_LEN];
	bool was_open = was && bypass_is_in_force(was);

	bypass_format(text, &item->key);
	if (item->state == BYPASS_CLAIMED &&
	    (!was || was->state != BYPASS_CLAIMED || was->claimant != item->claimant))
		log_warning(
			"the registry lists a server at %s, which is refused: its address is a pod's, %s",
			text, bypasses_format_state(state, members, datapath, item));
	else if (bypass_is_in_force(item) && !was_open)
		log_info(
			"a server of the registry is reached at %s: TCP to and from it stays outside the tunnel",
			text);
}

static void log_changes(const struct bypasses *bypasses, const struct members *members,
			const struct datapath *datapath)
{
	const struct bypass_table *now = &bypasses->table, *before = &bypasses->before;
	char text[BYPASS_TEXT_LEN];

	for (uint32_t i = 0; i < now->count; i++)
		if (now->items[i].is_listed)
			log_item(members, datapath, &now->items[i],
				 bypass_find(before, &now->items[i].key));
	for (uint32_t i = 0; i < before->count; i++) {
		const struct bypass_item *is = bypass_find(now, &before->items[i].key);

		if (bypass_is_in_force(&before->items[i]) && (!is || !bypass_is_in_force(is)))
			log_info("%s no longer stays outside the tunnel",
				 bypass_format(text, &before->items[i].key));
	}
}

/* -- one pass -- */

static void select_bypasses(struct bypasses *bypasses, const struct settings *settings,
			    const struct members *members, bool are_members_known,
			    const struct datapath *datapath)
{
	const struct bypass_facts facts = {
		.flags = settings->bypasses,
		.flag_count = settings->bypass_count,
		.account = bypasses->has_own_server ? &bypasses->own_server : NULL,
		.listed = bypasses->listed,
		.listed_count = bypasses->listed_count,
		.is_list_known = bypasses->is_list_known,
		.are_members_known = are_members_known,
		.judged = members->entries,
		.judged_count = members->entry_count,
		.mapped = datapath->entries,
		.mapped_count = datapath->entry_count,
	};

	bypasses->before = bypasses->table;
	bypass_select(&bypasses->table, &bypasses->before, &facts);
}

static void ask_for_proofs(struct bypasses *bypasses, struct registry *registry)
{
	if (registry->operations->probe)
		registry->operations->probe(
			registry, bypasses->unproved,
			bypass_list_unproved(&bypasses->table, bypasses->unproved));
}

int bypasses_settle(struct bypasses *bypasses, const struct settings *settings,
		    const struct members *members, bool are_members_known,
		    struct registry *registry, struct datapath *datapath)
{
	int error;

	select_bypasses(bypasses, settings, members, are_members_known, datapath);
	error = datapath_set_bypasses(datapath, bypasses->entries,
				      bypass_list_entries(&bypasses->table, bypasses->entries));
	ask_for_proofs(bypasses, registry);
	log_changes(bypasses, members, datapath);
	return error;
}
