// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/cluster/bypass_rules.c: every line of the rule, in both families: the bypasses of each
 * source, the distinction between addresses of pods and others, and the bypasses that remain while
 * a new server has not been reached.
 */
#include "cluster/bypass_rules.h"
#include "test.h"

#define ENTRIES_MAX 32

/* One endpoint in each family for each place. */
enum place { OUTSIDE, RANGE, RANGE_TOO, NODE, SELF, PEER, LOCAL, NODE_AMONG_PODS, SELF_AMONG_PODS };

static const char *const places[][2] = {
	[OUTSIDE] = {"203.0.113.9:6443", "[2001:db8::9]:6443"},
	[RANGE] = {"10.244.200.9:6443", "[fd00:244:0:200::9]:6443"},
	[RANGE_TOO] = {"10.244.200.10:6443", "[fd00:244:0:200::10]:6443"},
	[NODE] = {"192.168.50.2:6443", "[fd00:50::2]:6443"},
	[SELF] = {"192.168.50.1:6443", "[fd00:50::1]:6443"},
	[PEER] = {"10.244.2.10:9001", "[fd00:244:0:2::10]:9001"},
	[LOCAL] = {"10.244.1.10:9001", "[fd00:244:0:1::10]:9001"},
	[NODE_AMONG_PODS] = {"10.244.2.1:6443", "[fd00:244:0:2::1]:6443"},
	[SELF_AMONG_PODS] = {"10.244.1.1:6443", "[fd00:244:0:1::1]:6443"},
};

static const struct {
	const char *cidr;
	uint32_t class, peer_id;
} cluster[] = {
	{"10.244.0.0/16", PREFIX_CLUSTER, 0}, {"fd00:244::/48", PREFIX_CLUSTER, 0},
	{"10.244.1.0/24", PREFIX_LOCAL, 0},   {"fd00:244:0:1::/64", PREFIX_LOCAL, 0},
	{"10.244.1.1/32", PREFIX_SELF, 0},    {"fd00:244:0:1::1/128", PREFIX_SELF, 0},
	{"192.168.50.1/32", PREFIX_SELF, 0},  {"fd00:50::1/128", PREFIX_SELF, 0},
	{"10.244.2.0/24", PREFIX_PEER, 2},    {"fd00:244:0:2::/64", PREFIX_PEER, 2},
	{"10.244.2.1/32", PREFIX_NODE, 2},    {"fd00:244:0:2::1/128", PREFIX_NODE, 2},
	{"192.168.50.2/32", PREFIX_NODE, 2},  {"fd00:50::2/128", PREFIX_NODE, 2},
};

static struct prefix_entry judged[ENTRIES_MAX], mapped[ENTRIES_MAX];
static struct bypass_key flags[4], listed[BYPASS_ITEMS_MAX], account;
static struct bypass_facts facts;
static struct bypass_table table;
static int family; /* 0: IPv4 */

static struct bypass_key key_of(enum place place)
{
	struct bypass_key key;

	assert_true(bypass_parse(&key, places[place][family]));
	return key;
}

static void claim(struct prefix_entry *entries, uint32_t *count, const char *text, uint32_t class,
		  uint32_t peer_id)
{
	struct cidr cidr;

	assert_true(cidr_parse(&cidr, text));
	entries[*count] = (struct prefix_entry){prefix_key_of_cidr(&cidr), {class, peer_id}};
	*count = prefix_entries_settle(entries, *count + 1);
}

static void begin(int wanted_family)
{
	family = wanted_family;
	facts = (struct bypass_facts){.flags = flags,
				      .listed = listed,
				      .is_list_known = true,
				      .are_members_known = true,
				      .judged = judged,
				      .mapped = mapped};
	table.count = 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(cluster); i++)
		claim(judged, &facts.judged_count, cluster[i].cidr, cluster[i].class,
		      cluster[i].peer_id);
}

static void again(void)
{
	struct bypass_table before = table;

	bypass_select(&table, &before, &facts);
}

static void list(enum place place)
{
	listed[facts.listed_count++] = key_of(place);
}

static void prove(enum place place)
{
	struct bypass_key key = key_of(place);

	bypass_note_proof(&table, &key);
}

