// SPDX-License-Identifier: Apache-2.0
/*
 * nf_tables has no longest-prefix match. So nested prefixes become disjoint ranges, each with the
 * meaning of its longest prefix. Mirrors policy_to_wire() of bpf/policy.h; a class that is unknown
 * there is dropped there, so here as well.
 */
#include "guard.h"

#include <arpa/inet.h>

#include "cluster/sort.h"

#define DEPTH_MAX 129 /* nested prefixes around one address, one of each length */

typedef unsigned __int128 number; /* an address, for arithmetic */

enum meaning { MEANS_NOTHING, MEANS_REMOTE, MEANS_NODE, MEANS_POD };

struct sweep {
	const struct guard_facts *facts;
	enum meaning wanted;
	uint8_t family;
	const struct prefix_entry *around[DEPTH_MAX]; /* the innermost last */
	uint32_t depth;
	number at;    /* every address below it is handled */
	bool is_over; /* the last address is handled */
	struct guard_element *elements;
	uint32_t count;
};

/* -- numbers -- */

static number number_of(const uint8_t bytes[static 16])
{
	number sum = 0;

	for (unsigned int i = 0; i < 16; i++)
		sum = sum << 8 | bytes[i];
	return sum;
}

static number last_of(const struct prefix_key *key)
{
	number hosts = key->prefix_len ? ((number)1 << (128 - key->prefix_len)) - 1 : ~(number)0;

	return key->prefix_len == 128 ? number_of(key->address) : number_of(key->address) | hosts;
}

/* An IPv4 address is the last four bytes of its mapped form. */
static struct guard_element element_of(number address, uint8_t family, bool is_end)
{
	struct guard_element element = {.is_end = is_end};
	unsigned int len = family == AF_INET ? 4 : 16;

	for (unsigned int i = 0; i < len; i++)
		element.key[i] = (uint8_t)(address >> (8 * (len - 1 - i)));
	return element;
}

/* -- the meaning of an entry -- */

