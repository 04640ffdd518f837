/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only header of cmocka's for test programs. A definition registers its test for test.c:
 *
 *   TEST(name) { ... }                    a test
 *   TEST(name, setup) { ... }             with fixtures of cmocka's kind
 *   TEST(name, setup, teardown) { ... }
 *   TEST_GROUP(setup, teardown);          runs once around all tests of the program
 *   TESTS_NEED(predicate);                if false, no test runs; it has printed the reason
 *
 * The body may use cmocka's `state`, as the setup has set it.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TEST(...)			    TEST_OF(__VA_ARGS__, NULL, NULL, )
#define TEST_OF(name, setup, teardown, ...) DEFINE_TEST(name, {#name, name, setup, teardown, NULL})

/* One body that runs as several tests: each further argument initializes a struct CMUnitTest. */
#define DEFINE_TEST(name, ...)                                                      \
	static void name(void **state);                                             \
	__attribute__((constructor)) static void register_##name(void)              \
	{                                                                           \
		static const struct CMUnitTest variants[] = {__VA_ARGS__};          \
                                                                                    \
		for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) \
			test_register(&variants[i], __LINE__);                      \
	}                                                                           \
	static void name(__attribute__((unused)) void **state)

#define TEST_GROUP(setup, teardown)                                   \
	__attribute__((constructor)) static void register_group(void) \
	{                                                             \
		test_register_group(setup, teardown);                 \
	}                                                             \
	_Static_assert(true, "")

#define TESTS_NEED(predicate)                                         \
	__attribute__((constructor)) static void register_needs(void) \
	{                                                             \
		test_register_needs(predicate);                       \
	}                                                             \
	_Static_assert(true, "")

/* Tests run in the order of their lines: a compiler may run the constructors of a file in any
 * order. */
void test_register(const struct CMUnitTest *test, int line);
void test_register_group(CMFixtureFunction setup, CMFixtureFunction teardown);
void test_register_needs(bool (*predicate)(void));