/* 0: the map has none. */
static int value_of(enum place place)
{
	struct bypass_entry entries[BYPASS_ITEMS_MAX];
	uint32_t count = bypass_list_entries(&table, entries);
	struct bypass_key key = key_of(place);
	int value = 0;

	for (uint32_t i = 0; i < count; i++)
		if (!memcmp(&entries[i].key, &key, sizeof(key))) {
			assert_int_equal(value, 0); /* each key once */
			value = entries[i].value;
		}
	return value;
}

static bool is_asked(enum place place)
{
	struct bypass_key keys[BYPASS_ITEMS_MAX], key = key_of(place);

	return bypass_is_among(keys, bypass_list_unproved(&table, keys), &key);
}

static const struct bypass_item *item_of(enum place place)
{
	struct bypass_key key = key_of(place);

	return bypass_find(&table, &key);
}

#define FOR_BOTH_FAMILIES for (int f = 0; f < 2 && (begin(f), true); f++)

/* -- 1: the administrator's word -- */

TEST(flag_opens_both_protocols_wherever_it_leads)
{
	static const enum place all[] = {OUTSIDE, RANGE, PEER, SELF_AMONG_PODS};

	FOR_BOTH_FAMILIES
	{
		for (unsigned int i = 0; i < ARRAY_SIZE(all); i++)
			flags[facts.flag_count++] = key_of(all[i]);
		again();
		for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
			assert_int_equal(value_of(all[i]), BYPASS_TCP_UDP);
			assert_int_equal(item_of(all[i])->source, BYPASS_BY_FLAG);
			assert_false(is_asked(all[i]));
		}
	}
}

TEST(account_opens_tcp_wherever_it_leads)
{
	static const enum place all[] = {OUTSIDE, RANGE, PEER, LOCAL};

	FOR_BOTH_FAMILIES
	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
		account = key_of(all[i]);
		facts.account = &account;
		again();
		assert_int_equal(value_of(all[i]), BYPASS_TCP);
		assert_int_equal(item_of(all[i])->source, BYPASS_BY_ACCOUNT);
		assert_false(is_asked(all[i]));
	}
}

TEST(flag_is_stronger_than_account_and_list)
{
	FOR_BOTH_FAMILIES
	{
		flags[facts.flag_count++] = account = key_of(RANGE);
		facts.account = &account;
		list(RANGE);
		again();
		assert_int_equal(table.count, 1);
		assert_int_equal(value_of(RANGE), BYPASS_TCP_UDP);
		assert_false(is_asked(RANGE));
	}
}

/* -- 2 and 3: the registry's word -- */

TEST(listed_server_opens_nothing_but_a_probe_until_it_is_proved)
{
	static const enum place all[] = {OUTSIDE, RANGE, NODE, SELF};

	FOR_BOTH_FAMILIES
	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
		table.count = facts.listed_count = 0;
		list(all[i]);
		again();
		assert_int_equal(value_of(all[i]), BYPASS_PROBE);
		assert_int_equal(item_of(all[i])->state, BYPASS_UNREACHED);
		assert_true(is_asked(all[i]));
		prove(all[i]);
		assert_false(is_asked(all[i]));
		again();
		assert_int_equal(value_of(all[i]), BYPASS_TCP);
		assert_int_equal(item_of(all[i])->state, BYPASS_IN_FORCE);
		assert_int_equal(item_of(all[i])->source, BYPASS_BY_REGISTRY);
		again();
		assert_int_equal(value_of(all[i]), BYPASS_TCP);
	}
}

TEST(pods_address_is_never_opened_nor_asked)
{
	static const struct {
		enum place place;
		uint32_t claimant;
	} all[] = {{PEER, 2}, {LOCAL, 0}, {NODE_AMONG_PODS, 2}, {SELF_AMONG_PODS, 0}};

	FOR_BOTH_FAMILIES
	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
		table.count = facts.listed_count = 0;
		list(all[i].place);
		again();
		assert_int_equal(value_of(all[i].place), 0);
		assert_int_equal(item_of(all[i].place)->state, BYPASS_CLAIMED);
		assert_int_equal(item_of(all[i].place)->claimant, all[i].claimant);
		assert_false(is_asked(all[i].place));
		prove(all[i].place); /* nobody asked: it counts for nothing */
		again();
		assert_int_equal(value_of(all[i].place), 0);
	}
}

