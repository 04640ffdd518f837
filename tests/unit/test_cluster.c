// SPDX-License-Identifier: Apache-2.0
/* keyd/cluster.c and keyd/claim.c: whose record, whose key, whose prefix, and what the maps must say in the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster.h"

#define MEMBERS_MAX 4
#define CIDRS_MAX   8
#define NOW_MS	    1000000000ULL
#define DAY_MS	    (24ULL * 3600 * 1000)

/* This node (n0, 10.244.0.0/24, 192.168.50.100) and up to four others. */
static struct cluster_self self;
static struct cluster_member members[MEMBERS_MAX], *list[MEMBERS_MAX];
static struct node seen[MEMBERS_MAX], good[MEMBERS_MAX];
static struct cidr pods[2 * MEMBERS_MAX][CIDRS_MAX];
static uint32_t count;

static uint32_t by_age[MEMBERS_MAX];
static struct cluster_key_claim keys[64];
static struct claim claim_items[512];
static uint32_t claim_order[512];
static struct cluster_workspace workspace;
static struct prefix_entry entries[512];
static uint32_t entry_count;

static struct cidr cidr(const char *text)
{
	struct cidr parsed;

	assert_true(cidr_parse(&parsed, text));
	return parsed;
}

static struct address address(const char *text)
{
	struct address parsed;

	assert_true(address_parse(&parsed, text));
	return parsed;
}

static struct public_key key(uint8_t filling)
{
	struct public_key made;

	memset(made.bytes, filling, KEY_LEN);
	return made;
}

static int begin(void **state)
{
	memset(&self, 0, sizeof(self));
	memset(members, 0, sizeof(members));
	memset(seen, 0, sizeof(seen));
	memset(good, 0, sizeof(good));
	count = 0;
	self.now_ms = NOW_MS;
	self.range_count = 2;
	self.ranges[0] = cidr("10.244.0.0/16");
	self.ranges[1] = cidr("fd00:10:244::/48");
	self.pod_count = self.address_count = 1;
	self.pods[0] = cidr("10.244.0.0/24");
	self.addresses[0] = address("192.168.50.100");
	self.has_ipv4 = true;
	self.has_key[KEY_CURRENT] = true;
	self.keys[KEY_CURRENT] = key(0xee);
	return 0;
}

static void add_pod(struct node *node, struct cidr *storage, const char *text)
{
	storage[node->annotation.pod_count++] = cidr(text);
	node->annotation.pods = storage;
}

/* Node number i (from 1): key i, epoch 100, 10.244.i.0/24, 192.168.50.i, made in second i. */
static struct node *add_member(void)
{
	struct node *node = &seen[count];
	struct cluster_member *member = &members[count];
	char text[64];

	list[count] = member;
	snprintf(member->name, sizeof(member->name), "n%u", count + 1);
	member->id = count + 1;
	member->seen = node;
	copy_text(node->name, sizeof(node->name), member->name);
	snprintf(node->uid, sizeof(node->uid), "u%u", count + 1);
	node->created_s = count + 1;
	node->voice = NODE_PUBLISHED;
	snprintf(text, sizeof(text), "10.244.%u.0/24", count + 1);
	node->pod_cidrs[node->pod_cidr_count++] = cidr(text);
	add_pod(node, pods[count], text);
	snprintf(text, sizeof(text), "192.168.50.%u", count + 1);
	node->addresses[node->address_count++] = address(text);
	node->annotation.endpoints[node->annotation.endpoint_count++] = address(text);
	node->annotation.has_key[KEY_CURRENT] = true;
	node->annotation.keys[KEY_CURRENT] = key((uint8_t)(count + 1));
	node->annotation.epoch = 100;
	node->annotation.port = 51890;
	copy_text(node->annotation.uid, sizeof(node->annotation.uid), node->uid);
	count++;
	return node;
}

/* What is seen of node i becomes what is in use, and a copy of it the newest record. */
static struct node *follow_up(uint32_t i)
{
	good[i - 1] = seen[i - 1];
	members[i - 1].good = &good[i - 1];
	good[i - 1].annotation.pods = pods[MEMBERS_MAX + i - 1];
	memcpy(pods[MEMBERS_MAX + i - 1], pods[i - 1], sizeof(pods[0]));
	return &seen[i - 1];
}

