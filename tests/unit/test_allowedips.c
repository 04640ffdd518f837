// SPDX-License-Identifier: Apache-2.0
/*
 * Cryptokey routing against a table of known answers, against a plain list that does the same
 * slowly, and at the limits of its pool. The ideas of the static and the random part are those of
 * the kernel's own self-test.
 */
#include <errno.h>

#include "allowedips.h"
#include "draw.h"
#include "values.h"

enum { A, B, C, D, E, F, PEERS = 64 };

static struct allowedips table;
static uint32_t heads[PEERS];

static int begin(void **state)
{
	allowedips_init(&table);
	memset(heads, 0, sizeof(heads));
	return 0;
}

static void give(const char *text, uint32_t peer)
{
	struct cidr prefix = cidr(text);

	assert_int_equal(allowedips_insert(&table, heads, &prefix, peer), 0);
}

static bool take(const char *text, uint32_t peer)
{
	struct cidr prefix = cidr(text);

	return allowedips_remove(&table, heads, &prefix, peer);
}

static uint32_t find(const char *text)
{
	struct address address = {0};

	assert_true(address_parse(&address, text));
	return allowedips_lookup(&table, address.family, address.bytes);
}

static uint32_t count_list(uint32_t peer)
{
	uint32_t count = 0, position = 0;
	struct cidr prefix;

	while ((position = allowedips_next(&table, heads, peer, position, &prefix))) {
		assert_int_equal(allowedips_owner(&table, &prefix), peer);
		count++;
	}
	return count;
}

/* Prefixes below and including the node; every rule that the structure keeps is checked on the
 * way. */
static uint32_t count_tree(uint32_t index, uint32_t parent, uint32_t *ret_nodes)
{
	const struct allowedips_node *node = &table.nodes[index];
	uint32_t count;

	if (!index)
		return 0;
	++*ret_nodes;
	assert_int_equal(node->parent, parent);
	if (parent)
		assert_true(node->prefix_len > table.nodes[parent].prefix_len);
	if (node->peer == NO_PEER)
		assert_true(node->children[0] && node->children[1]);
	count = node->peer != NO_PEER;
	count += count_tree(node->children[0], index, ret_nodes);
	return count + count_tree(node->children[1], index, ret_nodes);
}

static void assert_sound(void)
{
	uint32_t nodes = 0, listed = 0, in_tree, unused = 0;

	in_tree = count_tree(table.root4, 0, &nodes) + count_tree(table.root6, 0, &nodes);
	for (uint32_t peer = 0; peer < PEERS; peer++)
		listed += count_list(peer);
	for (uint32_t index = table.free_head; index; index = table.nodes[index].parent)
		unused++;
	assert_int_equal(in_tree, table.count);
	assert_int_equal(listed, table.count);
	assert_int_equal(nodes + unused, table.never_used - 1);
}

static void assert_empty(void)
{
	assert_sound();
	assert_int_equal(table.root4, 0);
	assert_int_equal(table.root6, 0);
	assert_int_equal(table.count, 0);
}

static void fill_with_overlaps(void)
{
	static const struct {
		const char *prefix;
		uint32_t peer;
	} given[] = {
		{"0.0.0.0/0", E},
		{"::/0", D},
		{"::/0", E}, /* taken over */
		{"10.244.0.0/16", A},
		{"10.244.7.0/24", B},
		{"10.244.7.9/32", C},
		{"10.244.7.8/31", A},
		{"10.0.0.0/8", D},
		{"10.244.128.77/17", F}, /* host bits do not count */
		{"172.16.0.0/25", A},
		{"172.16.0.128/25", B},
		{"172.16.1.0/30", A},
		{"172.16.1.4/30", B},
		{"172.16.1.8/29", C},
		{"255.255.255.255/32", F},
		{"fd00:10:244::/56", A},
		{"fd00:10:244:7::/64", B},
		{"fd00:10:244:7::9/128", C},
		{"fd00:10:244:7:8000::/65", D},
		{"fd00:10:244:7::8/127", F},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", C},
		{"8000::/1", B},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(given); i++)
		give(given[i].prefix, given[i].peer);
}