TEST(bypass_falls_as_soon_as_a_member_claims_its_address)
{
	FOR_BOTH_FAMILIES
	{
		list(RANGE);
		again();
		prove(RANGE);
		again();
		claim(judged, &facts.judged_count,
		      family ? "fd00:244:0:200::/64" : "10.244.200.0/24", PREFIX_PEER, 3);
		again();
		assert_int_equal(value_of(RANGE), 0);
		assert_int_equal(item_of(RANGE)->claimant, 3);
		assert_false(is_asked(RANGE));
	}
}

TEST(proof_of_before_a_claim_is_void)
{
	FOR_BOTH_FAMILIES
	{
		uint32_t unclaimed = facts.judged_count;
		struct prefix_entry entries[ENTRIES_MAX];

		memcpy(entries, judged, sizeof(entries));
		list(RANGE);
		again();
		prove(RANGE);
		again();
		claim(judged, &facts.judged_count,
		      family ? "fd00:244:0:200::/64" : "10.244.200.0/24", PREFIX_PEER, 3);
		again();
		memcpy(judged, entries, sizeof(judged));
		facts.judged_count = unclaimed;
		again();
		assert_int_equal(value_of(RANGE), BYPASS_PROBE);
		assert_true(is_asked(RANGE));
	}
}

TEST(claim_that_only_the_maps_still_hold_counts)
{
	FOR_BOTH_FAMILIES
	{
		list(RANGE);
		claim(mapped, &facts.mapped_count,
		      family ? "fd00:244:0:200::/64" : "10.244.200.0/24", PREFIX_PEER, 5);
		again();
		assert_int_equal(value_of(RANGE), 0);
		assert_int_equal(item_of(RANGE)->claimant, 5);
	}
}

TEST(nothing_is_asked_before_all_members_are_known)
{
	FOR_BOTH_FAMILIES
	{
		struct bypass_entry left = {key_of(NODE), BYPASS_TCP};

		facts.are_members_known = false;
		bypass_inherit(&table, &left, 1);
		list(RANGE);
		list(NODE);
		again();
		assert_int_equal(value_of(RANGE), 0);
		assert_int_equal(item_of(RANGE)->state, BYPASS_UNREACHED);
		assert_false(is_asked(RANGE));
		prove(RANGE);
		again();
		assert_int_equal(value_of(RANGE), 0);
		assert_int_equal(value_of(NODE), BYPASS_TCP); /* as it was before */
		assert_false(is_asked(NODE));
		facts.are_members_known = true;
		again();
		assert_int_equal(value_of(RANGE), BYPASS_PROBE);
		assert_true(is_asked(RANGE));
		assert_true(is_asked(NODE));
	}
}

TEST(each_key_is_judged_by_itself)
{
	FOR_BOTH_FAMILIES
	{
		list(RANGE);
		list(PEER);
		list(RANGE_TOO);
		again();
		prove(RANGE);
		again();
		assert_int_equal(value_of(RANGE), BYPASS_TCP);
		assert_int_equal(value_of(PEER), 0);
		assert_int_equal(value_of(RANGE_TOO), BYPASS_PROBE);
		assert_false(is_asked(RANGE));
		assert_true(is_asked(RANGE_TOO));
	}
}

/* -- 4: what stays -- */

TEST(last_proved_set_stays_until_the_new_servers_are_reached)
{
	FOR_BOTH_FAMILIES
	{
		list(RANGE);
		again();
		prove(RANGE);
		again();
		listed[0] = key_of(RANGE_TOO);
		for (int i = 0; i < 3; i++) {
			again();
			assert_int_equal(value_of(RANGE), BYPASS_TCP);
			assert_int_equal(item_of(RANGE)->state, BYPASS_KEPT);
			assert_int_equal(value_of(RANGE_TOO), BYPASS_PROBE);
		}
		prove(RANGE_TOO);
		again();
		assert_int_equal(value_of(RANGE), 0);
		assert_null(item_of(RANGE));
		assert_int_equal(value_of(RANGE_TOO), BYPASS_TCP);
	}
}

TEST(refused_list_takes_nothing_away)
{
	FOR_BOTH_FAMILIES
	{
		list(RANGE);
		again();
		prove(RANGE);
		again();
		listed[0] = key_of(PEER);
		again();
		assert_int_equal(value_of(RANGE), BYPASS_TCP);
		assert_int_equal(value_of(PEER), 0);
		listed[0] = key_of(RANGE);
		again();
		assert_int_equal(value_of(RANGE), BYPASS_TCP);
		assert_int_equal(item_of(RANGE)->state, BYPASS_IN_FORCE);
		assert_false(is_asked(RANGE)); /* it was never without a proof */
	}
}