static void resolve(void)
{
	struct cluster_needs needs = cluster_needs(&self, list, count);

	assert_true(needs.keys <= ARRAY_SIZE(keys) && needs.claims <= ARRAY_SIZE(claim_items));
	workspace = (struct cluster_workspace){by_age, keys, {claim_items, claim_order, 0}};
	cluster_resolve(&self, list, count, &workspace);
	assert_true(workspace.claims.count <= needs.claims);
	entry_count = cluster_list_prefixes(&workspace, list, entries);
}

/* What the maps say of an address: the longest prefix, as the kernel looks it up. */
static struct prefix_value look_up(const char *text)
{
	struct cidr host = cidr(text);
	struct prefix_key wanted = prefix_key_of_cidr(&host);
	struct prefix_value value = {0};
	uint32_t longest = 0;

	for (uint32_t i = 0; i < entry_count; i++)
		if (prefix_key_contains(&entries[i].key, &wanted) &&
		    entries[i].key.prefix_len >= longest) {
			longest = entries[i].key.prefix_len;
			value = entries[i].value;
		}
	return value;
}

static void assert_class(const char *text, uint32_t class, uint32_t peer_id)
{
	struct prefix_value value = look_up(text);

	if (value.class != class || value.peer_id != peer_id)
		fail_msg("%s is class %u of peer %u, expected %u of %u", text, value.class,
			 value.peer_id, class, peer_id);
}

static void assert_refused(uint32_t i, const char *expected)
{
	if (!members[i - 1].refusal_count || !strstr(members[i - 1].refusal.text, expected))
		fail_msg("n%u: '%s', expected '%s'", i, members[i - 1].refusal.text, expected);
}

static void assert_usable(uint32_t i)
{
	if (members[i - 1].state != MEMBER_USABLE || members[i - 1].refusal_count)
		fail_msg("n%u: state %d, '%s'", i, members[i - 1].state,
			 members[i - 1].refusal.text);
}

static void cluster_good_records_are_used(void **state)
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

static void cluster_node_without_annotation_is_dropped_not_forgotten(void **state)
{
	add_member()->voice = NODE_SILENT;
	resolve();
	assert_int_equal(members[0].state, MEMBER_WAITING);
	assert_int_equal(members[0].refusal_count, 0);
	assert_null(members[0].chosen);
	assert_class("10.244.1.5", PREFIX_PEER, 1);
}

static void cluster_garbled_annotation_is_dropped_and_named(void **state)
{
	struct node *node = add_member();

	node->voice = NODE_GARBLED;
	copy_text(node->refusal.text, sizeof(node->refusal.text), "is an array: expected a string");
	resolve();
	assert_int_equal(members[0].state, MEMBER_REFUSED);
	assert_refused(1, "annotation: is an array");
	assert_class("10.244.1.5", PREFIX_PEER, 1);
}

static void cluster_garbled_annotation_keeps_the_last_good_one(void **state)
{
	add_member();
	follow_up(1)->voice = NODE_GARBLED;
	resolve();
	assert_int_equal(members[0].state, MEMBER_USABLE);
	assert_ptr_equal(members[0].chosen, &good[0]);
	assert_refused(1, "annotation");
	assert_false(cluster_outgrew_good(&members[0]));
}

static void cluster_unreadable_record_keeps_the_last_good_one(void **state)
{
	add_member();
	add_member();
	members[0].good = &seen[0];
	copy_text(members[0].unreadable.text, REFUSAL_LEN, "no JSON (line 1, column 2)");
	resolve();
	assert_int_equal(members[0].state, MEMBER_USABLE);
	assert_refused(1, "record: no JSON");
	assert_usable(2);
}

static void cluster_missing_annotation_keeps_the_last_good_one(void **state)
{
	add_member();
	follow_up(1)->voice = NODE_SILENT;
	resolve();
	assert_ptr_equal(members[0].chosen, &good[0]);
	assert_refused(1, "its annotation is gone");
}

static void cluster_higher_epoch_replaces_the_last_good_one(void **state)
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

