// SPDX-License-Identifier: Apache-2.0
/*
 * A device that merely has the name of the tunnel's device gets no pod traffic, and no device that
 * leads to other nodes is left without our programs: a program that cannot be attached, or was
 * detached, is a reason why the node is not protected.
 */
#include "hooks.h"

#include <errno.h>

#include "host/clock.h"
#include "host/link.h"
#include "host/overlay.h"
#include "host/tunnel_device.h"
#include "log.h"

void hooks_init(struct hooks *hooks)
{
	watch_init(&hooks->watch);
	guard_table_init(&hooks->guard_table);
}

void hooks_close(struct hooks *hooks)
{
	watch_close(&hooks->watch);
	guard_table_close(&hooks->guard_table);
}

/* -- the device -- */

static bool any_peer_uses_ipv6(const struct members *members)
{
	for (uint32_t i = 0; i < members->count; i++)
		if (members->items[i]->state == MEMBER_USABLE &&
		    members->items[i]->endpoints[0].family == AF_INET6)
			return true;
	return false;
}

/* The index that the tunnel reports, or an earlier agent left while the device still exists: a
 * device that merely has the name is not trusted with pod traffic. */
static unsigned int tunnel_ifindex(const struct hooks_parts *parts)
{
	const struct underlay_device *device =
		underlay_find_device(&parts->facts->view, parts->settings->interface);
	unsigned int trusted = connection_is_open(parts->connection)
				       ? parts->connection->hello.ifindex
				       : parts->datapath->config.tunnel_ifindex;

	return device && device->ifindex == trusted ? trusted : 0;
}

/* Attaches to exactly these devices, and watches them. Returns on how many it failed. */
static uint32_t attach(const struct hooks_parts *parts, enum loader_program program,
		       const unsigned int *ifindexes, uint32_t count)
{
	uint32_t failed = datapath_attach(parts->datapath, program, ifindexes, count);

	if (failed)
		verdict_add_reason(parts->verdict, REASON_ATTACHMENT,
				   datapath_program_name(program),
				   "%s cannot be attached to %u of %u devices",
				   datapath_program_name(program), failed, count);
	if (!watch_want(&parts->hooks->watch, program, ifindexes, count))
		verdict_add_reason(parts->verdict, REASON_MEMORY, "", "not enough memory");
	return failed;
}

static void prepare_device(const struct hooks_parts *parts)
{
	const char *interface = parts->settings->interface;
	uint32_t mtu = underlay_device_mtu(parts->hooks->inner_mtu);
	bool changed = false;
	int error = tunnel_device_prepare(&parts->facts->view, interface, mtu, &changed);

	if (error)
		verdict_add_reason(parts->verdict, REASON_DEVICE, "", "%s cannot be set up: %s",
				   interface, strerror(-error));
	if (changed && parts->verdict->has_settled)
		log_warning(
			"%s lacked a setting (up, MTU %u, loose rp_filter, an address): set up again",
			interface, mtu);
	parts->hooks->changes += changed;
}

/* Until every record was read: peers that are still unknown may need the smaller MTU that an
 * earlier agent left. */
static uint32_t find_inner_mtu(const struct hooks_parts *parts)
{
	const struct members *members = parts->members;
	uint32_t mtu = underlay_inner_mtu(parts->facts->underlay.uplink_mtu,
					  members->count ? any_peer_uses_ipv6(members)
							 : !parts->facts->self.has_ipv4);
	uint32_t mapped = parts->datapath->config.tunnel_mtu;

	return !members->are_all_listed && mapped ? MIN(mtu, mapped) : mtu;
}

void hooks_settle_device(const struct hooks_parts *parts)
{
	struct datapath_config config = {
		.abi_version = MAP_ABI_VERSION,
		.tunnel_ifindex = tunnel_ifindex(parts),
		.tunnel_port = parts->settings->port,
		.mode = parts->mode->current,
		.bypass_count = parts->datapath->bypass_count,
	};

	if (!overlay_list_ports(&config, &parts->facts->view))
		verdict_add_reason(
			parts->verdict, REASON_OVERLAY, "",
			"more than %d ports of VXLAN or Geneve: packets on the other ports are not checked for cleartext",
			OVERLAY_PORTS_MAX);
	config.tunnel_mtu = parts->hooks->inner_mtu = find_inner_mtu(parts);
	if (config.tunnel_ifindex) {
		prepare_device(parts);
		attach(parts, LOADER_FROM_TUNNEL, &config.tunnel_ifindex, 1);
	}
	if (datapath_set_config(parts->datapath, &config))
		verdict_add_map_failure(parts->verdict);
}

/* -- the hooks -- */

