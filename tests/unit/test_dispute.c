// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/cluster/cluster.c: the effect of one node's claims on another's, and the maps, allowed IPs
 * and questions that follow. Each test runs for both families and for both registries: under
 * Kubernetes the control plane assigns the podCIDRs, with file:DIR each node claims its own. n1 is
 * the oldest, with 10.244.1.0/24 and 192.168.50.1; n2 and n3 likewise.
 */
#include "small_cluster.h"

#define EARLY (100 * NS_PER_S)
#define LATE  (200 * NS_PER_S)

static int begin_as(void **state, uint8_t of, bool has_given_pod_cidrs)
{
	family = of;
	begin(state);
	self.has_given_pod_cidrs = has_given_pod_cidrs;
	return 0;
}

static int begin_kubernetes(void **state)
{
	return begin_as(state, AF_INET, true);
}

static int begin_kubernetes_ipv6(void **state)
{
	return begin_as(state, AF_INET6, true);
}

static int begin_files(void **state)
{
	return begin_as(state, AF_INET, false);
}

static int begin_files_ipv6(void **state)
{
	return begin_as(state, AF_INET6, false);
}

#define DISPUTE_TEST(name)                                                       \
	DEFINE_TEST(name, {#name, name, begin_kubernetes, NULL, NULL},           \
		    {#name "_in_ipv6", name, begin_kubernetes_ipv6, NULL, NULL}, \
		    {#name "_in_files", name, begin_files, NULL, NULL},          \
		    {#name "_in_files_in_ipv6", name, begin_files_ipv6, NULL, NULL})

static void add_members(uint32_t wanted)
{
	while (count < wanted)
		add_member();
}

/* The node's podCIDR is this one, and it publishes it. */
static void set_pods(uint32_t i, const char *text)
{
	seen[i - 1].pod_cidrs[0] = pods[i - 1][0] = cidr(text);
}

/* The node publishes other pods than its podCIDR. */
static void publish_other_pods(uint32_t i, const char *text)
{
	pods[i - 1][0] = cidr(text);
}

/* Its assigned podCIDR does not count: the prefix that it publishes is judged by the node's age. */
static void forget_place_of(uint32_t i)
{
	members[i - 1].place_count = 0;
}

static void make_silent(uint32_t i)
{
	seen[i - 1].record = RECORD_MISSING;
}

static void make_garbled(uint32_t i)
{
	seen[i - 1].record = RECORD_INVALID;
}

static void assert_unharmed(uint32_t i)
{
	assert_usable(i);
	assert_int_equal(members[i - 1].refusal_count, 0);
}

static bool may_send_from(uint32_t i, const char *text)
{
	struct cidr allowed[64], wanted = cidr(text);
	uint32_t pod_count, allowed_count = cluster_list_allowed(&workspace, &members[i - 1],
								 allowed, 64, &pod_count);

	for (uint32_t k = 0; k < allowed_count; k++)
		if (cidr_is_equal(&allowed[k], &wanted))
			return true;
	return false;
}

static bool is_listed(const struct address *addresses, uint32_t address_count, const char *text)
{
	struct address wanted = address(text);

	for (uint32_t i = 0; i < address_count; i++)
		if (address_is_equal(&addresses[i], &wanted))
			return true;
	return false;
}

static bool is_asked(uint32_t i, const char *text)
{
	struct address asked[64];

	return is_listed(asked, cluster_list_questions(&workspace, &members[i - 1], asked, 64),
			 text);
}

static bool is_target(uint32_t i, const char *text)
{
	struct address targets[64];

	return is_listed(targets, cluster_list_targets(&workspace, &members[i - 1], targets, 64),
			 text);
}

static bool claims_address(uint32_t i, const char *text)
{
	struct address wanted = address(text);

	return cluster_claims_address(&workspace, &members[i - 1], &wanted);
}

/* -- a node that claims a pod's address of another -- */

static void assert_pod_stays_with_n2(void)
{
	resolve();
	assert_unharmed(1);
	assert_unharmed(2);
	assert_class("10.244.2.10", PREFIX_PEER, 2);
	assert_class("10.244.2.11", PREFIX_PEER, 2);
	assert_true(may_send_from(2, "10.244.2.0/24"));
	assert_false(may_send_from(3, "10.244.2.10/32"));
	assert_false(is_asked(3, "10.244.2.10"));
}

DISPUTE_TEST(cluster_younger_node_gets_no_pods_address_of_another)
{
	add_members(3);
	add_address(&seen[2], "10.244.2.10");
	assert_pod_stays_with_n2();
	assert_refused_over(3, "10.244.2.10/32", "10.244.2.0/24", "node n2");
	assert_true(members[1].is_in_dispute);
	assert_false(members[0].is_in_dispute || members[2].is_in_dispute);
	assert_class("192.168.50.3", PREFIX_NODE, 3); /* the rest of its claims stands */
	assert_class("10.244.3.5", PREFIX_PEER, 3);
}

DISPUTE_TEST(cluster_younger_node_gets_no_pods_address_by_a_record_without_a_key)
{
	add_members(3);
	add_address(&seen[2], "10.244.2.10");
	make_garbled(3);
	assert_pod_stays_with_n2();
}

DISPUTE_TEST(cluster_younger_node_gets_no_pods_address_without_an_annotation)
{
	add_members(3);
	add_address(&seen[2], "10.244.2.10");
	make_silent(3);
	assert_pod_stays_with_n2();
	assert_int_equal(members[2].state, MEMBER_REFUSED);
}

/* An agent writes the first at will, kubelet the second. */
DISPUTE_TEST(cluster_younger_node_gets_no_pods_address_by_an_endpoint_either)
{
	struct node *node;

	add_members(3);
	node = &seen[2];
	node->annotation.endpoints[node->annotation.endpoint_count++] = address("10.244.2.10");
	assert_pod_stays_with_n2();
	assert_refused_over(3, "10.244.2.10/32", "10.244.2.0/24", "node n2");
	assert_false(is_target(3, "10.244.2.10"));
	assert_int_equal(members[2].endpoint_count, 1);
}

/* Without the control plane's word, age decides; but nothing leaves in cleartext for that. */
DISPUTE_TEST(cluster_older_node_gets_a_pods_address_only_where_pod_cidrs_are_not_assigned)
{
	add_members(2);
	add_address(&seen[0], "10.244.2.10");
	resolve();
	assert_class("10.244.2.11", PREFIX_PEER, 2);
	if (self.has_given_pod_cidrs) {
		assert_unharmed(2);
		assert_class("10.244.2.10", PREFIX_PEER, 2);
		assert_refused_over(1, "10.244.2.10/32", "10.244.2.0/24", "node n2");
	} else {
		assert_unharmed(1);
		assert_class("10.244.2.10", PREFIX_CONTESTED, 1);
		assert_refused_over(2, "10.244.2.0/24", "10.244.2.10/32", "node n1");
	}
}

DISPUTE_TEST(cluster_older_node_without_a_record_gets_no_pods_address)
{
	static void (*const without_record[])(uint32_t) = {make_silent, make_garbled};

	for (unsigned int i = 0; i < ARRAY_SIZE(without_record); i++) {
		begin_as(NULL, family, self.has_given_pod_cidrs);
		add_members(2);
		add_address(&seen[0], "10.244.2.10");
		without_record[i](1);
		resolve();
		assert_unharmed(2);
		assert_class("10.244.2.10", PREFIX_PEER, 2);
		assert_false(may_send_from(1, "10.244.2.10/32"));
	}
}

/* n1 claims an address of n2, and its record does not count: it protects no traffic, so it takes
 * none. */
static void assert_address_stays_with_n2(void)
{
	add_address(&seen[0], "192.168.50.2");
	resolve();
	assert_unharmed(2);
	assert_class("192.168.50.2", PREFIX_NODE, 2);
	assert_false(may_send_from(1, "192.168.50.2/32"));
}

DISPUTE_TEST(cluster_record_without_a_reachable_endpoint_does_not_count)
{
	const char *other_family = family == AF_INET ? "fd00::1" : "192.168.50.1",
		   *special = family == AF_INET ? "127.0.0.1" : "::1";
	struct cidr endpoint;

	add_members(2);
	assert_true(cidr_parse(&endpoint, other_family));
	seen[0].annotation.endpoints[0] = endpoint.address;
	assert_address_stays_with_n2();
	assert_true(cidr_parse(&endpoint, special));
	seen[0].annotation.endpoints[0] = endpoint.address;
	assert_address_stays_with_n2();
}

DISPUTE_TEST(cluster_record_with_another_secret_does_not_count)
{
	struct secret_ids *secrets;

	add_members(2);
	secrets = &seen[0].annotation.secrets;
	secrets->count = 1;
	copy_text(secrets->items[0].text, sizeof(secrets->items[0]), "1111111111111111");
	assert_address_stays_with_n2();
}

/* -- the router's address -- */

static struct route routes[4];

static void route_by(const char *destination, const char *gateway)
{
	struct route *route = &routes[self.route_count++];

	*route = (struct route){.destination = cidr(destination), .is_main = true};
	if (gateway) {
		route->gateway = address(gateway);
		route->has_gateway = true;
	}
	self.routes = routes;
}

/* The pods of n1 and n2 are behind a router, and n3 claims its address. */
static void add_members_behind_a_router(void)
{
	add_members(3);
	route_by("10.244.1.0/24", "192.168.50.254");
	route_by("10.244.2.0/24", "192.168.50.254");
	add_address(&seen[2], "192.168.50.254");
}

static void assert_nobody_lost_pods(void)
{
	assert_unharmed(1);
	assert_unharmed(2);
	assert_class("10.244.1.5", PREFIX_PEER, 1);
	assert_class("10.244.2.5", PREFIX_PEER, 2);
}

DISPUTE_TEST(cluster_routers_address_takes_no_pods_from_their_owners)
{
	add_members(3);
	resolve();
	fill_maps();
	add_members_behind_a_router();
	resolve();
	assert_nobody_lost_pods();
	assert_int_equal(is_asked(3, "192.168.50.254"), !self.has_given_pod_cidrs);
	note_place(3, "192.168.50.254", 0, LATE);
	resolve();
	assert_nobody_lost_pods();
}

DISPUTE_TEST(cluster_routers_address_delays_new_pods_until_it_does_not_answer)
{
	add_members_behind_a_router();
	resolve();
	if (self.has_given_pod_cidrs) {
		assert_nobody_lost_pods();
		return;
	}
	assert_true(is_asked(3, "192.168.50.254"));
	assert_class("10.244.1.5", PREFIX_CLUSTER, 0); /* dropped meanwhile */
	note_place(3, "192.168.50.254", 0, LATE);
	resolve();
	assert_nobody_lost_pods();
}

DISPUTE_TEST(cluster_routers_address_is_ignored_without_a_record)
{
	add_members_behind_a_router();
	make_silent(3);
	resolve();
	assert_nobody_lost_pods();
}

DISPUTE_TEST(cluster_gateway_with_a_proved_node_is_a_witness)
{
	add_members(3);
	set_pods(3, "10.244.7.0/24");
	route_by("10.244.7.0/24", "192.168.50.2");
	note_place(2, "192.168.50.2", EARLY, 0);
	resolve();
	assert_unharmed(2);
	assert_class("10.244.7.5", self.has_given_pod_cidrs ? PREFIX_PEER : PREFIX_CLUSTER,
		     self.has_given_pod_cidrs ? 3 : 0);
	assert_int_equal(members[1].is_in_dispute, !self.has_given_pod_cidrs);
}

/* A node without an accepted endpoint is never asked, so nothing may wait for its answer. */
DISPUTE_TEST(cluster_node_that_cannot_be_asked_delays_nothing)
{
	add_members_behind_a_router();
	seen[2].annotation.endpoints[0] = address("10.244.3.9"); /* in its own pods */
	members[2].is_askable = false;
	resolve();
	assert_int_equal(members[2].state, MEMBER_REFUSED);
	assert_nobody_lost_pods();
}

/* Nor may anything wait for a question for which there is no room. */
DISPUTE_TEST(cluster_address_beyond_the_limit_of_questions_delays_nothing)
{
	struct address asked[CLUSTER_PLACES_MAX];
	char text[ADDRESS_TEXT_LEN];

	add_members(3);
	for (unsigned int i = 0; i < CLUSTER_PLACES_MAX; i++) {
		snprintf(text, sizeof(text), "192.168.60.%u", i);
		add_address(&seen[0], text);
		add_address(&seen[2], text);
	}
	add_members_behind_a_router();
	resolve();
	if (!is_listed(asked,
		       cluster_list_questions(&workspace, &members[2], asked, CLUSTER_PLACES_MAX),
		       "192.168.50.254"))
		assert_nobody_lost_pods();
}

/* -- Calico's shape: podCIDRs that are filled and unused -- */

/* The podCIDR of n2 is 10.244.2.0/24, and a block of n1 lies inside. */
static void add_members_with_blocks(void)
{
	add_members(2);
	publish_other_pods(1, "10.244.2.64/26");
	publish_other_pods(2, "10.244.9.0/26");
}

DISPUTE_TEST(cluster_block_inside_an_unused_pod_cidr_is_no_dispute)
{
	add_members_with_blocks();
	resolve();
	assert_unharmed(1);
	assert_unharmed(2);
	assert_false(members[0].is_in_dispute || members[1].is_in_dispute);
	assert_class("10.244.2.70", PREFIX_PEER, 1);
	assert_class("10.244.9.5", PREFIX_PEER, 2);
	assert_class("10.244.2.5", PREFIX_CLUSTER, 0); /* nobody publishes it */
	assert_true(may_send_from(1, "10.244.2.64/26"));
}

DISPUTE_TEST(cluster_block_inside_the_pod_cidr_of_a_node_without_a_record_is_no_dispute)
{
	add_members_with_blocks();
	make_silent(2);
	resolve();
	assert_unharmed(1);
	assert_int_equal(members[1].state, MEMBER_WAITING);
	assert_int_equal(members[1].refusal_count, 0);
	assert_class("10.244.2.70", PREFIX_PEER, 1);
	assert_class("10.244.2.5", PREFIX_PEER, 2);
}

DISPUTE_TEST(cluster_block_around_an_unused_pod_cidr_is_no_dispute_either)
{
	add_members_with_blocks();
	publish_other_pods(1, "10.244.2.0/23");
	make_silent(2);
	resolve();
	assert_unharmed(1);
	assert_int_equal(members[1].refusal_count, 0);
	assert_class("10.244.2.5", PREFIX_PEER, 1);
	assert_class("10.244.3.5", PREFIX_PEER, 1);
}

/* As when a node is recreated in a range that this one has taken in the meantime. */
DISPUTE_TEST(cluster_pod_cidr_of_a_node_without_a_record_under_our_pods_is_no_dispute)
{
	add_members(1);
	set_pods(1, "10.244.0.0/24");
	make_silent(1);
	resolve();
	assert_int_equal(members[0].state, MEMBER_WAITING);
	assert_int_equal(members[0].refusal_count, 0);
	assert_class("10.244.0.5", PREFIX_LOCAL, 0);
}

/* -- podCIDRs -- */

DISPUTE_TEST(cluster_pod_cidr_of_two_nodes_is_the_older_ones)
{
	add_members(2);
	set_pods(2, "10.244.1.0/24");
	resolve();
	assert_unharmed(1);
	assert_refused_over(2, "10.244.1.0/24", "10.244.1.0/24", "node n1");
	assert_class("10.244.1.5", PREFIX_PEER, 1);
}

DISPUTE_TEST(cluster_pod_cidr_around_an_older_nodes_is_accepted_around_it)
{
	add_members(2);
	set_pods(2, "10.244.0.0/20");
	resolve();
	assert_unharmed(1);
	assert_int_equal(members[1].state, MEMBER_USABLE);
	assert_class("10.244.1.5", PREFIX_PEER, 1);
	assert_class("10.244.2.5", PREFIX_PEER, 2);
	assert_class("10.244.0.5", PREFIX_LOCAL, 0);
	assert_true(may_send_from(2, "10.244.0.0/20") && may_send_from(1, "10.244.1.0/24"));
}

DISPUTE_TEST(cluster_pod_cidr_inside_an_older_nodes_is_refused)
{
	add_members(2);
	set_pods(1, "10.244.0.0/20");
	resolve();
	assert_refused_over(2, "10.244.2.0/24", "10.244.0.0/20", "node n1");
	assert_class("10.244.2.5", PREFIX_PEER, 1);
}

DISPUTE_TEST(cluster_pod_cidr_beats_an_older_nodes_record_only_where_it_is_assigned)
{
	add_members(2);
	publish_other_pods(1, "10.244.2.0/24");
	resolve();
	assert_unharmed(self.has_given_pod_cidrs ? 2 : 1);
	assert_class("10.244.2.5", PREFIX_PEER, self.has_given_pod_cidrs ? 2 : 1);
}

/* Its node was heard, but does not answer there any more. */
DISPUTE_TEST(cluster_address_with_a_lapsed_proof_is_a_pods_again)
{
	add_members(3);
	add_address(&seen[2], "10.244.2.10");
	members[2].place_count = 1;
	members[2].places[0] = (struct cluster_place){
		.address = address("10.244.2.10"), .proved_ns = 1, .answered_ns = 1};
	resolve();
	assert_class("10.244.2.10", PREFIX_CONTESTED, 3);
	assert_true(is_asked(3, "10.244.2.10"));
	members[2].places[0].left_ns = 2;
	members[2].places[0].has_lapsed = true;
	resolve();
	assert_class("10.244.2.10", PREFIX_PEER, 2);
}

/* It belongs to its node until pods surround it; then no node reaches it in cleartext. */
DISPUTE_TEST(cluster_address_in_the_range_is_in_cleartext_only_without_pods_around_it)
{
	add_members(2);
	add_address(&seen[0], "10.244.99.9");
	resolve();
	assert_class("10.244.99.9", PREFIX_NODE, 1);
	publish_other_pods(2, "10.244.99.0/24");
	resolve();
	assert_class("10.244.99.9", PREFIX_CONTESTED, 1);
}

/* A proof by a port that not all nodes share is none, and the node is not asked for it. */
DISPUTE_TEST(cluster_node_with_another_port_is_not_asked)
{
	add_members(3);
	add_address(&seen[1], "192.168.60.9");
	add_address(&seen[2], "192.168.60.9");
	seen[2].annotation.port = 30053;
	resolve();
	assert_true(is_asked(2, "192.168.60.9"));
	assert_false(is_asked(3, "192.168.60.9"));
}

/* A node that reads its pods from its kernel publishes them one by one. */
DISPUTE_TEST(cluster_part_of_an_assigned_pod_cidr_counts_as_the_whole)
{
	add_members(2);
	publish_other_pods(1, "10.244.2.7/32");
	publish_other_pods(2, "10.244.2.7/32");
	resolve();
	assert_class("10.244.2.7", PREFIX_PEER, self.has_given_pod_cidrs ? 2 : 1);
	publish_other_pods(1, "10.244.2.0/24");
	publish_other_pods(2, "10.244.2.0/23"); /* more than it was given is not a part */
	resolve();
	assert_class("10.244.2.7", PREFIX_PEER, 1);
	assert_class("10.244.3.7", PREFIX_PEER, 2);
}

DISPUTE_TEST(cluster_pod_cidr_that_its_node_does_not_publish_has_no_owner)
{
	add_members(2);
	publish_other_pods(1, "10.244.2.0/24");
	publish_other_pods(2, "10.244.9.0/24");
	resolve();
	assert_unharmed(1);
	assert_unharmed(2);
	assert_class("10.244.2.5", PREFIX_PEER, 1);
}

/* -- an address that moves -- */

/* Both claim the VIPs, one of which lies in the pods' range. */
static void add_members_with_vip(void)
{
	add_members(2);
	for (unsigned int i = 0; i < 2; i++) {
		add_address(&seen[i], "192.168.50.200");
		add_address(&seen[i], "10.244.50.200");
	}
}

static void assert_vip_is_at(uint32_t i)
{
	resolve();
	assert_class("192.168.50.200", PREFIX_NODE, i);
	assert_class("10.244.50.200", PREFIX_CONTESTED, i);
	assert_true(may_send_from(i, "192.168.50.200/32") && may_send_from(i, "10.244.50.200/32"));
	assert_false(may_send_from(3 - i, "192.168.50.200/32"));
	assert_false(may_send_from(3 - i, "10.244.50.200/32"));
	assert_true(members[i - 1].is_in_dispute);
	assert_refused_over(3 - i, "192.168.50.200/32", "192.168.50.200/32",
			    i == 1 ? "node n1" : "node n2");
}

static void note_vip(uint32_t i, uint64_t proved_ns, uint64_t left_ns)
{
	note_place(i, "192.168.50.200", proved_ns, left_ns);
	note_place(i, "10.244.50.200", proved_ns, left_ns);
}

DISPUTE_TEST(cluster_vip_is_the_older_nodes_until_the_other_proves_it)
{
	add_members_with_vip();
	assert_vip_is_at(1);
	note_vip(2, LATE, 0);
	assert_vip_is_at(2);
	note_vip(1, LATE + NS_PER_S, 0); /* displaces nobody */
	assert_vip_is_at(2);
}

DISPUTE_TEST(cluster_vip_follows_its_holder_ten_times)
{
	add_members_with_vip();
	for (uint32_t move = 0; move < 10; move++) {
		uint64_t now_ns = LATE + move * 60 * NS_PER_S;
		uint32_t holder = 1 + move % 2, gone = 3 - holder;

		forget_place_of(1);
		forget_place_of(2);
		note_vip(gone, now_ns - 60 * NS_PER_S, now_ns);
		note_vip(holder, now_ns + NS_PER_S, 0);
		assert_vip_is_at(holder);
	}
}

DISPUTE_TEST(cluster_vip_of_a_silent_node_is_the_live_ones)
{
	add_members_with_vip();
	note_vip(1, EARLY, 0);
	assert_vip_is_at(1);
	members[0].is_silent = true;
	assert_vip_is_at(2);
	assert_class("10.244.1.5", PREFIX_PEER, 1); /* which nobody else claims */
	assert_class("192.168.50.1", PREFIX_NODE, 1);
}

DISPUTE_TEST(cluster_vip_stays_with_its_incumbent_until_every_claimant_was_asked)
{
	add_members(2);
	add_address(&seen[1], "192.168.50.200");
	resolve();
	fill_maps();
	assert_class("192.168.50.200", PREFIX_NODE, 2);
	add_address(&seen[0], "192.168.50.200");
	resolve();
	assert_class("192.168.50.200", PREFIX_NODE, 2);
	assert_true(is_asked(1, "192.168.50.200") && is_asked(2, "192.168.50.200"));
	note_place(1, "192.168.50.200", 0, LATE);
	note_place(2, "192.168.50.200", 0, LATE);
	resolve();
	assert_class("192.168.50.200", PREFIX_NODE, 1);
}

DISPUTE_TEST(cluster_vip_has_no_incumbent_if_its_member_has_no_id)
{
	add_members(2);
	members[1].id = 0;
	add_address(&seen[1], "192.168.50.200");
	resolve();
	fill_maps();
	add_address(&seen[0], "192.168.50.200");
	resolve();
	assert_class("192.168.50.200", PREFIX_NODE, 1);
}

/* -- questions -- */

DISPUTE_TEST(cluster_asks_only_questions_that_decide)
{
	add_members_with_vip();
	resolve();
	assert_true(is_asked(1, "192.168.50.200") && is_asked(2, "192.168.50.200"));
	assert_false(is_asked(1, "192.168.50.1") || is_asked(2, "192.168.50.2"));
	note_vip(1, EARLY, 0);
	resolve();
	assert_true(!is_asked(1, "192.168.50.200") && is_asked(2, "192.168.50.200"));
	note_vip(2, LATE, 0);
	resolve();
	assert_true(is_asked(1, "192.168.50.200") && is_asked(2, "192.168.50.200"));
}

DISPUTE_TEST(cluster_questions_are_limited_to_the_room_for_them)
{
	struct address asked[2];

	add_members_with_vip();
	resolve();
	assert_int_equal(cluster_list_questions(&workspace, &members[0], asked, 2), 2);
	assert_int_equal(cluster_list_questions(&workspace, &members[0], asked, 1), 1);
	assert_int_equal(cluster_list_questions(&workspace, &members[0], asked, 0), 0);
}

DISPUTE_TEST(cluster_node_without_a_record_is_asked_no_question)
{
	add_members_with_vip();
	make_silent(2);
	resolve();
	assert_false(is_asked(1, "192.168.50.200") || is_asked(2, "192.168.50.200"));
	assert_class("10.244.50.200", PREFIX_NODE, 1);
}

DISPUTE_TEST(cluster_knows_which_addresses_a_node_claims)
{
	add_members_with_vip();
	seen[0].annotation.endpoints[seen[0].annotation.endpoint_count++] = address("192.168.60.1");
	resolve();
	assert_true(claims_address(1, "192.168.50.200")); /* won or lost */
	assert_true(claims_address(2, "192.168.50.200"));
	assert_true(claims_address(1, "192.168.50.1"));
	assert_true(claims_address(1, "192.168.60.1"));
	assert_false(claims_address(2, "192.168.60.1"));
	assert_false(claims_address(1, "10.244.1.0")); /* pods are none */
	add_pod(&seen[0], pods[0], "10.244.1.7/32");
	resolve();
	assert_false(claims_address(1, "10.244.1.7"));
}

/* -- endpoints inside the cluster range -- */

/* n2 is reached at 10.244.50.2, and the pods of n1 are laid over it. */
static void add_members_inside_the_range(void)
{
	add_members(2);
	set_pods(1, "10.244.48.0/20");
	seen[1].addresses[0] = seen[1].annotation.endpoints[0] = address("10.244.50.2");
}

DISPUTE_TEST(cluster_wide_pods_do_not_cover_an_endpoint_that_was_proved)
{
	add_members_inside_the_range();
	note_place(2, "10.244.50.2", LATE, 0);
	resolve();
	assert_unharmed(2);
	assert_int_equal(members[1].endpoint_count, 1);
	assert_true(is_target(2, "10.244.50.2"));
	assert_class("10.244.50.2", PREFIX_CONTESTED, 2);
	assert_class("10.244.50.3", PREFIX_PEER, 1);
	assert_refused_over(1, "10.244.48.0/20", "10.244.50.2/32", "node n2");
	assert_int_equal(members[0].state, MEMBER_USABLE);
	assert_true(may_send_from(2, "10.244.50.2/32") && may_send_from(1, "10.244.48.0/20"));
}

DISPUTE_TEST(cluster_wide_pods_cover_an_endpoint_that_was_not_proved)
{
	add_members_inside_the_range();
	resolve();
	assert_unharmed(1);
	assert_int_equal(members[1].state, MEMBER_REFUSED);
	assert_int_equal(members[1].endpoint_count, 0);
	assert_false(is_target(2, "10.244.50.2"));
	assert_class("10.244.50.2", PREFIX_PEER, 1);
}

/* An address of another node cannot be proved while it is refused; but no node is between us and
 * this one. */
DISPUTE_TEST(cluster_endpoint_on_our_link_is_accepted_among_pods_that_were_not_assigned)
{
	add_members_inside_the_range();
	route_by("10.244.50.0/24", NULL);
	resolve();
	assert_int_equal(members[1].endpoint_count, !self.has_given_pod_cidrs);
	assert_int_equal(is_target(2, "10.244.50.2"), !self.has_given_pod_cidrs);
	route_by("10.244.50.2/32", "192.168.50.254");
	resolve();
	assert_int_equal(members[1].endpoint_count, 0);
}

DISPUTE_TEST(cluster_endpoint_inside_the_range_without_pods_is_reached_in_cleartext)
{
	add_members(2);
	seen[1].addresses[0] = seen[1].annotation.endpoints[0] = address("10.244.50.2");
	resolve();
	assert_unharmed(2);
	assert_class("10.244.50.2", PREFIX_NODE, 2);
	assert_true(is_target(2, "10.244.50.2"));
	assert_false(is_target(1, "192.168.50.1")); /* outside, where it passes anyway */
}

DISPUTE_TEST(cluster_targets_are_the_addresses_asked_inside_the_range)
{
	struct address targets[1];

	add_members_with_vip();
	resolve();
	assert_true(is_target(1, "10.244.50.200") && is_target(2, "10.244.50.200"));
	assert_false(is_target(1, "192.168.50.200"));
	assert_int_equal(cluster_list_targets(&workspace, &members[0], targets, 1), 1);
	assert_int_equal(cluster_list_targets(&workspace, &members[0], targets, 0), 0);
}

/* Inside the range, only an address that no prefix covers is reached in cleartext. */
DISPUTE_TEST(cluster_address_among_its_own_nodes_pods_is_tunnelled)
{
	add_members(1);
	add_address(&seen[0], "10.244.1.1");
	resolve();
	assert_unharmed(1);
	assert_class("10.244.1.1", PREFIX_CONTESTED, 1);
	assert_true(may_send_from(1, "10.244.1.1/32"));
}
