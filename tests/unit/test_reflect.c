// SPDX-License-Identifier: Apache-2.0
/* keyd/registry/kube/reflect.c: list, watch, list again; with a clock that the tests set. */
#include <errno.h>

#include "registry/kube/reflect.h"
#include "test.h"

#define HALF (UINT32_MAX / 2)

static struct reflect reflect;
static uint64_t now_ns;
static uint32_t dice;

static struct reflect_now now(void)
{
	return (struct reflect_now){now_ns, dice};
}

static void pass_s(double seconds)
{
	now_ns += (uint64_t)(seconds * 1e9);
}

static int begin(void **state)
{
	reflect_init(&reflect);
	now_ns = 5000 * NS_PER_S;
	dice = HALF;
	return 0;
}

static struct reflect_action next(void)
{
	return reflect_next(&reflect, now());
}

/* Lets the time pass that has to; the step that comes then. */
static struct reflect_action wait_for_step(double *ret_s)
{
	uint64_t begun_ns = now_ns;
	struct reflect_action action = next();

	while (action.step == REFLECT_WAIT) {
		assert_true(action.until_ns > now_ns && action.until_ns != UINT64_MAX);
		now_ns = action.until_ns;
		action = next();
	}
	if (ret_s)
		*ret_s = (double)(now_ns - begun_ns) / 1e9;
	return action;
}

static void list_begins(void)
{
	assert_int_equal(wait_for_step(NULL).step, REFLECT_LIST);
	reflect_list_begun(&reflect);
	assert_int_equal(next().step, REFLECT_WAIT);
}

static enum reflect_verdict page(const char *version, const char *more)
{
	static struct object_list list;

	list = (struct object_list){0};
	copy_text(list.version, sizeof(list.version), version);
	copy_text(list.next, sizeof(list.next), more);
	return reflect_page_came(&reflect, &list, now());
}

static void is_listed(const char *version)
{
	list_begins();
	assert_int_equal(page(version, ""), REFLECT_WHOLE);
}

/* At which version the collection is now. */
static void look_shows(const char *version)
{
	assert_int_equal(wait_for_step(NULL).step, REFLECT_LOOK);
	reflect_list_begun(&reflect);
	assert_int_equal(next().step, REFLECT_WAIT);
	reflect_look_came(&reflect, version, now());
}

static void watch_begins(const char *version)
{
	struct reflect_action action = wait_for_step(NULL);

	assert_int_equal(action.step, REFLECT_WATCH);
	assert_string_equal(action.version, version);
	assert_in_range(action.timeout_s, REFLECT_WATCH_MIN_S, REFLECT_WATCH_MAX_S);
	reflect_watch_begun(&reflect, &action, now());
}

static bool line(enum object_event_type type, const char *version)
{
	struct object_event event = {.type = type};

	copy_text(event.meta.version, sizeof(event.meta.version), version);
	return reflect_line_came(&reflect, &event, now());
}

static void watch_ends(int error, long status, int64_t retry_after_s)
{
	const struct reflect_failure failure = {error, status, retry_after_s};

	reflect_watch_ended(&reflect, &failure, now());
}

static bool list_fails(int error, long status, int64_t retry_after_s)
{
	const struct reflect_failure failure = {error, status, retry_after_s};

	return reflect_list_failed(&reflect, &failure, now());
}

/* -- the way it should be -- */

TEST(reflect_lists_page_by_page_and_watches_from_there, begin)
{
	struct reflect_action action = next();

	assert_int_equal(action.step, REFLECT_LIST);
	assert_int_equal(action.limit, REFLECT_PAGE_ITEMS);
	assert_string_equal(action.next, "");
	list_begins();
	assert_int_equal(page("10", "more"), REFLECT_MORE);
	assert_false(reflect.is_known);
	action = next();
	assert_int_equal(action.step, REFLECT_LIST);
	assert_string_equal(action.next, "more");
	list_begins();
	assert_int_equal(page("10", ""), REFLECT_WHOLE);
	assert_true(reflect.is_known);
	watch_begins("10");
}