static void cluster_lower_epoch_is_ignored(void **state)
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

static void cluster_equal_epoch_may_change_endpoints_port_and_prefixes_only(void **state)
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
	assert_refused(1, "epoch 100 has other keys than before");
}

static void cluster_epoch_far_ahead_is_refused(void **state)
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

static void cluster_new_uid_starts_afresh(void **state)
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
	node->voice = NODE_SILENT;
	resolve();
	assert_null(members[0].chosen);
	assert_int_equal(members[0].state, MEMBER_WAITING);
	assert_true(cluster_outgrew_good(&members[0]));
}

static void cluster_annotation_of_another_uid_is_refused(void **state)
{
	copy_text(add_member()->annotation.uid, NODE_UID_LEN, "u2");
	resolve();
	assert_refused(1, "annotation is of uid 'u2': expected the node's own, 'u1'");
	assert_null(members[0].chosen);
}

#define SECRET_A "1111111111111111"
#define SECRET_B "2222222222222222"

/* "" ends them early. */
static struct secret_ids secrets(const char *first, const char *second)
{
	struct secret_ids ids = {.count = !!*first + !!*second};

	copy_text(ids.items[0].text, sizeof(ids.items[0]), first);
	copy_text(ids.items[1].text, sizeof(ids.items[1]), second);
	return ids;
}

static void cluster_newest_secret_in_common_is_chosen(void **state)
{
	struct node *node = add_member();

	self.secrets = secrets(SECRET_B, SECRET_A);
	node->annotation.secrets = secrets(SECRET_A, "");
	resolve();
	assert_usable(1);
	assert_int_equal(members[0].secret, 1);
	node->annotation.secrets = secrets(SECRET_B, SECRET_A);
	resolve();
	assert_int_equal(members[0].secret, 0);
	node->annotation.secrets = self.secrets = secrets("", "");
	resolve();
	assert_usable(1);
	assert_int_equal(members[0].secret, 0);
}

static void assert_kept_out(const char *expected)
{
	resolve();
	assert_refused(1, expected);
	assert_false(members[0].has_common_secret);
	assert_int_equal(members[0].state, MEMBER_REFUSED);
	assert_false(members[0].is_held);
	assert_class("10.244.1.5", PREFIX_PEER, 1); /* of a peer that is not usable: dropped */
}

static void cluster_node_without_a_secret_in_common_is_refused(void **state)
{
	struct node *node = add_member();

	node->annotation.secrets = secrets(SECRET_A, "");
	assert_kept_out("it asks for a cluster secret (" SECRET_A "), and this node has none");
	self.secrets = secrets(SECRET_B, SECRET_NONE);
	assert_kept_out("and this node has another");
	self.secrets = secrets(SECRET_B, "");
	assert_kept_out("it has another cluster secret (" SECRET_A ") than this node (" SECRET_B
			")");
	node->annotation.secrets = secrets("", "");
	assert_kept_out("it has no cluster secret, and this node asks for one (" SECRET_B ")");
	node->annotation.secrets = secrets(SECRET_NONE, "");
	assert_kept_out("it has no cluster secret");
}

/* Also where its record is the one in use so far, and where the tunnel has it from an earlier agent. */
static void cluster_node_that_was_used_is_refused_without_a_secret_in_common(void **state)
{
	struct node *node;

	add_member();
	node = follow_up(1);
	self.secrets = secrets(SECRET_B, "");
	assert_kept_out("it has no cluster secret");
	assert_ptr_equal(members[0].chosen, node);
	node->annotation.epoch--; /* and its newest record is none */
	assert_kept_out("it has no cluster secret");
	assert_int_equal(members[0].refusal_count, 2);
	members[0].was_found = true;
	assert_kept_out("it has no cluster secret");
}

static void cluster_secrets_may_change_within_an_epoch(void **state)
{
	struct node *node;

	self.secrets = secrets(SECRET_B, SECRET_A);
	add_member()->annotation.secrets = secrets(SECRET_A, "");
	node = follow_up(1);
	node->annotation.secrets = secrets(SECRET_B, SECRET_A);
	resolve();
	assert_usable(1);
	assert_ptr_equal(members[0].chosen, node);
	assert_int_equal(members[0].secret, 0);
}

