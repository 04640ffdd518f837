// SPDX-License-Identifier: Apache-2.0
/*
 * Cryptokey routing at the size of the kernel's own random self-test: 2,000 peers, 400 random
 * prefixes and 100 mutations of each per family, beside a list for each prefix length that is
 * searched from the longest on. Prefixes are taken over, taken away one by one, replaced and
 * removed with their peers, to the last one; and as deep a trie as there can be.
 */
#include <errno.h>
#include <stdlib.h>

#include "allowedips.h"
#include "draw.h"
#include "test.h"

#define PEERS	  2000
#define ROUTES	  400
#define MUTATIONS 100
#define INSERTS	  (2 * ROUTES * (1 + MUTATIONS))
#define LENGTHS	  129
#define SEED	  0x6a09e667f3bcc908

static struct allowedips table, copy;
static uint32_t heads[PEERS], copy_heads[PEERS];

/* -- the list -- */

struct route {
	uint64_t bits[2]; /* the address as it is written */
	uint32_t peer;
};

static struct routes {
	uint32_t count, room;
	struct route *routes;
} lists[2][LENGTHS]; /* by family and prefix length */

static struct routes *routes_of(uint8_t family, unsigned int prefix_len)
{
	return &lists[family == AF_INET6][prefix_len];
}

static struct route route_of(const struct cidr *cidr, uint32_t peer)
{
	struct cidr clean = *cidr;
	struct route route = {.peer = peer};

	cidr_clear_host_bits(&clean);
	memcpy(route.bits, clean.address.bytes, sizeof(route.bits));
	return route;
}

static struct cidr cidr_of(uint8_t family, unsigned int prefix_len, const struct route *route)
{
	struct cidr cidr = {.address.family = family, .prefix_len = (uint8_t)prefix_len};

	memcpy(cidr.address.bytes, route->bits, sizeof(route->bits));
	return cidr;
}

/* The reference list runs without sanitizers: they are for the code under test, and this takes
 * nearly all of the time. */
__attribute__((no_sanitize("address", "undefined"))) static struct route *
list_find(struct routes *routes, const struct route *wanted)
{
	for (uint32_t i = 0; i < routes->count; i++)
		if (routes->routes[i].bits[0] == wanted->bits[0] &&
		    routes->routes[i].bits[1] == wanted->bits[1])
			return &routes->routes[i];
	return NULL;
}

static void list_insert(const struct cidr *cidr, uint32_t peer)
{
	struct routes *routes = routes_of(cidr->address.family, cidr->prefix_len);
	struct route route = route_of(cidr, peer), *found = list_find(routes, &route);

	if (found) {
		found->peer = peer;
		return;
	}
	if (routes->count == routes->room) {
		routes->room = 2 * routes->room + 16;
		routes->routes = realloc(routes->routes, routes->room * sizeof(route));
		assert_non_null(routes->routes);
	}
	routes->routes[routes->count++] = route;
}

/* It is there. */
static void list_remove(const struct cidr *cidr)
{
	struct routes *routes = routes_of(cidr->address.family, cidr->prefix_len);
	struct route route = route_of(cidr, NO_PEER), *found = list_find(routes, &route);

	assert_non_null(found);
	*found = routes->routes[--routes->count];
}

static void list_remove_peer(uint32_t peer)
{
	for (struct routes *routes = lists[0]; routes < lists[0] + 2 * LENGTHS; routes++) {
		uint32_t kept = 0;

		for (uint32_t i = 0; i < routes->count; i++)
			if (routes->routes[i].peer != peer)
				routes->routes[kept++] = routes->routes[i];
		routes->count = kept;
	}
}

static uint32_t list_count(uint32_t peer)
{
	uint32_t count = 0;

	for (struct routes *routes = lists[0]; routes < lists[0] + 2 * LENGTHS; routes++)
		for (uint32_t i = 0; i < routes->count; i++)
			count += peer == NO_PEER || routes->routes[i].peer == peer;
	return count;
}

static uint32_t list_lookup(const struct address *address)
{
	for (unsigned int len = address_bits(address->family) + 1; len-- > 0;) {
		const struct cidr host = {.address = *address, .prefix_len = (uint8_t)len};
		struct route wanted = route_of(&host, NO_PEER);
		const struct route *found = list_find(routes_of(address->family, len), &wanted);

		if (found)
			return found->peer;
	}
	return NO_PEER;
}

static void list_clear(void)
{
	for (struct routes *routes = lists[0]; routes < lists[0] + 2 * LENGTHS; routes++) {
		free(routes->routes);
		*routes = (struct routes){0};
	}
}

