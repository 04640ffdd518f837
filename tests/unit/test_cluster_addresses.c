// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/cluster/cluster.c and keyd/cluster/claim.c: the owner of a prefix, an address, an endpoint
 * (the rules are in keyd/cluster/claim.h), and the resulting maps. Disputes between nodes are in
 * test_dispute.c.
 */
#include "small_cluster.h"

/* -- prefixes -- */

TEST(cluster_prefix_outside_the_range_is_refused, begin)
{
	struct node *node = add_member();

	add_pod(node, pods[0], "10.245.0.0/24");
	add_pod(node, pods[0], "10.0.0.0/8");
	resolve();
	assert_refused(1, "pod prefix 10.245.0.0/24 lies outside the cluster range");
	add_pod(node, pods[0], "0.0.0.0/0");
	add_pod(node, pods[0], "::/0");
	resolve();
	assert_int_equal(members[0].refusal_count, 4);
	assert_int_equal(members[0].state, MEMBER_USABLE);
	assert_class("10.244.1.5", PREFIX_PEER, 1);
	assert_class("10.245.0.1", 0, 0);
	assert_class("8.8.8.8", 0, 0);
}

TEST(cluster_whole_range_as_prefix_is_accepted_around_the_prefixes_of_others, begin)
{
	add_member();
	add_pod(add_member(), pods[1], "10.244.0.0/16");
	resolve();
	assert_refused(2, "10.244.0.0/16 overlaps 10.244.0.0/24, which belongs to this node");
	assert_int_equal(members[1].state, MEMBER_USABLE);
	assert_usable(1);
	assert_class("10.244.0.5", PREFIX_LOCAL, 0);
	assert_class("10.244.1.5", PREFIX_PEER, 1);
	assert_class("10.244.9.5", PREFIX_PEER, 2);
}

TEST(cluster_overlapping_prefix_is_the_older_nodes, begin)
{
	add_member();
	add_pod(add_member(), pods[1], "10.244.1.128/25");
	add_pod(&seen[1], pods[1], "10.244.1.0/24");
	add_pod(&seen[1], pods[1], "10.244.0.0/23");
	resolve();
	assert_usable(1);
	assert_int_equal(members[1].refusal_count, 3);
	assert_refused(2, "10.244.1.128/25 overlaps 10.244.1.0/24, which belongs to node n1");
	assert_class("10.244.1.200", PREFIX_PEER, 1);
	assert_class("10.244.2.5", PREFIX_PEER, 2);
}

TEST(cluster_refused_prefix_does_not_refuse_a_third, begin)
{
	add_member();
	pods[0][0] = cidr("10.244.2.0/23"); /* oldest */
	add_member();
	pods[1][0] = cidr("10.244.3.0/24"); /* refused because of it */
	add_member();
	pods[2][0] = cidr("10.244.0.0/20"); /* around both */
	resolve();
	assert_refused(2, "10.244.3.0/24 overlaps 10.244.2.0/23, which belongs to node n1");
	assert_refused(3, "10.244.0.0/20 overlaps");
	assert_class("10.244.3.5", PREFIX_PEER, 1);
	assert_class("10.244.4.5", PREFIX_PEER, 3);
}

static void set_route(struct route *route, const char *destination, const char *gateway)
{
	*route = (struct route){.destination = cidr(destination),
				.gateway = address(gateway),
				.has_gateway = true,
				.is_main = true};
}

TEST(cluster_prefix_that_is_routed_to_another_node_is_refused, begin)
{
	static struct route routes[3];

	add_member();
	add_pod(add_member(), pods[1], "10.244.7.0/24");
	set_route(&routes[0], "10.244.1.0/24", "192.168.50.1");
	set_route(&routes[1], "10.244.7.0/24", "192.168.50.1");
	set_route(&routes[2], "0.0.0.0/0", "192.168.50.1");
	note_place(1, "192.168.50.1", 1, 0);
	note_place(2, "192.168.50.2", 2, 0);
	self.routes = routes;
	self.route_count = ARRAY_SIZE(routes);
	resolve();
	assert_usable(1);
	assert_refused(
		2, "10.244.7.0/24 is refused: this node's route to 10.244.7.0/24 leads to node n1");
	assert_class("10.244.7.9", PREFIX_CLUSTER, 0);
	assert_class("10.244.2.9", PREFIX_PEER, 2);
	set_route(&routes[1], "10.244.7.0/24", "192.168.50.2");
	resolve();
	assert_usable(2);
	assert_class("10.244.7.9", PREFIX_PEER, 2);
}

TEST(cluster_hole_in_our_own_prefix_is_dropped_or_its_claimants, begin)
{
	self.hole_count = 2;
	self.holes[0] = cidr("10.244.0.64/28");
	self.holes[1] = cidr("10.244.0.32/32");
	add_pod(add_member(), pods[0], "10.244.0.65/32");
	resolve();
	assert_usable(1);
	assert_class("10.244.0.9", PREFIX_LOCAL, 0);
	assert_class("10.244.0.32", PREFIX_CLUSTER, 0);
	assert_class("10.244.0.64", PREFIX_CLUSTER, 0);
	assert_class("10.244.0.65", PREFIX_PEER, 1);
}