static void cluster_own_key_is_nobody_elses(void **state)
{
	struct node *node = add_member();

	node->annotation.has_key[KEY_NEXT] = true;
	node->annotation.keys[KEY_NEXT] = key(0xee);
	add_member();
	resolve();
	assert_null(members[0].chosen);
	assert_refused(1, "this node's own key");
	assert_usable(2);
}

static void cluster_key_claimed_twice_is_the_older_nodes(void **state)
{
	add_member();
	add_member()->annotation.keys[KEY_CURRENT] = key(1);
	resolve();
	assert_usable(1);
	assert_null(members[1].chosen);
	assert_refused(2, "a key of node n1");
	seen[0].created_s = 10; /* now n2 is the older one */
	resolve();
	assert_usable(2);
	assert_null(members[0].chosen);
}

static void cluster_equal_age_is_decided_by_name(void **state)
{
	add_member()->created_s = 5;
	add_member()->created_s = 5;
	seen[1].annotation.keys[KEY_CURRENT] = key(1);
	resolve();
	assert_usable(1);
	assert_refused(2, "a key of node n1");
}

static void cluster_key_claimed_twice_stays_where_it_was_proved(void **state)
{
	add_member();
	add_member()->annotation.keys[KEY_CURRENT] = key(1);
	cluster_note_proof(&members[1], &(struct public_key){.bytes[0] = 9});
	cluster_note_proof(&members[1], &seen[1].annotation.keys[KEY_CURRENT]);
	resolve();
	assert_usable(2);
	assert_refused(1, "a key of node n2");
	assert_null(members[0].chosen);
}

static void cluster_proofs_of_the_newest_keys_are_remembered(void **state)
{
	add_member();
	for (uint8_t filling = 1; filling <= CLUSTER_PROVED_MAX + 1; filling++) {
		struct public_key proved = key(filling);

		cluster_note_proof(&members[0], &proved);
		cluster_note_proof(&members[0], &proved);
	}
	assert_int_equal(members[0].proved_count, CLUSTER_PROVED_MAX);
	for (uint8_t i = 0; i < CLUSTER_PROVED_MAX; i++)
		assert_int_equal(members[0].proved_keys[i].bytes[0], CLUSTER_PROVED_MAX + 1 - i);
}

/* Node 2 announces its next key; node 1, which is older, says at once that it is its own. */
static void cluster_next_key_stays_with_who_published_it_first(void **state)
{
	add_member();
	add_member();
	seen[1].annotation.has_key[KEY_NEXT] = true;
	seen[1].annotation.keys[KEY_NEXT] = key(7);
	follow_up(2);
	seen[0].annotation.has_key[KEY_NEXT] = true;
	seen[0].annotation.keys[KEY_NEXT] = key(7);
	resolve();
	assert_usable(2);
	assert_refused(1, "a key of node n2");
}

static void cluster_promoted_key_is_taken_from_the_record_that_says_so(void **state)
{
	struct node *node = add_member();

	node->annotation.has_key[KEY_NEXT] = true;
	node->annotation.keys[KEY_NEXT] = key(7);
	follow_up(1);
	node->annotation.epoch = 101;
	node->annotation.has_key[KEY_NEXT] = false;
	node->annotation.has_key[KEY_PREVIOUS] = true;
	node->annotation.keys[KEY_PREVIOUS] = key(1);
	node->annotation.keys[KEY_CURRENT] = key(7);
	resolve();
	assert_usable(1);
	assert_ptr_equal(members[0].chosen, node);
}

/* -- what a node had before it left, or before it was made anew -- */

static void cluster_node_that_comes_back_with_an_older_record_is_refused(void **state)
{
	struct annotation floor = add_member()->annotation;

	floor.epoch = 101;
	members[0].floor = &floor;
	resolve();
	assert_refused(1, "epoch 100 is lower than 101");
	assert_null(members[0].chosen);
	assert_int_equal(members[0].state, MEMBER_REFUSED);
}

