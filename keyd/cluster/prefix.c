// SPDX-License-Identifier: Apache-2.0
/*
 * Orders the map's prefixes and computes changes to them. The promise "encrypted or dropped" holds
 * during every change because additions come first: an address that changes its owner never passes
 * through a state in which no peer claims it.
 */
#include "prefix.h"

#include "sort.h"

#define MAPPED_BITS 96 /* ::ffff:0:0/96 */

struct prefix_key prefix_key_of_cidr(const struct cidr *cidr)
{
	struct prefix_key key = {.prefix_len = cidr->prefix_len};

	if (cidr->address.family == AF_INET6) {
		memcpy(key.address, cidr->address.bytes, sizeof(key.address));
		return key;
	}
	key.prefix_len += MAPPED_BITS;
	key.address[10] = key.address[11] = 0xff;
	memcpy(key.address + 12, cidr->address.bytes, 4);
	return key;
}

static bool is_mapped(const struct prefix_key *key)
{
	static const uint8_t mapped[12] = {[10] = 0xff, 0xff};

	return key->prefix_len >= MAPPED_BITS && !memcmp(key->address, mapped, sizeof(mapped));
}

struct cidr prefix_key_to_cidr(const struct prefix_key *key)
{
	struct cidr cidr = {.prefix_len = (uint8_t)key->prefix_len};

	if (is_mapped(key)) {
		cidr.address.family = AF_INET;
		cidr.prefix_len = (uint8_t)(key->prefix_len - MAPPED_BITS);
		memcpy(cidr.address.bytes, key->address + 12, 4);
	} else {
		cidr.address.family = AF_INET6;
		memcpy(cidr.address.bytes, key->address, sizeof(key->address));
	}
	return cidr;
}

int prefix_key_compare(const struct prefix_key *a, const struct prefix_key *b)
{
	int order = memcmp(a->address, b->address, sizeof(a->address));

	return order ? order : (a->prefix_len > b->prefix_len) - (a->prefix_len < b->prefix_len);
}

bool prefix_key_contains(const struct prefix_key *outer, const struct prefix_key *inner)
{
	unsigned int whole = outer->prefix_len / 8, rest = outer->prefix_len % 8;

	return outer->prefix_len <= inner->prefix_len &&
	       !memcmp(outer->address, inner->address, whole) &&
	       (!rest || !((outer->address[whole] ^ inner->address[whole]) >> (8 - rest)));
}

static int class_strength(uint32_t class)
{
	switch ((enum prefix_class) class) {
	case PREFIX_SELF:
		return 7;
	case PREFIX_LOCAL:
		return 6;
	case PREFIX_CONTESTED:
		return 5;
	case PREFIX_NODE:
		return 4;
	/* a peer that claims exactly this prefix can decrypt, so the exception is not needed */
	case PREFIX_PEER:
		return 3;
	case PREFIX_EXCEPT:
		return 2;
	case PREFIX_CLUSTER:
		return 1;
	}
	return 0;
}

static int compare_entries(const void *context, const void *left, const void *right)
{
	const struct prefix_entry *a = left, *b = right;
	int order = prefix_key_compare(&a->key, &b->key);

	(void)context;
	if (!order)
		order = class_strength(b->value.class) - class_strength(a->value.class);
	if (!order)
		order = (a->value.peer_id > b->value.peer_id) -
			(a->value.peer_id < b->value.peer_id);
	return order;
}

uint32_t prefix_entries_settle(struct prefix_entry *entries, uint32_t count)
{
	uint32_t kept = 0;

	sort_heap(entries, count, sizeof(*entries), compare_entries, NULL);
	for (uint32_t i = 0; i < count; i++)
		if (!kept || prefix_key_compare(&entries[kept - 1].key, &entries[i].key))
			entries[kept++] = entries[i];
	return kept;
}

/* The length of the two addresses' common prefix, in bits. */
static uint32_t count_shared(const uint8_t a[static 16], const uint8_t b[static 16])
{
	uint32_t bits = 0;

	while (bits < 128 && !((a[bits / 8] ^ b[bits / 8]) & (0x80 >> bits % 8)))
		bits++;
	return bits;
}

