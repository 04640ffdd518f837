// SPDX-License-Identifier: Apache-2.0
/*
 * A device that merely has the tunnel's name gets no pod traffic, and no device of ours is left without its programs: what
 * cannot be attached, or was taken away, is a reason why the node is not protected.
 */
#include "hooks.h"

#include <errno.h>

#include "facts.h"
#include "host/clock.h"
#include "host/link.h"
#include "host/overlay.h"
#include "host/pods.h"
#include "host/tunnel_device.h"
#include "log.h"

/* -- the device -- */

static bool any_peer_uses_ipv6(const struct members *members)
{
	for (uint32_t i = 0; i < members->count; i++)
		if (members->items[i]->state == MEMBER_USABLE &&
		    members->items[i]->endpoints[0].family == AF_INET6)
			return true;
	return false;
}

/* The tunnel's own word, or that of an earlier agent while the device is still there: a device that merely has the name
 * is not trusted with pod traffic. */
static unsigned int tunnel_ifindex(const struct agent *agent)
{
	const struct underlay_device *device =
		underlay_find_device(&agent->view, agent->settings->interface);
	unsigned int trusted = tunnel_client_is_connected(&agent->tunnel)
				       ? agent->hello.ifindex
				       : agent->datapath.config.tunnel_ifindex;

	return device && device->ifindex == trusted ? trusted : 0;
}

/* Attached to exactly these devices, and looked after there. Returns on how many it is not. */
static uint32_t attach(struct agent *agent, enum loader_program program,
		       const unsigned int *ifindexes, uint32_t count)
{
	uint32_t failed = datapath_attach(&agent->datapath, program, ifindexes, count);

	if (failed)
		agent_add_reason(agent, REASON_ATTACHMENT, datapath_program_name(program),
				 "%s cannot be attached to %u of %u devices",
				 datapath_program_name(program), failed, count);
	if (!watch_want(&agent->watch, program, ifindexes, count))
		agent_add_reason(agent, REASON_MEMORY, "", "not enough memory");
	return failed;
}

static void prepare_device(struct agent *agent)
{
	const char *interface = agent->settings->interface;
	bool changed = false;
	int error = tunnel_device_prepare(&agent->view, interface,
					  underlay_device_mtu(agent->inner_mtu), &changed);

	if (error)
		agent_add_reason(agent, REASON_DEVICE, "", "%s cannot be set up: %s", interface,
				 strerror(-error));
	if (changed && agent->has_settled)
		log_warning(
			"%s was not as it should be (up, MTU %u, loose rp_filter, an address): set up again",
			interface, underlay_device_mtu(agent->inner_mtu));
	agent->changes += changed;
}

void hooks_settle_device(struct agent *agent)
{
	struct datapath_config config = {
		.abi_version = MAP_ABI_VERSION,
		.tunnel_ifindex = tunnel_ifindex(agent),
		.tunnel_port = agent->settings->port,
		.mode = agent->mode,
		.bypass_count = agent->datapath.bypass_count,
	};

	if (!overlay_list_ports(&config, &agent->view))
		agent_add_reason(
			agent, REASON_OVERLAY, "",
			"more than %d ports of VXLAN or Geneve: in some nobody looks for clear packets",
			OVERLAY_PORTS_MAX);
	agent->inner_mtu = underlay_inner_mtu(
		agent->underlay.uplink_mtu,
		agent->members.count ? any_peer_uses_ipv6(&agent->members) : !agent->self.has_ipv4);
	/* Whom the registry has not named yet may need the room that an earlier agent left. */
	if (!agent->are_all_listed && agent->datapath.config.tunnel_mtu)
		agent->inner_mtu = MIN(agent->inner_mtu, agent->datapath.config.tunnel_mtu);
	config.tunnel_mtu = agent->inner_mtu;
	if (config.tunnel_ifindex) {
		prepare_device(agent);
		attach(agent, LOADER_FROM_TUNNEL, &config.tunnel_ifindex, 1);
	}
	if (datapath_set_config(&agent->datapath, &config))
		agent_add_reason(agent, REASON_MAPS, "", "the BPF maps cannot be written");
}

/* -- the hooks -- */

#define DEVICES_MAX (DATAPATH_UPLINKS_MAX + UNDERLAY_DEVICES_MAX + 2)

uint32_t hooks_settle(struct agent *agent)
{
	static unsigned int ifindexes[UNDERLAY_DEVICES_MAX]; /* large, and only used here */
	const struct underlay *underlay = &agent->underlay;
	uint32_t failed;

	for (uint32_t i = 0; i < underlay->uplink_count; i++)
		ifindexes[i] = underlay->uplinks[i]->ifindex;
	failed = attach(agent, LOADER_TO_WIRE, ifindexes, underlay->uplink_count);
	attach(agent, LOADER_WIRE_GUARD, ifindexes, underlay->uplink_count);
	attach(agent, LOADER_FROM_WIRE, ifindexes, underlay->uplink_count);
	return failed;
}

