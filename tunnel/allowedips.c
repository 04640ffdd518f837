// SPDX-License-Identifier: Apache-2.0
/*
 * Cryptokey routing (paper, 2). A node's children differ in the bit that follows its prefix, so a
 * lookup descends once and remembers the last prefix it passed. A fork exists only where two
 * branches part: P prefixes need at most P - 1 forks, so the pool always holds ALLOWEDIPS_MAX
 * prefixes. Links are set last, and nodes are freed after they are unlinked: no address is without
 * its peer at any moment.
 */
#include "allowedips.h"

#include <errno.h>

struct prefix_bits {
	uint64_t words[2];
};

static struct prefix_bits load_bits(uint8_t family, const uint8_t *bytes)
{
	struct prefix_bits bits = {.words[0] = (uint64_t)get_be32(bytes) << 32};

	if (family == AF_INET)
		return bits;
	bits.words[0] |= get_be32(bytes + 4);
	bits.words[1] = (uint64_t)get_be32(bytes + 8) << 32 | get_be32(bytes + 12);
	return bits;
}

static unsigned int common_bits(const uint64_t *a, const uint64_t *b)
{
	uint64_t high = a[0] ^ b[0], low = a[1] ^ b[1];

	if (high)
		return (unsigned int)__builtin_clzll(high);
	return low ? 64 + (unsigned int)__builtin_clzll(low) : 128;
}

static bool node_covers(const struct allowedips_node *node, const uint64_t *bits)
{
	return common_bits(node->bits, bits) >= node->prefix_len;
}

/* The side on which `bits` lie below a prefix of this length. For a /128 the bit would be number
 * 128: it has no children on either side, so the first bit serves as well as any. */
static unsigned int side_below(const uint64_t *bits, unsigned int prefix_len)
{
	return bits[prefix_len / 64 % 2] >> (63 - prefix_len % 64) & 1;
}

static uint32_t *root_of(struct allowedips *table, uint8_t family)
{
	return family == AF_INET ? &table->root4 : &table->root6;
}

static uint32_t *link_to(struct allowedips *table, uint32_t index)
{
	struct allowedips_node *node = &table->nodes[index], *parent = &table->nodes[node->parent];

	if (!node->parent)
		return root_of(table, node->family);
	return &parent->children[side_below(node->bits, parent->prefix_len)];
}

static void adopt(struct allowedips *table, uint32_t parent, uint32_t child)
{
	struct allowedips_node *node = &table->nodes[parent];

	node->children[side_below(table->nodes[child].bits, node->prefix_len)] = child;
	table->nodes[child].parent = parent;
}

/* The caller has checked that there is room. */
static uint32_t take_node(struct allowedips *table, const struct prefix_bits *bits,
			  unsigned int prefix_len, uint8_t family)
{
	struct allowedips_node node = {
		.prefix_len = (uint8_t)prefix_len, .family = family, .peer = NO_PEER};
	uint32_t index = table->free_head;

	if (index)
		table->free_head = table->nodes[index].parent;
	else
		index = table->never_used++;
	if (prefix_len)
		node.bits[0] = bits->words[0] & UINT64_MAX << (64 - MIN(prefix_len, 64));
	if (prefix_len > 64)
		node.bits[1] = bits->words[1] & UINT64_MAX << (128 - prefix_len);
	table->nodes[index] = node;
	return index;
}

static void free_node(struct allowedips *table, uint32_t index)
{
	table->nodes[index].parent = table->free_head;
	table->free_head = index;
}

static void append_to_peer(struct allowedips *table, uint32_t *peer_heads, uint32_t index,
			   uint32_t peer)
{
	struct allowedips_node *node = &table->nodes[index];
	uint32_t head = peer_heads[peer];

	node->peer = peer;
	node->next_of_peer = 0;
	if (!head) {
		node->previous_of_peer = index;
		peer_heads[peer] = index;
		return;
	}
	node->previous_of_peer = table->nodes[head].previous_of_peer;
	table->nodes[node->previous_of_peer].next_of_peer = index;
	table->nodes[head].previous_of_peer = index;
}

static void unlink_from_peer(struct allowedips *table, uint32_t *peer_heads, uint32_t index)
{
	struct allowedips_node *node = &table->nodes[index];
	uint32_t *head = &peer_heads[node->peer];

	if (*head == index)
		*head = node->next_of_peer;
	else
		table->nodes[node->previous_of_peer].next_of_peer = node->next_of_peer;
	if (node->next_of_peer)
		table->nodes[node->next_of_peer].previous_of_peer = node->previous_of_peer;
	else if (*head)
		table->nodes[*head].previous_of_peer = node->previous_of_peer;
}

void allowedips_init(struct allowedips *table)
{
	table->root4 = table->root6 = 0;
	table->free_head = 0;
	table->never_used = 1;
	table->count = 0;
}

/* The deepest node that contains the prefix; 0: not even the root does. It is the prefix itself if
 * the lengths are equal. */
static uint32_t find_place(const struct allowedips *table, const struct prefix_bits *bits,
			   unsigned int prefix_len, uint8_t family)
{
	uint32_t place = 0, index = family == AF_INET ? table->root4 : table->root6;

	while (index) {
		const struct allowedips_node *node = &table->nodes[index];

		if (node->prefix_len > prefix_len || !node_covers(node, bits->words))
			break;
		place = index;
		if (node->prefix_len == prefix_len)
			break;
		index = node->children[side_below(bits->words, node->prefix_len)];
	}
	return place;
}

