// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/host/pods.c: the devices that lead to pods of this node, and the node's own prefixes, from
 * the kernel's links and routes.
 */
#include "host/pods.h"
#include "values.h"

#define MANY 250 /* pods on a node, as is usual */

static struct underlay_device devices[2 * MANY];
static struct underlay_address addresses[16];
static struct route routes[3 * MANY];
static struct underlay_view view;
static struct cidr ranges[2];
static struct pods pods;

static struct underlay_device *add_device(const char *name, enum underlay_kind kind)
{
	struct underlay_device *device = &devices[view.device_count++];

	*device = (struct underlay_device){.ifindex = view.device_count, .kind = kind};
	copy_text(device->name, sizeof(device->name), name);
	return device;
}

static struct underlay_device *add_veth(const char *name, const struct underlay_device *bridge)
{
	struct underlay_device *device = add_device(name, UNDERLAY_VETH);

	device->has_far_peer = true;
	device->master = bridge ? bridge->ifindex : 0;
	return device;
}

static struct route *add_route(const struct underlay_device *device, const char *destination,
			       const char *gateway)
{
	struct route *route = &routes[view.route_count++];

	*route = (struct route){.ifindex = device ? device->ifindex : 0,
				.destination = cidr(destination),
				.is_block = !device,
				.has_gateway = gateway,
				.is_main = true};
	if (gateway)
		assert_true(address_parse(&route->gateway, gateway));
	return route;
}

/* The address and, as the kernel does, the route to its prefix. */
static void add_address(const struct underlay_device *device, const char *text, uint8_t prefix_len)
{
	struct underlay_address *address = &addresses[view.address_count++];
	char prefix[CIDR_TEXT_LEN];

	*address = (struct underlay_address){.ifindex = device->ifindex, .is_global = true};
	assert_true(address_parse(&address->address, text));
	address->prefix = (struct cidr){address->address, prefix_len};
	cidr_clear_host_bits(&address->prefix);
	if (prefix_len < 32 || address->address.family == AF_INET6)
		add_route(device, cidr_format(prefix, &address->prefix), NULL);
}

/* A NIC (in a container: a veth too) with the way to everywhere. */
static int begin(void **state)
{
	struct underlay_device *nic;

	view = (struct underlay_view){.devices = devices, .addresses = addresses, .routes = routes};
	ranges[0] = cidr("10.244.0.0/16");
	ranges[1] = cidr("fd00:10:244::/48");
	nic = add_veth("eth0", NULL);
	add_address(nic, "192.168.50.1", 24);
	add_route(nic, "0.0.0.0/0", "192.168.50.254");
	return 0;
}

static void look(void)
{
	pods_mark_devices(&view, ranges, ARRAY_SIZE(ranges));
	pods_find(&pods, &view, ranges, ARRAY_SIZE(ranges));
}

static void assert_pods(const char *const *wanted, uint32_t count)
{
	assert_int_equal(pods.count, count);
	for (uint32_t i = 0; i < count; i++) {
		struct cidr one = cidr(wanted[i]);

		assert_true(cidr_is_equal(&pods.cidrs[i], &one));
	}
}

#define ASSERT_PODS(...) \
	assert_pods((const char *const[]){__VA_ARGS__}, ARRAY_SIZE(((const char *[]){__VA_ARGS__})))

/* -- veths -- */

TEST(pods_are_the_single_addresses_routed_to_veths, begin)
{
	const struct underlay_device *one = add_veth("cali1", NULL), *two = add_veth("cali2", NULL);

	add_route(one, "10.244.1.7/32", NULL);
	add_route(one, "fd00:10:244:1::7/128", NULL);
	add_route(one, "fe80::/64", NULL);
	add_route(two, "10.244.9.8/32", NULL);
	look();
	ASSERT_PODS("10.244.1.7/32", "10.244.9.8/32", "fd00:10:244:1::7/128");
	assert_true(one->is_pods && two->is_pods && !devices[0].is_pods);
}

TEST(pods_are_found_in_every_table, begin)
{
	add_route(add_veth("eni1", NULL), "10.244.1.7/32", NULL)->is_main = false;
	look();
	ASSERT_PODS("10.244.1.7/32");
}

