// SPDX-License-Identifier: Apache-2.0
/*
 * Each step is made in the tunnel first and published then. Between two of them this program may die: where it went on
 * from is read from the tunnel and the registry, never remembered.
 */
#include "keys.h"

#include <errno.h>
#include <inttypes.h>

#include "crash_point.h"
#include "event.h"
#include "host/clock.h"
#include "log.h"
#include "peers.h"
#include "pod_cidrs.h"

/* A leaky bucket, should another agent keep rewriting our record: five at once, then one a second. */
#define PUBLISH_SPACING_NS (1 * NS_PER_S)
#define PUBLISH_BURST_NS   (4 * PUBLISH_SPACING_NS)
#define PROOFS_NS	   (100 * NS_PER_MS) /* between two looks at the proofs while peers prove next */
#define LAST_PROOFS_NS	   (1 * NS_PER_S) /* and while only the end of previous is waited for */
#define STEPS_MAX	   8		  /* in one go; no order of steps is as long */

/* -- our own record -- */

static void fill_record(const struct agent *agent, const struct rotate_identity *own,
			struct node *node)
{
	const struct underlay *underlay = &agent->underlay;
	struct annotation *annotation = &node->annotation;

	copy_text(node->name, sizeof(node->name), agent->settings->node);
	copy_text(node->uid, sizeof(node->uid), agent->registry->uid);
	node->created_s = agent->registry->created_s;
	node->pod_cidr_count = agent->node_pod_count;
	memcpy(node->pod_cidrs, agent->node_pods, sizeof(node->pod_cidrs));
	node->address_count = underlay->published_count;
	memcpy(node->addresses, underlay->published, sizeof(node->addresses));
	node->voice = NODE_PUBLISHED;
	copy_text(annotation->uid, sizeof(annotation->uid), agent->registry->uid);
	annotation->epoch = own->epoch;
	memcpy(annotation->has_key, own->has_key, sizeof(annotation->has_key));
	memcpy(annotation->keys, own->keys, sizeof(annotation->keys));
	annotation->port = agent->settings->port;
	annotation->endpoint_count = underlay->endpoint_count;
	memcpy(annotation->endpoints, underlay->endpoints, sizeof(annotation->endpoints));
	annotation->pods = agent->self.pods;
	annotation->pod_count = agent->self.pod_count;
	annotation->secrets = agent->self.secrets;
}

static void note_published(struct agent *agent, const struct rotate_identity *own)
{
	agent->publish_ns = MAX(agent->publish_ns, boot_ns()) + PUBLISH_SPACING_NS;
	agent->changes++;
	log_info("published this node's record, epoch %" PRIu64, own->epoch);
	crash_point(own->has_key[KEY_NEXT]	 ? "publish_next"
		    : own->has_key[KEY_PREVIOUS] ? "publish_promoted"
						 : "publish_current");
}

/* On its way is no failure, and one that the registry itself complains of is not named twice. */
static void blame_registry(struct agent *agent, int error)
{
	const struct registry *registry = agent->registry;

	if (error == -EPERM && registry->warning.text[0])
		agent_add_reason(agent, REASON_RECORD, "",
				 "--require-admission: nothing is published: %s",
				 registry->warning.text);
	else if (error != -EINPROGRESS && !registry->away.text[0])
		agent_add_reason(agent, REASON_RECORD, "",
				 "this node's record cannot be written to %s: %s",
				 agent->settings->registry, strerror(-error));
}

/* A change of keys never waits: only the same record, which somebody else keeps changing, is written at most so often. */
static void publish(struct agent *agent)
{
	const struct rotate_identity *own = rotate_publishable(&agent->rotate);
	struct node node = {0};
	int written;

	if (!own || !agent->underlay.endpoint_count || agent->registry->fd < 0 ||
	    !pod_cidrs_are_known(agent) || !tunnel_client_is_connected(&agent->tunnel))
		return;
	if (own->epoch == agent->published_epoch &&
	    boot_ns() + PUBLISH_BURST_NS < agent->publish_ns) {
		agent->due_ns = agent->publish_ns - PUBLISH_BURST_NS;
		return;
	}
	fill_record(agent, own, &node);
	written = agent->registry->operations->publish(agent->registry, &node);
	if (written < 0) {
		blame_registry(agent, written);
		return;
	}
	rotate_published(&agent->rotate, agent_rotate_now());
	agent->published_epoch = own->epoch;
	if (written)
		note_published(agent, own);
}