TEST(longest_prefix_wins_in_both_families, begin)
{
	static const struct {
		const char *address;
		uint32_t peer;
	} wanted[] = {
		{"10.244.0.1", A},
		{"10.244.7.1", B},
		{"10.244.7.9", C},
		{"10.244.7.8", A},
		{"10.244.7.10", B},
		{"10.244.6.255", A},
		{"10.244.8.0", A},
		{"10.244.127.255", A},
		{"10.244.128.0", F},
		{"10.244.255.255", F},
		{"10.243.255.255", D},
		{"10.245.0.0", D},
		{"11.0.0.0", E},
		{"0.0.0.0", E},
		{"172.16.0.127", A},
		{"172.16.0.128", B},
		{"172.16.1.3", A},
		{"172.16.1.4", B},
		{"172.16.1.8", C},
		{"172.16.1.15", C},
		{"172.16.1.16", E},
		{"255.255.255.255", F},
		{"255.255.255.254", E},
		{"::", E},
		{"fd00:10:244::1", A},
		{"fd00:10:244:ff::1", A},
		{"fd00:10:244:100::1", B},
		{"fd00:10:244:7::1", B},
		{"fd00:10:244:7::8", F},
		{"fd00:10:244:7::9", C},
		{"fd00:10:244:7::a", B},
		{"fd00:10:244:7:7fff:ffff:ffff:ffff", B},
		{"fd00:10:244:7:8000::", D},
		{"7fff::", E},
		{"8000::", B},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", C},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", B},
	};

	fill_with_overlaps();
	assert_sound();
	for (unsigned int i = 0; i < ARRAY_SIZE(wanted); i++)
		if (find(wanted[i].address) != wanted[i].peer)
			fail_msg("%s went to peer %u", wanted[i].address, find(wanted[i].address));
}

TEST(address_without_prefix_has_no_peer, begin)
{
	assert_int_equal(find("10.0.0.1"), NO_PEER);
	give("10.0.0.0/24", A);
	give("10.0.1.0/24", B);
	assert_int_equal(find("10.0.2.1"), NO_PEER); /* below the fork, in neither branch */
	assert_int_equal(find("a00::1"), NO_PEER);   /* the same first bits, the other family */
}

TEST(prefix_given_again_moves_to_its_new_peer, begin)
{
	give("10.0.0.0/24", A);
	give("10.0.0.77/24", B);
	assert_int_equal(find("10.0.0.1"), B);
	assert_int_equal(count_list(A), 0);
	assert_int_equal(count_list(B), 1);
	assert_int_equal(table.count, 1);
	assert_false(take("10.0.0.0/24", A));
	assert_int_equal(find("10.0.0.1"), B);
	assert_sound();
}

TEST(removed_prefix_uncovers_the_shorter_one, begin)
{
	fill_with_overlaps();
	assert_true(take("10.244.7.9/32", C));
	assert_int_equal(find("10.244.7.9"), A);
	assert_true(take("10.244.7.8/31", A));
	assert_int_equal(find("10.244.7.9"), B);
	assert_true(take("10.244.7.0/24", B));
	assert_int_equal(find("10.244.7.9"), A);
	assert_true(take("10.244.0.0/16", A));
	assert_int_equal(find("10.244.7.9"), D);
	assert_int_equal(find("10.244.128.9"), F);
	assert_true(take("10.0.0.0/8", D));
	assert_int_equal(find("10.244.7.9"), E);
	assert_true(take("0.0.0.0/0", E));
	assert_int_equal(find("10.244.7.9"), NO_PEER);
	assert_sound();
}

