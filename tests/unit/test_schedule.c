// SPDX-License-Identifier: Apache-2.0
/* keyd/agent/schedule.c: when the agent makes a pass, and how long it may sleep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/schedule.h"

#define T0	  (1000 * NS_PER_S)
#define CONNECTED UINT64_MAX
#define NO_WATCH  UINT64_MAX

static struct schedule idle(void)
{
	return (struct schedule){.tick_ns = T0 + SCHEDULE_TICK_NS};
}

static void pass_is_only_brought_forward(void **state)
{
	struct schedule schedule = idle();

	schedule_want_pass(&schedule, T0 + 100);
	schedule_want_pass(&schedule, T0 + 200);
	assert_int_equal(schedule.pass_ns, T0 + 100);
	schedule_want_pass(&schedule, T0 + 50);
	assert_int_equal(schedule.pass_ns, T0 + 50);
}

static void new_device_is_more_urgent_than_a_change(void **state)
{
	struct schedule schedule = idle();

	schedule_note_links(&schedule, LINK_SILENT, T0);
	assert_int_equal(schedule.pass_ns, 0);
	schedule_note_links(&schedule, LINK_CHANGED, T0);
	assert_int_equal(schedule.pass_ns, T0 + SCHEDULE_LINKS_NS);
	schedule_note_links(&schedule, LINK_NEW_DEVICE, T0 + 1);
	assert_int_equal(schedule.pass_ns, T0 + 1);
}

static void pass_is_made_every_ten_seconds_without_an_event(void **state)
{
	struct schedule schedule = idle();

	assert_int_equal(schedule_next_pass(&schedule, CONNECTED), T0 + SCHEDULE_TICK_NS);
	assert_false(schedule_pop_tick(&schedule, T0 + SCHEDULE_TICK_NS - 1));
	assert_int_equal(schedule.pass_ns, 0);
	assert_true(schedule_pop_tick(&schedule, T0 + SCHEDULE_TICK_NS));
	assert_int_equal(schedule.pass_ns, T0 + SCHEDULE_TICK_NS);
	assert_int_equal(schedule.tick_ns, T0 + 2 * SCHEDULE_TICK_NS);
}

static void first_tick_is_due_at_once(void **state)
{
	struct schedule schedule = {0};

	assert_true(schedule_pop_tick(&schedule, T0));
}

static void next_pass_is_the_earliest_of_all_reasons(void **state)
{
	struct schedule schedule = idle();

	assert_int_equal(schedule_next_pass(&schedule, T0 + 400), T0 + 400);
	schedule.questions_ns = T0 + 300;
	assert_int_equal(schedule_next_pass(&schedule, T0 + 400), T0 + 300);
	schedule_want_pass(&schedule, T0 + 200);
	assert_int_equal(schedule_next_pass(&schedule, T0 + 400), T0 + 200);
	assert_int_equal(schedule_next_pass(&schedule, T0 + 100), T0 + 100);
}

static void look_at_the_proofs_makes_no_pass(void **state)
{
	struct schedule schedule = idle();

	schedule.proofs_ns = T0 + 100;
	assert_int_equal(schedule_next_pass(&schedule, CONNECTED), T0 + SCHEDULE_TICK_NS);
}

static void agent_sleeps_until_the_first_deadline(void **state)
{
	struct schedule schedule = idle();

	assert_int_equal(schedule_wait_ms(&schedule, CONNECTED, NO_WATCH, T0), 10001);
	assert_int_equal(schedule_wait_ms(&schedule, CONNECTED, T0 + 500 * NS_PER_MS, T0), 501);
	schedule.proofs_ns = T0 + 100 * NS_PER_MS;
	assert_int_equal(schedule_wait_ms(&schedule, CONNECTED, T0 + 500 * NS_PER_MS, T0), 101);
	assert_int_equal(schedule_wait_ms(&schedule, T0 + 50 * NS_PER_MS, NO_WATCH, T0), 51);
}

static void agent_does_not_sleep_past_a_deadline(void **state)
{
	struct schedule schedule = idle();

	schedule_want_pass(&schedule, T0);
	assert_int_equal(schedule_wait_ms(&schedule, CONNECTED, NO_WATCH, T0), 0);
	assert_int_equal(schedule_wait_ms(&schedule, CONNECTED, NO_WATCH, T0 + NS_PER_S), 0);
	/* Woken one nanosecond early, it would have to sleep once more. */
	assert_int_equal(schedule_wait_ms(&schedule, CONNECTED, NO_WATCH, T0 - 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pass_is_only_brought_forward),
		cmocka_unit_test(new_device_is_more_urgent_than_a_change),
		cmocka_unit_test(pass_is_made_every_ten_seconds_without_an_event),
		cmocka_unit_test(first_tick_is_due_at_once),
		cmocka_unit_test(next_pass_is_the_earliest_of_all_reasons),
		cmocka_unit_test(look_at_the_proofs_makes_no_pass),
		cmocka_unit_test(agent_sleeps_until_the_first_deadline),
		cmocka_unit_test(agent_does_not_sleep_past_a_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
