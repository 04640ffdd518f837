// SPDX-License-Identifier: Apache-2.0
/*
 * The rate limit, after the kernel's selftest/ratelimiter.c, with a clock that the test sets
 * instead of sleeping.
 */
#include "ratelimit.h"
#include "values.h"

static struct ratelimit limit;
static uint64_t now_ns;

static int make_empty(void **state)
{
	static const uint8_t hash_key[16] = {1, 2, 3};

	memset(&limit, 0xaa, sizeof(limit));
	ratelimit_init(&limit, hash_key);
	now_ns = 1000 * NS_PER_S;
	return 0;
}

static bool is_allowed(const char *text)
{
	union endpoint source = endpoint_from(text, 51890);

	return ratelimit_allow(&limit, &source, now_ns);
}

static void spend_burst(const char *text)
{
	for (unsigned int i = 0; i < RATELIMIT_BURST; i++)
		assert_true(is_allowed(text));
	assert_false(is_allowed(text));
}

/* The kernel's eleven steps: time to let pass, and whether the next one may. */
static const struct {
	unsigned int wait_ms;
	bool is_allowed;
} steps[] = {
	{0, true},  {0, true},	{0, true},   {0, true}, {0, true},  {0, false},
	{50, true}, {0, false}, {100, true}, {0, true}, {0, false},
};

/* Both sources walk through the steps at the same time: neither takes from the other. */
static void walk_steps(const char *first, const char *second)
{
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		now_ns += steps[i].wait_ms * NS_PER_MS;
		assert_int_equal(is_allowed(first), steps[i].is_allowed);
		assert_int_equal(is_allowed(second), steps[i].is_allowed);
	}
}

TEST(ratelimit_allows_bursts_of_5_and_20_a_second_for_each_ipv4_address, make_empty)
{
	walk_steps("192.0.2.1", "192.0.2.2");
}

TEST(ratelimit_allows_bursts_of_5_and_20_a_second_for_each_ipv6_64, make_empty)
{
	walk_steps("2001:db8:0:1::1", "2001:db8:0:2::1");
}

/* As the kernel's self-test asks: four sources at once, one of each family and a neighbour of it;
 * before, the table was made and made again, full and empty. */
TEST(ratelimit_passes_the_49_checks_of_the_kernel, make_empty)
{
	static const char *const sources[] = {"28.0.0.1", "29.0.0.1", "2002:db8::1",
					      "2002:db8:0:1::1"};
	unsigned int checks = 0;

	for (unsigned int i = 0; i < 5; i++) {
		spend_burst(sources[i % ARRAY_SIZE(sources)]);
		make_empty(state);
		assert_int_equal(limit.used, 0);
		checks++;
	}
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		now_ns += steps[i].wait_ms * NS_PER_MS;
		for (size_t j = 0; j < ARRAY_SIZE(sources); j++, checks++)
			assert_int_equal(is_allowed(sources[j]), steps[i].is_allowed);
	}
	assert_int_equal(checks, 5 + 44);
}

TEST(ratelimit_counts_an_ipv6_64_as_one_source, make_empty)
{
	spend_burst("2001:db8:0:1::1");
	assert_false(is_allowed("2001:db8:0:1:ffff:ffff:ffff:ffff"));
	assert_true(is_allowed("2001:db8:0:2::1"));
}

TEST(ratelimit_counts_all_ports_of_an_address_as_one_source, make_empty)
{
	union endpoint source = endpoint_from("192.0.2.1", 51890);

	spend_burst("192.0.2.1");
	source.in4.sin_port = htons(1);
	assert_false(ratelimit_allow(&limit, &source, now_ns));
}

/* 1.2.3.4 and 102:304:: begin with the same bytes. */
TEST(ratelimit_distinguishes_families, make_empty)
{
	spend_burst("1.2.3.4");
	assert_true(is_allowed("102:304::"));
}

TEST(ratelimit_gives_a_token_at_50_ms_and_not_before, make_empty)
{
	spend_burst("192.0.2.1");
	now_ns += 50 * NS_PER_MS - 1;
	assert_false(is_allowed("192.0.2.1"));
	now_ns += 1;
	assert_true(is_allowed("192.0.2.1"));
}

