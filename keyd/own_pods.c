// SPDX-License-Identifier: Apache-2.0
/*
 * With `auto` the registry's word is taken until the kernel contradicts it, and never again afterwards: a node whose
 * CNI once went its own way is not believed to follow the registry when its last such pod is gone.
 */
#include "own_pods.h"

#include "log.h"

static void take_node_pods(struct agent *agent)
{
	agent->self.pod_count = agent->node_pod_count;
	memcpy(agent->self.pods, agent->node_pods, sizeof(agent->node_pods));
}

bool own_pods_begin(struct agent *agent)
{
	const struct settings *settings = agent->settings;
	const struct node *found = agent->registry->found;
	bool is_from_flags = settings->pod_count;

	agent->self.range_count = settings->range_count;
	memcpy(agent->self.ranges, settings->ranges, sizeof(settings->ranges));
	if (is_from_flags) {
		agent->node_pod_count = settings->pod_count;
		memcpy(agent->node_pods, settings->pods, sizeof(agent->node_pods));
	} else if (found) {
		agent->node_pod_count = found->pod_cidr_count;
		memcpy(agent->node_pods, found->pod_cidrs, sizeof(agent->node_pods));
	}
	if (settings->pods_source == PODS_NODE && !agent->node_pod_count) {
		log_error(
			"no pod prefix of this node is known: the registry has no podCIDRs for %s; "
			"give --pod-cidr, or --pod-cidrs-from local",
			settings->node);
		return false;
	}
	agent->are_pods_local =
		!is_from_flags && (settings->pods_source == PODS_LOCAL || !agent->node_pod_count);
	if (agent->are_pods_local)
		return true;
	take_node_pods(agent);
	return is_from_flags ||
	       settings_check_pods(settings, agent->self.pods, agent->self.pod_count,
				   "podCIDRs in the registry");
}

static void move_to_local(struct agent *agent)
{
	const struct settings *settings = agent->settings;
	char text[CIDR_TEXT_LEN];
	struct cidr cidr;

	if (agent->are_pods_local || settings->pods_source != PODS_AUTO || settings->pod_count ||
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
	if (count)
		agent_blame(
			agent,
			"%s is among this node's pod prefixes, but its route leads to another machine: "
			"see --pod-cidr, or give --pod-cidrs-from local",
			cidr_format(text, &self->holes[0]));
}

void own_pods_follow(struct agent *agent)
{
	struct cluster_self *self = &agent->self;

	pods_mark_devices(&agent->view, self->ranges, self->range_count);
	pods_find(&agent->local_pods, &agent->view, self->ranges, self->range_count);
	move_to_local(agent);
	if (agent->are_pods_local) {
		self->pod_count = agent->local_pods.count;
		memcpy(self->pods, agent->local_pods.cidrs, sizeof(self->pods));
		if (agent->local_pods.is_cut)
			agent_blame(agent,
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
