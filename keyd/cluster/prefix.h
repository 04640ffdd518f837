/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prefixes as the BPF map `prefixes` holds them, and the changes that turn its content into the
 * wanted one. CORE.
 */
#pragma once

#include "address.h"
#include "bpf_abi.h"

struct prefix_entry {
	struct prefix_key key;
	struct prefix_value value;
};

struct prefix_change {
	struct prefix_entry entry;
	bool is_removal; /* else: add, or replace the value */
};

struct prefix_key prefix_key_of_cidr(const struct cidr *cidr);
struct cidr prefix_key_to_cidr(const struct prefix_key *key);

/* Wider prefixes sort before the prefixes they contain. */
int prefix_key_compare(const struct prefix_key *a, const struct prefix_key *b);
bool prefix_key_contains(const struct prefix_key *outer, const struct prefix_key *inner);

/* Sorts, and keeps one entry for each key: the one with the strongest class (SELF, LOCAL,
 * CONTESTED, NODE, PEER, EXCEPT, CLUSTER). Returns the number of entries kept. */
uint32_t prefix_entries_settle(struct prefix_entry *entries, uint32_t count);

/* The longest prefix among the settled entries that contains the key; NULL: none does. */
const struct prefix_entry *prefix_entries_find(const struct prefix_entry *entries, uint32_t count,
					       const struct prefix_key *key);

/*
 * Lists the changes that turn `have` into `wanted` (both settled), all additions before all
 * removals: between two changes every address keeps its old or its new meaning. Entries of the
 * peers in `held` (ids, in any order) are not removed. ret_changes has room for wanted_count +
 * have_count. Returns the number.
 */
uint32_t prefix_entries_diff(const struct prefix_entry *wanted, uint32_t wanted_count,
			     const struct prefix_entry *have, uint32_t have_count,
			     const uint32_t *held, uint32_t held_count,
			     struct prefix_change *ret_changes);

/* Why the prefix can never belong to pods or a node ("loopback", ...), or NULL. */
const char *prefix_special_name(const struct cidr *cidr);