static struct prefix_key shorten(const struct prefix_key *key, uint32_t prefix_len)
{
	struct prefix_key shorter = {.prefix_len = prefix_len};

	memcpy(shorter.address, key->address, prefix_len / 8);
	if (prefix_len % 8)
		shorter.address[prefix_len / 8] =
			(uint8_t)(key->address[prefix_len / 8] & ~(0xff >> prefix_len % 8));
	return shorter;
}

/* The number of entries that sort at or before the key. */
static uint32_t count_up_to(const struct prefix_entry *entries, uint32_t count,
			    const struct prefix_key *key)
{
	uint32_t low = 0, high = count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (prefix_key_compare(&entries[middle].key, key) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Every entry that contains the key sorts before it, the longest last. If another prefix lies
 * between them, only the common part of the two can be longer, so the search continues from
 * there. */
const struct prefix_entry *prefix_entries_find(const struct prefix_entry *entries, uint32_t count,
					       const struct prefix_key *key)
{
	struct prefix_key from = *key;

	while ((count = count_up_to(entries, count, &from))) {
		const struct prefix_key *last = &entries[count - 1].key;

		if (prefix_key_contains(last, key))
			return &entries[count - 1];
		from = shorten(key, count_shared(last->address, key->address));
	}
	return NULL;
}

static bool is_held(const struct prefix_entry *entry, const uint32_t *held, uint32_t held_count)
{
	for (uint32_t i = 0; i < held_count; i++)
		if (entry->value.peer_id && entry->value.peer_id == held[i])
			return true;
	return false;
}

/* Advances *at to the first entry not before the key; true if that entry has exactly this key. */
static bool seek(const struct prefix_entry *entries, uint32_t count, uint32_t *at,
		 const struct prefix_key *key)
{
	while (*at < count && prefix_key_compare(&entries[*at].key, key) < 0)
		++*at;
	return *at < count && !prefix_key_compare(&entries[*at].key, key);
}

uint32_t prefix_entries_diff(const struct prefix_entry *wanted, uint32_t wanted_count,
			     const struct prefix_entry *have, uint32_t have_count,
			     const uint32_t *held, uint32_t held_count,
			     struct prefix_change *ret_changes)
{
	uint32_t changes = 0;

	for (uint32_t i = 0, at = 0; i < wanted_count; i++) {
		bool is_there = seek(have, have_count, &at, &wanted[i].key);

		if (is_there && !memcmp(&have[at].value, &wanted[i].value, sizeof(wanted[i].value)))
			continue;
		/* We know no prefixes of a held peer: the cluster range itself must not shadow
		 * one. */
		if (is_there && wanted[i].value.class == PREFIX_CLUSTER &&
		    is_held(&have[at], held, held_count))
			continue;
		ret_changes[changes++] = (struct prefix_change){.entry = wanted[i]};
	}
	for (uint32_t i = 0, at = 0; i < have_count; i++)
		if (!seek(wanted, wanted_count, &at, &have[i].key) &&
		    !is_held(&have[i], held, held_count))
			ret_changes[changes++] =
				(struct prefix_change){.entry = have[i], .is_removal = true};
	return changes;
}

const char *prefix_special_name(const struct cidr *cidr)
{
	static const struct {
		const char *prefix, *name;
	} specials[] = {
		{"0.0.0.0/8", "\"this network\""}, {"127.0.0.0/8", "loopback"},
		{"169.254.0.0/16", "link-local"},  {"224.0.0.0/4", "multicast"},
		{"240.0.0.0/4", "reserved"},	   {"::/128", "unspecified"},
		{"::1/128", "loopback"},	   {"::ffff:0:0/96", "IPv4-mapped"},
		{"fe80::/10", "link-local"},	   {"ff00::/8", "multicast"},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(specials); i++) {
		struct cidr special;

		if (cidr_parse(&special, specials[i].prefix) && cidr_overlaps(&special, cidr))
			return specials[i].name;
	}
	return NULL;
}
