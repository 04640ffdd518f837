// SPDX-License-Identifier: Apache-2.0
/*
 * Devices and addresses are read anew in each pass and judged by underlay.c; nothing of an earlier pass is trusted.
 */
#include "facts.h"

#include <errno.h>

#include "host/clock.h"
#include "host/link.h"
#include "pod_cidrs.h"

static struct underlay_settings underlay_settings(const struct agent *agent)
{
	const struct settings *settings = agent->settings;

	return (struct underlay_settings){
		.interface = settings->interface,
		.is_auto = settings->is_uplink_auto,
		.uplink_count = settings->uplink_count,
		.uplinks = settings->uplinks,
		.pod_count = agent->self.pod_count,
		.pods = agent->self.pods,
		.are_pods_local = agent->are_pods_local,
		.endpoint_count = settings->endpoint_count,
		.endpoints = settings->endpoints,
	};
}

void facts_judge(const struct agent *agent, struct underlay *ret_underlay,
		 struct underlay_view *view)
{
	struct underlay_settings settings = underlay_settings(agent);

	pods_mark_devices(view, agent->self.ranges, agent->self.range_count);
	underlay_judge(ret_underlay, &settings, view);
}

static bool is_own_address(const struct underlay *underlay, const struct address *address)
{
	for (uint32_t i = 0; i < underlay->own_count; i++)
		if (address_is_equal(&underlay->own[i], address))
			return true;
	return false;
}

/* True: an address of before is not there any more. */
static bool has_left_address(const struct underlay *before, const struct underlay *now)
{
	for (uint32_t i = 0; i < before->own_count; i++)
		if (!is_own_address(now, &before->own[i]))
			return true;
	return false;
}

static void judge(struct agent *agent)
{
	static struct underlay before; /* large, and only used here */
	struct underlay_settings settings = underlay_settings(agent);
	const struct registry_operations *operations = agent->registry->operations;

	before = agent->underlay;
	underlay_judge(&agent->underlay, &settings, &agent->view);
	if (operations->renew && has_left_address(&before, &agent->underlay))
		operations->renew(agent->registry);
}

void facts_read(struct agent *agent)
{
	struct underlay_view view = {0};
	int error = link_read(&view);

	if (error) {
		agent_add_reason(agent, REASON_LINKS, "",
				 "devices and addresses cannot be read: %s", strerror(-error));
		return;
	}
	link_view_clear(&agent->view);
	agent->view = view;
	pod_cidrs_follow(agent);
	judge(agent);
}

void facts_describe(struct agent *agent)
{
	const struct secrets *secrets = secret_file_secrets(&agent->secret);
	const struct rotate_identity *own = rotate_publishable(&agent->rotate);
	const struct underlay *underlay = &agent->underlay;
	struct cluster_self *self = &agent->self;

	self->now_ms = wall_ms();
	self->entries = agent->datapath.entries;
	self->entry_count = agent->datapath.entry_count;
	self->port = agent->settings->port;
	self->has_given_pod_cidrs = agent->registry->is_server;
	self->address_count = underlay->own_count;
	memcpy(self->addresses, underlay->own, sizeof(self->addresses));
	self->has_ipv4 = self->has_ipv6 = false;
	for (uint32_t i = 0; i < underlay->endpoint_count; i++) {
		*(underlay->endpoints[i].family == AF_INET ? &self->has_ipv4 : &self->has_ipv6) =
			true;
		if (!is_own_address(underlay, &underlay->endpoints[i]) &&
		    self->address_count <
			    CLUSTER_OWN_ADDRESSES_MAX) /* one that a NAT in front of us has */
			self->addresses[self->address_count++] = underlay->endpoints[i];
	}
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
		self->has_key[slot] = own && own->has_key[slot];
		if (self->has_key[slot])
			self->keys[slot] = own->keys[slot];
	}
	self->secrets = (struct secret_ids){0};
	if (secrets)
		secret_list_ids(&self->secrets, secrets);
}

void facts_report_devices(struct agent *agent)
{
	const struct settings *settings = agent->settings;

	for (uint32_t i = 0; i < settings->uplink_count; i++)
		if (!underlay_find_device(&agent->view, settings->uplinks[i]))
			agent_add_reason(agent, REASON_UPLINK, settings->uplinks[i],
					 "--uplink %s: there is no such device",
					 settings->uplinks[i]);
	if (!agent->underlay.uplink_count)
		agent_add_reason(agent, REASON_UPLINK, "",
				 "no device leads to other nodes: give --uplink");
	if (!agent->underlay.endpoint_count)
		agent_add_reason(
			agent, REASON_ENDPOINT, "",
			"no address to publish is on a device that leads to other nodes: give --endpoint");
}
