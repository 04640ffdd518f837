// SPDX-License-Identifier: Apache-2.0
/* keyd/cluster/prefix.c: keys of the map, and the difference of two contents. */
#include "cluster/prefix.h"
#include "test.h"

#define ENTRIES_MAX 64

static struct prefix_entry entry(const char *text, uint32_t class, uint32_t peer_id)
{
	struct cidr cidr;

	assert_true(cidr_parse(&cidr, text));
	return (struct prefix_entry){prefix_key_of_cidr(&cidr), {class, peer_id}};
}

TEST(prefix_keys_hold_both_families)
{
	static const uint8_t mapped[16] = {[10] = 0xff, 0xff, 10, 244, 1, 0};
	struct prefix_entry v4 = entry("10.244.1.0/24", PREFIX_PEER, 1),
			    v6 = entry("fd00::/64", PREFIX_PEER, 1);
	char text[CIDR_TEXT_LEN];
	struct cidr back;

	assert_int_equal(v4.key.prefix_len, 120);
	assert_memory_equal(v4.key.address, mapped, 16);
	assert_int_equal(v6.key.prefix_len, 64);
	back = prefix_key_to_cidr(&v4.key);
	assert_string_equal(cidr_format(text, &back), "10.244.1.0/24");
	back = prefix_key_to_cidr(&v6.key);
	assert_string_equal(cidr_format(text, &back), "fd00::/64");
}

TEST(prefix_containment_is_that_of_addresses)
{
	struct prefix_entry wide = entry("10.244.0.0/15", 0, 0),
			    narrow = entry("10.245.128.0/17", 0, 0);
	struct prefix_entry beside = entry("10.246.0.0/16", 0, 0);

	assert_true(prefix_key_contains(&wide.key, &narrow.key));
	assert_true(prefix_key_contains(&wide.key, &wide.key));
	assert_false(prefix_key_contains(&narrow.key, &wide.key));
	assert_false(prefix_key_contains(&wide.key, &beside.key));
	assert_true(prefix_key_compare(&wide.key, &narrow.key) < 0);
}

TEST(prefix_settling_keeps_the_strongest_class_of_a_key)
{
	struct prefix_entry entries[] = {
		entry("10.0.0.0/24", PREFIX_CLUSTER, 0), entry("10.0.0.1/32", PREFIX_NODE, 3),
		entry("10.0.0.0/24", PREFIX_PEER, 2),	 entry("10.0.0.0/24", PREFIX_LOCAL, 0),
		entry("10.0.0.1/32", PREFIX_SELF, 0),
	};

	assert_int_equal(prefix_entries_settle(entries, ARRAY_SIZE(entries)), 2);
	assert_int_equal(entries[0].value.class, PREFIX_LOCAL);
	assert_int_equal(entries[1].value.class, PREFIX_SELF);
}

TEST(prefix_classes_of_one_key_have_an_order)
{
	static const enum prefix_class strongest_first[] = {
		PREFIX_SELF, PREFIX_LOCAL,  PREFIX_CONTESTED, PREFIX_NODE,
		PREFIX_PEER, PREFIX_EXCEPT, PREFIX_CLUSTER};

	for (unsigned int i = 0; i + 1 < ARRAY_SIZE(strongest_first); i++) {
		struct prefix_entry entries[] = {
			entry("10.0.0.1/32", strongest_first[i + 1], 1),
			entry("10.0.0.1/32", strongest_first[i], 2),
			entry("10.0.0.1/32", strongest_first[i + 1], 1),
		};

		assert_int_equal(prefix_entries_settle(entries, ARRAY_SIZE(entries)), 1);
		assert_int_equal(entries[0].value.class, strongest_first[i]);
	}
}

TEST(prefix_exception_is_weaker_than_a_claim_and_stronger_than_the_range)
{
	struct prefix_entry entries[] = {
		entry("10.0.0.0/24", PREFIX_CLUSTER, 0),
		entry("10.0.0.0/24", PREFIX_EXCEPT, 0),
		entry("10.0.1.0/24", PREFIX_EXCEPT, 0),
		entry("10.0.1.0/24", PREFIX_PEER, 2),
	};

	assert_int_equal(prefix_entries_settle(entries, ARRAY_SIZE(entries)), 2);
	assert_int_equal(entries[0].value.class, PREFIX_EXCEPT);
	assert_int_equal(entries[1].value.class, PREFIX_PEER);
}

TEST(prefix_settling_sorts_any_order)
{
	struct prefix_entry entries[ENTRIES_MAX];

	for (unsigned int i = 0; i < ENTRIES_MAX; i++) {
		char text[32];

		snprintf(text, sizeof(text), "10.%u.0.0/16", (i * 37) % ENTRIES_MAX);
		entries[i] = entry(text, PREFIX_PEER, i + 1);
	}
	assert_int_equal(prefix_entries_settle(entries, ENTRIES_MAX), ENTRIES_MAX);
	for (unsigned int i = 1; i < ENTRIES_MAX; i++)
		assert_true(prefix_key_compare(&entries[i - 1].key, &entries[i].key) < 0);
}

TEST(prefix_equal_contents_need_no_change)
{
	struct prefix_entry both[] = {entry("10.0.0.0/24", PREFIX_PEER, 2),
				      entry("10.0.1.0/24", PREFIX_PEER, 3)};
	struct prefix_change changes[4];

	assert_int_equal(prefix_entries_diff(both, 2, both, 2, NULL, 0, changes), 0);
	assert_int_equal(prefix_entries_diff(NULL, 0, NULL, 0, NULL, 0, changes), 0);
}