static void cluster_node_that_comes_back_as_it_was_is_taken(void **state)
{
	struct annotation floor = add_member()->annotation;

	members[0].floor = &floor;
	resolve();
	assert_usable(1);
	seen[0].annotation.keys[KEY_CURRENT] = key(7);
	resolve();
	assert_refused(1, "epoch 100 has other keys than before");
	seen[0].annotation.epoch = 101;
	resolve();
	assert_usable(1);
}

static void cluster_floor_of_another_uid_says_nothing(void **state)
{
	struct annotation floor = add_member()->annotation;

	floor.epoch = 101;
	copy_text(floor.uid, sizeof(floor.uid), "u9");
	members[0].floor = &floor;
	resolve();
	assert_usable(1);
}

/* -- what an earlier agent told the tunnel -- */

static void tell_tunnel(uint32_t i, const char *uid, uint64_t epoch)
{
	copy_text(members[i - 1].told_uid, sizeof(members[i - 1].told_uid), uid);
	members[i - 1].told_epoch = epoch;
}

static void cluster_record_older_than_the_tunnels_is_ignored_and_the_peer_held(void **state)
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

static void cluster_record_that_the_tunnel_has_is_taken(void **state)
{
	add_member();
	tell_tunnel(1, "u1", 100);
	resolve();
	assert_usable(1);
	assert_ptr_equal(members[0].chosen, &seen[0]);
}

static void cluster_peer_of_the_tunnel_is_held_where_its_annotation_is_gone(void **state)
{
	add_member()->voice = NODE_SILENT;
	members[0].was_found = true;
	tell_tunnel(1, "u1", 100);
	resolve();
	assert_refused(1, "annotation is gone");
	assert_true(members[0].is_held);
	tell_tunnel(1, "u9", 100);
	resolve();
	assert_int_equal(members[0].state, MEMBER_WAITING);
	assert_false(members[0].is_held);
}

static void cluster_tunnel_that_knew_the_node_before_it_was_made_anew_says_nothing(void **state)
{
	add_member();
	tell_tunnel(1, "u9", 101);
	resolve();
	assert_usable(1);
}

static void cluster_record_taken_before_the_tunnel_was_found_gives_way_to_it(void **state)
{
	add_member();
	members[0].good = &seen[0];
	tell_tunnel(1, "u1", 101);
	resolve();
	assert_refused(1, "epoch 100 is lower than 101");
	assert_null(members[0].chosen);
	assert_true(members[0].is_held);
	follow_up(1)->voice = NODE_GARBLED;
	resolve();
	assert_null(members[0].chosen);
	assert_true(cluster_outgrew_good(&members[0]));
}

static void cluster_thief_of_a_key_keeps_its_own_last_good_record(void **state)
{
	struct node *node;

	add_member();
	add_member();
	node = follow_up(2);
	node->annotation.epoch = 101;
	node->annotation.keys[KEY_CURRENT] = key(1);
	resolve();
	assert_usable(1);
	assert_ptr_equal(members[1].chosen, &good[1]);
	assert_int_equal(members[1].state, MEMBER_USABLE);
	assert_refused(2, "a key of node n1");
}

static void cluster_prefix_outside_the_range_is_refused(void **state)
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

static void cluster_whole_range_as_prefix_loses_against_older_nodes(void **state)
{
	add_member();
	add_pod(add_member(), pods[1], "10.244.0.0/16");
	resolve();
	assert_refused(2, "10.244.0.0/16 overlaps 10.244.0.0/24, which is this node's own");
	assert_usable(1);
	assert_class("10.244.1.5", PREFIX_PEER, 1);
	assert_class("10.244.9.5", PREFIX_CLUSTER, 0);
}

static void cluster_overlapping_prefix_is_the_older_nodes(void **state)
{
	add_member();
	add_pod(add_member(), pods[1], "10.244.1.128/25");
	add_pod(&seen[1], pods[1], "10.244.1.0/24");
	add_pod(&seen[1], pods[1], "10.244.0.0/23");
	resolve();
	assert_usable(1);
	assert_int_equal(members[1].refusal_count, 3);
	assert_refused(2, "10.244.1.128/25 overlaps 10.244.1.0/24, which is node n1's");
	assert_class("10.244.1.200", PREFIX_PEER, 1);
	assert_class("10.244.2.5", PREFIX_PEER, 2);
}

