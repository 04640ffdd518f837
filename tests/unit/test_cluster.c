// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/cluster/cluster.c: the record of a node that counts (keyd/cluster/cluster.h): good and
 * malformed records, epochs, recreated nodes, the tunnel's memory of an earlier agent, and the
 * resulting maps. Keys and secrets are in test_cluster_keys.c, prefixes and addresses in
 * test_cluster_addresses.c.
 */
#include "small_cluster.h"

#define DAY_MS (24ULL * 3600 * 1000)

TEST(cluster_good_records_are_used, begin)
{
	struct cidr allowed[8];
	uint32_t pod_count;

	add_member();
	add_member();
	resolve();
	assert_usable(1);
	assert_usable(2);
	assert_ptr_equal(members[0].chosen, &seen[0]);
	assert_class("10.244.1.5", PREFIX_PEER, 1);
	assert_class("10.244.2.5", PREFIX_PEER, 2);
	assert_class("192.168.50.2", PREFIX_NODE, 2);
	assert_class("192.168.50.100", PREFIX_SELF, 0);
	assert_class("10.244.0.7", PREFIX_LOCAL, 0);
	assert_class("10.244.9.9", PREFIX_CLUSTER, 0);
	assert_class("fd00:10:244:7::1", PREFIX_CLUSTER, 0);
	assert_class("8.8.8.8", 0, 0);
	assert_int_equal(cluster_list_allowed(&workspace, &members[1], allowed, 8, &pod_count), 2);
	assert_int_equal(pod_count, 1);
	assert_true(cidr_is_equal(&allowed[1], &(struct cidr){address("192.168.50.2"), 32}));
}

TEST(cluster_node_without_annotation_is_dropped_not_forgotten, begin)
{
	add_member()->record = RECORD_MISSING;
	resolve();
	assert_int_equal(members[0].state, MEMBER_WAITING);
	assert_int_equal(members[0].refusal_count, 0);
	assert_null(members[0].chosen);
	assert_class("10.244.1.5", PREFIX_PEER, 1);
}

TEST(cluster_malformed_annotation_is_dropped_and_named, begin)
{
	struct node *node = add_member();

	node->record = RECORD_INVALID;
	copy_text(node->refusal.text, sizeof(node->refusal.text),
		  "it is an array: expected a string");
	resolve();
	assert_int_equal(members[0].state, MEMBER_REFUSED);
	assert_refused(1, "annotation: it is an array");
	assert_class("10.244.1.5", PREFIX_PEER, 1);
}

TEST(cluster_malformed_annotation_keeps_the_last_good_one, begin)
{
	add_member();
	follow_up(1)->record = RECORD_INVALID;
	resolve();
	assert_int_equal(members[0].state, MEMBER_USABLE);
	assert_ptr_equal(members[0].chosen, &good[0]);
	assert_refused(1, "annotation");
	assert_false(cluster_outgrew_good(&members[0]));
}

TEST(cluster_unreadable_record_keeps_the_last_good_one, begin)
{
	add_member();
	add_member();
	members[0].good = &seen[0];
	copy_text(members[0].unreadable.text, REFUSAL_LEN, "not JSON (line 1, column 2)");
	resolve();
	assert_int_equal(members[0].state, MEMBER_USABLE);
	assert_refused(1, "record: not JSON");
	assert_usable(2);
}

TEST(cluster_missing_annotation_keeps_the_last_good_one, begin)
{
	add_member();
	follow_up(1)->record = RECORD_MISSING;
	resolve();
	assert_ptr_equal(members[0].chosen, &good[0]);
	assert_refused(1, "its annotation was removed");
}

TEST(cluster_higher_epoch_replaces_the_last_good_one, begin)
{
	struct node *node;

	add_member();
	node = follow_up(1);
	node->annotation.epoch = 101;
	node->annotation.keys[KEY_CURRENT] = key(77);
	resolve();
	assert_usable(1);
	assert_ptr_equal(members[0].chosen, &seen[0]);
	assert_true(cluster_outgrew_good(&members[0]));
}

