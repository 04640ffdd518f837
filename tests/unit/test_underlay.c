// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/host/underlay.c: which devices lead to other nodes, which addresses are ours, how large a
 * packet may be.
 */
#include "host/underlay.h"
#include "test.h"

static struct underlay_device devices[16];
static struct underlay_address addresses[16];
static struct route routes[16];
static struct underlay_view view;
static struct underlay_settings settings;
static struct underlay underlay;
static struct cidr own_pods;

static struct underlay_device *add_device(const char *name, unsigned int master)
{
	struct underlay_device *device = &devices[view.device_count++];

	*device = (struct underlay_device){
		.ifindex = view.device_count, .master = master, .mtu = 1500, .is_up = true};
	copy_text(device->name, sizeof(device->name), name);
	return device;
}

static struct underlay_address *add_address(const struct underlay_device *device, const char *text)
{
	struct underlay_address *address = &addresses[view.address_count++];

	*address = (struct underlay_address){
		.ifindex = device->ifindex, .is_global = true, .is_settled = true};
	assert_true(address_parse(&address->address, text));
	return address;
}

static void add_route(const struct underlay_device *device, const char *text, bool has_gateway)
{
	struct route *route = &routes[view.route_count++];

	*route = (struct route){
		.ifindex = device->ifindex, .has_gateway = has_gateway, .is_main = true};
	assert_true(cidr_parse(&route->destination, text));
}

static int begin(void **state)
{
	view = (struct underlay_view){.devices = devices, .addresses = addresses, .routes = routes};
	assert_true(cidr_parse(&own_pods, "10.244.1.0/24"));
	settings = (struct underlay_settings){
		.interface = "podveil0", .is_auto = true, .pod_count = 1, .pods = &own_pods};
	add_device("lo", 0)->is_loopback = true;
	add_device("podveil0", 0);
	return 0;
}

static void judge(void)
{
	underlay_judge(&underlay, &settings, &view);
}

static bool is_among(const struct underlay_device *const *list, uint32_t count, const char *name)
{
	for (uint32_t i = 0; i < count; i++)
		if (!strcmp(list[i]->name, name))
			return true;
	return false;
}

static void assert_uplink(const char *name)
{
	if (!is_among(underlay.uplinks, underlay.uplink_count, name))
		fail_msg("%s is no uplink", name);
	assert_false(is_among(underlay.pod_devices, underlay.pod_device_count, name));
}

static void assert_pod_device(const char *name)
{
	if (!is_among(underlay.pod_devices, underlay.pod_device_count, name))
		fail_msg("%s leads to no pods", name);
	assert_false(is_among(underlay.uplinks, underlay.uplink_count, name));
}

TEST(underlay_everything_but_pods_and_ours_is_an_uplink, begin)
{
	const struct underlay_device *bridge;

	add_device("eth0", 0);
	add_device("flannel.1", 0);
	bridge = add_device("cni0", 0);
	add_route(bridge, "10.244.1.0/24", false);
	add_device("veth1", bridge->ifindex);
	add_route(add_device("cali1", 0), "10.244.1.7/32", false);
	judge();
	assert_int_equal(underlay.uplink_count, 2);
	assert_uplink("eth0");
	assert_uplink("flannel.1");
	assert_pod_device("cni0");
	assert_pod_device("veth1");
	assert_pod_device("cali1");
}

TEST(underlay_doubtful_devices_are_uplinks, begin)
{
	const struct underlay_device *nic = add_device("eth0", 0),
				     *overlay = add_device("vxlan0", 0);

	add_route(nic, "10.244.1.0/25", false); /* pods and a way out on one device */
	add_route(nic, "0.0.0.0/0", true);
	add_route(overlay, "10.244.1.64/26", true); /* into our pods, but by another machine */
	add_route(add_device("wide0", 0), "10.244.0.0/16", false);
	judge();
	assert_uplink("eth0");
	assert_uplink("vxlan0");
	assert_uplink("wide0");
}

TEST(underlay_devices_that_show_our_pods_decide_alone, begin)
{
	const struct underlay_device *nic = add_device("eth0", 0);

	add_route(nic, "10.244.1.7/32", false);
	add_route(add_device("cali1", 0), "10.244.1.8/32", false);
	devices[3].is_pods = true;
	settings.are_pods_local = true;
	judge();
	assert_uplink("eth0");
	assert_pod_device("cali1");
}

TEST(underlay_default_route_of_another_table_publishes_nothing, begin)
{
	const struct underlay_device *nic = add_device("eth0", 0), *second = add_device("eth1", 0);

	add_address(nic, "192.168.50.1");
	add_address(second, "192.168.50.66");
	add_route(nic, "0.0.0.0/0", true);
	add_route(second, "0.0.0.0/0", true);
	routes[1].is_main = false;
	judge();
	assert_int_equal(underlay.published_count, 1);
	assert_int_equal(underlay.own_count, 2);
}

