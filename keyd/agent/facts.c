// SPDX-License-Identifier: Apache-2.0
/*
 * Devices and addresses are read in each pass and judged by underlay.c; nothing of an earlier pass
 * is trusted.
 */
#include "facts.h"

#include <errno.h>

#include "cluster/secret.h"
#include "host/clock.h"
#include "host/link.h"
#include "log.h"

bool facts_begin(struct facts *facts, struct pod_cidrs *pod_cidrs, const struct settings *settings,
		 const struct registry *registry)
{
	struct cluster_self *self = &facts->self;

	self->range_count = settings->range_count;
	memcpy(self->ranges, settings->ranges, sizeof(settings->ranges));
	self->has_given_pod_cidrs = registry->is_server;
	if (!pod_cidrs_begin(pod_cidrs, settings, registry->found, registry->is_server)) {
		log_error(
			"no pod prefix of this node is known: the registry has no podCIDRs for %s; "
			"give --pod-cidr, or --pod-cidrs-from local",
			settings->node);
		return false;
	}
	if (pod_cidrs->are_local)
		return true;
	self->pod_count = pod_cidrs->given_count;
	memcpy(self->pods, pod_cidrs->given, sizeof(pod_cidrs->given));
	return pod_cidrs->has_flags || settings_check_pods(settings, self->pods, self->pod_count,
							   "podCIDRs in the registry");
}

void facts_clear(struct facts *facts)
{
	link_view_clear(&facts->view);
}

/* -- devices and addresses -- */

static struct underlay_settings underlay_settings(const struct facts *facts,
						  const struct pod_cidrs *pod_cidrs,
						  const struct settings *settings)
{
	return (struct underlay_settings){
		.interface = settings->interface,
		.is_auto = settings->is_uplink_auto,
		.uplink_count = settings->uplink_count,
		.uplinks = settings->uplinks,
		.pod_count = facts->self.pod_count,
		.pods = facts->self.pods,
		.are_pods_local = pod_cidrs->are_local,
		.endpoint_count = settings->endpoint_count,
		.endpoints = settings->endpoints,
	};
}

void facts_judge(const struct facts *facts, const struct pod_cidrs *pod_cidrs,
		 const struct settings *settings, struct underlay_view *view,
		 struct underlay *ret_underlay)
{
	struct underlay_settings wanted = underlay_settings(facts, pod_cidrs, settings);

	pods_mark_devices(view, facts->self.ranges, facts->self.range_count);
	underlay_judge(ret_underlay, &wanted, view);
}

static bool is_own_address(const struct underlay *underlay, const struct address *address)
{
	for (uint32_t i = 0; i < underlay->own_count; i++)
		if (address_is_equal(&underlay->own[i], address))
			return true;
	return false;
}

static bool has_lost_address(const struct underlay *before, const struct underlay *now)
{
	for (uint32_t i = 0; i < before->own_count; i++)
		if (!is_own_address(now, &before->own[i]))
			return true;
	return false;
}

static void judge(struct facts *facts, const struct pod_cidrs *pod_cidrs,
		  const struct settings *settings, struct registry *registry)
{
	struct underlay_settings wanted = underlay_settings(facts, pod_cidrs, settings);

	facts->before = facts->underlay;
	underlay_judge(&facts->underlay, &wanted, &facts->view);
	if (registry->operations->renew && has_lost_address(&facts->before, &facts->underlay))
		registry->operations->renew(registry);
}

/* -- own pods -- */

static void log_move(enum pod_cidrs_move move, const struct pod_cidrs *pod_cidrs,
		     const struct cidr *proof)
{
	char text[CIDR_TEXT_LEN];

	switch (move) {
	case POD_CIDRS_STAY:
		break;
	case POD_CIDRS_LATE:
	case POD_CIDRS_REFUSED:
		log_warning(
			"%s: this node's prefixes are read from its own routes from now on, as with "
			"--pod-cidrs-from local",
			move == POD_CIDRS_REFUSED ? pod_cidrs->refusal.text
						  : "this node has no podCIDRs");
		break;
	case POD_CIDRS_CONTRADICTED:
		log_warning(
			"the pods of this node are not those of its podCIDRs (%s is a pod's address here, or is reached "
			"elsewhere): its prefixes are read from its own routes from now on, as with --pod-cidrs-from local",
			cidr_format(text, proof));
		break;
	}
}