TEST(reflect_takes_each_event_once_and_resumes_after_the_last, begin)
{
	is_listed("10");
	watch_begins("10");
	assert_true(line(OBJECT_MODIFIED, "11"));
	assert_false(line(OBJECT_MODIFIED, "11"));
	assert_true(line(OBJECT_DELETED, "13"));
	assert_false(line(OBJECT_BOOKMARK, "20"));
	pass_s(400);
	watch_ends(0, 200, -1);
	watch_begins("20");
	assert_false(reflect.wants_list);
}

TEST(reflect_waits_hardly_at_all_after_a_watch_that_ended_in_time, begin)
{
	double waited_s;

	is_listed("10");
	for (int i = 0; i < 20; i++) {
		watch_begins("10");
		pass_s(300);
		watch_ends(0, 200, -1);
		wait_for_step(&waited_s);
		assert_true(waited_s <= 1);
	}
}

TEST(reflect_spreads_the_ends_of_watches, begin)
{
	is_listed("10");
	dice = 0;
	pass_s(2);
	assert_int_equal(next().timeout_s, REFLECT_WATCH_MIN_S);
	dice = REFLECT_WATCH_MAX_S - REFLECT_WATCH_MIN_S;
	assert_int_equal(next().timeout_s, REFLECT_WATCH_MAX_S);
}

/* -- silence -- */

TEST(reflect_stops_a_silent_watch, begin)
{
	double waited_s;

	is_listed("10");
	watch_begins("10");
	pass_s(100);
	line(OBJECT_BOOKMARK, "10");
	assert_int_equal(wait_for_step(&waited_s).step, REFLECT_STOP);
	assert_float_equal(waited_s, REFLECT_SILENCE_S, 0.001);
	reflect_watch_ended(&reflect, NULL, now());
	look_shows("10");
	watch_begins("10");
}

TEST(reflect_stops_a_watch_that_outlives_its_time_however_busy, begin)
{
	uint64_t begun_ns;

	is_listed("10");
	watch_begins("10");
	begun_ns = now_ns;
	while (next().step == REFLECT_WAIT) {
		pass_s(10);
		line(OBJECT_BOOKMARK, "10");
	}
	assert_int_equal(next().step, REFLECT_STOP);
	assert_in_range((now_ns - begun_ns) / NS_PER_S, reflect.timeout_s + REFLECT_GRACE_S,
			reflect.timeout_s + REFLECT_GRACE_S + 10);
}

/* -- failures -- */

TEST(reflect_backs_off_with_full_jitter_up_to_a_minute, begin)
{
	double longest_s = 0, waited_s;

	for (int i = 0; i < 12; i++) {
		uint32_t of[] = {0, HALF, UINT32_MAX};
		double waits_s[3];

		list_begins();
		for (int k = 0; k < 3; k++) {
			struct reflect before = reflect;
			uint64_t before_ns = now_ns;

			dice = of[k];
			list_fails(-ECONNREFUSED, 0, -1);
			wait_for_step(&waits_s[k]);
			if (k < 2) {
				reflect = before;
				now_ns = before_ns;
			}
		}
		assert_true(waits_s[0] < 0.01 && waits_s[1] < waits_s[2]);
		waited_s = waits_s[2];
		assert_true(waited_s <= REFLECT_BACKOFF_S + 0.001);
		assert_true(waited_s >= longest_s - 0.001);
		longest_s = waited_s;
		dice = HALF;
	}
	assert_true(longest_s > 59);
	list_begins();
	page("10", "");
	assert_int_equal(reflect.failures, 0);
}

TEST(reflect_honours_retry_after_within_reason, begin)
{
	double waited_s;

	list_begins();
	list_fails(0, 429, 17);
	wait_for_step(&waited_s);
	assert_true(waited_s > 17 && waited_s <= 18.001);
	list_begins();
	list_fails(0, 429, INT64_MAX);
	wait_for_step(&waited_s);
	assert_true(waited_s > REFLECT_RETRY_MAX_S && waited_s < REFLECT_RETRY_MAX_S + 61);
	is_listed("10");
	watch_begins("10");
	watch_ends(0, 429, 30);
	wait_for_step(&waited_s);
	assert_true(waited_s > 30 && waited_s <= 31.001);
	look_shows("10");
	watch_begins("10");
}