TEST(underlay_named_uplinks_are_just_those, begin)
{
	static const char names[][IF_NAMESIZE] = {"eth1", "absent0"};

	add_device("eth0", 0);
	add_device("eth1", 0);
	settings.is_auto = false;
	settings.uplinks = names;
	settings.uplink_count = 2;
	judge();
	assert_int_equal(underlay.uplink_count, 1);
	assert_uplink("eth1");
}

TEST(underlay_endpoints_are_ipv4_first_and_settled, begin)
{
	const struct underlay_device *nic = add_device("eth0", 0);

	add_address(nic, "fd00:50::1");
	add_address(nic, "fd00:50::2")->is_settled = false;
	add_address(nic, "fe80::1")->is_global = false;
	add_address(nic, "192.168.50.1");
	add_address(&devices[0], "127.0.0.1");
	judge();
	assert_int_equal(underlay.endpoint_count, 2);
	assert_int_equal(underlay.endpoints[0].family, AF_INET);
	assert_int_equal(underlay.endpoints[1].family, AF_INET6);
	assert_int_equal(underlay.own_count, 3); /* ours even before it is settled */
}

TEST(underlay_addresses_in_our_pods_are_ours_but_not_published, begin)
{
	const struct underlay_device *bridge = add_device("cni0", 0),
				     *overlay = add_device("flannel.1", 0);

	add_route(bridge, "10.244.1.0/24", false);
	add_address(bridge, "10.244.1.1");
	add_address(overlay, "10.244.1.0");
	add_address(add_device("eth0", 0), "192.168.50.1");
	judge();
	assert_int_equal(underlay.own_count, 3);
	assert_int_equal(underlay.published_count, 1);
	assert_int_equal(underlay.endpoint_count, 1);
}

TEST(underlay_default_route_decides_which_endpoints_are_published, begin)
{
	const struct underlay_device *nic = add_device("eth0", 0);

	add_address(add_device("docker0", 0), "172.17.0.1");
	add_address(nic, "192.168.50.1");
	judge();
	assert_int_equal(underlay.published_count, 2);
	add_route(nic, "0.0.0.0/0", true);
	judge();
	assert_int_equal(underlay.published_count, 1);
	assert_int_equal(underlay.own_count, 2);
}

TEST(underlay_fixed_endpoints_win, begin)
{
	struct address fixed;

	assert_true(address_parse(&fixed, "203.0.113.9"));
	add_address(add_device("eth0", 0), "192.168.50.1");
	settings.endpoints = &fixed;
	settings.endpoint_count = 1;
	judge();
	assert_int_equal(underlay.endpoint_count, 1);
	assert_true(address_is_equal(&underlay.endpoints[0], &fixed));
	assert_int_equal(underlay.published_count, 1);
}

TEST(underlay_mtu_is_the_smallest_of_those_that_carry_endpoints, begin)
{
	struct underlay_device *nic = add_device("eth0", 0), *second = add_device("eth1", 0),
			       *other;

	other = add_device("tunl0", 0);
	nic->mtu = 9000;
	second->mtu = 1500;
	other->mtu = 1400;
	add_address(nic, "192.168.50.1");
	judge();
	assert_int_equal(underlay.uplink_mtu, 9000);
	add_address(second, "192.168.60.1");
	judge();
	assert_int_equal(underlay.uplink_mtu, 1500);
	second->is_up = false;
	judge();
	assert_int_equal(underlay.uplink_mtu, 9000);
	view.address_count = 0;
	judge();
	assert_int_equal(underlay.uplink_mtu, 1400);
}

TEST(underlay_inner_mtu_leaves_room_for_the_outer_headers, begin)
{
	assert_int_equal(underlay_inner_mtu(1500, false), 1440);
	assert_int_equal(underlay_inner_mtu(1500, true), 1420);
	assert_int_equal(underlay_inner_mtu(9000, false), 8940);
	assert_int_equal(underlay_inner_mtu(68, true), UNDERLAY_MTU_MIN);
	assert_int_equal(underlay_inner_mtu(0, false), UNDERLAY_MTU_MIN);
}

TEST(underlay_device_keeps_ipv6_where_the_uplink_has_it, begin)
{
	assert_int_equal(underlay_device_mtu(1440), 1440);
	assert_int_equal(underlay_device_mtu(1280), 1280);
	assert_int_equal(underlay_device_mtu(underlay_inner_mtu(1280, false)), 1280);
	assert_int_equal(underlay_device_mtu(underlay_inner_mtu(1280, true)), 1280);
	assert_int_equal(underlay_device_mtu(underlay_inner_mtu(1000, false)), 940);
}