/* -- both -- */

static struct cidr draw_cidr(uint8_t family)
{
	unsigned int bits = address_bits(family);
	struct cidr drawn = {.address.family = family, .prefix_len = (uint8_t)(1 + draw(bits))};

	for (unsigned int i = 0; i < bits / 8; i++)
		drawn.address.bytes[i] = (uint8_t)draw(256);
	return drawn;
}

static struct cidr mutate(const struct cidr *base)
{
	return draw_near(base, draw_cidr(base->address.family));
}

static void insert(const struct cidr *cidr, uint32_t peer)
{
	assert_int_equal(allowedips_insert(&table, heads, cidr, peer), 0);
	list_insert(cidr, peer);
}

/* Somewhere in the lists; there is one. */
static struct cidr draw_known(uint8_t family)
{
	for (;;) {
		unsigned int len = draw(address_bits(family) + 1);
		const struct routes *routes = routes_of(family, len);

		if (routes->count)
			return cidr_of(family, len, &routes->routes[draw(routes->count)]);
	}
}

static bool is_empty(uint8_t family)
{
	return !(family == AF_INET ? table.root4 : table.root6);
}

/* Each second address is anybody's, the others lie near a prefix that is there. */
static void compare_lookups(unsigned int queries)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};

	for (unsigned int i = 0; i < 2 * queries; i++) {
		uint8_t family = families[i % 2];
		struct cidr query = draw_cidr(family);

		if (i & 2 && !is_empty(family)) {
			query = draw_known(family);
			query = mutate(&query);
		}
		assert_int_equal(allowedips_lookup(&table, family, query.address.bytes),
				 list_lookup(&query.address));
	}
}

static uint32_t count_nodes(uint32_t index)
{
	const struct allowedips_node *node = &table.nodes[index];

	if (!index)
		return 0;
	assert_true(node->peer != NO_PEER || (node->children[0] && node->children[1]));
	return 1 + count_nodes(node->children[0]) + count_nodes(node->children[1]);
}

/* No node is lost, and none is superfluous. */
static void assert_sound(void)
{
	uint32_t nodes = count_nodes(table.root4) + count_nodes(table.root6), unused = 0;

	for (uint32_t index = table.free_head; index; index = table.nodes[index].parent)
		unused++;
	assert_int_equal(nodes + unused, table.never_used - 1);
	assert_int_equal(table.count, list_count(NO_PEER));
}

static void fill(void)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};

	for (unsigned int i = 0; i < 2 * ROUTES; i++) {
		struct cidr base = draw_cidr(families[i % 2]);

		insert(&base, draw(PEERS));
		for (unsigned int j = 0; j < MUTATIONS; j++) {
			struct cidr mutated = mutate(&base);

			insert(&mutated, draw(PEERS));
		}
	}
}

static int begin(void **state)
{
	allowedips_init(&table);
	allowedips_init(&copy);
	memset(heads, 0, sizeof(heads));
	memset(copy_heads, 0, sizeof(copy_heads));
	seed = SEED;
	print_message("# seed 0x%llx\n", (unsigned long long)seed);
	return 0;
}

static int end(void **state)
{
	list_clear();
	return 0;
}

/* -- taking away -- */

/* Up to three of the peer's prefixes, each by its name, and not by any other peer. */
static void remove_some(uint32_t peer)
{
	for (unsigned int i = 0; i < 3; i++) {
		struct cidr cidr;

		if (!allowedips_next(&table, heads, peer, 0, &cidr))
			return;
		list_remove(&cidr);
		assert_false(allowedips_remove(&table, heads, &cidr, (peer + 1) % PEERS));
		assert_true(allowedips_remove(&table, heads, &cidr, peer));
		assert_false(allowedips_remove(&table, heads, &cidr, peer));
	}
}

/* The first half of its prefixes stays, new ones are added, the rest is removed. */
static void replace_some(uint32_t peer)
{
	struct cidr kept[200];
	unsigned int count = 0;

	for (uint32_t at = 0; count < ARRAY_SIZE(kept); count++) {
		at = allowedips_next(&table, heads, peer, at, &kept[count]);
		if (!at)
			break;
	}
	list_remove_peer(peer);
	allowedips_mark_peer(&table, heads, peer);
	for (unsigned int i = 0; i < count; i++) {
		struct cidr cidr = i < count / 2 ? kept[i] : mutate(&kept[i]);

		insert(&cidr, peer);
	}
	allowedips_sweep_peer(&table, heads, peer);
	assert_true(list_count(peer) <= count);
}

