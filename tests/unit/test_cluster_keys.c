// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/cluster/cluster.c: the secret that two nodes have in common (docs/rotation.md, "The cluster
 * secret"), and the owner of a key that two nodes claim. A refused node is refused by name, and its
 * last good record stays in use.
 */
#include "small_cluster.h"

/* -- secrets -- */

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

TEST(cluster_newest_secret_in_common_is_chosen, begin)
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

TEST(cluster_node_without_a_secret_in_common_is_refused, begin)
{
	struct node *node = add_member();

	node->annotation.secrets = secrets(SECRET_A, "");
	assert_kept_out("it requires a cluster secret (" SECRET_A "), but this node has none");
	self.secrets = secrets(SECRET_B, SECRET_NONE);
	assert_kept_out("but this node has a different one");
	self.secrets = secrets(SECRET_B, "");
	assert_kept_out("its cluster secret (" SECRET_A ") differs from this node's (" SECRET_B
			")");
	node->annotation.secrets = secrets("", "");
	assert_kept_out("it has no cluster secret, but this node requires one (" SECRET_B ")");
	node->annotation.secrets = secrets(SECRET_NONE, "");
	assert_kept_out("it has no cluster secret");
}

/* Also where its record is the one in use so far, and where the tunnel has it from an earlier
 * agent. */
TEST(cluster_node_that_was_used_is_refused_without_a_secret_in_common, begin)
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

TEST(cluster_secrets_may_change_within_an_epoch, begin)
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

/* -- keys -- */

TEST(cluster_own_key_belongs_to_no_other_node, begin)
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

TEST(cluster_key_claimed_twice_is_the_older_nodes, begin)
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

TEST(cluster_key_belongs_to_the_node_that_has_it_as_current_not_next_or_previous, begin)
{
	struct node *older = add_member();

	add_member();
	add_member();
	older->annotation.has_key[KEY_NEXT] = older->annotation.has_key[KEY_PREVIOUS] = true;
	older->annotation.keys[KEY_NEXT] = key(2);
	older->annotation.keys[KEY_PREVIOUS] = key(3);
	resolve();
	assert_usable(2);
	assert_usable(3);
	assert_null(members[0].chosen);
	assert_refused(1, "a key of node n2");
}

TEST(cluster_unproved_key_is_given_to_each_claimant_in_turn_until_it_is_proved, begin)
{
	add_member();
	add_member()->annotation.keys[KEY_CURRENT] = key(1);
	resolve();
	assert_true(members[0].has_disputed_key && !members[1].has_disputed_key);
	assert_usable(1);
	self.now_ms += CLUSTER_KEY_TURN_MS;
	resolve();
	assert_true(members[1].has_disputed_key && !members[0].has_disputed_key);
	assert_usable(2);
	assert_null(members[0].chosen);
	cluster_note_proof(&members[1], &seen[1].annotation.keys[KEY_CURRENT]);
	self.now_ms += CLUSTER_KEY_TURN_MS;
	resolve();
	assert_usable(2);
	assert_false(members[0].has_disputed_key || members[1].has_disputed_key);
}

TEST(cluster_equal_age_is_decided_by_name, begin)
{
	add_member()->created_s = 5;
	add_member()->created_s = 5;
	seen[1].annotation.keys[KEY_CURRENT] = key(1);
	resolve();
	assert_usable(1);
	assert_refused(2, "a key of node n1");
}

TEST(cluster_key_claimed_twice_stays_where_it_was_proved, begin)
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

TEST(cluster_proofs_of_the_newest_keys_are_remembered, begin)
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
TEST(cluster_next_key_stays_with_the_node_that_published_it_first, begin)
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

TEST(cluster_promoted_key_comes_from_the_record_that_promotes_it, begin)
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

TEST(cluster_thief_of_a_key_keeps_its_own_last_good_record, begin)
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
