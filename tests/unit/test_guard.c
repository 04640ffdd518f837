// SPDX-License-Identifier: Apache-2.0
/* keyd/guard/guard.c: the contents of the guard's sets follow from the contents of the BPF maps. */
#include "address.h"
#include "guard/guard.h"
#include "test.h"

#define ENTRIES_MAX  64
#define ELEMENTS_MAX (4 * ENTRIES_MAX + 64)
#define TEXT_MAX     4096

struct table {
	struct prefix_entry entries[ENTRIES_MAX];
	struct guard_facts facts;
};

static void add(struct table *table, const char *text, uint32_t class, uint32_t peer_id)
{
	struct cidr cidr;

	assert_true(cidr_parse(&cidr, text));
	table->entries[table->facts.entry_count++] =
		(struct prefix_entry){prefix_key_of_cidr(&cidr), {class, peer_id}};
}

static const char *address_text(char text[static ADDRESS_TEXT_LEN], const uint8_t *key,
				uint8_t family)
{
	struct address address = {.family = family};

	memcpy(address.bytes, key, family == AF_INET ? 4 : 16);
	return address_format(text, &address);
}

/* "10.244.0.0-10.244.1.0 ...": each range up to the address behind it. */
static const char *list(struct table *table, enum guard_set set, uint8_t family)
{
	static char text[TEXT_MAX];
	struct guard_element elements[ELEMENTS_MAX];
	char address[ADDRESS_TEXT_LEN];
	uint32_t count;

	table->facts.entries = table->entries;
	table->facts.entry_count = prefix_entries_settle(table->entries, table->facts.entry_count);
	assert_true(guard_room(&table->facts) <= ELEMENTS_MAX);
	count = guard_list(&table->facts, set, elements);
	assert_true(count <= guard_room(&table->facts));
	text[0] = '\0';
	for (uint32_t i = 0; i < count; i++) {
		if (i)
			strcat(text, elements[i].is_end ? "-" : " ");
		strcat(text, address_text(address, elements[i].key, family));
	}
	return text;
}

static struct table cluster(void)
{
	struct table table = {0};

	add(&table, "10.244.0.0/16", PREFIX_CLUSTER, 0);
	add(&table, "10.244.1.0/24", PREFIX_LOCAL, 0);
	add(&table, "10.244.1.1", PREFIX_SELF, 0);
	add(&table, "10.244.2.0/24", PREFIX_PEER, 7);
	add(&table, "192.168.50.1", PREFIX_SELF, 0);
	add(&table, "192.168.50.2", PREFIX_NODE, 7);
	add(&table, "fd00:10:244::/48", PREFIX_CLUSTER, 0);
	add(&table, "fd00:10:244:1::/64", PREFIX_LOCAL, 0);
	return table;
}

TEST(remote_is_the_cluster_range_without_this_nodes_pods)
{
	struct table table = cluster();

	assert_string_equal(list(&table, GUARD_REMOTE4, AF_INET),
			    "10.244.0.0-10.244.1.0 10.244.2.0-10.245.0.0");
	assert_string_equal(list(&table, GUARD_REMOTE6, AF_INET6),
			    "fd00:10:244::-fd00:10:244:1:: fd00:10:244:2::-fd00:10:245::");
}

TEST(own_addresses_among_the_pods_count_as_pods_and_others_do_not)
{
	struct table table = cluster();

	assert_string_equal(list(&table, GUARD_PODS4, AF_INET), "10.244.1.0-10.244.2.0");
	assert_string_equal(list(&table, GUARD_NODES4, AF_INET), "192.168.50.2-192.168.50.3");
	assert_string_equal(list(&table, GUARD_NODES6, AF_INET6), "");
}

