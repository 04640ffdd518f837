// SPDX-License-Identifier: Apache-2.0
/* The table of receiver indices, against a list that cannot be wrong. */
#include "world.h"

#define LIVE_MAX 30000

static struct node node;
static struct {
	uint32_t index, slot;
} live[LIVE_MAX];
static unsigned int live_count;

/* 0: random; else the low bits of each index, so that runs grow long and around the table's end. */
static uint32_t forced_low_bits;

static void crowding_random(void *context, void *bytes, size_t len)
{
	uint32_t value;

	world_fill_random(context, bytes, len);
	if (!forced_low_bits || len != sizeof(value))
		return;
	memcpy(&value, bytes, sizeof(value));
	value = (value & ~(uint32_t)(INDEX_SLOTS - 1)) |
		(uint32_t)(forced_low_bits + value % 7) % INDEX_SLOTS;
	memcpy(bytes, &value, sizeof(value));
}

static int begin(void **state)
{
	world = world_map(sizeof(*world));
	world->random = 88172645463325252;
	live_count = 0;
	forced_low_bits = 0;
	node.tunnel.state = world_map(sizeof(struct tunnel_state));
	node.tunnel.upcalls.random = crowding_random;
	return 0;
}

static int end(void **state)
{
	munmap(node.tunnel.state, sizeof(struct tunnel_state));
	munmap(world, sizeof(*world));
	return 0;
}

static void add_one(void)
{
	uint32_t slot = (uint32_t)(world_random() % SESSIONS_MAX);

	live[live_count].index = index_add(&node.tunnel, INDEX_SESSION, slot);
	live[live_count++].slot = slot;
}

static void remove_one(void)
{
	unsigned int i = (unsigned int)(world_random() % live_count);

	index_remove(node.tunnel.state, live[i].index);
	assert_null(index_find(node.tunnel.state, live[i].index));
	live[i] = live[--live_count];
}

static void assert_all_found(void)
{
	for (unsigned int i = 0; i < live_count; i++) {
		const struct index_entry *entry = index_find(node.tunnel.state, live[i].index);

		assert_non_null(entry);
		assert_int_equal(entry->kind, INDEX_SESSION);
		assert_int_equal(entry->owner, live[i].slot);
	}
}

TEST(indices_are_unique_and_never_zero, begin, end)
{
	for (unsigned int i = 0; i < LIVE_MAX; i++) {
		add_one();
		assert_int_not_equal(live[i].index, 0);
	}
	for (unsigned int i = 0; i < LIVE_MAX; i++) {
		index_remove(node.tunnel.state, live[i].index);
		assert_null(
			index_find(node.tunnel.state, live[i].index)); /* no second of that name */
	}
	for (unsigned int i = 0; i < INDEX_SLOTS; i++)
		assert_int_equal(node.tunnel.state->indices[i].kind, INDEX_FREE);
}

/* Of 32 bits, two of 65,536 sessions would get the same index in every third node's life; of 17
 * bits, most would. */
static void forgetful_random(void *context, void *bytes, size_t len)
{
	uint32_t value = (uint32_t)(world_random() >> 20) & 0x1ffff;

	(void)context;
	assert_int_equal(len, sizeof(value));
	memcpy(bytes, &value, sizeof(value));
}

TEST(indices_of_65536_sessions_differ_though_randomness_repeats, begin, end)
{
	static uint8_t seen[0x20000];

	node.tunnel.upcalls.random = forgetful_random;
	memset(seen, 0, sizeof(seen));
	for (uint32_t slot = 0; slot < 65536; slot++) {
		uint32_t index = index_add(&node.tunnel, INDEX_SESSION, slot % SESSIONS_MAX);

		assert_in_range(index, 1, sizeof(seen) - 1);
		assert_int_equal(seen[index]++, 0);
	}
}

TEST(index_search_survives_removals_within_runs, begin, end)
{
	for (unsigned int round = 0; round < 40; round++) {
		forced_low_bits = round % 2 ? INDEX_SLOTS - 4 : 77777;
		while (live_count < 300)
			add_one();
		while (live_count > 100 + round)
			remove_one();
		assert_all_found();
	}
}

TEST(index_that_is_unknown_is_not_found_and_may_be_removed, begin, end)
{
	assert_null(index_find(node.tunnel.state, 12345));
	add_one();
	index_remove(node.tunnel.state, 0);
	index_remove(node.tunnel.state, live[0].index ^ 0x80000000);
	assert_all_found();
}