TEST(cluster_lower_epoch_is_ignored, begin)
{
	struct node *node;

	add_member();
	node = follow_up(1);
	node->annotation.epoch = 99;
	node->annotation.keys[KEY_CURRENT] = key(77);
	resolve();
	assert_ptr_equal(members[0].chosen, &good[0]);
	assert_refused(1, "epoch 99 is lower than 100");
}

TEST(cluster_equal_epoch_may_change_endpoints_port_and_prefixes_only, begin)
{
	struct node *node;

	add_member();
	node = follow_up(1);
	node->annotation.endpoints[0] = address("192.168.50.77");
	node->annotation.port = 1;
	pods[0][0] = cidr("10.244.77.0/24");
	resolve();
	assert_usable(1);
	assert_ptr_equal(members[0].chosen, &seen[0]);
	assert_class("10.244.77.1", PREFIX_PEER, 1);
	assert_class("10.244.1.1", PREFIX_CLUSTER, 0);
	node->annotation.has_key[KEY_NEXT] = true;
	node->annotation.keys[KEY_NEXT] = key(78);
	resolve();
	assert_ptr_equal(members[0].chosen, &good[0]);
	assert_refused(1, "the keys have changed within epoch 100");
}

TEST(cluster_epoch_far_ahead_is_refused, begin)
{
	struct node *node = add_member();

	node->annotation.epoch = NOW_MS + DAY_MS;
	resolve();
	assert_usable(1);
	node->annotation.epoch++;
	resolve();
	assert_refused(1, "more than 24 hours ahead");
	assert_int_equal(members[0].state, MEMBER_REFUSED);
	node->annotation.epoch = INT64_MAX;
	resolve();
	assert_refused(1, "more than 24 hours ahead");
}

TEST(cluster_new_uid_discards_the_history_of_the_name, begin)
{
	struct node *node;

	add_member();
	node = follow_up(1);
	copy_text(node->uid, sizeof(node->uid), "u1-new");
	copy_text(node->annotation.uid, sizeof(node->annotation.uid), "u1-new");
	node->annotation.epoch = 1;
	resolve();
	assert_usable(1);
	assert_ptr_equal(members[0].chosen, &seen[0]);
	node->record = RECORD_MISSING;
	resolve();
	assert_null(members[0].chosen);
	assert_int_equal(members[0].state, MEMBER_WAITING);
	assert_true(cluster_outgrew_good(&members[0]));
}

TEST(cluster_annotation_of_another_uid_is_refused, begin)
{
	copy_text(add_member()->annotation.uid, NODE_UID_LEN, "u2");
	resolve();
	assert_refused(1, "annotation has uid 'u2': expected the node's own, 'u1'");
	assert_null(members[0].chosen);
}

/* -- records from before a node left or was recreated -- */

TEST(cluster_node_that_returns_with_an_older_record_is_refused, begin)
{
	struct annotation floor = add_member()->annotation;

	floor.epoch = 101;
	members[0].floor = &floor;
	resolve();
	assert_refused(1, "epoch 100 is lower than 101");
	assert_null(members[0].chosen);
	assert_int_equal(members[0].state, MEMBER_REFUSED);
}

TEST(cluster_node_that_returns_unchanged_is_accepted, begin)
{
	struct annotation floor = add_member()->annotation;

	members[0].floor = &floor;
	resolve();
	assert_usable(1);
	seen[0].annotation.keys[KEY_CURRENT] = key(7);
	resolve();
	assert_refused(1, "the keys have changed within epoch 100");
	seen[0].annotation.epoch = 101;
	resolve();
	assert_usable(1);
}

TEST(cluster_floor_of_another_uid_is_ignored, begin)
{
	struct annotation floor = add_member()->annotation;

	floor.epoch = 101;
	copy_text(floor.uid, sizeof(floor.uid), "u9");
	members[0].floor = &floor;
	resolve();
	assert_usable(1);
}

