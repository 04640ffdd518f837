// SPDX-License-Identifier: Apache-2.0
/*
 * With `auto` the registry's prefixes are used until the kernel contradicts them, and never again
 * after that: once the CNI of a node has used other addresses, the disappearance of the last such
 * pod does not prove that it stopped.
 */
#include "pod_cidrs.h"

#define LATE_NS (60 * NS_PER_S) /* a controller that assigns podCIDRs does so within seconds */

bool pod_cidrs_begin(struct pod_cidrs *pod_cidrs, const struct settings *settings,
		     const struct node *found, bool is_server)
{
	*pod_cidrs = (struct pod_cidrs){.source = settings->pods_source,
					.has_flags = settings->pod_count,
					.is_server = is_server};
	if (pod_cidrs->has_flags) {
		pod_cidrs->given_count = settings->pod_count;
		memcpy(pod_cidrs->given, settings->pods, sizeof(pod_cidrs->given));
	} else if (found) {
		pod_cidrs->given_count = found->pod_cidr_count;
		memcpy(pod_cidrs->given, found->pod_cidrs, sizeof(pod_cidrs->given));
	}
	if (settings->pods_source == PODS_NODE && !pod_cidrs->given_count && !is_server)
		return false;
	pod_cidrs->are_local = !pod_cidrs->has_flags && (settings->pods_source == PODS_LOCAL ||
							 (!pod_cidrs->given_count && !is_server));
	return true;
}

/* -- from the registry, later -- */

static bool are_from_registry(const struct pod_cidrs *pod_cidrs)
{
	return pod_cidrs->is_server && !pod_cidrs->has_flags && !pod_cidrs->are_local;
}

void pod_cidrs_inherit(struct pod_cidrs *pod_cidrs, const struct prefix_entry *entries,
		       uint32_t entry_count)
{
	uint32_t count = 0;

	if (!are_from_registry(pod_cidrs))
		return;
	for (uint32_t i = 0; i < entry_count; i++) {
		if (entries[i].value.class != PREFIX_LOCAL)
			continue;
		if (count == NODE_POD_CIDRS_MAX)
			return; /* then they came from the kernel, which still shows them */
		pod_cidrs->given[count++] = prefix_key_to_cidr(&entries[i].key);
	}
	pod_cidrs->given_count = count;
}

void pod_cidrs_learn(struct pod_cidrs *pod_cidrs, const struct node *node,
		     const struct refusal *refusal, uint64_t now_ns)
{
	if (!pod_cidrs->was_own_seen)
		pod_cidrs->own_seen_ns = now_ns;
	pod_cidrs->was_own_seen = true;
	pod_cidrs->refusal = (struct refusal){0};
	if (!are_from_registry(pod_cidrs))
		return;
	pod_cidrs->refusal = *refusal;
	if (refusal->text[0] || !node->pod_cidr_count)
		return; /* a mistake in the registry removes no prefix that is in use */
	pod_cidrs->given_count = node->pod_cidr_count;
	memcpy(pod_cidrs->given, node->pod_cidrs, sizeof(pod_cidrs->given));
}

bool pod_cidrs_are_known(const struct pod_cidrs *pod_cidrs)
{
	return !are_from_registry(pod_cidrs) || pod_cidrs->given_count;
}

enum pod_cidrs_trouble pod_cidrs_find_trouble(const struct pod_cidrs *pod_cidrs)
{
	if (pod_cidrs->refusal.text[0] && are_from_registry(pod_cidrs))
		return POD_CIDRS_BAD;
	return pod_cidrs->was_own_seen && !pod_cidrs_are_known(pod_cidrs) ? POD_CIDRS_MISSING
									  : POD_CIDRS_FINE;
}

const char *pod_cidrs_origin(const struct pod_cidrs *pod_cidrs)
{
	if (pod_cidrs->are_local)
		return "local";
	return pod_cidrs->has_flags ? "flag" : "node";
}

/* -- from the kernel -- */

/* The registry has no podCIDRs for a while, or unusable ones: the CNI does not use them. */
static enum pod_cidrs_move judge_wait(const struct pod_cidrs *pod_cidrs, uint64_t now_ns)
{
	if (!pod_cidrs->was_own_seen || pod_cidrs_are_known(pod_cidrs))
		return POD_CIDRS_STAY;
	if (pod_cidrs->refusal.text[0])
		return POD_CIDRS_REFUSED;
	return now_ns - pod_cidrs->own_seen_ns >= LATE_NS ? POD_CIDRS_LATE : POD_CIDRS_STAY;
}

enum pod_cidrs_move pod_cidrs_follow(struct pod_cidrs *pod_cidrs, const struct underlay_view *view,
				     const struct cidr *ranges, uint32_t range_count,
				     uint64_t now_ns, struct cidr *ret_proof)
{
	enum pod_cidrs_move move;

	pods_find(&pod_cidrs->local, view, ranges, range_count);
	if (pod_cidrs->are_local || pod_cidrs->source != PODS_AUTO)
		return POD_CIDRS_STAY;
	move = judge_wait(pod_cidrs, now_ns);
	if (!pod_cidrs->has_flags && pod_cidrs_are_known(pod_cidrs) &&
	    pods_contradict(&pod_cidrs->local, view, pod_cidrs->given, pod_cidrs->given_count,
			    ret_proof))
		move = POD_CIDRS_CONTRADICTED;
	pod_cidrs->are_local = move != POD_CIDRS_STAY;
	return move;
}

/* If there are more holes than there is room for, nothing can tell which pods are ours: none
 * leaves in cleartext. */
static void find_holes(const struct underlay_view *view, struct cluster_self *self)
{
	uint32_t count =
		pods_find_holes(view, self->pods, self->pod_count, self->holes, CLUSTER_HOLES_MAX);

	self->hole_count = MIN(count, (uint32_t)CLUSTER_HOLES_MAX);
	if (count > CLUSTER_HOLES_MAX)
		self->pod_count = 0;
}

bool pod_cidrs_fill(const struct pod_cidrs *pod_cidrs, const struct underlay_view *view,
		    struct cluster_self *self)
{
	/* While our prefixes are unknown, those that the kernel shows are at least no other
	 * node's. */
	bool shows_local = pod_cidrs->are_local || !pod_cidrs_are_known(pod_cidrs);

	if (shows_local) {
		self->pod_count = pod_cidrs->local.count;
		memcpy(self->pods, pod_cidrs->local.cidrs, sizeof(self->pods));
	} else {
		self->pod_count = pod_cidrs->given_count;
		memcpy(self->pods, pod_cidrs->given, sizeof(pod_cidrs->given));
	}
	find_holes(view, self);
	self->routes = view->routes;
	self->route_count = view->route_count;
	return shows_local && pod_cidrs->local.is_cut;
}