TEST(pods_do_not_include_our_own_address_on_their_veth, begin)
{
	const struct underlay_device *veth = add_veth("veth1", NULL);

	add_address(veth, "10.244.1.1", 32);
	add_address(veth, "fd00:10:244:1::1", 128);
	look();
	assert_int_equal(pods.count, 0);
	assert_false(veth->is_pods);
	add_route(veth, "10.244.1.7/32", NULL);
	look();
	ASSERT_PODS("10.244.1.7/32");
}

/* Each is one step away from a pod's veth. */
TEST(pods_veth_in_doubt_is_none, begin)
{
	struct underlay_device *outside = add_veth("outside", NULL), *near = add_veth("near", NULL),
			       *wide = add_veth("wide", NULL), *router = add_veth("router", NULL),
			       *nic = add_device("nic", UNDERLAY_OTHER);

	near->has_far_peer = false;
	add_route(outside, "10.99.1.7/32", NULL);
	add_route(near, "10.244.1.1/32", NULL);
	add_route(wide, "10.244.1.2/32", NULL);
	add_route(wide, "10.244.3.0/24", NULL);
	add_route(router, "10.244.1.3/32", NULL);
	add_route(router, "10.244.4.0/24", "10.244.1.3")->is_main = false;
	add_route(nic, "10.244.1.4/32", NULL);
	look();
	assert_int_equal(pods.count, 0);
	for (uint32_t i = 0; i < view.device_count; i++)
		assert_false(devices[i].is_pods);
}

TEST(pods_veth_with_a_default_route_is_none, begin)
{
	struct underlay_device *veth = add_veth("veth1", NULL);

	add_route(veth, "10.244.1.7/32", NULL);
	add_route(veth, "0.0.0.0/0", NULL)->is_main = false;
	look();
	assert_false(veth->is_pods);
}

TEST(pods_in_the_subnet_of_the_node_are_distinguished_from_its_nic, begin)
{
	struct underlay_device *pod = add_veth("eni1", NULL);

	ranges[0] = cidr("192.168.50.0/24");
	add_route(pod, "192.168.50.130/32", NULL);
	look();
	ASSERT_PODS("192.168.50.130/32");
	assert_false(devices[0].is_pods);
}

/* -- bridges -- */

TEST(pods_are_the_prefix_of_a_bridge_of_veths, begin)
{
	struct underlay_device *bridge = add_device("cni0", UNDERLAY_BRIDGE);
	struct underlay_device *port = add_veth("veth1", bridge);

	add_address(bridge, "10.244.1.1", 24);
	add_address(bridge, "fd00:10:244:1::1", 64);
	add_address(bridge, "172.17.0.1", 16);
	look();
	ASSERT_PODS("10.244.1.0/24", "fd00:10:244:1::/64");
	assert_true(bridge->is_pods && port->is_pods);
}

TEST(pods_bridge_without_ports_keeps_its_prefix, begin)
{
	add_address(add_device("cni0", UNDERLAY_BRIDGE), "10.244.1.1", 24);
	look();
	ASSERT_PODS("10.244.1.0/24");
}

TEST(pods_bridge_in_doubt_is_none, begin)
{
	struct underlay_device *leading = add_device("leading", UNDERLAY_BRIDGE),
			       *router = add_device("router", UNDERLAY_BRIDGE),
			       *whole = add_device("whole", UNDERLAY_BRIDGE),
			       *docker = add_device("docker0", UNDERLAY_BRIDGE);

	add_veth("veth1", leading);
	add_device("vxlan0", UNDERLAY_OTHER)->master = leading->ifindex;
	add_address(leading, "10.244.1.1", 24);
	add_address(router, "10.244.2.1", 24);
	add_route(router, "10.244.3.0/24", "10.244.2.9");
	add_address(whole, "10.244.0.1", 16);
	add_address(docker, "172.17.0.1", 16);
	look();
	assert_int_equal(pods.count, 0);
	for (uint32_t i = 0; i < view.device_count; i++)
		assert_false(devices[i].is_pods);
}

/* -- blocks -- */