TEST(exceptions_and_claims_inside_them_follow_the_longest_prefix)
{
	struct table table = cluster();

	add(&table, "10.244.128.0/17", PREFIX_EXCEPT, 0);
	add(&table, "10.244.200.0/24", PREFIX_PEER, 8);
	add(&table, "10.244.200.9", PREFIX_NODE, 8);
	assert_string_equal(list(&table, GUARD_REMOTE4, AF_INET),
			    "10.244.0.0-10.244.1.0 10.244.2.0-10.244.128.0 "
			    "10.244.200.0-10.244.200.9 10.244.200.10-10.244.201.0");
}

TEST(contested_address_is_remote_and_no_node)
{
	struct table table = cluster();

	add(&table, "192.168.50.3", PREFIX_CONTESTED, 8);
	add(&table, "fd00:50::3", PREFIX_CONTESTED, 8);
	assert_string_equal(
		list(&table, GUARD_REMOTE4, AF_INET),
		"10.244.0.0-10.244.1.0 10.244.2.0-10.245.0.0 192.168.50.3-192.168.50.4");
	assert_string_equal(list(&table, GUARD_NODES4, AF_INET), "192.168.50.2-192.168.50.3");
	assert_string_equal(list(&table, GUARD_REMOTE6, AF_INET6),
			    "fd00:10:244::-fd00:10:244:1:: fd00:10:244:2::-fd00:10:245:: "
			    "fd00:50::3-fd00:50::4");
	assert_string_equal(list(&table, GUARD_NODES6, AF_INET6), "");
}

TEST(hole_in_our_pods_is_remote)
{
	struct table table = cluster();

	add(&table, "10.244.1.128/25", PREFIX_CLUSTER, 0);
	add(&table, "10.244.1.200", PREFIX_LOCAL, 0);
	assert_string_equal(list(&table, GUARD_PODS4, AF_INET),
			    "10.244.1.0-10.244.1.128 10.244.1.200-10.244.1.201");
}

TEST(permissive_mode_covers_only_nodes_that_were_reached)
{
	static const uint32_t reached[] = {3, 7, 9};
	struct table table = cluster();

	add(&table, "10.244.3.0/24", PREFIX_PEER, 8);
	add(&table, "192.168.50.3", PREFIX_NODE, 8);
	add(&table, "192.168.50.4", PREFIX_CONTESTED, 8);
	add(&table, "192.168.50.5", PREFIX_CONTESTED, 7);
	table.facts.is_permissive = true;
	assert_string_equal(list(&table, GUARD_REMOTE4, AF_INET), "");
	assert_string_equal(list(&table, GUARD_NODES4, AF_INET), "");
	table.facts.reached = reached;
	table.facts.reached_count = ARRAY_SIZE(reached);
	assert_string_equal(list(&table, GUARD_REMOTE4, AF_INET),
			    "10.244.2.0-10.244.3.0 192.168.50.5-192.168.50.6");
	assert_string_equal(list(&table, GUARD_NODES4, AF_INET), "192.168.50.2-192.168.50.3");
}

TEST(class_of_a_later_version_is_remote)
{
	struct table table = {0};

	add(&table, "10.9.0.0/16", 4711, 0);
	assert_string_equal(list(&table, GUARD_REMOTE4, AF_INET), "10.9.0.0-10.10.0.0");
}

