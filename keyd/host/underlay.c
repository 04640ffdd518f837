// SPDX-License-Identifier: Apache-2.0
/*
 * An uplink mistaken for a pod device is a leak. A pod device mistaken for an uplink costs only a
 * lookup, because to_wire passes packets for local pods. So in doubt a device is an uplink.
 */
#include "underlay.h"

static bool is_in_own_pods(const struct underlay_settings *settings, const struct cidr *cidr)
{
	for (uint32_t i = 0; i < settings->pod_count; i++)
		if (cidr_contains(&settings->pods[i], cidr))
			return true;
	return false;
}

/* True if a direct route leads through it into our own pods, and no route through a gateway. */
static bool leads_to_pods(const struct underlay_settings *settings,
			  const struct underlay_view *view, unsigned int ifindex)
{
	bool leads = false;

	for (uint32_t i = 0; i < view->route_count; i++) {
		const struct route *route = &view->routes[i];

		if (route->ifindex != ifindex)
			continue;
		if (route->has_gateway)
			return false;
		leads |= is_in_own_pods(settings, &route->destination);
	}
	return leads;
}

static bool is_pod_device(const struct underlay_settings *settings,
			  const struct underlay_view *view, const struct underlay_device *device)
{
	if (settings->are_pods_local)
		return device->is_pods;
	return leads_to_pods(settings, view, device->ifindex) ||
	       (device->master && leads_to_pods(settings, view, device->master));
}

static bool is_named(const struct underlay_settings *settings, const char *name)
{
	for (uint32_t i = 0; i < settings->uplink_count; i++)
		if (!strcmp(settings->uplinks[i], name))
			return true;
	return false;
}

static void sort_devices(struct underlay *underlay, const struct underlay_settings *settings,
			 const struct underlay_view *view)
{
	for (uint32_t i = 0; i < view->device_count && i < UNDERLAY_DEVICES_MAX; i++) {
		const struct underlay_device *device = &view->devices[i];
		bool is_ours = device->is_loopback || !strcmp(device->name, settings->interface);
		bool is_pods = !is_ours && is_pod_device(settings, view, device);

		if (is_pods)
			underlay->pod_devices[underlay->pod_device_count++] = device;
		if (!is_ours && (settings->is_auto ? !is_pods : is_named(settings, device->name)))
			underlay->uplinks[underlay->uplink_count++] = device;
	}
}

static bool is_uplink(const struct underlay *underlay, unsigned int ifindex)
{
	for (uint32_t i = 0; i < underlay->uplink_count; i++)
		if (underlay->uplinks[i]->ifindex == ifindex)
			return true;
	return false;
}

static bool has_gateway(const struct underlay_view *view, unsigned int ifindex)
{
	for (uint32_t i = 0; i < view->route_count; i++)
		if (view->routes[i].ifindex == ifindex && view->routes[i].has_gateway &&
		    view->routes[i].is_main && !view->routes[i].destination.prefix_len)
			return true;
	return false;
}

/* If an uplink has a default route, the nodes know each other by the addresses on it and not by
 * those of, say, docker0. */
static bool any_uplink_has_gateway(const struct underlay *underlay,
				   const struct underlay_view *view)
{
	for (uint32_t i = 0; i < underlay->uplink_count; i++)
		if (has_gateway(view, underlay->uplinks[i]->ifindex))
			return true;
	return false;
}

static bool add_address(struct address *addresses, uint32_t *count, uint32_t max,
			const struct address *address)
{
	for (uint32_t i = 0; i < *count; i++)
		if (address_is_equal(&addresses[i], address))
			return true;
	if (*count == max)
		return false;
	addresses[(*count)++] = *address;
	return true;
}

static void sort_addresses(struct underlay *underlay, const struct underlay_settings *settings,
			   const struct underlay_view *view)
{
	bool needs_gateway = any_uplink_has_gateway(underlay, view);

	for (uint32_t i = 0; i < view->address_count; i++) {
		const struct underlay_address *address = &view->addresses[i];
		struct cidr cidr = cidr_of_address(&address->address);

		if (!address->is_global || prefix_special_name(&cidr))
			continue;
		add_address(underlay->own, &underlay->own_count, CLUSTER_OWN_ADDRESSES_MAX,
			    &address->address);
		if (address->is_settled && is_uplink(underlay, address->ifindex) &&
		    !is_in_own_pods(settings, &cidr) &&
		    (!needs_gateway || has_gateway(view, address->ifindex)))
			add_address(underlay->published, &underlay->published_count,
				    NODE_ADDRESSES_MAX, &address->address);
	}
}

static void choose_endpoints(struct underlay *underlay, const struct underlay_settings *settings)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	const struct address *from =
		settings->endpoint_count ? settings->endpoints : underlay->published;
	uint32_t count =
		settings->endpoint_count ? settings->endpoint_count : underlay->published_count;

	for (unsigned int family = 0; family < ARRAY_SIZE(families); family++)
		for (uint32_t i = 0; i < count; i++)
			if (from[i].family == families[family])
				add_address(underlay->endpoints, &underlay->endpoint_count,
					    ANNOTATION_ENDPOINTS_MAX, &from[i]);
}

static bool carries_endpoint(const struct underlay *underlay, const struct underlay_view *view,
			     unsigned int ifindex)
{
	for (uint32_t i = 0; i < view->address_count; i++)
		for (uint32_t e = 0; e < underlay->endpoint_count; e++)
			if (view->addresses[i].ifindex == ifindex &&
			    address_is_equal(&view->addresses[i].address, &underlay->endpoints[e]))
				return true;
	return false;
}

static uint32_t smallest_mtu(const struct underlay *underlay, const struct underlay_view *view,
			     bool wants_endpoint)
{
	uint32_t smallest = 0;

	for (uint32_t i = 0; i < underlay->uplink_count; i++) {
		const struct underlay_device *device = underlay->uplinks[i];

		if (device->is_up &&
		    (!wants_endpoint || carries_endpoint(underlay, view, device->ifindex)) &&
		    (!smallest || device->mtu < smallest))
			smallest = device->mtu;
	}
	return smallest;
}

void underlay_judge(struct underlay *ret_underlay, const struct underlay_settings *settings,
		    const struct underlay_view *view)
{
	struct underlay *underlay = ret_underlay;

	underlay->uplink_count = underlay->pod_device_count = 0;
	underlay->endpoint_count = underlay->own_count = underlay->published_count = 0;
	sort_devices(underlay, settings, view);
	sort_addresses(underlay, settings, view);
	choose_endpoints(underlay, settings);
	underlay->uplink_mtu = smallest_mtu(underlay, view, true);
	if (!underlay->uplink_mtu)
		underlay->uplink_mtu = smallest_mtu(underlay, view, false);
	if (!underlay->uplink_mtu)
		underlay->uplink_mtu = 1500;
}

uint32_t underlay_inner_mtu(uint32_t uplink_mtu, bool has_ipv6_endpoint)
{
	uint32_t overhead = has_ipv6_endpoint ? UNDERLAY_OVERHEAD_IPV6 : UNDERLAY_OVERHEAD_IPV4;

	return MAX(uplink_mtu, UNDERLAY_MTU_MIN + overhead) - overhead;
}

uint32_t underlay_device_mtu(uint32_t inner_mtu)
{
	bool carries_ipv6 = inner_mtu >= IPV6_MTU_MIN - UNDERLAY_OVERHEAD_IPV6;

	return carries_ipv6 ? MAX(inner_mtu, (uint32_t)IPV6_MTU_MIN) : inner_mtu;
}