TEST(reflect_resumes_where_it_was_after_any_failure_of_the_way, begin)
{
	static const int errors[] = {-EPROTO, -ETIMEDOUT, -ECONNRESET, -EPERM};

	is_listed("10");
	for (unsigned int i = 0; i < 40; i++) {
		watch_begins("10");
		watch_ends(errors[i % ARRAY_SIZE(errors)], 0, -1);
		look_shows("10");
	}
	assert_false(reflect.wants_list);
	for (unsigned int i = 0; i < 40; i++) {
		watch_begins("10");
		watch_ends(0, i % 2 ? 503 : 401, -1);
		look_shows("10");
	}
	assert_false(reflect.wants_list);
}

TEST(reflect_does_not_hurry_a_server_that_ends_every_watch_at_once, begin)
{
	uint64_t begun_ns;

	is_listed("10");
	begun_ns = now_ns;
	dice = UINT32_MAX;
	for (int i = 0; i < 20; i++) {
		watch_begins("10");
		line(OBJECT_BOOKMARK, "10");
		watch_ends(0, 200, -1);
	}
	assert_true(now_ns - begun_ns > 10 * 60 * NS_PER_S);
}

TEST(reflect_halves_pages_that_are_too_large_or_too_slow, begin)
{
	uint32_t limit = REFLECT_PAGE_ITEMS;

	for (int i = 0; limit > 1; i++) {
		list_begins();
		assert_true(list_fails(i % 2 ? -ETIMEDOUT : -EMSGSIZE, 0, -1));
		limit /= 2;
		assert_int_equal(wait_for_step(NULL).limit, limit);
	}
	list_begins();
	assert_true(list_fails(-ETIMEDOUT, 0, -1));
	list_begins();
	assert_false(list_fails(-EMSGSIZE, 0, -1));
	assert_int_equal(wait_for_step(NULL).limit, 1);
}

TEST(reflect_goes_on_with_the_page_that_failed, begin)
{
	list_begins();
	page("10", "second");
	list_begins();
	list_fails(0, 503, -1);
	assert_string_equal(wait_for_step(NULL).next, "second");
}

TEST(reflect_lists_again_if_the_list_has_become_too_old, begin)
{
	list_begins();
	page("10", "second");
	list_begins();
	list_fails(0, 410, -1);
	assert_string_equal(wait_for_step(NULL).next, "");
	is_listed("12");
}

/* -- a watch that cannot go on -- */

TEST(reflect_lists_again_after_410, begin)
{
	is_listed("10");
	pass_s(3600);
	watch_begins("10");
	watch_ends(0, 410, -1);
	is_listed("50");
	watch_begins("50");
}

TEST(reflect_lists_again_after_an_unreadable_line, begin)
{
	is_listed("10");
	watch_begins("10");
	reflect_line_lost(&reflect);
	watch_ends(-EBADMSG, 0, -1);
	is_listed("12");
}

TEST(reflect_lists_again_if_its_version_is_refused_repeatedly, begin)
{
	is_listed("10");
	for (int i = 0; i < REFLECT_STRIKES; i++) {
		if (i)
			look_shows("10");
		watch_begins("10");
		watch_ends(0, i % 2 ? 504 : 500, -1);
	}
	is_listed("3000");
}

TEST(reflect_error_event_is_no_object, begin)
{
	is_listed("10");
	watch_begins("10");
	assert_false(line(OBJECT_ERROR, ""));
	assert_string_equal(reflect.version, "10");
}

/* F18: a server that has every list and keeps no watch. */
TEST(reflect_lists_once_in_ten_minutes_in_the_long_run, begin)
{
	uint64_t from_ns;
	double waited_s;
	int lists = 0;

	dice = 0;
	for (int i = 0; i < 12; i++) {
		is_listed("10");
		watch_begins("10");
		watch_ends(0, 410, -1);
	}
	from_ns = now_ns;
	while (now_ns - from_ns < 24 * 3600 * NS_PER_S) {
		dice = lists % 3 ? dice * 1664525 + 1013904223 : UINT32_MAX;
		pass_s(60); /* or it may be later, for other reasons */
		assert_int_equal(wait_for_step(&waited_s).step, REFLECT_LIST);
		assert_true(waited_s > 535);
		is_listed("10");
		lists++;
		watch_begins("10");
		watch_ends(0, 410, -1);
	}
	assert_in_range(lists, 60, 24 * 6);
}