static void cluster_refused_prefix_does_not_stand_against_a_third(void **state)
{
	add_member(); /* 10.244.1.0/24, oldest */
	pods[1][0] =
		cidr("10.244.0.0/20"); /* refused because of it, and because it is over our own */
	add_member();
	pods[1][0] = cidr("10.244.0.0/20");
	add_member(); /* 10.244.3.0/24: inside the refused one */
	resolve();
	assert_refused(2, "10.244.0.0/20 overlaps");
	assert_usable(3);
	assert_class("10.244.3.5", PREFIX_PEER, 3);
}

static void set_route(struct route *route, const char *destination, const char *gateway)
{
	*route = (struct route){.destination = cidr(destination),
				.gateway = address(gateway),
				.has_gateway = true,
				.is_main = true};
}

static void cluster_prefix_that_is_routed_to_another_node_is_refused(void **state)
{
	static struct route routes[3];

	add_member();
	add_pod(add_member(), pods[1], "10.244.7.0/24");
	set_route(&routes[0], "10.244.1.0/24", "192.168.50.1");
	set_route(&routes[1], "10.244.7.0/24", "192.168.50.1");
	set_route(&routes[2], "0.0.0.0/0", "192.168.50.1");
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

static void cluster_hole_in_our_own_prefix_is_dropped_or_its_claimants(void **state)
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

static void cluster_own_prefix_that_is_a_hole_is_not_ours(void **state)
{
	self.hole_count = 1;
	self.holes[0] = self.pods[0];
	resolve();
	assert_class("10.244.0.9", PREFIX_CLUSTER, 0);
}

static void cluster_prefix_over_our_own_is_refused(void **state)
{
	add_member();
	pods[0][0] = cidr("10.244.0.128/25");
	resolve();
	assert_refused(1, "which is this node's own");
	assert_class("10.244.0.200", PREFIX_LOCAL, 0);
}

static void cluster_prefix_over_any_nodes_address_is_refused(void **state)
{
	add_member();
	add_pod(&seen[0], pods[0], "10.244.9.0/24");
	add_member()->addresses[0] = address("10.244.9.9"); /* younger, but an address */
	resolve();
	assert_refused(1, "10.244.9.0/24 overlaps 10.244.9.9/32, which is node n2's");
	assert_class("10.244.9.9", PREFIX_NODE, 2);
	assert_class("10.244.9.8", PREFIX_CLUSTER, 0);
}

static void cluster_address_of_ours_or_in_our_pods_is_refused(void **state)
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

static void cluster_address_claimed_twice_is_the_older_nodes(void **state)
{
	add_member();
	add_member()->addresses[0] = address("192.168.50.1");
	resolve();
	assert_refused(2, "192.168.50.1/32 overlaps 192.168.50.1/32, which is node n1's");
	assert_class("192.168.50.1", PREFIX_NODE, 1);
}

/* A Node often has one address as InternalIP and as ExternalIP. */
static void cluster_address_listed_twice_by_its_node_is_no_complaint(void **state)
{
	struct node *node = add_member();

	node->addresses[node->address_count++] = address("192.168.50.1");
	resolve();
	assert_usable(1);
	assert_int_equal(members[0].refusal_count, 0);
	assert_class("192.168.50.1", PREFIX_NODE, 1);
}

static void cluster_special_prefixes_and_endpoints_are_refused(void **state)
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

static void cluster_endpoint_in_pods_or_of_ours_is_refused(void **state)
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

static void cluster_endpoints_are_of_one_family_that_we_have(void **state)
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
	assert_refused(1, "no endpoint of a family");
	assert_class("10.244.1.5", PREFIX_PEER, 1);
}

static void cluster_peer_found_in_the_maps_is_held_while_its_record_is_bad(void **state)
{
	add_member()->voice = NODE_GARBLED;
	members[0].was_found = true;
	resolve();
	assert_true(members[0].is_held);
	seen[0].voice = NODE_SILENT;
	resolve();
	assert_false(members[0].is_held);
	seen[0].voice = NODE_PUBLISHED;
	resolve();
	assert_false(members[0].is_held);
	members[0].seen = NULL;
	copy_text(members[0].unreadable.text, REFUSAL_LEN, "no JSON");
	resolve();
	assert_true(members[0].is_held);
	assert_int_equal(members[0].state, MEMBER_REFUSED);
	members[0].was_found = false;
	resolve();
	assert_false(members[0].is_held);
}