static uint32_t find_exact(const struct allowedips *table, const struct cidr *cidr)
{
	struct prefix_bits bits = load_bits(cidr->address.family, cidr->address.bytes);
	uint32_t place = find_place(table, &bits, cidr->prefix_len, cidr->address.family);

	return place && table->nodes[place].prefix_len == cidr->prefix_len ? place : 0;
}

/* Inserts a new node for the prefix below `place` (0: at the root), above or beside the present
 * child. */
static uint32_t grow(struct allowedips *table, uint32_t place, const struct prefix_bits *bits,
		     unsigned int prefix_len, uint8_t family)
{
	uint32_t *link =
		place ? &table->nodes[place]
				 .children[side_below(bits->words, table->nodes[place].prefix_len)]
		      : root_of(table, family);
	uint32_t index = take_node(table, bits, prefix_len, family), below = *link, top = index;
	unsigned int common;

	if (below) {
		common = MIN(common_bits(table->nodes[below].bits, bits->words), prefix_len);
		if (common < prefix_len) {
			top = take_node(table, bits, common, family);
			adopt(table, top, index);
		}
		adopt(table, top, below);
	}
	table->nodes[top].parent = place;
	*link = top;
	return index;
}

int allowedips_insert(struct allowedips *table, uint32_t *peer_heads, const struct cidr *cidr,
		      uint32_t peer)
{
	struct prefix_bits bits = load_bits(cidr->address.family, cidr->address.bytes);
	uint32_t index = find_place(table, &bits, cidr->prefix_len, cidr->address.family);
	bool is_there = index && table->nodes[index].prefix_len == cidr->prefix_len;
	uint32_t owner = is_there ? table->nodes[index].peer : NO_PEER;

	if (owner == NO_PEER) {
		if (table->count == ALLOWEDIPS_MAX)
			return -ENOSPC;
		if (!is_there)
			index = grow(table, index, &bits, cidr->prefix_len, cidr->address.family);
		append_to_peer(table, peer_heads, index, peer);
		table->count++;
	} else if (owner != peer) {
		unlink_from_peer(table, peer_heads, index);
		append_to_peer(table, peer_heads, index, peer);
	}
	table->nodes[index].is_stale = false;
	return 0;
}

/* Replaces the node with its child, if it has one. */
static void splice_out(struct allowedips *table, uint32_t index)
{
	struct allowedips_node *node = &table->nodes[index];
	uint32_t child = node->children[0] ? node->children[0] : node->children[1];

	*link_to(table, index) = child;
	if (child)
		table->nodes[child].parent = node->parent;
	free_node(table, index);
}

static void remove_node(struct allowedips *table, uint32_t *peer_heads, uint32_t index)
{
	struct allowedips_node *node = &table->nodes[index];
	uint32_t parent = node->parent;
	bool is_leaf = !node->children[0] && !node->children[1];

	unlink_from_peer(table, peer_heads, index);
	node->peer = NO_PEER;
	table->count--;
	if (node->children[0] && node->children[1])
		return;
	splice_out(table, index);
	if (is_leaf && parent && table->nodes[parent].peer == NO_PEER)
		splice_out(table, parent);
}

bool allowedips_remove(struct allowedips *table, uint32_t *peer_heads, const struct cidr *cidr,
		       uint32_t peer)
{
	uint32_t index = find_exact(table, cidr);

	if (!index || table->nodes[index].peer != peer)
		return false;
	remove_node(table, peer_heads, index);
	return true;
}

void allowedips_remove_peer(struct allowedips *table, uint32_t *peer_heads, uint32_t peer)
{
	while (peer_heads[peer])
		remove_node(table, peer_heads, peer_heads[peer]);
}

void allowedips_mark_peer(struct allowedips *table, const uint32_t *peer_heads, uint32_t peer)
{
	for (uint32_t index = peer_heads[peer]; index; index = table->nodes[index].next_of_peer)
		table->nodes[index].is_stale = true;
}

void allowedips_sweep_peer(struct allowedips *table, uint32_t *peer_heads, uint32_t peer)
{
	uint32_t next;

	for (uint32_t index = peer_heads[peer]; index; index = next) {
		next = table->nodes[index].next_of_peer;
		if (table->nodes[index].is_stale)
			remove_node(table, peer_heads, index);
	}
}

uint32_t allowedips_lookup(const struct allowedips *table, uint8_t family, const uint8_t *bytes)
{
	struct prefix_bits bits = load_bits(family, bytes);
	uint32_t peer = NO_PEER, index = family == AF_INET ? table->root4 : table->root6;

	while (index) {
		const struct allowedips_node *node = &table->nodes[index];

		if (!node_covers(node, bits.words))
			break;
		if (node->peer != NO_PEER)
			peer = node->peer;
		index = node->children[side_below(bits.words, node->prefix_len)];
	}
	return peer;
}

uint32_t allowedips_owner(const struct allowedips *table, const struct cidr *cidr)
{
	uint32_t index = find_exact(table, cidr);

	return index ? table->nodes[index].peer : NO_PEER;
}

uint32_t allowedips_next(const struct allowedips *table, const uint32_t *peer_heads, uint32_t peer,
			 uint32_t position, struct cidr *ret_cidr)
{
	uint32_t index = position ? table->nodes[position].next_of_peer : peer_heads[peer];
	const struct allowedips_node *node = &table->nodes[index];
	uint8_t bytes[16];

	if (!index)
		return 0;
	put_be64(bytes, node->bits[0]);
	put_be64(bytes + 8, node->bits[1]);
	*ret_cidr = (struct cidr){.address.family = node->family, .prefix_len = node->prefix_len};
	memcpy(ret_cidr->address.bytes, bytes, sizeof(bytes));
	return index;
}
