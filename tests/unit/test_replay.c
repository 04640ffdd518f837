// SPDX-License-Identifier: Apache-2.0
/*
 * The replay window, by the checks that WireGuard's implementations share (the kernel's
 * selftest/counter.c and wireguard-go's replay/replay_test.go): hand-written ones and sweeps over
 * the whole window.
 */
#include "replay.h"
#include "test.h"

#define WINDOW ((uint64_t)REPLAY_WINDOW)
#define LIMIT  (WINDOW + 1) /* counters this far apart do not fit into one window */
#define REJECT ((uint64_t)REJECT_AFTER_MESSAGES)

static struct replay window;
static unsigned int checks;

static int make_empty(void **state)
{
	memset(&window, 0xaa, sizeof(window));
	replay_init(&window);
	return 0;
}

static void accepts(uint64_t counter)
{
	checks++;
	if (!replay_accept(&window, counter))
		fail_msg("counter %llu was refused", (unsigned long long)counter);
}

static void rejects(uint64_t counter)
{
	checks++;
	if (replay_accept(&window, counter))
		fail_msg("counter %llu was accepted", (unsigned long long)counter);
}

TEST(replay_window_is_8128_counters, make_empty)
{
	assert_int_equal(WINDOW, 8128);
	assert_true(REJECT == UINT64_MAX - 8128 - 1);
}

TEST(replay_rejects_counter_seen_before, make_empty)
{
	accepts(0);
	rejects(0);
	accepts(1);
	rejects(1);
	accepts(9);
	accepts(8);
	accepts(7);
	rejects(7);
	rejects(9);
}

TEST(replay_accepts_up_to_the_edge_of_the_window_and_no_further, make_empty)
{
	accepts(0);
	accepts(LIMIT);
	accepts(LIMIT - 1);
	rejects(LIMIT - 1);
	accepts(LIMIT - 2);
	accepts(2);
	rejects(2);
	accepts(LIMIT + 16);
	rejects(3);
	rejects(LIMIT + 16);
}

TEST(replay_forgets_all_but_the_window_after_a_jump, make_empty)
{
	accepts(LIMIT + 16);
	accepts(LIMIT * 4);
	accepts(LIMIT * 4 - (LIMIT - 1));
	rejects(10);
	rejects(LIMIT * 4 - LIMIT);
	rejects(LIMIT * 4 - (LIMIT + 1));
	accepts(LIMIT * 4 - (LIMIT - 2));
	rejects(LIMIT * 4 + 1 - LIMIT);
	rejects(0);
}

TEST(replay_rejects_the_message_limit_and_above, make_empty)
{
	accepts(LIMIT * 4);
	rejects(REJECT);
	accepts(REJECT - 1);
	rejects(REJECT);
	rejects(REJECT - 1);
	accepts(REJECT - 2);
	rejects(REJECT + 1);
	rejects(REJECT + 2);
	rejects(UINT64_MAX);
	rejects(REJECT - 2);
	accepts(REJECT - 3);
	rejects(0);
}

/* A forged counter never comes here (it fails authentication); an authentic one beyond the limit
 * must not move us. */
TEST(replay_is_not_moved_by_what_it_rejects, make_empty)
{
	struct replay before;

	accepts(LIMIT * 2);
	accepts(LIMIT * 2 - 5);
	before = window;
	rejects(UINT64_MAX);
	rejects(REJECT);
	rejects(LIMIT * 2);
	rejects(0);
	assert_memory_equal(&window, &before, sizeof(window));
}

TEST(replay_accepts_a_whole_window_in_order_and_then_the_first, make_empty)
{
	for (uint64_t i = 1; i <= WINDOW; i++)
		accepts(i);
	accepts(0);
	rejects(0);
}

TEST(replay_sweep_by_one_more_pushes_out_the_oldest, make_empty)
{
	for (uint64_t i = 2; i <= WINDOW + 1; i++)
		accepts(i);
	accepts(1);
	rejects(0);
}

