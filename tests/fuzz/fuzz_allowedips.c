// SPDX-License-Identifier: Apache-2.0
/*
 * Compares the trie of allowed IPs with a plain list (B15, B16): the owner of an address, the owner
 * of a prefix, and the order of a peer's prefixes, after any sequence of adding, moving, replacing
 * and removing. Only few address bits vary, so that prefixes collide.
 */
#include "allowedips.h"
#include "cursor.h"

#define PEERS	  6
#define GIVEN_MAX 256

struct given {
	struct cidr cidr;
	uint32_t peer;
	bool is_marked;
};

static struct allowedips table;
static uint32_t heads[PEERS];
static struct given given[GIVEN_MAX]; /* oldest first */
static unsigned int count;

static struct address choose_address(struct cursor *cursor)
{
	uint8_t bits = take_8(cursor);
	struct address address = {.family = bits & 1 ? AF_INET6 : AF_INET};
	size_t len = address_bits(address.family) / 8;

	if (bits & 2)
		take(cursor, address.bytes, len);
	address.bytes[0] ^= bits & 0xc0;
	address.bytes[len / 2] ^= take_8(cursor);
	address.bytes[len - 1] ^= bits >> 2 & 0x0f;
	return address;
}

static struct cidr choose_cidr(struct cursor *cursor)
{
	struct cidr cidr = {.address = choose_address(cursor)};

	cidr.prefix_len = (uint8_t)(take_8(cursor) % (address_bits(cidr.address.family) + 1));
	cidr_clear_host_bits(&cidr);
	return cidr;
}

static void forget(unsigned int at)
{
	memmove(&given[at], &given[at + 1], (--count - at) * sizeof(given[0]));
}

/* Its index; `count` if it is not in the list. */
static unsigned int find(const struct cidr *cidr)
{
	unsigned int at = 0;

	while (at < count && !cidr_is_equal(&given[at].cidr, cidr))
		at++;
	return at;
}

static void give(const struct cidr *cidr, uint32_t peer)
{
	unsigned int at = find(cidr);

	if (at < count && given[at].peer != peer)
		forget(at);
	at = find(cidr);
	if (at == count)
		given[count++] = (struct given){*cidr, peer, false};
	given[at].is_marked = false;
	MUST(!allowedips_insert(&table, heads, cidr, peer));
}

static void take_away(const struct cidr *cidr, uint32_t peer)
{
	unsigned int at = find(cidr);
	bool expected = at < count && given[at].peer == peer;

	if (expected)
		forget(at);
	MUST(allowedips_remove(&table, heads, cidr, peer) == expected);
}

static void forget_peer(uint32_t peer, bool only_marked)
{
	for (unsigned int i = count; i--;)
		if (given[i].peer == peer && (given[i].is_marked || !only_marked))
			forget(i);
}

static void mark(uint32_t peer)
{
	for (unsigned int i = 0; i < count; i++)
		given[i].is_marked |= given[i].peer == peer;
	allowedips_mark_peer(&table, heads, peer);
}

static void check_lookup(const struct address *address)
{
	const struct given *best = NULL;

	for (unsigned int i = 0; i < count; i++)
		if (cidr_contains_address(&given[i].cidr, address) &&
		    (!best || given[i].cidr.prefix_len > best->cidr.prefix_len))
			best = &given[i];
	MUST(allowedips_lookup(&table, address->family, address->bytes) ==
	     (best ? best->peer : NO_PEER));
}

static void check_lists(void)
{
	for (uint32_t peer = 0; peer < PEERS; peer++) {
		uint32_t position = 0;
		struct cidr cidr;

		for (unsigned int i = 0; i < count; i++) {
			if (given[i].peer != peer)
				continue;
			position = allowedips_next(&table, heads, peer, position, &cidr);
			MUST(position && cidr_is_equal(&cidr, &given[i].cidr));
			MUST(allowedips_owner(&table, &cidr) == peer);
			check_lookup(&cidr.address);
		}
		MUST(!allowedips_next(&table, heads, peer, position, &cidr));
	}
	MUST(table.count == count);
}

static void do_one_thing(struct cursor *cursor)
{
	uint8_t what = take_8(cursor);
	uint32_t peer = what / 16 % PEERS;
	struct cidr cidr = choose_cidr(cursor);

	switch (what % 16) {
	case 0:
		forget_peer(peer, false);
		allowedips_remove_peer(&table, heads, peer);
		break;
	case 1:
		mark(peer);
		break;
	case 2:
		forget_peer(peer, true);
		allowedips_sweep_peer(&table, heads, peer);
		break;
	case 3:
	case 4:
	case 5:
		if (what & 0x80 && count)
			cidr = given[what % count].cidr;
		take_away(&cidr, peer);
		break;
	case 6:
	case 7:
		check_lookup(&cidr.address);
		break;
	default:
		give(&cidr, peer);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cursor cursor = {data, len};

	allowedips_init(&table);
	memset(heads, 0, sizeof(heads));
	count = 0;
	while (cursor.left && count < GIVEN_MAX - 1)
		do_one_thing(&cursor);
	check_lists();
	for (uint32_t peer = 0; peer < PEERS; peer++)
		allowedips_remove_peer(&table, heads, peer);
	MUST(!table.count && !table.root4 && !table.root6);
	return 0;
}