TEST(pods_in_a_block_are_the_block, begin)
{
	add_route(NULL, "10.244.7.64/26", NULL);
	add_route(add_veth("cali1", NULL), "10.244.7.65/32", NULL);
	add_route(add_veth("cali2", NULL), "10.244.9.1/32", NULL);
	add_route(NULL, "10.244.0.0/16", NULL); /* the whole range: a guard, and no block */
	add_route(NULL, "10.10.0.0/16", NULL);
	look();
	ASSERT_PODS("10.244.7.64/26", "10.244.9.1/32");
}

TEST(pods_block_with_an_address_lent_to_another_node_is_not_ours_as_a_whole, begin)
{
	add_route(NULL, "10.244.7.64/26", NULL);
	add_route(add_veth("cali1", NULL), "10.244.7.65/32", NULL);
	add_route(&devices[0], "10.244.7.66/32", "192.168.50.2");
	look();
	ASSERT_PODS("10.244.7.65/32");
}

TEST(pods_block_with_a_gateway_of_our_own_is_whole, begin)
{
	struct underlay_device *host = add_device("host0", UNDERLAY_OTHER);

	add_address(host, "10.244.7.70", 32);
	add_route(NULL, "10.244.7.64/26", NULL);
	add_route(host, "10.244.7.64/27", "10.244.7.70");
	look();
	ASSERT_PODS("10.244.7.64/26");
}

/* -- contradictions, and prefixes that are elsewhere -- */

static bool contradicts(const char *known, const char *because)
{
	struct cidr own = cidr(known), found, wanted;

	if (!pods_contradict(&pods, &view, &own, 1, &found))
		return false;
	wanted = cidr(because);
	assert_true(cidr_is_equal(&found, &wanted));
	return true;
}

TEST(pods_outside_of_the_known_prefix_contradict_it, begin)
{
	add_route(add_veth("cali1", NULL), "10.244.1.7/32", NULL);
	look();
	assert_false(contradicts("10.244.1.0/24", ""));
	assert_true(contradicts("10.244.2.0/24", "10.244.1.7/32"));
}

TEST(pods_of_another_node_inside_of_the_known_prefix_contradict_it, begin)
{
	add_route(&devices[0], "10.244.1.64/26", "192.168.50.2");
	look();
	assert_true(contradicts("10.244.1.0/24", "10.244.1.64/26"));
	assert_false(contradicts("10.244.2.0/24", ""));
}

static uint32_t count_holes(const char *own)
{
	struct cidr prefix = cidr(own), holes[4];

	return pods_find_holes(&view, &prefix, 1, holes, ARRAY_SIZE(holes));
}

TEST(pods_holes_are_routes_to_other_machines, begin)
{
	struct underlay_device *veth = add_veth("veth1", NULL);

	add_route(veth, "10.244.1.0/24", NULL);
	add_route(veth, "10.244.1.128/28", "10.244.1.7");	   /* by way of a pod */
	add_route(&devices[0], "10.244.0.0/16", "192.168.50.254"); /* around, not inside */
	add_route(&devices[0], "10.244.1.32/28", "192.168.50.2")->is_main = false;
	look();
	assert_int_equal(count_holes("10.244.1.0/24"), 0);
	add_route(&devices[0], "10.244.1.64/26", "192.168.50.2");
	assert_int_equal(count_holes("10.244.1.0/24"), 1);
	add_route(&devices[0], "10.244.1.0/24", "192.168.50.2");
	assert_int_equal(count_holes("10.244.1.0/24"), 2);
}

/* -- many -- */

TEST(pods_by_the_hundred_are_all_there_once_and_in_order, begin)
{
	for (unsigned int i = MANY; i-- > 0;) {
		char name[IF_NAMESIZE], text[CIDR_TEXT_LEN];
		const struct underlay_device *veth;

		snprintf(name, sizeof(name), "cali%u", i);
		snprintf(text, sizeof(text), "10.244.%u.%u/32", i % 3, i);
		veth = add_veth(name, NULL);
		add_route(veth, text, NULL);
		add_route(veth, text, NULL)->is_main = false;
	}
	look();
	assert_int_equal(pods.count, MANY);
	assert_false(pods.is_cut);
	for (unsigned int i = 1; i < MANY; i++)
		assert_true(memcmp(pods.cidrs[i - 1].address.bytes, pods.cidrs[i].address.bytes,
				   4) < 0);
}