static void add_trouble(const struct pod_cidrs *pod_cidrs, struct verdict *verdict)
{
	switch (pod_cidrs_find_trouble(pod_cidrs)) {
	case POD_CIDRS_FINE:
		break;
	case POD_CIDRS_BAD:
		verdict_add_reason(verdict, REASON_PODS, "", "%s", pod_cidrs->refusal.text);
		break;
	case POD_CIDRS_MISSING:
		verdict_add_reason(
			verdict, REASON_PODS, "",
			"this node has no podCIDRs yet, so nothing is published: if it never gets any, "
			"give --pod-cidrs-from local, or --pod-cidr");
		break;
	}
}

static void add_hole(const struct cluster_self *self, struct verdict *verdict)
{
	char text[CIDR_TEXT_LEN];

	if (!self->hole_count)
		return;
	cidr_format(text, &self->holes[0]);
	verdict_add_reason(
		verdict, REASON_PODS_ROUTED, text,
		"%s is among this node's pod prefixes, but its route leads to another machine: "
		"see --pod-cidr, or give --pod-cidrs-from local",
		text);
}

static void find_pods(struct facts *facts, struct pod_cidrs *pod_cidrs, struct verdict *verdict)
{
	struct cluster_self *self = &facts->self;
	enum pod_cidrs_move move;
	struct cidr proof;

	pods_mark_devices(&facts->view, self->ranges, self->range_count);
	move = pod_cidrs_follow(pod_cidrs, &facts->view, self->ranges, self->range_count, boot_ns(),
				&proof);
	log_move(move, pod_cidrs, &proof);
	add_trouble(pod_cidrs, verdict);
	if (pod_cidrs_fill(pod_cidrs, &facts->view, self))
		verdict_add_reason(verdict, REASON_PODS_CUT, "",
				   "this node has more pod prefixes than the %u it can publish: "
				   "pods beyond them are cut off",
				   (unsigned int)ANNOTATION_PODS_MAX);
	add_hole(self, verdict);
}

void facts_read(struct facts *facts, struct pod_cidrs *pod_cidrs, const struct settings *settings,
		struct registry *registry, struct verdict *verdict)
{
	struct underlay_view view = {0};
	int error = link_read(&view);

	if (error) {
		verdict_add_reason(verdict, REASON_LINKS, "",
				   "devices and addresses cannot be read: %s", strerror(-error));
		return;
	}
	link_view_clear(&facts->view);
	facts->view = view;
	find_pods(facts, pod_cidrs, verdict);
	judge(facts, pod_cidrs, settings, registry);
}

/* -- the description -- */

/* An endpoint that is not one of our addresses belongs to a NAT in front of this node. */
static void list_addresses(struct cluster_self *self, const struct underlay *underlay)
{
	self->address_count = underlay->own_count;
	memcpy(self->addresses, underlay->own, sizeof(self->addresses));
	self->has_ipv4 = self->has_ipv6 = false;
	for (uint32_t i = 0; i < underlay->endpoint_count; i++) {
		*(underlay->endpoints[i].family == AF_INET ? &self->has_ipv4 : &self->has_ipv6) =
			true;
		if (!is_own_address(underlay, &underlay->endpoints[i]) &&
		    self->address_count < CLUSTER_OWN_ADDRESSES_MAX)
			self->addresses[self->address_count++] = underlay->endpoints[i];
	}
}

void facts_describe(struct facts *facts, const struct settings *settings,
		    const struct datapath *datapath, const struct rotate_identity *own,
		    const struct secrets *secrets)
{
	struct cluster_self *self = &facts->self;

	self->now_ms = wall_ms();
	self->entries = datapath->entries;
	self->entry_count = datapath->entry_count;
	self->port = settings->port;
	list_addresses(self, &facts->underlay);
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
		self->has_key[slot] = own && own->has_key[slot];
		if (self->has_key[slot])
			self->keys[slot] = own->keys[slot];
	}
	self->secrets = (struct secret_ids){0};
	if (secrets)
		secret_list_ids(&self->secrets, secrets);
}

void facts_report_devices(const struct facts *facts, const struct settings *settings,
			  struct verdict *verdict)
{
	for (uint32_t i = 0; i < settings->uplink_count; i++)
		if (!underlay_find_device(&facts->view, settings->uplinks[i]))
			verdict_add_reason(verdict, REASON_UPLINK, settings->uplinks[i],
					   "--uplink %s: no such device", settings->uplinks[i]);
	if (!facts->underlay.uplink_count)
		verdict_add_reason(verdict, REASON_UPLINK, "",
				   "no device leads to other nodes: give --uplink");
	if (!facts->underlay.endpoint_count)
		verdict_add_reason(
			verdict, REASON_ENDPOINT, "",
			"no device that leads to other nodes has an address to publish: give --endpoint");
}