TEST(random_prefixes_agree_with_a_list_to_the_last_one, begin, end)
{
	uint32_t order[PEERS];

	fill();
	assert_in_range(table.count, INSERTS / 2, INSERTS); /* short prefixes are drawn again */
	compare_lookups(20000);
	assert_sound();
	for (uint32_t i = 0; i < PEERS; i++) {
		uint32_t j = draw(i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (uint32_t i = 0; i < PEERS; i++) {
		remove_some(order[draw(PEERS)]);
		if (i % 8 == 0)
			replace_some(order[draw(PEERS)]);
		allowedips_remove_peer(&table, heads, order[i]);
		list_remove_peer(order[i]);
		compare_lookups(60);
		if (i % 100 == 0)
			assert_sound();
	}
	for (uint32_t peer = 0; peer < PEERS; peer++) { /* those that were replaced after it */
		allowedips_remove_peer(&table, heads, peer);
		list_remove_peer(peer);
	}
	assert_sound();
	assert_int_equal(table.count, 0);
	assert_true(is_empty(AF_INET) && is_empty(AF_INET6));
}

/* -- there and back -- */

TEST(lists_of_all_peers_make_the_same_table_again, begin, end)
{
	fill();
	for (uint32_t peer = 0; peer < PEERS; peer++) {
		uint32_t at = 0, count = 0;
		struct cidr cidr;

		while ((at = allowedips_next(&table, heads, peer, at, &cidr))) {
			assert_int_equal(allowedips_owner(&table, &cidr), peer);
			assert_int_equal(allowedips_insert(&copy, copy_heads, &cidr, peer), 0);
			count++;
		}
		assert_int_equal(count, list_count(peer));
	}
	assert_int_equal(copy.count, table.count);
	for (unsigned int i = 0; i < 200000; i++) {
		struct cidr query = draw_known(i % 2 ? AF_INET : AF_INET6);

		query = mutate(&query);
		assert_int_equal(
			allowedips_lookup(&copy, query.address.family, query.address.bytes),
			allowedips_lookup(&table, query.address.family, query.address.bytes));
	}
}

/* -- as deep as it gets: a prefix of each length around one address -- */

static struct cidr nested(uint8_t family, unsigned int prefix_len)
{
	struct cidr cidr = {.address.family = family, .prefix_len = (uint8_t)prefix_len};

	for (unsigned int i = 0; i < address_bits(family) / 8; i++)
		cidr.address.bytes[i] = (uint8_t)(0xa5 * (i + 1));
	return cidr;
}

/* The address that leaves the nest behind so many bits goes to the longest prefix of no more
 * bits. */
static void assert_depths(uint8_t family, const bool *is_there)
{
	uint32_t expected = NO_PEER;

	for (unsigned int len = 0; len <= address_bits(family); len++) {
		struct cidr query = nested(family, len);

		if (is_there[len])
			expected = len;
		if (len < address_bits(family))
			query.address.bytes[len / 8] ^= (uint8_t)(0x80 >> len % 8);
		assert_int_equal(allowedips_lookup(&table, family, query.address.bytes), expected);
	}
}

static void shuffle(unsigned int *order, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		unsigned int j = draw(i + 1);

		order[i] = order[j];
		order[j] = i;
	}
}

static void build_and_take_down(uint8_t family)
{
	unsigned int depth = address_bits(family) + 1, order[LENGTHS];
	bool is_there[LENGTHS] = {false};

	shuffle(order, depth);
	for (unsigned int i = 0; i < depth; i++) {
		struct cidr cidr = nested(family, order[i]);

		assert_int_equal(allowedips_insert(&table, heads, &cidr, order[i]), 0);
		is_there[order[i]] = true;
		assert_depths(family, is_there);
	}
	shuffle(order, depth);
	for (unsigned int i = 0; i < depth; i++) {
		struct cidr cidr = nested(family, order[i]);

		assert_true(allowedips_remove(&table, heads, &cidr, order[i]));
		is_there[order[i]] = false;
		assert_depths(family, is_there);
	}
	assert_int_equal(table.count, 0);
	assert_true(is_empty(family));
}

TEST(nest_of_129_prefixes_is_built_and_taken_down_in_any_order, begin, end)
{
	for (unsigned int round = 0; round < 50; round++) {
		build_and_take_down(AF_INET);
		build_and_take_down(AF_INET6);
	}
	assert_sound();
}
