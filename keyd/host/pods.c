// SPDX-License-Identifier: Apache-2.0
/*
 * Judges by evidence, never by the names that a CNI gives its devices. A device that does not
 * clearly lead to pods is not a pod device, and its addresses stay CLUSTER: a wrong "no" costs
 * packets (dropped and counted), and a wrong "yes" is made unlikely.
 */
#include "pods.h"

#include "cluster/sort.h"

static bool is_in_any(const struct cidr *cidrs, uint32_t count, const struct cidr *cidr)
{
	for (uint32_t i = 0; i < count; i++)
		if (cidr_contains(&cidrs[i], cidr))
			return true;
	return false;
}

/* A proper part of one of the ranges: a whole range belongs to all nodes. */
static bool is_part_of(const struct cidr *ranges, uint32_t count, const struct cidr *cidr)
{
	for (uint32_t i = 0; i < count; i++)
		if (cidr_contains(&ranges[i], cidr) && ranges[i].prefix_len < cidr->prefix_len)
			return true;
	return false;
}

static bool is_single(const struct cidr *cidr)
{
	return cidr->prefix_len == address_bits(cidr->address.family);
}

static bool is_own_address(const struct underlay_view *view, const struct address *address)
{
	for (uint32_t i = 0; i < view->address_count; i++)
		if (address_is_equal(&view->addresses[i].address, address))
			return true;
	return false;
}

/* -- devices -- */

static bool is_far_veth(const struct underlay_device *device)
{
	return device->kind == UNDERLAY_VETH && device->has_far_peer;
}

/* The kernel itself adds such routes, on every device. */
static bool is_routine(const struct route *route)
{
	static const struct cidr routine[] = {
		{{AF_INET6, {0xfe, 0x80}}, 10},
		{{AF_INET6, {0xff}}, 8},
		{{AF_INET, {169, 254}}, 16},
		{{AF_INET, {224}}, 4},
	};

	return route->is_block || is_in_any(routine, ARRAY_SIZE(routine), &route->destination);
}

static bool is_pods_veth(const struct underlay_view *view, const struct underlay_device *device,
			 const struct cidr *ranges, uint32_t range_count)
{
	bool has_pod = false;

	if (!is_far_veth(device) || device->master)
		return false;
	for (uint32_t i = 0; i < view->route_count; i++) {
		const struct route *route = &view->routes[i];

		if (route->ifindex != device->ifindex || is_routine(route))
			continue;
		if (route->has_gateway || !is_single(&route->destination))
			return false;
		has_pod |= is_in_any(ranges, range_count, &route->destination) &&
			   !is_own_address(view, &route->destination.address);
	}
	return has_pod;
}

static bool has_only_far_veths(const struct underlay_view *view,
			       const struct underlay_device *bridge)
{
	for (uint32_t i = 0; i < view->device_count; i++)
		if (view->devices[i].master == bridge->ifindex && !is_far_veth(&view->devices[i]))
			return false;
	return true;
}

static bool has_gateway(const struct underlay_view *view, unsigned int ifindex)
{
	for (uint32_t i = 0; i < view->route_count; i++)
		if (view->routes[i].ifindex == ifindex && view->routes[i].has_gateway)
			return true;
	return false;
}

static bool is_connected(const struct underlay_address *address, const struct cidr *ranges,
			 uint32_t range_count)
{
	return address->is_global && !is_single(&address->prefix) &&
	       is_part_of(ranges, range_count, &address->prefix);
}

static bool is_pods_bridge(const struct underlay_view *view, const struct underlay_device *device,
			   const struct cidr *ranges, uint32_t range_count)
{
	if (device->kind != UNDERLAY_BRIDGE || device->master ||
	    !has_only_far_veths(view, device) || has_gateway(view, device->ifindex))
		return false;
	for (uint32_t i = 0; i < view->address_count; i++)
		if (view->addresses[i].ifindex == device->ifindex &&
		    is_connected(&view->addresses[i], ranges, range_count))
			return true;
	return false;
}

static struct underlay_device *find_device(const struct underlay_view *view, unsigned int ifindex)
{
	for (uint32_t i = 0; ifindex && i < view->device_count; i++)
		if (view->devices[i].ifindex == ifindex)
			return &view->devices[i];
	return NULL;
}

void pods_mark_devices(struct underlay_view *view, const struct cidr *ranges, uint32_t range_count)
{
	for (uint32_t i = 0; i < view->device_count; i++) {
		struct underlay_device *device = &view->devices[i];

		device->is_pods = is_pods_veth(view, device, ranges, range_count) ||
				  is_pods_bridge(view, device, ranges, range_count);
	}
	for (uint32_t i = 0; i < view->device_count; i++) {
		const struct underlay_device *master = find_device(view, view->devices[i].master);

		view->devices[i].is_pods |= master && master->is_pods;
	}
}

/* -- prefixes -- */