/* -- records that an earlier agent gave to the tunnel -- */

static void tell_tunnel(uint32_t i, const char *uid, uint64_t epoch)
{
	copy_text(members[i - 1].told_uid, sizeof(members[i - 1].told_uid), uid);
	members[i - 1].told_epoch = epoch;
}

TEST(cluster_record_older_than_the_tunnels_is_ignored_and_the_peer_held, begin)
{
	add_member();
	tell_tunnel(1, "u1", 101);
	resolve();
	assert_refused(1, "epoch 100 is lower than 101");
	assert_null(members[0].chosen);
	assert_int_equal(members[0].state, MEMBER_REFUSED);
	assert_true(members[0].is_held);
	seen[0].annotation.epoch = 102;
	resolve();
	assert_usable(1);
	assert_false(members[0].is_held);
}

TEST(cluster_record_that_the_tunnel_has_is_accepted, begin)
{
	add_member();
	tell_tunnel(1, "u1", 100);
	resolve();
	assert_usable(1);
	assert_ptr_equal(members[0].chosen, &seen[0]);
}

TEST(cluster_peer_of_the_tunnel_is_held_where_its_annotation_is_gone, begin)
{
	add_member()->record = RECORD_MISSING;
	members[0].was_found = true;
	tell_tunnel(1, "u1", 100);
	resolve();
	assert_refused(1, "annotation was removed");
	assert_true(members[0].is_held);
	tell_tunnel(1, "u9", 100);
	resolve();
	assert_int_equal(members[0].state, MEMBER_WAITING);
	assert_false(members[0].is_held);
}

TEST(cluster_tunnel_that_knew_the_node_before_it_was_recreated_is_ignored, begin)
{
	add_member();
	tell_tunnel(1, "u9", 101);
	resolve();
	assert_usable(1);
}

TEST(cluster_record_accepted_before_the_tunnel_was_found_yields_to_it, begin)
{
	add_member();
	members[0].good = &seen[0];
	tell_tunnel(1, "u1", 101);
	resolve();
	assert_refused(1, "epoch 100 is lower than 101");
	assert_null(members[0].chosen);
	assert_true(members[0].is_held);
	follow_up(1)->record = RECORD_INVALID;
	resolve();
	assert_null(members[0].chosen);
	assert_true(cluster_outgrew_good(&members[0]));
}

/* -- a bad record -- */

TEST(cluster_peer_found_in_the_maps_is_held_while_its_record_is_bad, begin)
{
	add_member()->record = RECORD_INVALID;
	members[0].was_found = true;
	resolve();
	assert_true(members[0].is_held);
	seen[0].record = RECORD_MISSING;
	resolve();
	assert_false(members[0].is_held);
	seen[0].record = RECORD_VALID;
	resolve();
	assert_false(members[0].is_held);
	members[0].seen = NULL;
	copy_text(members[0].unreadable.text, REFUSAL_LEN, "not JSON");
	resolve();
	assert_true(members[0].is_held);
	assert_int_equal(members[0].state, MEMBER_REFUSED);
	members[0].was_found = false;
	resolve();
	assert_false(members[0].is_held);
}

TEST(cluster_bad_node_never_touches_another, begin)
{
	struct node *bad;

	add_member();
	bad = add_member(); /* younger, and claims everything of n1 */
	bad->annotation.keys[KEY_CURRENT] = key(1);
	bad->addresses[0] = address("192.168.50.1");
	bad->annotation.endpoints[0] = address("192.168.50.1");
	pods[1][0] = cidr("10.244.1.0/24");
	bad->pod_cidrs[0] = cidr("10.244.1.0/24");
	resolve();
	assert_usable(1);
	assert_class("10.244.1.5", PREFIX_PEER, 1);
	assert_class("192.168.50.1", PREFIX_NODE, 1);
	assert_int_equal(members[1].state, MEMBER_REFUSED);
}
