// SPDX-License-Identifier: Apache-2.0
/*
 * The main() of every test program: runs the registered tests. The first argument, if any, is a
 * pattern that selects tests by name.
 */
#include "test.h"

#include <stdlib.h>

#define TESTS_MAX 256

static struct CMUnitTest tests[TESTS_MAX];
static int lines[TESTS_MAX];
static size_t count;
static CMFixtureFunction group_setup, group_teardown;
static bool (*can_run)(void);

void test_register(const struct CMUnitTest *test, int line)
{
	size_t place = count++;

	if (count > TESTS_MAX)
		abort();
	for (; place && lines[place - 1] > line; place--) {
		tests[place] = tests[place - 1];
		lines[place] = lines[place - 1];
	}
	tests[place] = *test;
	lines[place] = line;
}

void test_register_group(CMFixtureFunction setup, CMFixtureFunction teardown)
{
	group_setup = setup;
	group_teardown = teardown;
}

void test_register_needs(bool (*predicate)(void))
{
	can_run = predicate;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	if (can_run && !can_run())
		return 0;
	return _cmocka_run_group_tests("tests", tests, count, group_setup, group_teardown);
}
