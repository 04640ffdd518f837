// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/cluster/bypass.c: addresses with a port, from text to the map's key and back, and the
 * difference of two lists.
 */
#include "cluster/bypass.h"
#include "test.h"

static struct bypass_key key_of(const char *text)
{
	struct bypass_key key;

	assert_true(bypass_parse(&key, text));
	return key;
}

TEST(bypass_key_holds_both_families)
{
	static const uint8_t mapped[16] = {[10] = 0xff, 0xff, 10, 96, 0, 1};
	struct bypass_key v4 = key_of("10.96.0.1:443"), v6 = key_of("[fd00:10:96::1]:6443");

	assert_memory_equal(v4.address, mapped, 16);
	assert_int_equal(ntohs(v4.port), 443);
	assert_int_equal(v4.zero, 0);
	assert_int_equal(v6.address[0], 0xfd);
	assert_int_equal(ntohs(v6.port), 6443);
}

TEST(bypass_text_comes_back_as_it_was)
{
	static const char *const texts[] = {"10.96.0.1:443", "[fd00:10:96::1]:6443",
					    "255.255.255.254:65535"};

	for (unsigned int i = 0; i < ARRAY_SIZE(texts); i++) {
		struct bypass_key key = key_of(texts[i]);
		char text[BYPASS_TEXT_LEN];

		assert_string_equal(bypass_format(text, &key), texts[i]);
	}
}

TEST(bypass_that_is_no_address_with_a_port_is_refused)
{
	static const char *const texts[] = {
		"",
		"10.0.0.1",
		"10.0.0.1:",
		"10.0.0.1:0",
		"10.0.0.1:65536",
		"10.0.0.1:+80",
		"10.0.0.1: 80",
		"10.0.0.1:80x",
		"10.0.0.1:000080",
		"host:443",
		"fd00::1:443",
		"[fd00::1]",
		"[fd00::1]443",
		"[fd00::1:443",
		"[10.0.0.1]:443",
		":443",
		"[]:443",
		"10.0.0.1:443:1",
		"10.0.0:443",
		"[::ffff:10.0.0.1]:443",
		"[fd00:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]:443",
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(texts); i++) {
		struct bypass_key key = {.zero = 7};

		assert_false(bypass_parse(&key, texts[i]));
		assert_int_equal(key.zero, 7);
	}
}

TEST(bypass_of_a_special_address_is_named)
{
	struct bypass_key loopback = key_of("127.0.0.1:80"), multicast = key_of("[ff02::1]:80"),
			  good = key_of("10.0.0.1:80");

	assert_string_equal(bypass_special_name(&loopback), "loopback");
	assert_string_equal(bypass_special_name(&multicast), "multicast");
	assert_null(bypass_special_name(&good));
}

static struct bypass_entry entry_of(const char *text, enum bypass_value value)
{
	return (struct bypass_entry){key_of(text), value};
}

static void assert_change(const struct bypass_change *change, const struct bypass_entry *entry,
			  bool is_removal)
{
	assert_int_equal(change->is_removal, is_removal);
	assert_memory_equal(&change->entry.key, &entry->key, sizeof(entry->key));
	assert_int_equal(change->entry.value, entry->value);
}

TEST(bypass_additions_come_before_removals)
{
	struct bypass_entry have[] = {entry_of("10.0.0.1:443", BYPASS_TCP),
				      entry_of("10.0.0.2:443", BYPASS_TCP)};
	struct bypass_entry wanted[] = {entry_of("10.0.0.2:443", BYPASS_TCP),
					entry_of("10.0.0.2:444", BYPASS_TCP),
					entry_of("10.0.0.3:443", BYPASS_PROBE)};
	struct bypass_change changes[5];

	assert_int_equal(bypass_diff(wanted, 3, have, 2, changes), 3);
	assert_change(&changes[0], &wanted[1], false);
	assert_change(&changes[1], &wanted[2], false);
	assert_change(&changes[2], &have[0], true);
}

TEST(bypass_that_opens_less_comes_after_one_that_opens_more)
{
	struct bypass_entry have[] = {entry_of("10.0.0.1:443", BYPASS_TCP_UDP),
				      entry_of("[fd00::1]:443", BYPASS_PROBE),
				      entry_of("10.0.0.3:443", BYPASS_TCP)};
	struct bypass_entry wanted[] = {entry_of("10.0.0.1:443", BYPASS_TCP),
					entry_of("[fd00::1]:443", BYPASS_TCP),
					entry_of("10.0.0.3:443", BYPASS_TCP)};
	struct bypass_change changes[6];

	assert_int_equal(bypass_diff(wanted, 3, have, 3, changes), 2);
	assert_change(&changes[0], &wanted[1], false);
	assert_change(&changes[1], &wanted[0], false);
}

TEST(bypass_value_of_a_later_version_is_replaced_or_removed)
{
	struct bypass_entry have[] = {entry_of("10.0.0.1:443", (enum bypass_value)77),
				      entry_of("10.0.0.2:443", (enum bypass_value)77)};
	struct bypass_entry wanted[] = {entry_of("10.0.0.1:443", BYPASS_TCP)};
	struct bypass_change changes[3];

	assert_int_equal(bypass_diff(wanted, 1, have, 2, changes), 2);
	assert_change(&changes[0], &wanted[0], false);
	assert_change(&changes[1], &have[1], true);
}

TEST(bypass_equal_lists_need_no_change)
{
	struct bypass_entry entries[] = {entry_of("10.0.0.1:443", BYPASS_TCP),
					 entry_of("[fd00::1]:443", BYPASS_TCP_UDP)};
	struct bypass_change changes[4];

	assert_int_equal(bypass_diff(entries, 2, entries, 2, changes), 0);
	assert_int_equal(bypass_diff(entries, 0, entries, 0, changes), 0);
}
