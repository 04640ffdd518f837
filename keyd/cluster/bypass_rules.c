// SPDX-License-Identifier: Apache-2.0
/*
 * The rule, line by line:
 *   1. The endpoints of the flags and of the account are always in force: they are the
 *      administrator's configuration.
 *   2. The registry's list alone opens nothing, because third parties may have written it. An
 *      address that a member, or this node, claims as a pod's is refused, and an earlier proof of
 *      it is void.
 *   3. A listed endpoint that is not refused is in force once it is proved. Proofs are requested as
 *      soon as all members are known.
 *   4. While a listed endpoint is unproved, or no list is known, the earlier bypasses remain in
 *      force, except for addresses that are claimed now: a list cannot take away the path that
 *      distributes keys.
 */
#include "bypass_rules.h"

/* -- the table -- */

const struct bypass_item *bypass_find(const struct bypass_table *table,
				      const struct bypass_key *key)
{
	for (uint32_t i = 0; i < table->count; i++)
		if (!memcmp(&table->items[i].key, key, sizeof(*key)))
			return &table->items[i];
	return NULL;
}

/* The first entry for a key is the strongest one. */
static void add(struct bypass_table *table, const struct bypass_item *item)
{
	if (table->count < BYPASS_ITEMS_MAX && !bypass_find(table, &item->key))
		table->items[table->count++] = *item;
}

static bool is_configured(const struct bypass_item *item)
{
	return item->source == BYPASS_BY_FLAG || item->source == BYPASS_BY_ACCOUNT;
}

/* -- the owner of an address -- */

/* The classes that make an address a pod's. */
static bool is_pods(uint32_t class)
{
	switch ((enum prefix_class) class) {
	case PREFIX_LOCAL:
	case PREFIX_PEER:
	case PREFIX_CONTESTED:
		return true;
	case PREFIX_CLUSTER:
	case PREFIX_SELF:
	case PREFIX_NODE:
	case PREFIX_EXCEPT:
		break;
	}
	return false;
}

/* To every other node, a node's own address among its pods' (a bridge's) looks like a pod's. */
static const struct prefix_entry *find_claim_among(const struct prefix_entry *entries,
						   uint32_t count, const struct bypass_key *key)
{
	struct prefix_key at = {.prefix_len = 128};
	const struct prefix_entry *found;

	memcpy(at.address, key->address, sizeof(at.address));
	found = prefix_entries_find(entries, count, &at);
	if (found && (found->value.class == PREFIX_SELF || found->value.class == PREFIX_NODE)) {
		at.prefix_len--;
		at.address[15] &= 0xfe;
		found = prefix_entries_find(entries, count, &at);
	}
	return found && is_pods(found->value.class) ? found : NULL;
}

/* NULL: it is not a pod's address. */
static const struct prefix_entry *find_claim(const struct bypass_facts *facts,
					     const struct bypass_key *key)
{
	const struct prefix_entry *found =
		find_claim_among(facts->judged, facts->judged_count, key);

	return found ? found : find_claim_among(facts->mapped, facts->mapped_count, key);
}

/* -- the lines of the rule -- */

static void add_configured(struct bypass_table *table, const struct bypass_facts *facts)
{
	struct bypass_item item = {.source = BYPASS_BY_FLAG, .state = BYPASS_IN_FORCE};

	for (uint32_t i = 0; i < facts->flag_count; i++) {
		item.key = facts->flags[i];
		add(table, &item);
	}
	if (facts->account) {
		item.key = *facts->account;
		item.source = BYPASS_BY_ACCOUNT;
		add(table, &item);
	}
}

/* An earlier agent's bypass stays in force until this agent proves it. */
static struct bypass_item judge(const struct bypass_key *key, const struct bypass_table *before,
				const struct bypass_facts *facts)
{
	const struct prefix_entry *claim = find_claim(facts, key);
	const struct bypass_item *was = bypass_find(before, key);
	struct bypass_item item = {.key = *key,
				   .source = BYPASS_BY_REGISTRY,
				   .state = BYPASS_UNREACHED,
				   .is_listed = true};

	if (claim) {
		item.state = BYPASS_CLAIMED;
		item.claimant = claim->value.peer_id;
	} else if (was && !is_configured(was) && (was->is_proved || bypass_is_in_force(was))) {
		item.source = was->source;
		item.state = BYPASS_IN_FORCE;
		item.is_proved = was->is_proved;
	}
	item.wants_proof = !claim && !item.is_proved && facts->are_members_known;
	return item;
}

/* False: one of them is not proved. Those that are configured as well need no proof. */
static bool add_listed(struct bypass_table *table, const struct bypass_table *before,
		       const struct bypass_facts *facts)
{
	bool are_proved = true;

	for (uint32_t i = 0; i < facts->listed_count; i++) {
		struct bypass_item item = judge(&facts->listed[i], before, facts);

		if (bypass_find(table, &item.key))
			continue;
		add(table, &item);
		are_proved &= item.is_proved;
	}
	return are_proved;
}

static void add_kept(struct bypass_table *table, const struct bypass_table *before,
		     const struct bypass_facts *facts)
{
	for (uint32_t i = 0; i < before->count; i++) {
		struct bypass_item item = before->items[i];

		if (is_configured(&item) || !bypass_is_in_force(&item) ||
		    find_claim(facts, &item.key))
			continue;
		item.state = BYPASS_KEPT;
		item.is_listed = item.wants_proof = false;
		add(table, &item);
	}
}

void bypass_select(struct bypass_table *ret_table, const struct bypass_table *before,
		   const struct bypass_facts *facts)
{
	bool are_proved;

	ret_table->count = 0;
	add_configured(ret_table, facts);
	are_proved = add_listed(ret_table, before, facts);
	if (!are_proved || !facts->is_list_known)
		add_kept(ret_table, before, facts);
}

/* -- inputs and results -- */

void bypass_inherit(struct bypass_table *ret_table, const struct bypass_entry *entries,
		    uint32_t count)
{
	struct bypass_item item = {.source = BYPASS_BY_EARLIER, .state = BYPASS_KEPT};

	ret_table->count = 0;
	for (uint32_t i = 0; i < count; i++) {
		item.key = entries[i].key;
		if (entries[i].value == BYPASS_TCP || entries[i].value == BYPASS_TCP_UDP)
			add(ret_table, &item);
	}
}

void bypass_note_proof(struct bypass_table *table, const struct bypass_key *key)
{
	for (uint32_t i = 0; i < table->count; i++) {
		struct bypass_item *item = &table->items[i];

		if (memcmp(&item->key, key, sizeof(*key)) || !item->wants_proof)
			continue;
		item->source = BYPASS_BY_REGISTRY;
		item->is_proved = true;
		item->wants_proof = false;
	}
}

uint32_t bypass_list_unproved(const struct bypass_table *table, struct bypass_key *ret_keys)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < table->count; i++)
		if (table->items[i].wants_proof)
			ret_keys[count++] = table->items[i].key;
	return count;
}

static enum bypass_value value_of(const struct bypass_item *item)
{
	if (item->source == BYPASS_BY_FLAG)
		return BYPASS_TCP_UDP;
	return bypass_is_in_force(item) ? BYPASS_TCP : BYPASS_PROBE;
}

uint32_t bypass_list_entries(const struct bypass_table *table, struct bypass_entry *ret_entries)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < table->count; i++) {
		const struct bypass_item *item = &table->items[i];

		if (bypass_is_in_force(item) || item->wants_proof)
			ret_entries[count++] = (struct bypass_entry){item->key, value_of(item)};
	}
	return count;
}
