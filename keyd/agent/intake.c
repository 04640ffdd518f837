// SPDX-License-Identifier: Apache-2.0
/*
 * The changes that the registry reports. Each only updates the state here; the next pass acts on
 * it, so that changes that arrive together cost one pass.
 */
#include "intake.h"

#include <errno.h>

#include "log.h"
#include "rotate_clock.h"

static void handle_record(struct members *members, struct registry_change *change)
{
	struct member *member = members_add(members, change->name);

	if (!member) {
		log_error("not enough memory for node %s", change->name);
		free(change->node);
	} else if (change->kind == REGISTRY_BAD) {
		members_set_error(member, &change->refusal);
	} else {
		members_set_record(member, change->node);
	}
}

/* From here on this node is another one, or known for the first time: keys of another uid do not
 * belong to it. */
static void become(struct agent *agent)
{
	const char *uid = agent->registry->uid;

	log_info("this node is %s, uid %s", agent->settings->node, uid);
	keys_begin(&agent->keys, agent->settings, uid, NULL);
}

static void learn_pod_cidrs(struct agent *agent, const struct node *node)
{
	struct refusal refusal = {0};

	if (settings_judge_pods(agent->settings, node->pod_cidrs, node->pod_cidr_count,
				"podCIDRs of this node", &refusal))
		refusal.text[0] = '\0';
	pod_cidrs_learn(&agent->pod_cidrs, node, &refusal, boot_ns());
}

static void handle_own(struct agent *agent, const struct node *node)
{
	struct rotate *rotate = &agent->keys.rotate;
	bool is_new = strcmp(rotate->uid, agent->registry->uid);

	if (strcmp(node->uid, agent->registry->uid)) {
		log_warning(
			"another program wrote the record of %s (uid %s): does another agent run with this --node?",
			node->name, node->uid);
		return;
	}
	if (is_new)
		become(agent);
	if (node->record == RECORD_VALID)
		rotate_record_seen(rotate, &node->annotation, rotate_clock_now());
	if (is_new)
		connection_adopt_keys(&agent->connection, agent->registry->uid, rotate);
	learn_pod_cidrs(agent, node);
}

static void handle_request(struct keys *keys)
{
	bool is_merged = rotate_ask(&keys->rotate, ROTATE_BY_REGISTRY, false, rotate_clock_now());

	keys->is_asked = true;
	log_info("the registry asks for a rotation of this node's key%s",
		 is_merged ? ": one is under way, and serves this request too" : "");
}

static void handle_change(struct agent *agent, struct registry_change *change)
{
	bool is_own = !strcmp(change->name, agent->settings->node);

	switch (change->kind) {
	case REGISTRY_SEEN:
	case REGISTRY_BAD:
		if (is_own)
			log_warning("this node's own record %s: it will be rewritten",
				    change->refusal.text);
		else
			handle_record(&agent->members, change);
		break;
	case REGISTRY_GONE:
		if (!is_own) {
			log_info("node %s left", change->name);
			members_remove(&agent->members, change->name);
		}
		break;
	case REGISTRY_OWN:
		handle_own(agent, change->node);
		free(change->node);
		break;
	case REGISTRY_LISTED:
		agent->members.is_listed = true;
		agent->members.are_all_listed |= change->are_all;
		break;
	case REGISTRY_STRAYS:
		agent->members.stray_count = change->stray_count;
		agent->members.stray = change->refusal;
		break;
	case REGISTRY_REQUESTED:
		handle_request(&agent->keys);
		break;
	case REGISTRY_MODE:
		mode_learn(&agent->mode, change->has_mode ? &change->mode : NULL,
			   agent->settings->mode);
		break;
	case REGISTRY_SERVERS:
		bypasses_set_servers(&agent->bypasses, change);
		break;
	case REGISTRY_PROVED:
		bypasses_note_proof(&agent->bypasses, change);
		break;
	}
}

void intake_handle_changes(struct agent *agent)
{
	struct registry_change change;
	int got;

	while ((got = agent->registry->operations->next(agent->registry, &change)) > 0) {
		handle_change(agent, &change);
		schedule_want_pass(&agent->schedule, boot_ns() + SCHEDULE_BURST_NS);
	}
	if (got < 0)
		log_warning("registry %s: %s", agent->settings->registry, strerror(-got));
}