/* -- the guard -- */

static void add_device(struct guard_table_wish *wish, unsigned int *devices, unsigned int ifindex)
{
	if (!datapath_is_among(devices, wish->device_count, ifindex) &&
	    wish->device_count < DEVICES_MAX)
		devices[wish->device_count++] = ifindex;
}

/* One whose to_wire somebody took away stays: wire_guard is still there. */
static void list_guarded(const struct agent *agent, struct guard_table_wish *wish,
			 unsigned int *devices)
{
	const struct underlay *underlay = &agent->underlay;

	wish->device_count = loader_list_attached(agent->datapath.loader, LOADER_TO_WIRE, devices,
						  DATAPATH_UPLINKS_MAX);
	for (uint32_t i = 0; i < underlay->uplink_count; i++)
		if (guard_table_has_device(&agent->guard_table, underlay->uplinks[i]->ifindex))
			add_device(wish, devices, underlay->uplinks[i]->ifindex);
	for (uint32_t i = 0; i < agent->view.device_count; i++) {
		const struct underlay_device *device = &agent->view.devices[i];

		if (device->is_loopback || !strcmp(device->name, agent->settings->interface))
			add_device(wish, devices, device->ifindex);
	}
}

/* Where the prefixes are read from the devices, or may be as soon as the kernel contradicts the registry. */
static bool may_have_unknown_pods(const struct agent *agent)
{
	const struct settings *settings = agent->settings;

	return !settings->pod_count &&
	       (settings->pods_source != PODS_NODE || !agent->self.pod_count);
}

void hooks_settle_guard(struct agent *agent)
{
	static unsigned int devices[DEVICES_MAX]; /* large, and only used here */
	struct guard_table_wish wish = {.devices = devices,
					.tunnel_port = agent->settings->port,
					.may_have_unknown_pods = may_have_unknown_pods(agent)};

	list_guarded(agent, &wish, devices);
	guard_table_settle(&agent->guard_table, &agent->datapath, &wish, boot_ns());
}

/* -- in the middle of a pass -- */

static void hook_new_devices(struct agent *agent, const struct underlay *underlay)
{
	static const enum loader_program programs[] = {LOADER_TO_WIRE, LOADER_WIRE_GUARD,
						       LOADER_FROM_WIRE};
	static unsigned int there[DATAPATH_UPLINKS_MAX]; /* large, and only used here */
	uint32_t there_count = loader_list_attached(agent->datapath.loader, LOADER_TO_WIRE, there,
						    DATAPATH_UPLINKS_MAX);

	for (uint32_t i = 0; i < underlay->uplink_count; i++) {
		unsigned int ifindex = underlay->uplinks[i]->ifindex;

		if (datapath_is_among(there, there_count, ifindex))
			continue;
		for (unsigned int p = 0; p < ARRAY_SIZE(programs); p++)
			(void)!datapath_attach_too(&agent->datapath, programs[p], ifindex);
	}
}

void hooks_attach_new(struct agent *agent)
{
	static struct underlay underlay; /* large, and only used here */
	struct underlay_view view = {0};
	enum link_news news = link_monitor_drain(agent->monitor_fd);

	agent_take_links(agent, news);
	if (news != LINK_NEW_DEVICE || link_read(&view))
		return;
	facts_judge(agent, &underlay, &view);
	hook_new_devices(agent, &underlay);
	hooks_settle_guard(agent);
	link_view_clear(&view);
}

/* -- mending -- */

void hooks_repair(struct agent *agent)
{
	watch_check(&agent->watch, agent->datapath.loader, boot_ns());
}

void hooks_report(struct agent *agent)
{
	const struct watch *watch = &agent->watch;
	char text[REFUSAL_LEN], subject[NODE_NAME_LEN];

	for (uint32_t i = 0; i < watch->count; i++) {
		const struct watched *item = &watch->items[i];

		if (!watch_complaint(item, boot_ns(), text, sizeof(text)))
			continue;
		snprintf(subject, sizeof(subject), "%s on %s", datapath_program_name(item->program),
			 item->device);
		agent_add_reason(agent, REASON_HOOK, subject, "%s", text);
	}
	if (repairs_are_contested(&agent->guard_table.repairs, boot_ns()))
		agent_add_reason(agent, REASON_GUARD, "",
				 "somebody changes the table inet " GUARD_TABLE
				 " again and again: find out who");
}
