// SPDX-License-Identifier: Apache-2.0
/*
 * The changes that the registry reports. Each only updates the state here; the next pass acts on it, so that changes that
 * arrive together cost one pass.
 */
#include "intake.h"

#include "connection.h"
#include "log.h"
#include "pod_cidrs.h"

static void take_member(struct agent *agent, struct registry_change *change)
{
	struct member *member = members_add(&agent->members, change->name);

	if (!member) {
		log_error("not enough memory for node %s", change->name);
		free(change->node);
	} else if (change->kind == REGISTRY_BAD) {
		members_refuse(member, &change->refusal);
	} else {
		members_see(member, change->node);
	}
}

/* The node is another one from here on, or the first: keys of another uid are none of its. */
static void become(struct agent *agent)
{
	log_info("this node is %s, uid %s", agent->settings->node, agent->registry->uid);
	rotate_init(&agent->rotate, agent->registry->uid, &agent->settings->rotate);
	agent->is_asked = false;
	agent->published_epoch = 0;
}

static void take_own(struct agent *agent, const struct node *node)
{
	bool is_new = strcmp(agent->rotate.uid, agent->registry->uid);

	if (strcmp(node->uid, agent->registry->uid)) {
		log_warning(
			"somebody else wrote the record of %s (uid %s): does another agent run with this --node?",
			node->name, node->uid);
		return;
	}
	if (is_new)
		become(agent);
	if (node->voice == NODE_PUBLISHED)
		rotate_record_seen(&agent->rotate, &node->annotation, agent_rotate_now());
	if (is_new)
		connection_take_keys(agent);
	pod_cidrs_learn(agent, node);
}

static void take_request(struct agent *agent)
{
	bool is_merged = rotate_ask(&agent->rotate, ROTATE_BY_REGISTRY, false, agent_rotate_now());

	agent->is_asked = true;
	log_info("the registry asks for a rotation of this node's key%s",
		 is_merged ? ": one is under way, and serves this request too" : "");
}

/* One that the registry says no more stays until a command or the next start says another: a ConfigMap that somebody
 * deletes neither cuts pods off nor sends them in clear. */
static void take_mode(struct agent *agent, const struct registry_change *change)
{
	if (change->has_mode)
		agent->wanted_mode = change->mode;
	else if (agent->is_mode_inherited)
		agent->wanted_mode = agent->settings->mode;
	agent->is_mode_inherited = false;
	agent->has_cluster_mode = change->has_mode;
}

static void take_change(struct agent *agent, struct registry_change *change)
{
	bool is_own = !strcmp(change->name, agent->settings->node);

	switch (change->kind) {
	case REGISTRY_SEEN:
	case REGISTRY_BAD:
		if (is_own)
			log_warning("this node's own record %s: it is written anew",
				    change->refusal.text);
		else
			take_member(agent, change);
		break;
	case REGISTRY_GONE:
		if (!is_own) {
			log_info("node %s left", change->name);
			members_remove(&agent->members, change->name);
		}
		break;
	case REGISTRY_OWN:
		take_own(agent, change->node);
		free(change->node);
		break;
	case REGISTRY_LISTED:
		agent->is_listed = true;
		agent->are_all_listed |= change->are_all;
		break;
	case REGISTRY_STRAYS:
		agent->stray_count = change->stray_count;
		agent->stray = change->refusal;
		break;
	case REGISTRY_REQUESTED:
		take_request(agent);
		break;
	case REGISTRY_MODE:
		take_mode(agent, change);
		break;
	case REGISTRY_SERVERS:
		bypasses_take_servers(&agent->bypasses, change);
		break;
	case REGISTRY_PROVED:
		bypasses_take_proof(&agent->bypasses, change);
		break;
	}
}

void intake_take_changes(struct agent *agent)
{
	struct registry_change change;
	int got;

	while ((got = agent->registry->operations->next(agent->registry, &change)) > 0) {
		take_change(agent, &change);
		agent_want_pass(agent, AGENT_BURST_NS);
	}
	if (got < 0)
		log_warning("registry %s: %s", agent->settings->registry, strerror(-got));
}