TEST(reflect_lists_soon_again_at_first, begin)
{
	uint64_t begun_ns = now_ns;

	for (int i = 0; i < 5; i++) {
		is_listed("10");
		watch_begins("10");
		watch_ends(0, 410, -1);
	}
	assert_true(now_ns - begun_ns < 60 * NS_PER_S);
}

TEST(reflect_forgets_the_lists_of_long_ago, begin)
{
	double waited_s;

	for (int i = 0; i < 12; i++) {
		is_listed("10");
		watch_begins("10");
		watch_ends(0, 410, -1);
	}
	is_listed("10");
	pass_s(REFLECT_CALM_S + 1);
	watch_begins("10");
	watch_ends(0, 410, -1);
	is_listed("11");
	watch_begins("11");
	watch_ends(0, 410, -1);
	assert_int_equal(wait_for_step(&waited_s).step, REFLECT_LIST);
	assert_true(waited_s < 3);
}

/* -- a server that goes back in time -- */

TEST(reflect_accepts_no_event_older_than_the_last, begin)
{
	is_listed("100");
	watch_begins("100");
	assert_true(line(OBJECT_MODIFIED, "120"));
	assert_false(line(OBJECT_MODIFIED, "90"));
	assert_true(reflect.wants_list);
	assert_string_equal(reflect.version, "120");
	assert_true(line(OBJECT_MODIFIED, "121"));
}

TEST(reflect_watches_on_until_the_list_may_be_had, begin)
{
	is_listed("100");
	watch_begins("100");
	line(OBJECT_MODIFIED, "90");
	assert_int_equal(next().step, REFLECT_WAIT);
	assert_int_equal(wait_for_step(NULL).step, REFLECT_STOP);
	reflect_watch_ended(&reflect, NULL, now());
	is_listed("130");
}

TEST(reflect_watches_again_while_the_list_has_to_wait, begin)
{
	for (int i = 0; i < 12; i++) {
		is_listed("100");
		watch_begins("100");
		watch_ends(0, 410, -1);
	}
	is_listed("100");
	watch_begins("100");
	line(OBJECT_BOOKMARK, "90");
	watch_ends(-ECONNRESET, 0, -1);
	look_shows("91");
	watch_begins("90");
}

TEST(reflect_removes_no_object_because_of_an_outdated_list, begin)
{
	is_listed("100");
	watch_begins("100");
	line(OBJECT_MODIFIED, "120");
	watch_ends(0, 410, -1);
	list_begins();
	assert_int_equal(page("110", ""), REFLECT_PAST);
	assert_true(reflect.wants_list);
	pass_s(REFLECT_CONFIRM_S);
	list_begins();
	assert_int_equal(page("125", ""), REFLECT_WHOLE);
	assert_false(reflect.wants_list);
	watch_begins("125");
}

TEST(reflect_believes_a_server_that_stays_in_the_past, begin)
{
	is_listed("100");
	watch_begins("100");
	watch_ends(0, 410, -1);
	list_begins();
	assert_int_equal(page("50", ""), REFLECT_PAST);
	watch_begins("50");
	assert_true(line(OBJECT_MODIFIED, "51"));
	pass_s(REFLECT_CONFIRM_S);
	reflect_watch_ended(&reflect, NULL, now());
	list_begins();
	assert_int_equal(page("60", ""), REFLECT_WHOLE);
	watch_begins("60");
	watch_ends(0, 410, -1);
	is_listed("61");
}

TEST(reflect_does_not_believe_it_too_soon, begin)
{
	is_listed("100");
	watch_begins("100");
	watch_ends(0, 410, -1);
	list_begins();
	assert_int_equal(page("50", ""), REFLECT_PAST);
	reflect.list_not_before_ns = 0;
	pass_s(REFLECT_CONFIRM_S - 5);
	list_begins();
	assert_int_equal(page("51", ""), REFLECT_PAST);
}

