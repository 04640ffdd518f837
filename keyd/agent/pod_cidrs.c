// SPDX-License-Identifier: Apache-2.0
/*
 * With `auto` the registry's word is taken until the kernel contradicts it, and never again afterwards: a node whose
 * CNI once went its own way is not believed to follow the registry when its last such pod is gone.
 */
#include "pod_cidrs.h"

#include "host/clock.h"
#include "log.h"

#define LATE_NS (60 * NS_PER_S) /* a controller that gives out podCIDRs does so within seconds */

static void take_node_pods(struct agent *agent)
{
	agent->self.pod_count = agent->node_pod_count;
	memcpy(agent->self.pods, agent->node_pods, sizeof(agent->node_pods));
}

bool pod_cidrs_begin(struct agent *agent)
{
	const struct settings *settings = agent->settings;
	const struct node *found = agent->registry->found;
	bool is_from_flags = settings->pod_count, is_later = agent->registry->is_server;

	agent->self.range_count = settings->range_count;
	memcpy(agent->self.ranges, settings->ranges, sizeof(settings->ranges));
	if (is_from_flags) {
		agent->node_pod_count = settings->pod_count;
		memcpy(agent->node_pods, settings->pods, sizeof(agent->node_pods));
	} else if (found) {
		agent->node_pod_count = found->pod_cidr_count;
		memcpy(agent->node_pods, found->pod_cidrs, sizeof(agent->node_pods));
	}
	if (settings->pods_source == PODS_NODE && !agent->node_pod_count && !is_later) {
		log_error(
			"no pod prefix of this node is known: the registry has no podCIDRs for %s; "
			"give --pod-cidr, or --pod-cidrs-from local",
			settings->node);
		return false;
	}
	agent->are_pods_local = !is_from_flags && (settings->pods_source == PODS_LOCAL ||
						   (!agent->node_pod_count && !is_later));
	if (agent->are_pods_local)
		return true;
	take_node_pods(agent);
	return is_from_flags ||
	       settings_check_pods(settings, agent->self.pods, agent->self.pod_count,
				   "podCIDRs in the registry");
}

/* -- from the registry, later -- */

static bool are_from_registry(const struct agent *agent)
{
	return agent->registry->is_server && !agent->settings->pod_count && !agent->are_pods_local;
}

void pod_cidrs_inherit(struct agent *agent)
{
	const struct datapath *datapath = &agent->datapath;
	uint32_t count = 0;

	if (!are_from_registry(agent))
		return;
	for (uint32_t i = 0; i < datapath->entry_count; i++) {
		const struct prefix_entry *entry = &datapath->entries[i];

		if (entry->value.class != PREFIX_LOCAL)
			continue;
		if (count == NODE_POD_CIDRS_MAX)
			return; /* then they came from the kernel, which still shows them */
		agent->node_pods[count++] = prefix_key_to_cidr(&entry->key);
	}
	agent->node_pod_count = count;
}

void pod_cidrs_learn(struct agent *agent, const struct node *node)
{
	if (!agent->was_own_seen)
		agent->own_seen_ns = boot_ns();
	agent->was_own_seen = true;
	agent->bad_pods.text[0] = '\0';
	if (!are_from_registry(agent) ||
	    !settings_judge_pods(agent->settings, node->pod_cidrs, node->pod_cidr_count,
				 "podCIDRs of this node", &agent->bad_pods) ||
	    !node->pod_cidr_count)
		return; /* a prefix that was there does not go away with somebody's mistake */
	agent->node_pod_count = node->pod_cidr_count;
	memcpy(agent->node_pods, node->pod_cidrs, sizeof(agent->node_pods));
}

bool pod_cidrs_are_known(const struct agent *agent)
{
	return !are_from_registry(agent) || agent->node_pod_count;
}

static void blame_registry(struct agent *agent)
{
	if (agent->bad_pods.text[0] && are_from_registry(agent))
		agent_add_reason(agent, REASON_PODS, "", "%s", agent->bad_pods.text);
	else if (agent->was_own_seen && !pod_cidrs_are_known(agent))
		agent_add_reason(
			agent, REASON_PODS, "",
			"this node has no podCIDRs yet, so nothing is published: if it never gets any, "
			"give --pod-cidrs-from local, or --pod-cidr");
}

/* No podCIDRs for a while, or such as cannot be any: the CNI does not go by them. */
static bool has_waited_in_vain(const struct agent *agent)
{
	if (!agent->was_own_seen || pod_cidrs_are_known(agent))
		return false;
	return agent->bad_pods.text[0] || boot_ns() - agent->own_seen_ns >= LATE_NS;
}

static void give_up_waiting(struct agent *agent)
{
	if (agent->settings->pods_source != PODS_AUTO || !has_waited_in_vain(agent))
		return;
	log_warning("%s: this node's prefixes are read from its own routes from now on, as with "
		    "--pod-cidrs-from local",
		    agent->bad_pods.text[0] ? agent->bad_pods.text : "this node has no podCIDRs");
	agent->are_pods_local = true;
}

/* -- from the kernel -- */

static void move_to_local(struct agent *agent)
{
	const struct settings *settings = agent->settings;
	char text[CIDR_TEXT_LEN];
	struct cidr cidr;

	if (agent->are_pods_local || settings->pods_source != PODS_AUTO || settings->pod_count ||
	    !pod_cidrs_are_known(agent) ||
	    !pods_contradict(&agent->local_pods, &agent->view, agent->node_pods,
			     agent->node_pod_count, &cidr))
		return;
	log_warning(
		"the pods of this node are not those of its podCIDRs (%s is a pod's address here, or is reached "
		"elsewhere): its prefixes are read from its own routes from now on, as with --pod-cidrs-from local",
		cidr_format(text, &cidr));
	agent->are_pods_local = true;
}

static void find_holes(struct agent *agent)
{
	struct cluster_self *self = &agent->self;
	char text[CIDR_TEXT_LEN];
	uint32_t count = pods_find_holes(&agent->view, self->pods, self->pod_count, self->holes,
					 CLUSTER_HOLES_MAX);

	self->hole_count = MIN(count, (uint32_t)CLUSTER_HOLES_MAX);
	if (count > CLUSTER_HOLES_MAX)
		self->pod_count =
			0; /* which of them are ours cannot be told: none leaves in clear */
	if (!count)
		return;
	cidr_format(text, &self->holes[0]);
	agent_add_reason(
		agent, REASON_PODS_ROUTED, text,
		"%s is among this node's pod prefixes, but its route leads to another machine: "
		"see --pod-cidr, or give --pod-cidrs-from local",
		text);
}

void pod_cidrs_follow(struct agent *agent)
{
	struct cluster_self *self = &agent->self;

	pods_mark_devices(&agent->view, self->ranges, self->range_count);
	pods_find(&agent->local_pods, &agent->view, self->ranges, self->range_count);
	give_up_waiting(agent);
	move_to_local(agent);
	blame_registry(agent);
	/* What the kernel shows is at least no other node's, while nobody has said what is ours. */
	if (agent->are_pods_local || !pod_cidrs_are_known(agent)) {
		self->pod_count = agent->local_pods.count;
		memcpy(self->pods, agent->local_pods.cidrs, sizeof(self->pods));
		if (agent->local_pods.is_cut)
			agent_add_reason(
				agent, REASON_PODS_CUT, "",
				"this node has more pod prefixes than the %u it can publish: "
				"pods beyond them are cut off",
				(unsigned int)ANNOTATION_PODS_MAX);
	} else {
		take_node_pods(agent);
	}
	find_holes(agent);
	self->routes = agent->view.routes;
	self->route_count = agent->view.route_count;
}