TEST(cluster_own_prefix_that_is_a_hole_does_not_count_as_own, begin)
{
	self.hole_count = 1;
	self.holes[0] = self.pods[0];
	resolve();
	assert_class("10.244.0.9", PREFIX_CLUSTER, 0);
}

TEST(cluster_prefix_over_our_own_is_refused, begin)
{
	add_member();
	pods[0][0] = cidr("10.244.0.128/25");
	resolve();
	assert_refused(1, "which belongs to this node");
	assert_class("10.244.0.200", PREFIX_LOCAL, 0);
}

TEST(cluster_prefix_over_a_younger_nodes_address_covers_it_until_that_is_proved, begin)
{
	add_member();
	add_pod(&seen[0], pods[0], "10.244.9.0/24");
	add_member()->addresses[0] = address("10.244.9.9");
	resolve();
	assert_usable(1);
	assert_refused(2, "10.244.9.9/32 overlaps 10.244.9.0/24, which belongs to node n1");
	assert_class("10.244.9.9", PREFIX_PEER, 1);
	note_place(2, "10.244.9.9", 1, 0);
	resolve();
	assert_refused(1, "10.244.9.0/24 overlaps 10.244.9.9/32, which belongs to node n2");
	assert_class("10.244.9.9", PREFIX_CONTESTED, 2);
	assert_class("10.244.9.8", PREFIX_PEER, 1);
}

/* -- addresses and endpoints -- */

TEST(cluster_address_of_this_node_or_in_its_pods_is_refused, begin)
{
	struct node *node = add_member();

	node->addresses[node->address_count++] = address("192.168.50.100");
	node->addresses[node->address_count++] = address("10.244.0.9");
	resolve();
	assert_int_equal(members[0].refusal_count, 2);
	assert_class("192.168.50.100", PREFIX_SELF, 0);
	assert_class("10.244.0.9", PREFIX_LOCAL, 0);
	assert_class("192.168.50.1", PREFIX_NODE, 1);
}

TEST(cluster_address_claimed_twice_is_the_older_nodes, begin)
{
	add_member();
	add_member()->addresses[0] = address("192.168.50.1");
	resolve();
	assert_refused(2, "192.168.50.1/32 overlaps 192.168.50.1/32, which belongs to node n1");
	assert_class("192.168.50.1", PREFIX_NODE, 1);
}

/* A Node often has one address as InternalIP and as ExternalIP. */
TEST(cluster_address_listed_twice_by_its_node_is_no_complaint, begin)
{
	struct node *node = add_member();

	node->addresses[node->address_count++] = address("192.168.50.1");
	resolve();
	assert_usable(1);
	assert_int_equal(members[0].refusal_count, 0);
	assert_class("192.168.50.1", PREFIX_NODE, 1);
}

TEST(cluster_special_prefixes_and_endpoints_are_refused, begin)
{
	static const char *const endpoints[] = {"127.0.0.1", "224.0.0.1", "::", "fe80::1",
						"::ffff:192.168.50.9"};

	for (unsigned int i = 0; i < ARRAY_SIZE(endpoints); i++) {
		begin(NULL);
		self.has_ipv6 = true;
		add_member()->annotation.endpoints[0] = address(endpoints[i]);
		resolve();
		assert_refused(1, "endpoint");
		assert_int_equal(members[0].state, MEMBER_REFUSED);
		assert_int_equal(members[0].endpoint_count, 0);
	}
	begin(NULL);
	add_pod(add_member(), pods[0], "::ffff:10.244.0.0/112");
	resolve();
	assert_refused(1, "IPv4-mapped");
	assert_class("10.244.0.7", PREFIX_LOCAL, 0);
}

TEST(cluster_endpoint_in_pods_or_of_this_node_is_refused, begin)
{
	struct node *node = add_member();

	node->annotation.endpoint_count = 4;
	node->annotation.endpoints[0] = address("10.244.1.9"); /* its own pods */
	node->annotation.endpoints[1] = address("10.244.0.9"); /* ours */
	node->annotation.endpoints[2] = address("192.168.50.100");
	node->annotation.endpoints[3] = address("192.168.50.1");
	resolve();
	assert_int_equal(members[0].refusal_count, 3);
	assert_refused(1, "10.244.1.9/32 overlaps 10.244.1.0/24");
	assert_int_equal(members[0].endpoint_count, 1);
	assert_true(address_is_equal(&members[0].endpoints[0], &node->annotation.endpoints[3]));
	assert_int_equal(members[0].state, MEMBER_USABLE);
}

TEST(cluster_endpoints_are_of_one_family_that_we_have, begin)
{
	struct node *node = add_member();

	node->annotation.endpoint_count = 2;
	node->annotation.endpoints[0] = address("fd00::1");
	node->annotation.endpoints[1] = address("192.168.50.1");
	self.has_ipv6 = true;
	resolve();
	assert_int_equal(members[0].endpoint_count, 1);
	assert_int_equal(members[0].endpoints[0].family, AF_INET);
	self.has_ipv4 = false;
	resolve();
	assert_int_equal(members[0].endpoints[0].family, AF_INET6);
	self.has_ipv6 = false;
	resolve();
	assert_int_equal(members[0].state, MEMBER_REFUSED);
	assert_refused(1, "no endpoint of an address family");
	assert_class("10.244.1.5", PREFIX_PEER, 1);
}