static bool was_reached(const struct guard_facts *facts, uint32_t id)
{
	uint32_t low = 0, high = facts->reached_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (facts->reached[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < facts->reached_count && facts->reached[low] == id;
}

/* `around` is the entry that encloses it; NULL: none. */
static enum meaning meaning_of(const struct guard_facts *facts, const struct prefix_entry *entry,
			       const struct prefix_entry *around)
{
	const struct prefix_value *value = &entry->value;

	switch ((enum prefix_class)value->class) {
	case PREFIX_LOCAL:
		return MEANS_POD;
	case PREFIX_SELF:
		return around && around->value.class == PREFIX_LOCAL ? MEANS_POD : MEANS_NOTHING;
	case PREFIX_EXCEPT:
		return MEANS_NOTHING;
	case PREFIX_NODE:
		return facts->is_permissive && !was_reached(facts, value->peer_id) ? MEANS_NOTHING
										   : MEANS_NODE;
	case PREFIX_PEER:
	case PREFIX_CONTESTED:
		return facts->is_permissive && !was_reached(facts, value->peer_id) ? MEANS_NOTHING
										   : MEANS_REMOTE;
	case PREFIX_CLUSTER:
		return facts->is_permissive ? MEANS_NOTHING : MEANS_REMOTE;
	}
	return MEANS_REMOTE;
}

/* -- the sweep -- */

/* A range that starts where the previous one ends continues it. */
static void add_range(struct sweep *sweep, number first, number last)
{
	struct guard_element begin = element_of(first, sweep->family, false);
	bool is_last = sweep->family == AF_INET ? (uint32_t)last == UINT32_MAX : !~last;

	if (sweep->count && sweep->elements[sweep->count - 1].is_end &&
	    !memcmp(sweep->elements[sweep->count - 1].key, begin.key, sizeof(begin.key)))
		sweep->count--;
	else
		sweep->elements[sweep->count++] = begin;
	if (!is_last) /* the last range of the address space has no end element */
		sweep->elements[sweep->count++] = element_of(last + 1, sweep->family, true);
}

/* The innermost prefix decides up to and including `last`. */
static void apply(struct sweep *sweep, number last)
{
	const struct prefix_entry *entry = sweep->around[sweep->depth - 1];
	const struct prefix_entry *around =
		sweep->depth > 1 ? sweep->around[sweep->depth - 2] : NULL;

	if (sweep->is_over || sweep->at > last)
		return;
	if (meaning_of(sweep->facts, entry, around) == sweep->wanted)
		add_range(sweep, sweep->at, last);
	sweep->at = last + 1;
	sweep->is_over = !sweep->at;
}

static void leave_those_before(struct sweep *sweep, number first)
{
	while (sweep->depth && last_of(&sweep->around[sweep->depth - 1]->key) < first) {
		apply(sweep, last_of(&sweep->around[sweep->depth - 1]->key));
		sweep->depth--;
	}
}

static void enter(struct sweep *sweep, const struct prefix_entry *entry)
{
	number first = number_of(entry->key.address);

	leave_those_before(sweep, first);
	if (sweep->depth && first)
		apply(sweep, first - 1);
	sweep->at = first;
	sweep->around[sweep->depth++] = entry;
}

static void leave_all(struct sweep *sweep)
{
	for (; sweep->depth; sweep->depth--)
		apply(sweep, last_of(&sweep->around[sweep->depth - 1]->key));
}

static uint32_t list_ranges(const struct guard_facts *facts, enum meaning wanted, uint8_t family,
			    struct guard_element *ret_elements)
{
	struct sweep sweep = {
		.facts = facts, .wanted = wanted, .family = family, .elements = ret_elements};

	for (uint32_t i = 0; i < facts->entry_count; i++)
		if (prefix_key_to_cidr(&facts->entries[i].key).address.family == family)
			enter(&sweep, &facts->entries[i]);
	leave_all(&sweep);
	return sweep.count;
}

/* -- the other sets -- */

static int compare_elements(const void *context, const void *left, const void *right)
{
	(void)context;
	return memcmp(left, right, sizeof(struct guard_element));
}

static uint32_t settle(struct guard_element *elements, uint32_t count)
{
	uint32_t kept = 0;

	sort_heap(elements, count, sizeof(*elements), compare_elements, NULL);
	for (uint32_t i = 0; i < count; i++)
		if (!kept || memcmp(&elements[kept - 1], &elements[i], sizeof(*elements)))
			elements[kept++] = elements[i];
	return kept;
}

static uint32_t list_devices(const struct guard_facts *facts, struct guard_element *ret_elements)
{
	for (uint32_t i = 0; i < facts->device_count; i++) {
		uint32_t ifindex = facts->devices[i];

		ret_elements[i] = (struct guard_element){0};
		/* In the host's byte order, as the kernel has it. */
		memcpy(ret_elements[i].key, &ifindex, sizeof(ifindex));
	}
	return settle(ret_elements, facts->device_count);
}

static struct guard_element bypass_element(const struct bypass_key *bypass, uint8_t protocol,
					   uint8_t family)
{
	struct guard_element element = {.key = {protocol}};
	unsigned int len = family == AF_INET ? 4 : 16;

	memcpy(element.key + 4, bypass->address + 16 - len, len);
	memcpy(element.key + 4 + len, &bypass->port, sizeof(bypass->port));
	return element;
}

/* A probe has no element: it is retried, after the device has its hooks. */
static uint32_t list_bypasses(const struct guard_facts *facts, uint8_t family,
			      struct guard_element *ret_elements)
{
	static const uint8_t mapped[12] = {[10] = 0xff, 0xff};
	uint32_t count = 0;

	for (uint32_t i = 0; i < facts->bypass_count; i++) {
		const struct bypass_entry *bypass = &facts->bypasses[i];
		bool is_ipv4 = !memcmp(bypass->key.address, mapped, sizeof(mapped));

		if (is_ipv4 != (family == AF_INET))
			continue;
		if (bypass->value == BYPASS_TCP || bypass->value == BYPASS_TCP_UDP)
			ret_elements[count++] = bypass_element(&bypass->key, IPPROTO_TCP, family);
		if (bypass->value == BYPASS_TCP_UDP)
			ret_elements[count++] = bypass_element(&bypass->key, IPPROTO_UDP, family);
	}
	return settle(ret_elements, count);
}

size_t guard_room(const struct guard_facts *facts)
{
	/* Each prefix makes at most two ranges: its own, and a second piece of the one around
	 * it. */
	return 4 * (size_t)facts->entry_count + 2 * (size_t)facts->bypass_count +
	       facts->device_count + 1;
}

uint32_t guard_list(const struct guard_facts *facts, enum guard_set set,
		    struct guard_element *ret_elements)
{
	switch (set) {
	case GUARD_DEVICES:
		return list_devices(facts, ret_elements);
	case GUARD_REMOTE4:
		return list_ranges(facts, MEANS_REMOTE, AF_INET, ret_elements);
	case GUARD_REMOTE6:
		return list_ranges(facts, MEANS_REMOTE, AF_INET6, ret_elements);
	case GUARD_NODES4:
		return list_ranges(facts, MEANS_NODE, AF_INET, ret_elements);
	case GUARD_NODES6:
		return list_ranges(facts, MEANS_NODE, AF_INET6, ret_elements);
	case GUARD_PODS4:
		return list_ranges(facts, MEANS_POD, AF_INET, ret_elements);
	case GUARD_PODS6:
		return list_ranges(facts, MEANS_POD, AF_INET6, ret_elements);
	case GUARD_BYPASS4:
		return list_bypasses(facts, AF_INET, ret_elements);
	case GUARD_BYPASS6:
		return list_bypasses(facts, AF_INET6, ret_elements);
	case GUARD_SETS:
		break;
	}
	return 0;
}