TEST(replay_accepts_a_whole_window_backwards, make_empty)
{
	for (uint64_t i = WINDOW + 1; i-- > 0;)
		accepts(i);
}

TEST(replay_rejects_the_one_after_a_window_backwards, make_empty)
{
	for (uint64_t i = WINDOW + 2; i-- > 1;)
		accepts(i);
	rejects(0);
}

TEST(replay_rejects_the_first_once_the_next_came, make_empty)
{
	for (uint64_t i = WINDOW + 1; i-- > 1;)
		accepts(i);
	accepts(WINDOW + 1);
	rejects(0);
}

TEST(replay_accepts_the_first_just_before_the_next_comes, make_empty)
{
	for (uint64_t i = WINDOW + 1; i-- > 1;)
		accepts(i);
	accepts(0);
	accepts(WINDOW + 1);
}

/* The ring returns to the same word, whose bits belong to an older round. */
TEST(replay_remembers_nothing_from_before_a_jump_of_the_whole_ring, make_empty)
{
	for (uint64_t i = 0; i < WINDOW; i++)
		accepts(i);
	accepts(WINDOW + 3ULL * REPLAY_BITS);
	for (uint64_t i = 3ULL * REPLAY_BITS; i < WINDOW + 3ULL * REPLAY_BITS; i++)
		accepts(i);
}

/* The self-test of the kernel asks 34 by hand; the sweeps are its own to the number. */
TEST(replay_passes_the_48813_checks_of_the_kernel, make_empty)
{
	static void (*const by_hand[])(void **state) = {
		replay_rejects_counter_seen_before,
		replay_accepts_up_to_the_edge_of_the_window_and_no_further,
		replay_forgets_all_but_the_window_after_a_jump,
		replay_rejects_the_message_limit_and_above,
	};
	static void (*const sweeps[])(void **state) = {
		replay_accepts_a_whole_window_in_order_and_then_the_first,
		replay_sweep_by_one_more_pushes_out_the_oldest,
		replay_accepts_a_whole_window_backwards,
		replay_rejects_the_one_after_a_window_backwards,
		replay_rejects_the_first_once_the_next_came,
		replay_accepts_the_first_just_before_the_next_comes,
	};

	checks = 0;
	for (size_t i = 0; i < ARRAY_SIZE(by_hand); i++) {
		make_empty(state);
		by_hand[i](state);
	}
	assert_true(checks >= 34);
	checks = 0;
	for (size_t i = 0; i < ARRAY_SIZE(sweeps); i++) {
		make_empty(state);
		sweeps[i](state);
	}
	assert_int_equal(checks, 5 * 8130 + 8129);
}

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return *seed >> 33;
}

/* A counter near the greatest so far, mostly behind it; once in a thousand a jump that may pass the
 * whole ring. */
static uint64_t next_counter(uint64_t *seed, uint64_t greatest)
{
	bool is_jump = !(next_random(seed) % 1000);
	uint64_t ahead = next_random(seed) % (is_jump ? 20000 : 9100);

	if (is_jump)
		return greatest + ahead;
	return greatest + ahead > 9000 ? greatest + ahead - 9000 : 0;
}

/* A list of all that was accepted, beside the ring. */
TEST(replay_agrees_with_a_list_over_a_random_walk, make_empty)
{
	static uint8_t seen[1 << 22];
	uint64_t greatest = 0, seed = 1;

	memset(seen, 0, sizeof(seen));
	for (unsigned int i = 0; i < 200000; i++) {
		uint64_t counter = next_counter(&seed, greatest);

		assert_true(counter < sizeof(seen));
		if (seen[counter] || counter + WINDOW < greatest) {
			rejects(counter);
			continue;
		}
		accepts(counter);
		seen[counter] = 1;
		greatest = MAX(greatest, counter);
	}
	assert_true(greatest > 1000000);
}