/* -- what the peers have proved -- */

bool keys_judge_peer(const struct member *member, struct rotate_peer *ret_peer)
{
	const struct control_peer_status *status = &member->status;

	if (member->core.state != MEMBER_USABLE && !member->core.is_held)
		return false;
	*ret_peer = (struct rotate_peer){.received_age_ms = UINT64_MAX};
	if (!status->id)
		return true;
	if (status->last_received_age_ns != UINT64_MAX)
		ret_peer->received_age_ms = status->last_received_age_ns / NS_PER_MS;
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
		ret_peer->has_proved[slot] = status->has_proved[slot];
	return true;
}

/* Not before every record was told: who is not counted yet would not be waited for. */
static void count_peers(struct agent *agent)
{
	const bool *has_key = agent->rotate.armed.has_key;
	struct rotate_census census = {0};
	struct rotate_peer peer;

	if (!(has_key[KEY_NEXT] || has_key[KEY_PREVIOUS]) || !agent->is_listed ||
	    !peers_refresh_status(agent))
		return;
	for (uint32_t i = 0; i < agent->members.count; i++)
		if (keys_judge_peer(member_of(agent->members.items[i]), &peer))
			rotate_census_add(&census, &peer);
	rotate_peers_counted(&agent->rotate, &census);
}

/* "n2, n3 and 4 more" */
static uint32_t name_stragglers(const struct agent *agent, char *text, size_t size)
{
	uint32_t count = 0, named = 0;
	struct rotate_peer peer;
	size_t used = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < agent->members.count; i++) {
		const struct member *member = member_of(agent->members.items[i]);

		if (!keys_judge_peer(member, &peer) || !rotate_waits_for(&agent->rotate, &peer))
			continue;
		count++;
		if (used + strlen(member->core.name) + 32 > size)
			continue;
		used += (size_t)snprintf(text + used, size - used, "%s%s", named++ ? ", " : "",
					 member->core.name);
	}
	if (named < count)
		snprintf(text + used, size - used, " and %u more", count - named);
	return count;
}

/* -- steps -- */

static int make_step(struct agent *agent, const struct rotate_action *action,
		     struct public_key *ret_key)
{
	switch (action->step) {
	case ROTATE_WAIT:
		break;
	case ROTATE_MAKE_KEY:
		return tunnel_client_give_new_key(&agent->tunnel, action->slot,
						  agent->registry->uid, action->epoch, ret_key);
	case ROTATE_PROMOTE:
		return tunnel_client_promote(&agent->tunnel, action->epoch);
	case ROTATE_CLEAR_KEY:
		return tunnel_client_clear_key(&agent->tunnel, action->slot, action->epoch,
					       action->ends_sessions);
	}
	return 0;
}

/* Before the step: afterwards nobody is waited for. */
static void report_promotion(const struct agent *agent)
{
	char names[REFUSAL_LEN];
	uint32_t count = name_stragglers(agent, names, sizeof(names));

	if (!count)
		return;
	log_warning(
		"rotation: %u nodes that talk have not proved this node's next key in time, and go on with "
		"the previous one: %s",
		count, names);
	event_tell(agent, EVENT_STRAGGLER,
		   "these nodes have not proved the next key of %s in time, and go on with the "
		   "previous one: %s",
		   agent->settings->node, names);
}