TEST(ratelimit_saves_no_more_than_a_burst, make_empty)
{
	spend_burst("192.0.2.1");
	now_ns += 999 * NS_PER_MS;
	spend_burst("192.0.2.1");
	now_ns += 3600 * NS_PER_S;
	spend_burst("192.0.2.1");
}

static bool is_allowed_number(uint32_t number)
{
	struct address address = {.family = AF_INET};
	union endpoint source;

	put_be32(address.bytes, number);
	source = endpoint_of(&address, 51890);
	return ratelimit_allow(&limit, &source, now_ns);
}

static void fill_table(void)
{
	for (uint32_t i = 0; i < RATELIMIT_ENTRIES; i++)
		assert_true(is_allowed_number(i));
	assert_int_equal(limit.used, RATELIMIT_ENTRIES);
}

TEST(ratelimit_refuses_the_65537th_source, make_empty)
{
	assert_int_equal(RATELIMIT_ENTRIES, 65536);
	fill_table();
	assert_false(is_allowed_number(RATELIMIT_ENTRIES));
	assert_int_equal(limit.used, RATELIMIT_ENTRIES);
}

static bool is_allowed_64(uint32_t number)
{
	struct address address = {.family = AF_INET6, .bytes = {0x20, 0x01, 0x0d, 0xb8}};
	union endpoint source;

	put_be32(address.bytes + 4, number);
	source = endpoint_of(&address, 51890);
	return ratelimit_allow(&limit, &source, now_ns);
}

/* There are twenty times as many as have room. */
TEST(ratelimit_holds_65536_sources_of_both_families_in_fixed_memory, make_empty)
{
	static struct ratelimit before;
	uint32_t number = 0;

	for (; number < RATELIMIT_ENTRIES / 2; number++)
		assert_true(is_allowed_number(number) && is_allowed_64(number));
	before = limit;
	for (; number < 10 * RATELIMIT_ENTRIES; number++) {
		assert_false(is_allowed_number(number));
		assert_false(is_allowed_64(number));
	}
	assert_memory_equal(&before, &limit, sizeof(limit)); /* nobody was put out for them */
	assert_in_range(sizeof(limit), 1, 4 * 1024 * 1024);
	assert_true(is_allowed_number(0) && is_allowed_64(0));
	now_ns += NS_PER_S;
	for (number = 0; number < RATELIMIT_ENTRIES / 2; number++)
		assert_true(is_allowed_64(1000000 + number) && is_allowed_number(1000000 + number));
	assert_int_equal(limit.used_end, RATELIMIT_ENTRIES); /* those of before were used again */
}

TEST(ratelimit_serves_known_sources_when_full, make_empty)
{
	fill_table();
	assert_true(is_allowed_number(0));
	assert_true(is_allowed_number(RATELIMIT_ENTRIES - 1));
}

TEST(ratelimit_reuses_entries_that_were_idle_for_a_second, make_empty)
{
	fill_table();
	now_ns += NS_PER_S - 1;
	assert_true(is_allowed_number(7));
	assert_false(is_allowed_number(RATELIMIT_ENTRIES));
	now_ns += 1;
	assert_true(is_allowed_number(RATELIMIT_ENTRIES));
	assert_int_equal(limit.used, 2);
	now_ns += NS_PER_S;
	fill_table();
}

TEST(ratelimit_does_not_forget_a_busy_source_in_a_sweep, make_empty)
{
	spend_burst("192.0.2.1");
	for (unsigned int i = 0; i < 100; i++) {
		now_ns += 40 * NS_PER_MS;
		(void)is_allowed("192.0.2.1");
	}
	/* 100 x 40 ms are 80 tokens; a forgotten entry would start with a burst. */
	assert_true(is_allowed("192.0.2.1") + is_allowed("192.0.2.1") < 2);
}

TEST(ratelimit_is_empty_after_init, make_empty)
{
	fill_table();
	make_empty(state);
	assert_int_equal(limit.used, 0);
	fill_table();
}