TEST(kept_bypass_falls_when_a_member_claims_it)
{
	FOR_BOTH_FAMILIES
	{
		list(RANGE);
		again();
		prove(RANGE);
		again();
		listed[0] = key_of(OUTSIDE);
		again();
		claim(judged, &facts.judged_count,
		      family ? "fd00:244:0:200::/64" : "10.244.200.0/24", PREFIX_PEER, 3);
		again();
		assert_null(item_of(RANGE));
	}
}

TEST(configured_server_needs_no_proof_before_the_rest_is_removed)
{
	FOR_BOTH_FAMILIES
	{
		struct bypass_entry left = {key_of(RANGE), BYPASS_TCP};

		bypass_inherit(&table, &left, 1);
		account = key_of(NODE);
		facts.account = &account;
		list(NODE);
		again();
		assert_null(item_of(RANGE));
		assert_int_equal(value_of(NODE), BYPASS_TCP);
	}
}

/* -- after a restart -- */

TEST(earlier_agents_bypasses_are_the_last_proved_set)
{
	FOR_BOTH_FAMILIES
	{
		struct bypass_entry left[] = {{key_of(RANGE), BYPASS_TCP},
					      {key_of(NODE), BYPASS_TCP_UDP},
					      {key_of(OUTSIDE), BYPASS_PROBE},
					      {key_of(SELF), (enum bypass_value)77}};

		bypass_inherit(&table, left, ARRAY_SIZE(left));
		facts.is_list_known = false;
		again();
		assert_int_equal(value_of(RANGE), BYPASS_TCP);
		assert_int_equal(value_of(NODE), BYPASS_TCP); /* UDP is the flags' alone */
		assert_int_equal(value_of(OUTSIDE), 0);
		assert_int_equal(value_of(SELF), 0);
		assert_int_equal(item_of(RANGE)->source, BYPASS_BY_EARLIER);
		assert_false(is_asked(RANGE));
	}
}

TEST(earlier_agents_bypass_is_proved_again_when_it_is_listed)
{
	FOR_BOTH_FAMILIES
	{
		struct bypass_entry left[] = {{key_of(RANGE), BYPASS_TCP},
					      {key_of(NODE), BYPASS_TCP}};

		bypass_inherit(&table, left, ARRAY_SIZE(left));
		list(RANGE);
		again();
		assert_int_equal(value_of(RANGE), BYPASS_TCP);
		assert_int_equal(item_of(RANGE)->source, BYPASS_BY_EARLIER);
		assert_int_equal(item_of(RANGE)->state, BYPASS_IN_FORCE);
		assert_true(is_asked(RANGE));
		assert_int_equal(value_of(NODE), BYPASS_TCP);
		prove(RANGE);
		again();
		assert_int_equal(item_of(RANGE)->source, BYPASS_BY_REGISTRY);
		assert_int_equal(value_of(NODE), 0);
	}
}

TEST(earlier_agents_bypass_of_a_pods_address_falls_at_once)
{
	FOR_BOTH_FAMILIES
	{
		struct bypass_entry left = {key_of(PEER), BYPASS_TCP_UDP};

		memcpy(mapped, judged, sizeof(mapped));
		facts.mapped_count = facts.judged_count;
		facts.judged_count = 0;
		facts.is_list_known = false;
		bypass_inherit(&table, &left, 1);
		again();
		assert_int_equal(table.count, 0);
	}
}

/* -- too many -- */

TEST(full_table_keeps_the_bypasses_that_come_first)
{
	FOR_BOTH_FAMILIES
	{
		struct bypass_entry left[BYPASS_ITEMS_MAX] = {0};

		for (unsigned int i = 0; i < BYPASS_ITEMS_MAX; i++) {
			left[i] = (struct bypass_entry){key_of(OUTSIDE), BYPASS_TCP};
			left[i].key.port = htons((uint16_t)(1 + i));
		}
		bypass_inherit(&table, left, BYPASS_ITEMS_MAX);
		flags[facts.flag_count++] = key_of(RANGE);
		list(NODE);
		again();
		assert_int_equal(table.count, BYPASS_ITEMS_MAX);
		assert_int_equal(value_of(RANGE), BYPASS_TCP_UDP);
		assert_int_equal(value_of(NODE), BYPASS_PROBE);
	}
}
