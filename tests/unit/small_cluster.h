/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This node and up to four others as input of keyd/cluster/cluster.c, with valid records until a
 * test changes them. Its verdicts are read from the members and from the prefixes for the maps,
 * which are looked up as the kernel does.
 */
#pragma once

#include "either_family.h"
#include "filled_key.h"
#include "with_sodium.h"

#include "cluster/cluster.h"

#define MEMBERS_MAX 4
#define CIDRS_MAX   8
#define NOW_MS	    1000000000ULL

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
static struct claim_place claim_places[512];
static struct cluster_workspace workspace;
static struct prefix_entry entries[512], entries_before[512];
static uint32_t entry_count;

static inline int begin(void **state)
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
	self.port = 51890;
	self.has_ipv4 = family == AF_INET;
	self.has_ipv6 = family == AF_INET6;
	self.has_key[KEY_CURRENT] = true;
	self.keys[KEY_CURRENT] = key(0xee);
	return 0;
}

static inline void add_pod(struct node *node, struct cidr *storage, const char *text)
{
	storage[node->annotation.pod_count++] = cidr(text);
	node->annotation.pods = storage;
}

/* Node number i (from 1): key i, epoch 100, 10.244.i.0/24, 192.168.50.i, made in second i. */
static inline struct node *add_member(void)
{
	struct node *node = &seen[count];
	struct cluster_member *member = &members[count];
	char text[64];

	list[count] = member;
	snprintf(member->name, sizeof(member->name), "n%u", count + 1);
	member->id = count + 1;
	member->seen = node;
	member->is_askable = true;
	copy_text(node->name, sizeof(node->name), member->name);
	snprintf(node->uid, sizeof(node->uid), "u%u", count + 1);
	node->created_s = count + 1;
	node->record = RECORD_VALID;
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

/* Puts the record seen of node i in use, and makes a copy of it the newest record. */
static inline struct node *follow_up(uint32_t i)
{
	good[i - 1] = seen[i - 1];
	members[i - 1].good = &good[i - 1];
	good[i - 1].annotation.pods = pods[MEMBERS_MAX + i - 1];
	memcpy(pods[MEMBERS_MAX + i - 1], pods[i - 1], sizeof(pods[0]));
	return &seen[i - 1];
}

static inline void resolve(void)
{
	struct cluster_needs needs = cluster_needs(&self, list, count);

	assert_true(needs.keys <= ARRAY_SIZE(keys) && needs.claims <= ARRAY_SIZE(claim_items));
	workspace = (struct cluster_workspace){
		by_age, keys, {.items = claim_items, .order = claim_order, .places = claim_places}};
	cluster_resolve(&self, list, count, &workspace);
	assert_true(workspace.claims.count <= needs.claims);
	entry_count = cluster_list_prefixes(&workspace, list, entries);
}

/* Fills the maps with the prefixes of the last resolution. */
static inline void fill_maps(void)
{
	memcpy(entries_before, entries, sizeof(entries));
	self.entries = entries_before;
	self.entry_count = entry_count;
}

/* The tunnel's knowledge of an address of node i; 0: none. */
static inline void note_place(uint32_t i, const char *text, uint64_t proved_ns, uint64_t left_ns)
{
	struct cluster_member *member = &members[i - 1];

	assert_true(member->place_count < CLUSTER_PLACES_MAX);
	member->places[member->place_count++] = (struct cluster_place){
		.address = address(text),
		.proved_ns = proved_ns,
		.answered_ns = proved_ns,
		.left_ns = left_ns,
	};
}

static inline void add_address(struct node *node, const char *text)
{
	node->addresses[node->address_count++] = address(text);
}

/* Looks an address up in the maps as the kernel does: the longest prefix decides. */
static inline struct prefix_value look_up(const char *text)
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

static inline void assert_class(const char *text, uint32_t class, uint32_t peer_id)
{
	struct prefix_value value = look_up(text);

	if (value.class != class || value.peer_id != peer_id)
		fail_msg("%s is class %u of peer %u, expected %u of %u", text, value.class,
			 value.peer_id, class, peer_id);
}

static inline void assert_refused(uint32_t i, const char *expected)
{
	if (!members[i - 1].refusal_count || !strstr(members[i - 1].refusal.text, expected))
		fail_msg("n%u: '%s', expected '%s'", i, members[i - 1].refusal.text, expected);
}

/* The refusal names the claim and the owner of the other prefix. */
static inline void assert_refused_over(uint32_t i, const char *claim, const char *other,
				       const char *owner)
{
	struct cidr own = cidr(claim), theirs = cidr(other);
	char text[2][CIDR_TEXT_LEN], expected[REFUSAL_LEN];

	snprintf(expected, sizeof(expected), "%s overlaps %s, which belongs to %s",
		 cidr_format(text[0], &own), cidr_format(text[1], &theirs), owner);
	assert_refused(i, expected);
}

static inline void assert_usable(uint32_t i)
{
	if (members[i - 1].state != MEMBER_USABLE || members[i - 1].refusal_count)
		fail_msg("n%u: state %d, '%s'", i, members[i - 1].state,
			 members[i - 1].refusal.text);
}