TEST(prefix_additions_come_before_removals)
{
	struct prefix_entry have[] = {entry("10.0.0.0/24", PREFIX_PEER, 2),
				      entry("10.0.1.0/24", PREFIX_PEER, 2)};
	struct prefix_entry wanted[] = {entry("10.0.1.0/24", PREFIX_PEER, 3),
					entry("10.0.2.0/24", PREFIX_PEER, 2)};
	struct prefix_change changes[4];

	assert_int_equal(prefix_entries_diff(wanted, 2, have, 2, NULL, 0, changes), 3);
	assert_false(changes[0].is_removal || changes[1].is_removal);
	assert_memory_equal(&changes[0].entry, &wanted[0], sizeof(wanted[0]));
	assert_memory_equal(&changes[1].entry, &wanted[1], sizeof(wanted[1]));
	assert_true(changes[2].is_removal);
	assert_memory_equal(&changes[2].entry, &have[0], sizeof(have[0]));
}

TEST(prefix_held_peers_lose_nothing_to_absence)
{
	static const uint32_t held[] = {9, 2};
	struct prefix_entry have[] = {
		entry("10.0.0.0/16", PREFIX_PEER, 2), entry("10.1.0.0/16", PREFIX_PEER, 3),
		entry("10.2.0.0/16", PREFIX_PEER, 2), entry("10.3.0.0/16", PREFIX_PEER, 2)};
	struct prefix_entry wanted[] = {entry("10.0.0.0/16", PREFIX_CLUSTER, 0),
					entry("10.2.0.0/16", PREFIX_PEER, 4)};
	struct prefix_change changes[8];

	assert_int_equal(prefix_entries_diff(wanted, 2, have, 4, held, 2, changes), 2);
	assert_int_equal(changes[0].entry.value.peer_id,
			 4); /* another node's claim wins over a prefix that is only held */
	assert_true(changes[1].is_removal);
	assert_int_equal(changes[1].entry.value.peer_id, 3);
}

TEST(prefix_special_ones_are_named)
{
	static const char *const special[] = {
		"127.0.0.1",   "169.254.1.0/24", "224.0.0.0/8", "255.255.255.255",
		"0.0.0.0/0",   "::/0",		 "::1",		"fe80::/64",
		"ff02::1/128", "::ffff:1.2.3.4", "::/80"};
	static const char *const plain[] = {"10.0.0.0/8", "192.168.50.1", "100.64.0.0/10",
					    "fd00::/8", "2001:db8::1"};
	struct cidr cidr;

	for (unsigned int i = 0; i < ARRAY_SIZE(special); i++) {
		assert_true(cidr_parse(&cidr, special[i]));
		if (!prefix_special_name(&cidr))
			fail_msg("%s", special[i]);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(plain); i++) {
		assert_true(cidr_parse(&cidr, plain[i]));
		assert_null(prefix_special_name(&cidr));
	}
}

static void assert_found(const struct prefix_entry *entries, uint32_t count, const char *text,
			 uint32_t peer_id)
{
	struct prefix_entry wanted = entry(text, 0, 0);
	const struct prefix_entry *found = prefix_entries_find(entries, count, &wanted.key);

	assert_int_equal(found ? found->value.peer_id : 0, peer_id);
}

TEST(prefix_longest_around_an_address_is_found)
{
	struct prefix_entry entries[] = {entry("10.244.0.0/16", PREFIX_CLUSTER, 1),
					 entry("10.244.1.0/24", PREFIX_PEER, 2),
					 entry("10.244.1.8/30", PREFIX_PEER, 3),
					 entry("10.244.1.9/32", PREFIX_NODE, 4),
					 entry("fd00::/48", PREFIX_CLUSTER, 5),
					 entry("fd00:0:0:1::/64", PREFIX_PEER, 6)};
	uint32_t count = prefix_entries_settle(entries, ARRAY_SIZE(entries));

	assert_found(entries, count, "10.244.1.9/32", 4);
	assert_found(entries, count, "10.244.1.10/32", 3);
	assert_found(entries, count, "10.244.1.200/32", 2);
	assert_found(entries, count, "10.244.255.255/32", 1);
	assert_found(entries, count, "10.244.1.8/31", 3);
	assert_found(entries, count, "10.245.0.0/32", 0);
	assert_found(entries, count, "10.243.255.255/32", 0);
	assert_found(entries, count, "fd00:0:0:1::9/128", 6);
	assert_found(entries, count, "fd00:0:0:2::9/128", 5);
	assert_found(entries, count, "fd01::1/128", 0);
	assert_found(entries, 0, "10.244.1.9/32", 0);
}

/* Any content: the same as looking at every entry. */
TEST(prefix_search_agrees_with_a_look_at_every_entry)
{
	uint32_t seed = 7;

	for (unsigned int round = 0; round < 2000; round++) {
		struct prefix_entry entries[ENTRIES_MAX], at = entry("10.0.0.0/32", 0, 0);
		const struct prefix_entry *longest = NULL;
		uint32_t count;

		for (unsigned int i = 0; i < 24; i++) {
			char text[CIDR_TEXT_LEN];

			seed = seed * 1664525 + 1013904223;
			snprintf(text, sizeof(text), "10.0.0.%u/%u", seed >> 8 & 0xff,
				 24 + (seed >> 16) % 9);
			entries[i] = entry(text, PREFIX_PEER, 1);
		}
		count = prefix_entries_settle(entries, 24);
		at.key.address[15] = (uint8_t)(seed >> 24);
		for (uint32_t i = 0; i < count; i++)
			if (prefix_key_contains(&entries[i].key, &at.key) &&
			    (!longest || entries[i].key.prefix_len > longest->key.prefix_len))
				longest = &entries[i];
		assert_ptr_equal(prefix_entries_find(entries, count, &at.key), longest);
	}
}