static void cluster_bad_node_never_touches_another(void **state)
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
	const struct CMUnitTest tests[] = {
		TEST(cluster_good_records_are_used),
		TEST(cluster_node_without_annotation_is_dropped_not_forgotten),
		TEST(cluster_garbled_annotation_is_dropped_and_named),
		TEST(cluster_garbled_annotation_keeps_the_last_good_one),
		TEST(cluster_unreadable_record_keeps_the_last_good_one),
		TEST(cluster_missing_annotation_keeps_the_last_good_one),
		TEST(cluster_higher_epoch_replaces_the_last_good_one),
		TEST(cluster_lower_epoch_is_ignored),
		TEST(cluster_equal_epoch_may_change_endpoints_port_and_prefixes_only),
		TEST(cluster_epoch_far_ahead_is_refused),
		TEST(cluster_new_uid_starts_afresh),
		TEST(cluster_annotation_of_another_uid_is_refused),
		TEST(cluster_newest_secret_in_common_is_chosen),
		TEST(cluster_node_without_a_secret_in_common_is_refused),
		TEST(cluster_node_that_was_used_is_refused_without_a_secret_in_common),
		TEST(cluster_secrets_may_change_within_an_epoch),
		TEST(cluster_own_key_is_nobody_elses),
		TEST(cluster_key_claimed_twice_is_the_older_nodes),
		TEST(cluster_equal_age_is_decided_by_name),
		TEST(cluster_key_claimed_twice_stays_where_it_was_proved),
		TEST(cluster_proofs_of_the_newest_keys_are_remembered),
		TEST(cluster_next_key_stays_with_who_published_it_first),
		TEST(cluster_promoted_key_is_taken_from_the_record_that_says_so),
		TEST(cluster_node_that_comes_back_with_an_older_record_is_refused),
		TEST(cluster_node_that_comes_back_as_it_was_is_taken),
		TEST(cluster_floor_of_another_uid_says_nothing),
		TEST(cluster_record_older_than_the_tunnels_is_ignored_and_the_peer_held),
		TEST(cluster_record_that_the_tunnel_has_is_taken),
		TEST(cluster_peer_of_the_tunnel_is_held_where_its_annotation_is_gone),
		TEST(cluster_tunnel_that_knew_the_node_before_it_was_made_anew_says_nothing),
		TEST(cluster_record_taken_before_the_tunnel_was_found_gives_way_to_it),
		TEST(cluster_thief_of_a_key_keeps_its_own_last_good_record),
		TEST(cluster_prefix_outside_the_range_is_refused),
		TEST(cluster_prefix_that_is_routed_to_another_node_is_refused),
		TEST(cluster_hole_in_our_own_prefix_is_dropped_or_its_claimants),
		TEST(cluster_own_prefix_that_is_a_hole_is_not_ours),
		TEST(cluster_whole_range_as_prefix_loses_against_older_nodes),
		TEST(cluster_overlapping_prefix_is_the_older_nodes),
		TEST(cluster_refused_prefix_does_not_stand_against_a_third),
		TEST(cluster_prefix_over_our_own_is_refused),
		TEST(cluster_prefix_over_any_nodes_address_is_refused),
		TEST(cluster_address_of_ours_or_in_our_pods_is_refused),
		TEST(cluster_address_claimed_twice_is_the_older_nodes),
		TEST(cluster_address_listed_twice_by_its_node_is_no_complaint),
		TEST(cluster_special_prefixes_and_endpoints_are_refused),
		TEST(cluster_endpoint_in_pods_or_of_ours_is_refused),
		TEST(cluster_endpoints_are_of_one_family_that_we_have),
		TEST(cluster_peer_found_in_the_maps_is_held_while_its_record_is_bad),
		TEST(cluster_bad_node_never_touches_another),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
