// SPDX-License-Identifier: Apache-2.0
/* keyd/rotate.c: when this node needs a key, which epoch it gets, and what may be published. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rotate.h"

#define NOW_MS 1795348800000ULL

static struct rotate rotate;

static int begin(void **state)
{
	rotate_init(&rotate, "u-1");
	return 0;
}

static struct public_key key(uint8_t filling)
{
	struct public_key made;

	memset(made.bytes, filling, KEY_LEN);
	return made;
}

static struct rotate_identity identity(const char *uid, uint64_t epoch, uint8_t filling)
{
	struct rotate_identity made = {
		.epoch = epoch, .has_key[KEY_CURRENT] = true, .keys[KEY_CURRENT] = key(filling)};

	copy_text(made.uid, sizeof(made.uid), uid);
	return made;
}

static void see_record(const char *uid, uint64_t epoch, uint8_t filling)
{
	struct annotation record = {
		.epoch = epoch, .has_key[KEY_CURRENT] = true, .keys[KEY_CURRENT] = key(filling)};

	copy_text(record.uid, sizeof(record.uid), uid);
	rotate_record_seen(&rotate, &record, NOW_MS);
}

static void find_tunnel(const char *uid, uint64_t epoch, uint8_t filling)
{
	struct rotate_identity found =
		epoch ? identity(uid, epoch, filling) : (struct rotate_identity){0};

	rotate_tunnel_found(&rotate, &found);
}

static void assert_makes_key(uint64_t epoch)
{
	struct rotate_action action = rotate_next(&rotate, NOW_MS);

	assert_int_equal(action.step, ROTATE_MAKE_KEY);
	assert_int_equal(action.slot, KEY_CURRENT);
	assert_int_equal(action.epoch, epoch);
	assert_null(rotate_publishable(&rotate));
}

static void assert_publishes(uint64_t epoch, uint8_t filling)
{
	const struct rotate_identity *own = rotate_publishable(&rotate);
	struct public_key expected = key(filling);

	assert_int_equal(rotate_next(&rotate, NOW_MS).step, ROTATE_WAIT);
	assert_non_null(own);
	assert_int_equal(own->epoch, epoch);
	assert_true(public_key_is_equal(&own->keys[KEY_CURRENT], &expected));
}

static void rotate_waits_for_the_tunnel(void **state)
{
	assert_int_equal(rotate_next(&rotate, NOW_MS).step, ROTATE_WAIT);
	assert_null(rotate_publishable(&rotate));
}

static void rotate_makes_the_first_key_with_the_clocks_epoch(void **state)
{
	struct public_key made = key(5);

	find_tunnel("", 0, 0);
	assert_makes_key(NOW_MS);
	rotate_key_given(&rotate, KEY_CURRENT, &made, NOW_MS);
	assert_publishes(NOW_MS, 5);
}

static void rotate_takes_over_the_key_of_a_running_tunnel(void **state)
{
	see_record("u-1", 70, 5);
	find_tunnel("u-1", 70, 5);
	assert_publishes(70, 5);
}

static void rotate_publishes_what_was_armed_before_a_crash(void **state)
{
	see_record("u-1", 70, 5);
	find_tunnel("u-1", 80, 6);
	assert_publishes(80, 6);
}

static void rotate_replaces_a_key_behind_its_own_record(void **state)
{
	see_record("u-1", 70, 5);
	find_tunnel("u-1", 60, 4);
	assert_makes_key(NOW_MS);
}

static void rotate_replaces_a_key_that_differs_at_the_same_epoch(void **state)
{
	see_record("u-1", 70, 5);
	find_tunnel("u-1", 70, 6);
	assert_makes_key(NOW_MS);
}

static void rotate_replaces_a_key_of_another_uid(void **state)
{
	find_tunnel("u-2", 70, 5);
	assert_makes_key(NOW_MS);
}

static void rotate_epoch_grows_even_when_the_clock_went_back(void **state)
{
	see_record("u-1", NOW_MS + 1000, 5);
	find_tunnel("", 0, 0);
	assert_makes_key(NOW_MS + 1001);
}

static void rotate_floor_is_also_what_the_tunnel_had(void **state)
{
	struct rotate_identity keyless = {.uid = "u-1", .epoch = NOW_MS + 5};

	rotate_tunnel_found(&rotate, &keyless);
	assert_makes_key(NOW_MS + 6);
}

static void rotate_ignores_records_of_others_and_from_far_ahead(void **state)
{
	see_record("u-2", NOW_MS + 1000, 5);
	see_record("u-1", NOW_MS + EPOCH_AHEAD_MAX_MS + 1, 5);
	find_tunnel("", 0, 0);
	assert_makes_key(NOW_MS);
}

static void rotate_makes_a_new_key_when_the_tunnel_lost_it(void **state)
{
	struct public_key made = key(5);

	find_tunnel("", 0, 0);
	rotate_key_given(&rotate, KEY_CURRENT, &made, NOW_MS);
	rotate_tunnel_lost(&rotate);
	assert_int_equal(rotate_next(&rotate, NOW_MS).step, ROTATE_WAIT);
	assert_null(rotate_publishable(&rotate));
	find_tunnel("", 0, 0);
	assert_makes_key(NOW_MS + 1);
}

static void rotate_answers_a_record_that_overtook_it(void **state)
{
	struct public_key made = key(5);

	find_tunnel("", 0, 0);
	rotate_key_given(&rotate, KEY_CURRENT, &made, NOW_MS);
	see_record("u-1", NOW_MS, 5); /* our own, come back */
	assert_publishes(NOW_MS, 5);
	see_record("u-1", NOW_MS + 9, 6); /* somebody else's under our name */
	assert_makes_key(NOW_MS + 10);
}

static void rotate_is_not_moved_by_an_older_record(void **state)
{
	struct public_key made = key(5);

	find_tunnel("", 0, 0);
	rotate_key_given(&rotate, KEY_CURRENT, &made, NOW_MS);
	see_record("u-1", NOW_MS, 5);
	see_record("u-1", 3, 4);
	assert_publishes(NOW_MS, 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
	const struct CMUnitTest tests[] = {
		TEST(rotate_waits_for_the_tunnel),
		TEST(rotate_makes_the_first_key_with_the_clocks_epoch),
		TEST(rotate_takes_over_the_key_of_a_running_tunnel),
		TEST(rotate_publishes_what_was_armed_before_a_crash),
		TEST(rotate_replaces_a_key_behind_its_own_record),
		TEST(rotate_replaces_a_key_that_differs_at_the_same_epoch),
		TEST(rotate_replaces_a_key_of_another_uid),
		TEST(rotate_epoch_grows_even_when_the_clock_went_back),
		TEST(rotate_floor_is_also_what_the_tunnel_had),
		TEST(rotate_ignores_records_of_others_and_from_far_ahead),
		TEST(rotate_makes_a_new_key_when_the_tunnel_lost_it),
		TEST(rotate_answers_a_record_that_overtook_it),
		TEST(rotate_is_not_moved_by_an_older_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
