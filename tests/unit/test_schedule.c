// SPDX-License-Identifier: Apache-2.0
/* keyd/agent/schedule.c: when the agent makes a pass, and how long it may sleep. */
#include "agent/schedule.h"
#include "test.h"

#define T0	  (1000 * NS_PER_S)
#define CONNECTED UINT64_MAX
#define NO_WATCH  UINT64_MAX

static struct schedule idle(void)
{
	return (struct schedule){.tick_ns = T0 + SCHEDULE_TICK_NS};
}

TEST(pass_is_only_brought_forward)
{
	struct schedule schedule = idle();

	schedule_want_pass(&schedule, T0 + 100);
	schedule_want_pass(&schedule, T0 + 200);
	assert_int_equal(schedule.pass_ns, T0 + 100);
	schedule_want_pass(&schedule, T0 + 50);
	assert_int_equal(schedule.pass_ns, T0 + 50);
}

TEST(new_device_is_more_urgent_than_a_change)
{
	struct schedule schedule = idle();

	schedule_note_links(&schedule, LINK_SILENT, T0);
	assert_int_equal(schedule.pass_ns, 0);
	schedule_note_links(&schedule, LINK_CHANGED, T0);
	assert_int_equal(schedule.pass_ns, T0 + SCHEDULE_LINKS_NS);
	schedule_note_links(&schedule, LINK_NEW_DEVICE, T0 + 1);
	assert_int_equal(schedule.pass_ns, T0 + 1);
}

TEST(pass_is_made_every_ten_seconds_without_an_event)
{
	struct schedule schedule = idle();

	assert_int_equal(schedule_next_pass(&schedule, CONNECTED), T0 + SCHEDULE_TICK_NS);
	assert_false(schedule_pop_tick(&schedule, T0 + SCHEDULE_TICK_NS - 1));
	assert_int_equal(schedule.pass_ns, 0);
	assert_true(schedule_pop_tick(&schedule, T0 + SCHEDULE_TICK_NS));
	assert_int_equal(schedule.pass_ns, T0 + SCHEDULE_TICK_NS);
	assert_int_equal(schedule.tick_ns, T0 + 2 * SCHEDULE_TICK_NS);
}

TEST(first_tick_is_due_at_once)
{
	struct schedule schedule = {0};

	assert_true(schedule_pop_tick(&schedule, T0));
}

TEST(next_pass_is_the_earliest_of_all_reasons)
{
	struct schedule schedule = idle();

	assert_int_equal(schedule_next_pass(&schedule, T0 + 400), T0 + 400);
	schedule.questions_ns = T0 + 300;
	assert_int_equal(schedule_next_pass(&schedule, T0 + 400), T0 + 300);
	schedule_want_pass(&schedule, T0 + 200);
	assert_int_equal(schedule_next_pass(&schedule, T0 + 400), T0 + 200);
	assert_int_equal(schedule_next_pass(&schedule, T0 + 100), T0 + 100);
}

TEST(look_at_the_proofs_makes_no_pass)
{
	struct schedule schedule = idle();

	schedule.proofs_ns = T0 + 100;
	assert_int_equal(schedule_next_pass(&schedule, CONNECTED), T0 + SCHEDULE_TICK_NS);
}

TEST(agent_sleeps_until_the_first_deadline)
{
	struct schedule schedule = idle();

	assert_int_equal(schedule_wait_ms(&schedule, CONNECTED, NO_WATCH, T0), 10001);
	assert_int_equal(schedule_wait_ms(&schedule, CONNECTED, T0 + 500 * NS_PER_MS, T0), 501);
	schedule.proofs_ns = T0 + 100 * NS_PER_MS;
	assert_int_equal(schedule_wait_ms(&schedule, CONNECTED, T0 + 500 * NS_PER_MS, T0), 101);
	assert_int_equal(schedule_wait_ms(&schedule, T0 + 50 * NS_PER_MS, NO_WATCH, T0), 51);
}

TEST(agent_does_not_sleep_past_a_deadline)
{
	struct schedule schedule = idle();

	schedule_want_pass(&schedule, T0);
	assert_int_equal(schedule_wait_ms(&schedule, CONNECTED, NO_WATCH, T0), 0);
	assert_int_equal(schedule_wait_ms(&schedule, CONNECTED, NO_WATCH, T0 + NS_PER_S), 0);
	/* Woken one nanosecond early, it would have to sleep once more. */
	assert_int_equal(schedule_wait_ms(&schedule, CONNECTED, NO_WATCH, T0 - 1), 1);
}