/* Does the route lead to another machine, seen from pods with these prefixes? CNIs use a gateway
 * that is our own address to say "here", and a gateway among our pods is a pod that routes for
 * others. */
static bool leads_away(const struct underlay_view *view, const struct route *route,
		       const struct cidr *pods, uint32_t pod_count)
{
	struct cidr gateway = cidr_of_address(&route->gateway);

	if (!route->is_main || route->is_block || !route->has_gateway)
		return false;
	return !route->gateway.family ||
	       (!is_own_address(view, &route->gateway) && !is_in_any(pods, pod_count, &gateway));
}

static bool is_whole(const struct underlay_view *view, const struct cidr *cidr)
{
	for (uint32_t i = 0; i < view->route_count; i++)
		if (cidr_contains(cidr, &view->routes[i].destination) &&
		    leads_away(view, &view->routes[i], cidr, 1))
			return false;
	return true;
}

static void add_pods(struct pods *pods, const struct cidr *cidr)
{
	if (pods->count == ARRAY_SIZE(pods->cidrs))
		pods->is_cut = true;
	else
		pods->cidrs[pods->count++] = *cidr;
}

static void add_bridges(struct pods *pods, const struct underlay_view *view,
			const struct cidr *ranges, uint32_t range_count)
{
	for (uint32_t i = 0; i < view->address_count; i++) {
		const struct underlay_address *address = &view->addresses[i];
		const struct underlay_device *device = find_device(view, address->ifindex);

		if (device && device->is_pods && device->kind == UNDERLAY_BRIDGE &&
		    is_connected(address, ranges, range_count) && is_whole(view, &address->prefix))
			add_pods(pods, &address->prefix);
	}
}

static void add_blocks(struct pods *pods, const struct underlay_view *view,
		       const struct cidr *ranges, uint32_t range_count)
{
	for (uint32_t i = 0; i < view->route_count; i++) {
		const struct route *route = &view->routes[i];

		if (route->is_block && route->is_main && !is_single(&route->destination) &&
		    is_part_of(ranges, range_count, &route->destination) &&
		    is_whole(view, &route->destination))
			add_pods(pods, &route->destination);
	}
}

/* Skips addresses in a prefix that is ours as a whole. */
static void add_singles(struct pods *pods, const struct underlay_view *view,
			const struct cidr *ranges, uint32_t range_count)
{
	uint32_t wholes = pods->count;

	for (uint32_t i = 0; i < view->route_count; i++) {
		const struct route *route = &view->routes[i];
		const struct underlay_device *device = find_device(view, route->ifindex);

		if (device && device->is_pods && is_single(&route->destination) &&
		    is_in_any(ranges, range_count, &route->destination) &&
		    !is_own_address(view, &route->destination.address) &&
		    !is_in_any(pods->cidrs, wholes, &route->destination))
			add_pods(pods, &route->destination);
	}
}

static int compare_cidrs(const void *context, const void *left, const void *right)
{
	struct prefix_key a = prefix_key_of_cidr(left), b = prefix_key_of_cidr(right);

	(void)context;
	return prefix_key_compare(&a, &b);
}

/* Sorts, a prefix before those it contains, and drops the contained ones. */
static void settle(struct pods *pods)
{
	uint32_t kept = 0;

	sort_heap(pods->cidrs, pods->count, sizeof(*pods->cidrs), compare_cidrs, NULL);
	for (uint32_t i = 0; i < pods->count; i++)
		if (!kept || !cidr_contains(&pods->cidrs[kept - 1], &pods->cidrs[i]))
			pods->cidrs[kept++] = pods->cidrs[i];
	pods->count = kept;
}

void pods_find(struct pods *ret_pods, const struct underlay_view *view, const struct cidr *ranges,
	       uint32_t range_count)
{
	ret_pods->count = 0;
	ret_pods->is_cut = false;
	add_bridges(ret_pods, view, ranges, range_count);
	add_blocks(ret_pods, view, ranges, range_count);
	add_singles(ret_pods, view, ranges, range_count);
	settle(ret_pods);
}

uint32_t pods_find_holes(const struct underlay_view *view, const struct cidr *own,
			 uint32_t own_count, struct cidr *ret_holes, uint32_t max)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < view->route_count; i++) {
		const struct route *route = &view->routes[i];

		if (!is_in_any(own, own_count, &route->destination) ||
		    !leads_away(view, route, own, own_count))
			continue;
		if (count < max)
			ret_holes[count] = route->destination;
		count++;
	}
	return count;
}

bool pods_contradict(const struct pods *pods, const struct underlay_view *view,
		     const struct cidr *known, uint32_t known_count, struct cidr *ret_cidr)
{
	for (uint32_t i = 0; i < pods->count; i++)
		if (!is_in_any(known, known_count, &pods->cidrs[i])) {
			*ret_cidr = pods->cidrs[i];
			return true;
		}
	return pods_find_holes(view, known, known_count, ret_cidr, 1) != 0;
}