TEST(reflect_compares_no_versions_that_are_no_numbers, begin)
{
	is_listed("abc");
	watch_begins("abc");
	assert_true(line(OBJECT_MODIFIED, "aaa"));
	watch_ends(0, 410, -1);
	is_listed("a");
}

TEST(reflect_looks_before_it_resumes_after_a_failure, begin)
{
	is_listed("100");
	watch_begins("100");
	watch_ends(-ECONNRESET, 0, -1);
	assert_int_equal(wait_for_step(NULL).limit, 1);
	look_shows("100");
	assert_false(reflect.wants_list);
	watch_begins("100");
	watch_ends(0, 200, -1);
	watch_begins("100");
}

TEST(reflect_looks_again_when_a_look_brought_nothing, begin)
{
	is_listed("100");
	watch_begins("100");
	watch_ends(-ECONNRESET, 0, -1);
	assert_int_equal(wait_for_step(NULL).step, REFLECT_LOOK);
	reflect_list_begun(&reflect);
	list_fails(-ECONNREFUSED, 0, -1);
	look_shows("101");
	watch_begins("100");
}

TEST(reflect_sees_a_server_that_was_restored, begin)
{
	is_listed("100");
	pass_s(60);
	watch_begins("100");
	watch_ends(-ECONNRESET, 0, -1);
	look_shows("70");
	list_begins();
	assert_int_equal(page("70", ""), REFLECT_PAST);
	watch_begins("70");
}

/* -- items that cannot be read -- */

TEST(reflect_removes_no_object_because_of_a_list_with_a_lost_item, begin)
{
	double waited_s;

	list_begins();
	reflect_item_lost(&reflect);
	assert_int_equal(page("10", "more"), REFLECT_MORE);
	list_begins();
	assert_int_equal(page("10", ""), REFLECT_PARTIAL);
	assert_true(reflect.is_known);
	watch_begins("10");
	assert_true(line(OBJECT_MODIFIED, "11"));
	assert_int_equal(wait_for_step(&waited_s).step, REFLECT_STOP);
	assert_true(waited_s > 0 && waited_s <= 2);
	reflect_watch_ended(&reflect, NULL, now());
	list_begins();
	assert_int_equal(page("12", ""), REFLECT_WHOLE);
	watch_begins("12");
}

TEST(reflect_counts_the_items_lost_by_an_earlier_list_no_more, begin)
{
	list_begins();
	reflect_item_lost(&reflect);
	assert_int_equal(page("10", "more"), REFLECT_MORE);
	list_begins();
	list_fails(0, 410, -1);
	list_begins();
	assert_int_equal(page("11", ""), REFLECT_WHOLE);
}

TEST(reflect_lists_seldom_while_an_item_stays_lost, begin)
{
	uint64_t begun_ns = now_ns;
	unsigned int lists = 0;

	while (now_ns < begun_ns + 86400 * NS_PER_S) {
		struct reflect_action action = wait_for_step(NULL);

		if (action.step == REFLECT_LIST) {
			reflect_list_begun(&reflect);
			reflect_item_lost(&reflect);
			assert_int_equal(page("10", ""), REFLECT_PARTIAL);
			lists++;
		} else if (action.step == REFLECT_WATCH) {
			reflect_watch_begun(&reflect, &action, now());
		} else if (action.step == REFLECT_STOP) {
			reflect_watch_ended(&reflect, NULL, now());
		} else {
			reflect_list_begun(&reflect);
			reflect_look_came(&reflect, "10", now());
		}
	}
	assert_true(lists <= 86400 / (REFLECT_LIST_REST_S / 2) + 12);
}

TEST(reflect_watches_on_beside_a_line_that_is_lost, begin)
{
	is_listed("10");
	watch_begins("10");
	assert_true(line(OBJECT_MODIFIED, "11"));
	reflect_item_lost(&reflect);
	assert_true(line(OBJECT_MODIFIED, "12"));
	assert_int_equal(wait_for_step(NULL).step, REFLECT_STOP);
	reflect_watch_ended(&reflect, NULL, now());
	is_listed("13");
}