TEST(last_range_of_all_has_no_end)
{
	struct table table = {0};

	add(&table, "255.255.255.0/24", PREFIX_PEER, 1);
	add(&table, "ffff::/16", PREFIX_CLUSTER, 1);
	add(&table, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", PREFIX_PEER, 1);
	assert_string_equal(list(&table, GUARD_REMOTE4, AF_INET), "255.255.255.0");
	assert_string_equal(list(&table, GUARD_REMOTE6, AF_INET6), "ffff::");
}

TEST(nothing_known_is_nothing_guarded)
{
	struct table table = {0};

	for (unsigned int set = 0; set < GUARD_SETS; set++)
		assert_string_equal(list(&table, (enum guard_set)set, AF_INET), "");
}

TEST(devices_are_listed_once)
{
	static const unsigned int devices[] = {4, 2, 4};
	struct guard_facts facts = {.devices = devices, .device_count = ARRAY_SIZE(devices)};
	struct guard_element elements[8];
	uint32_t first;

	assert_int_equal(guard_list(&facts, GUARD_DEVICES, elements), 2);
	memcpy(&first, elements[0].key, sizeof(first));
	assert_true(first == 2 || first == 4);
	assert_false(elements[0].is_end);
}

TEST(bypass_is_the_protocols_of_its_value_in_its_family)
{
	static struct bypass_entry bypasses[] = {
		{{.address = {[10] = 0xff, 0xff, 192, 168, 50, 2}, .port = 0x2b19},
		 BYPASS_TCP_UDP}};
	static const uint8_t tcp[12] = {6, 0, 0, 0, 192, 168, 50, 2, 0x19, 0x2b};
	struct guard_facts facts = {.bypasses = bypasses, .bypass_count = 1};
	struct guard_element elements[8];

	assert_int_equal(guard_list(&facts, GUARD_BYPASS6, elements), 0);
	assert_int_equal(guard_list(&facts, GUARD_BYPASS4, elements), 2);
	assert_memory_equal(elements[0].key, tcp, sizeof(tcp));
	assert_int_equal(elements[1].key[0], 17);
	bypasses[0].value = BYPASS_TCP;
	assert_int_equal(guard_list(&facts, GUARD_BYPASS4, elements), 1);
	assert_memory_equal(elements[0].key, tcp, sizeof(tcp));
	bypasses[0].value = BYPASS_PROBE;
	assert_int_equal(guard_list(&facts, GUARD_BYPASS4, elements), 0);
}

/* -- random content: the ranges agree with the longest prefix of every address -- */

static uint32_t seed = 1;

static uint32_t next(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

/* In 10.0.0.0/24, so that they meet. */
static void make_any_table(struct table *ret_table)
{
	char text[CIDR_TEXT_LEN];

	*ret_table = (struct table){0};
	for (unsigned int i = 0; i < 12; i++) {
		snprintf(text, sizeof(text), "10.0.0.%u/%u", next(256), 24 + next(9));
		add(ret_table, text, 1 + next(PREFIX_CONTESTED), 1 + next(3));
	}
	ret_table->facts.entry_count =
		prefix_entries_settle(ret_table->entries, ret_table->facts.entry_count);
	ret_table->facts.entries = ret_table->entries;
}

static uint32_t longest_class(const struct table *table, uint8_t last)
{
	struct prefix_key key = {.prefix_len = 128, .address = {[10] = 0xff, 0xff, 10, 0, 0, last}};
	uint32_t class = 0;

	for (uint32_t i = 0; i < table->facts.entry_count; i++)
		if (prefix_key_contains(&table->entries[i].key, &key))
			class = table->entries[i].value.class; /* wider ones come before */
	return class;
}

static bool is_in(const struct guard_element *elements, uint32_t count, uint8_t last)
{
	const uint8_t address[4] = {10, 0, 0, last};
	bool is_inside = false;

	for (uint32_t i = 0; i < count && memcmp(elements[i].key, address, 4) <= 0; i++)
		is_inside = !elements[i].is_end;
	return is_inside;
}

TEST(ranges_agree_with_the_longest_prefix)
{
	struct guard_element remote[ELEMENTS_MAX], nodes[ELEMENTS_MAX];

	for (unsigned int round = 0; round < 500; round++) {
		struct table table;
		uint32_t remotes, node_count;

		make_any_table(&table);
		remotes = guard_list(&table.facts, GUARD_REMOTE4, remote);
		node_count = guard_list(&table.facts, GUARD_NODES4, nodes);

		for (unsigned int last = 0; last < 256; last++) {
			uint32_t class = longest_class(&table, (uint8_t)last);

			assert_int_equal(is_in(remote, remotes, (uint8_t)last),
					 class == PREFIX_PEER || class == PREFIX_CONTESTED ||
						 class == PREFIX_CLUSTER);
			assert_int_equal(is_in(nodes, node_count, (uint8_t)last),
					 class == PREFIX_NODE);
		}
	}
}