uint32_t hooks_settle(const struct hooks_parts *parts)
{
	const struct underlay *underlay = &parts->facts->underlay;
	unsigned int *ifindexes = parts->hooks->devices;
	uint32_t failed;

	for (uint32_t i = 0; i < underlay->uplink_count; i++)
		ifindexes[i] = underlay->uplinks[i]->ifindex;
	failed = attach(parts, LOADER_TO_WIRE, ifindexes, underlay->uplink_count);
	attach(parts, LOADER_WIRE_GUARD, ifindexes, underlay->uplink_count);
	attach(parts, LOADER_FROM_WIRE, ifindexes, underlay->uplink_count);
	return failed;
}

/* -- the guard -- */

static void add_device(struct guard_table_wish *wish, unsigned int *devices, unsigned int ifindex)
{
	if (!datapath_is_among(devices, wish->device_count, ifindex) &&
	    wish->device_count < HOOKS_DEVICES_MAX)
		devices[wish->device_count++] = ifindex;
}

/* A device from which another program detached to_wire stays in the list: wire_guard is still
 * attached to it. */
static void list_guarded(const struct hooks_parts *parts, struct guard_table_wish *wish,
			 unsigned int *devices)
{
	const struct underlay *underlay = &parts->facts->underlay;
	const struct underlay_view *view = &parts->facts->view;

	wish->device_count = loader_list_attached(parts->datapath->loader, LOADER_TO_WIRE, devices,
						  DATAPATH_UPLINKS_MAX);
	for (uint32_t i = 0; i < underlay->uplink_count; i++)
		if (guard_table_has_device(&parts->hooks->guard_table,
					   underlay->uplinks[i]->ifindex))
			add_device(wish, devices, underlay->uplinks[i]->ifindex);
	for (uint32_t i = 0; i < view->device_count; i++)
		if (view->devices[i].is_loopback ||
		    !strcmp(view->devices[i].name, parts->settings->interface))
			add_device(wish, devices, view->devices[i].ifindex);
}

/* The prefixes are read from the devices, or will be as soon as the kernel contradicts the
 * registry. */
static bool may_have_unknown_pods(const struct pod_cidrs *pod_cidrs,
				  const struct cluster_self *self)
{
	return !pod_cidrs->has_flags && (pod_cidrs->source != PODS_NODE || !self->pod_count);
}

void hooks_settle_guard(const struct hooks_parts *parts)
{
	struct hooks *hooks = parts->hooks;
	struct guard_table_wish wish = {
		.devices = hooks->devices,
		.tunnel_port = parts->settings->port,
		.may_have_unknown_pods =
			may_have_unknown_pods(parts->pod_cidrs, &parts->facts->self),
	};

	list_guarded(parts, &wish, hooks->devices);
	guard_table_settle(&hooks->guard_table, parts->datapath, &wish, boot_ns());
}

/* -- between two phases of a pass -- */

static void attach_all(struct datapath *datapath, unsigned int ifindex)
{
	static const enum loader_program programs[] = {LOADER_TO_WIRE, LOADER_WIRE_GUARD,
						       LOADER_FROM_WIRE};

	for (unsigned int i = 0; i < ARRAY_SIZE(programs); i++)
		(void)!datapath_attach_too(datapath, programs[i], ifindex);
}

static void attach_to_new(const struct hooks_parts *parts, const struct underlay *underlay)
{
	unsigned int *attached = parts->hooks->devices;
	uint32_t count = loader_list_attached(parts->datapath->loader, LOADER_TO_WIRE, attached,
					      DATAPATH_UPLINKS_MAX);

	for (uint32_t i = 0; i < underlay->uplink_count; i++)
		if (!datapath_is_among(attached, count, underlay->uplinks[i]->ifindex))
			attach_all(parts->datapath, underlay->uplinks[i]->ifindex);
}

void hooks_attach_new(const struct hooks_parts *parts)
{
	struct underlay_view view = {0};

	if (link_read(&view))
		return;
	hooks_repair(parts->hooks, parts->datapath);
	facts_judge(parts->facts, parts->pod_cidrs, parts->settings, &view,
		    &parts->hooks->underlay);
	attach_to_new(parts, &parts->hooks->underlay);
	hooks_settle_guard(parts);
	link_view_clear(&view);
}

/* -- repairs -- */

void hooks_repair(struct hooks *hooks, const struct datapath *datapath)
{
	watch_check(&hooks->watch, datapath->loader, boot_ns());
}

void hooks_report(const struct hooks *hooks, struct verdict *verdict)
{
	const struct watch *watch = &hooks->watch;
	char text[REFUSAL_LEN], subject[NODE_NAME_LEN];

	for (uint32_t i = 0; i < watch->count; i++) {
		const struct watched *item = &watch->items[i];

		if (!watch_complaint(item, boot_ns(), text, sizeof(text)))
			continue;
		snprintf(subject, sizeof(subject), "%s on %s", datapath_program_name(item->program),
			 item->device);
		verdict_add_reason(verdict, REASON_HOOK, subject, "%s", text);
	}
	if (repairs_are_contested(&hooks->guard_table.repairs, boot_ns()))
		verdict_add_reason(verdict, REASON_GUARD, "",
				   "another program keeps changing the table inet " GUARD_TABLE
				   ": find out which one");
}