static void report_step(const struct rotate_action *action)
{
	const char *slot = key_slot_name(action->slot);

	switch (action->step) {
	case ROTATE_WAIT:
		break;
	case ROTATE_MAKE_KEY:
		log_info("made this node's %s key, epoch %" PRIu64, slot, action->epoch);
		crash_point(action->slot == KEY_NEXT ? "make_next" : "make_current");
		break;
	case ROTATE_PROMOTE:
		log_info("the next key is the current one now, epoch %" PRIu64, action->epoch);
		crash_point("promote");
		break;
	case ROTATE_CLEAR_KEY:
		log_info("wiped this node's %s key, epoch %" PRIu64 "%s", slot, action->epoch,
			 action->ends_sessions ? ", and ended its sessions" : "");
		crash_point("clear");
		break;
	}
}

static void settle_request(struct agent *agent)
{
	if (!agent->is_asked || agent->rotate.is_wanted)
		return;
	agent->registry->operations->settle_request(agent->registry);
	agent->is_asked = false;
	crash_point("settle_request");
}

/* True: there was a step to make, and it is made. */
static bool take_step(struct agent *agent)
{
	struct rotate_action action = rotate_next(&agent->rotate, agent_rotate_now());
	struct public_key key;
	int error;

	if (action.step == ROTATE_WAIT)
		return false;
	if (action.step == ROTATE_PROMOTE)
		report_promotion(agent);
	error = make_step(agent, &action, &key);
	if (error) {
		agent_add_reason(agent, REASON_KEYS, "",
				 "podveil-tunnel does not take a change of this node's keys: %s",
				 strerror(-error));
		return false;
	}
	rotate_step_done(&agent->rotate, &action, &key, agent_rotate_now());
	agent->changes++;
	report_step(&action);
	return true;
}

void keys_arm(struct agent *agent)
{
	agent->rotate.has_census = false; /* the peers may be others by now */
	for (unsigned int i = 0; i < STEPS_MAX && take_step(agent); i++)
		;
	settle_request(agent);
}

static void plan_next_look(struct agent *agent, enum rotate_state state)
{
	if (state == ROTATE_PREPARING || state == ROTATE_PROVING)
		agent->rotation_ns = boot_ns() + PROOFS_NS;
	else if (state == ROTATE_OVERLAPPING || state == ROTATE_DEGRADED)
		agent->rotation_ns = boot_ns() + LAST_PROOFS_NS;
	else
		agent->rotation_ns = 0;
}

static void warn_of_stragglers(struct agent *agent)
{
	struct rotate_peer peer;

	for (uint32_t i = 0; i < agent->members.count; i++) {
		const struct member *member = member_of(agent->members.items[i]);

		if (keys_judge_peer(member, &peer) && rotate_waits_for(&agent->rotate, &peer))
			agent_add_warning(
				agent, WARNING_STRAGGLER, member->core.name,
				"rotation: the overlap is over, and the previous key is still needed by %s: see "
				"whether podveil-keyd there reaches the registry",
				member->core.name);
	}
}

void keys_warn(struct agent *agent)
{
	char names[REFUSAL_LEN / 2];

	agent->was_overdue = rotate_state(&agent->rotate, agent_rotate_now()) == ROTATE_DEGRADED;
	if (!agent->was_overdue || !name_stragglers(agent, names, sizeof(names)))
		return;
	warn_of_stragglers(agent);
	event_tell(agent, EVENT_STRAGGLER,
		   "the overlap is over, and the previous key of %s is still needed by %s",
		   agent->settings->node, names);
}

void keys_advance(struct agent *agent)
{
	uint64_t changes = agent->changes;
	enum rotate_state state;

	for (unsigned int i = 0; i < STEPS_MAX; i++) {
		publish(agent);
		count_peers(agent);
		if (!take_step(agent))
			break;
		while (agent->rotate.revokes && take_step(agent))
			; /* a revoked key ends before anybody is told of it */
		peers_tell(agent);
	}
	settle_request(agent);
	state = rotate_state(&agent->rotate, agent_rotate_now());
	/* What else depends on our keys, and what is said of it. */
	if (changes != agent->changes || (state == ROTATE_DEGRADED) != agent->was_overdue)
		agent_wake(agent);
	plan_next_look(agent, state);
}