TEST(fork_cannot_be_removed_as_if_it_were_a_prefix, begin)
{
	give("10.0.0.0/25", A);
	give("10.0.0.128/25", A);
	assert_false(take("10.0.0.0/24", A));
	assert_int_equal(find("10.0.0.1"), A);
	give("10.0.0.0/24", B);
	assert_true(take("10.0.0.0/25", A));
	assert_int_equal(find("10.0.0.1"), B);
	assert_sound();
}

TEST(removed_peer_leaves_nothing_behind, begin)
{
	fill_with_overlaps();
	allowedips_remove_peer(&table, heads, A);
	assert_int_equal(count_list(A), 0);
	assert_int_equal(find("10.244.0.1"), D);
	assert_int_equal(find("172.16.0.1"), E);
	assert_int_equal(find("10.244.7.9"), C);
	assert_sound();
	for (uint32_t peer = 0; peer < PEERS; peer++)
		allowedips_remove_peer(&table, heads, peer);
	assert_empty();
}

TEST(peer_lists_its_prefixes_in_the_order_given, begin)
{
	static const char *const given[] = {"10.0.0.0/8",   "fd00::/64", "0.0.0.0/0",
					    "192.0.2.1/32", "::/0",	 "fd00::1/128"};
	uint32_t position = 0;
	struct cidr prefix;
	char text[CIDR_TEXT_LEN];

	for (unsigned int i = 0; i < ARRAY_SIZE(given); i++)
		give(given[i], A);
	give(given[1], A); /* has it already: stays where it is */
	for (unsigned int i = 0; i < ARRAY_SIZE(given); i++) {
		position = allowedips_next(&table, heads, A, position, &prefix);
		assert_int_not_equal(position, 0);
		assert_string_equal(cidr_format(text, &prefix), given[i]);
	}
	assert_int_equal(allowedips_next(&table, heads, A, position, &prefix), 0);
	assert_int_equal(allowedips_next(&table, heads, B, 0, &prefix), 0);
}

TEST(replacing_prefixes_never_uncovers_those_that_remain, begin)
{
	give("10.0.0.0/24", A);
	give("10.0.1.0/24", A);
	give("10.0.2.0/24", A);
	allowedips_mark_peer(&table, heads, A);
	assert_int_equal(find("10.0.0.1"), A);
	give("10.0.1.0/24", A);
	give("10.0.3.0/24", A);
	give("10.0.2.0/24", B); /* another peer takes one in between */
	assert_int_equal(find("10.0.0.1"), A);
	assert_int_equal(find("10.0.1.1"), A);
	allowedips_sweep_peer(&table, heads, A);
	assert_int_equal(find("10.0.0.1"), NO_PEER);
	assert_int_equal(find("10.0.1.1"), A);
	assert_int_equal(find("10.0.2.1"), B);
	assert_int_equal(find("10.0.3.1"), A);
	assert_sound();
}

TEST(full_table_refuses_and_changes_nothing, begin)
{
	struct cidr prefix = cidr("10.0.0.0/32");
	struct allowedips_node root;

	for (uint32_t i = 0; i < ALLOWEDIPS_MAX; i++) {
		put_be32(prefix.address.bytes, 0x0a000000 + i * 5);
		assert_int_equal(allowedips_insert(&table, heads, &prefix, i % PEERS), 0);
	}
	root = table.nodes[table.root4];
	prefix = cidr("192.0.2.1/32");
	assert_int_equal(allowedips_insert(&table, heads, &prefix, A), -ENOSPC);
	prefix = cidr("fd00::/64");
	assert_int_equal(allowedips_insert(&table, heads, &prefix, A), -ENOSPC);
	assert_memory_equal(&root, &table.nodes[table.root4], sizeof(root));
	assert_int_equal(find("192.0.2.1"), NO_PEER);
	assert_int_equal(find("fd00::1"), NO_PEER);
	assert_sound();

	give("10.0.0.5/32", B); /* one that is there may still move */
	assert_int_equal(find("10.0.0.5"), B);
	assert_true(take("10.0.0.0/32", A));
	give("fd00::/64", A);
	assert_int_equal(find("fd00::1"), A);
	for (uint32_t peer = 0; peer < PEERS; peer++)
		allowedips_remove_peer(&table, heads, peer);
	assert_empty();
}

/* -- against a list that does the same slowly -- */

struct entry {
	struct cidr cidr;
	uint32_t peer;
};

static struct entry list[16384];
static uint32_t listed;

static struct cidr draw_cidr(uint8_t family)
{
	unsigned int bits = address_bits(family);
	struct cidr drawn = {.address.family = family};

	for (unsigned int i = 0; i < bits / 8; i++)
		drawn.address.bytes[i] = (uint8_t)draw(256);
	drawn.prefix_len = (uint8_t)draw(bits + 1);
	return drawn;
}

static struct cidr mutate(const struct cidr *base)
{
	return draw_near(base, draw_cidr(base->address.family));
}

static struct entry *list_find(const struct cidr *wanted)
{
	for (uint32_t i = 0; i < listed; i++)
		if (cidr_is_equal(&list[i].cidr, wanted))
			return &list[i];
	return NULL;
}

static uint32_t list_lookup(const struct address *address)
{
	uint32_t peer = NO_PEER;
	int longest = -1;

	for (uint32_t i = 0; i < listed; i++)
		if (list[i].cidr.prefix_len > longest &&
		    cidr_contains_address(&list[i].cidr, address)) {
			longest = list[i].cidr.prefix_len;
			peer = list[i].peer;
		}
	return peer;
}

static void insert_both(struct cidr drawn, uint32_t peer)
{
	struct entry *entry;

	assert_int_equal(allowedips_insert(&table, heads, &drawn, peer), 0);
	cidr_clear_host_bits(&drawn);
	entry = list_find(&drawn);
	if (!entry)
		entry = &list[listed++];
	*entry = (struct entry){.cidr = drawn, .peer = peer};
}

static void remove_one_from_both(void)
{
	struct entry *entry = &list[draw(listed)];

	assert_false(allowedips_remove(&table, heads, &entry->cidr, (entry->peer + 1) % PEERS));
	assert_true(allowedips_remove(&table, heads, &entry->cidr, entry->peer));
	*entry = list[--listed];
}

static void remove_peer_from_both(uint32_t peer)
{
	uint32_t kept = 0;

	allowedips_remove_peer(&table, heads, peer);
	for (uint32_t i = 0; i < listed; i++)
		if (list[i].peer != peer)
			list[kept++] = list[i];
	listed = kept;
}

static void compare_lookups(unsigned int queries)
{
	for (unsigned int i = 0; i < queries && listed; i++) {
		struct cidr near = mutate(&list[draw(listed)].cidr);
		uint32_t wanted = list_lookup(&near.address);
		uint32_t found = allowedips_lookup(&table, near.address.family, near.address.bytes);

		assert_int_equal(found, wanted);
	}
	assert_int_equal(table.count, listed);
	assert_sound();
}

TEST(random_prefixes_agree_with_a_plain_list, begin)
{
	for (unsigned int i = 0; i < 2000; i++) {
		struct cidr base = draw_cidr(i % 2 ? AF_INET : AF_INET6);

		insert_both(base, draw(PEERS));
		for (unsigned int j = 0; j < 4; j++)
			insert_both(mutate(&base), draw(PEERS));
		if (i % 4 == 3)
			remove_one_from_both();
	}
	compare_lookups(4000);
	for (uint32_t peer = 0; peer < PEERS; peer++) {
		for (unsigned int i = 0; i < 40 && listed; i++)
			remove_one_from_both();
		remove_peer_from_both(peer);
		compare_lookups(100);
	}
	assert_int_equal(listed, 0);
	assert_empty();
}
