// SPDX-License-Identifier: Apache-2.0
/*
 * Addresses, prefixes and endpoints: their text forms, and the questions of containment that decide
 * where a packet may go; and the small words of util.h that they are made of.
 */
#include "address.h"
#include "values.h"

/* -- addresses -- */

TEST(address_of_either_family_is_read_and_written)
{
	static const char *const texts[] = {"0.0.0.0", "10.244.1.2", "255.255.255.255",
					    "::",      "fd00::1",    "2001:db8:1:2:3:4:5:6"};
	char text[ADDRESS_TEXT_LEN];

	for (unsigned int i = 0; i < ARRAY_SIZE(texts); i++) {
		struct address parsed = address(texts[i]);

		assert_int_equal(parsed.family, strchr(texts[i], ':') ? AF_INET6 : AF_INET);
		assert_string_equal(address_format(text, &parsed), texts[i]);
	}
}

TEST(text_that_is_no_address_is_refused)
{
	static const char *const bad[] = {"",
					  "10.244.1",
					  "10.244.1.256",
					  "10.244.1.2 ",
					  " 10.244.1.2",
					  "10.244.1.2/24",
					  "010.244.1.2.3",
					  "fd00:::1",
					  "fd00::g",
					  "[fd00::1]",
					  "fe80::1%eth0",
					  "localhost",
					  "\n"};
	struct address parsed = {.family = 77};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		if (address_parse(&parsed, bad[i]))
			fail_msg("'%s' was taken for an address", bad[i]);
		assert_int_equal(parsed.family, 77);
	}
}

TEST(addresses_of_different_families_are_never_equal)
{
	struct address ipv4 = address("0.0.0.0"), ipv6 = address("::");

	assert_false(address_is_equal(&ipv4, &ipv6));
	assert_false(address_shares_prefix(&ipv4, &ipv6, 0));
	assert_true(address_is_equal(&ipv6, &ipv6));
}

/* -- prefixes -- */

TEST(prefix_is_read_with_its_host_bits_cleared)
{
	static const struct {
		const char *given, *held;
	} prefixes[] = {
		{"10.244.1.0/24", "10.244.1.0/24"},
		{"10.244.1.77/24", "10.244.1.0/24"},
		{"10.244.1.255/25", "10.244.1.128/25"},
		{"255.255.255.255/1", "128.0.0.0/1"},
		{"255.255.255.255/0", "0.0.0.0/0"},
		{"10.244.1.2", "10.244.1.2/32"},
		{"10.244.1.2/32", "10.244.1.2/32"},
		{"fd00:1:2:3:ffff::/64", "fd00:1:2:3::/64"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/65", "ffff:ffff:ffff:ffff:8000::/65"},
		{"::1/0", "::/0"},
		{"fd00::1", "fd00::1/128"},
	};
	char text[CIDR_TEXT_LEN];

	for (unsigned int i = 0; i < ARRAY_SIZE(prefixes); i++) {
		struct cidr parsed = cidr(prefixes[i].given);

		assert_string_equal(cidr_format(text, &parsed), prefixes[i].held);
	}
}

TEST(longest_texts_fit)
{
	static const char longest[] = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
	struct cidr parsed = cidr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128");
	union endpoint endpoint = endpoint_of(&parsed.address, 65535);
	char text[CIDR_TEXT_LEN], endpoint_text[ENDPOINT_TEXT_LEN], wanted[128];

	snprintf(wanted, sizeof(wanted), "%s/128", longest);
	assert_string_equal(cidr_format(text, &parsed), wanted);
	snprintf(wanted, sizeof(wanted), "[%s]:65535", longest);
	assert_string_equal(endpoint_format(endpoint_text, &endpoint), wanted);
}

TEST(text_that_is_no_prefix_is_refused)
{
	static const char *const bad[] = {
		"",
		"/",
		"/24",
		"10.244.1.0/",
		"10.244.1.0/33",
		"10.244.1.0/-1",
		"10.244.1.0/+8",
		"10.244.1.0/ 8",
		"10.244.1.0/8 ",
		"10.244.1.0/8/8",
		"10.244.1.0/8x",
		"10.244.1.0/0x8",
		"10.244.1.0/255.255.255.0",
		"10.244.1.0/18446744073709551624",
		"10.244.1/24",
		"fd00::/129",
		"fd00::/",
		"fd00::/64\n",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
	};
	struct cidr parsed = {.prefix_len = 77};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		if (cidr_parse(&parsed, bad[i]))
			fail_msg("'%s' was taken for a prefix", bad[i]);
		assert_int_equal(parsed.prefix_len, 77);
	}
}

TEST(prefix_contains_its_addresses_and_no_others)
{
	static const struct {
		const char *cidr, *address;
		bool is_inside;
	} cases[] = {
		{"10.244.1.0/24", "10.244.1.0", true},
		{"10.244.1.0/24", "10.244.1.255", true},
		{"10.244.1.0/24", "10.244.2.0", false},
		{"10.244.1.0/24", "10.244.0.255", false},
		{"10.244.1.128/25", "10.244.1.127", false},
		{"10.244.1.128/25", "10.244.1.128", true},
		{"10.244.1.2/32", "10.244.1.2", true},
		{"10.244.1.2/32", "10.244.1.3", false},
		{"0.0.0.0/0", "255.255.255.255", true},
		{"0.0.0.0/0", "::", false},
		{"::/0", "0.0.0.0", false},
		{"fd00::/64", "fd00::ffff:ffff:ffff:ffff", true},
		{"fd00::/64", "fd00:0:0:1::", false},
		{"fd00::/63", "fd00:0:0:1::", true},
		{"fd00::1/128", "fd00::1", true},
		{"fd00::1/128", "fd00::", false},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cidr prefix = cidr(cases[i].cidr);
		struct address inner = address(cases[i].address);

		if (cidr_contains_address(&prefix, &inner) != cases[i].is_inside)
			fail_msg("%s and %s", cases[i].cidr, cases[i].address);
	}
}

TEST(containment_and_overlap_of_prefixes)
{
	struct cidr wide = cidr("10.244.0.0/16"), narrow = cidr("10.244.7.0/24"),
		    other = cidr("10.245.0.0/16");
	struct cidr all = cidr("0.0.0.0/0"), all6 = cidr("::/0");

	assert_true(cidr_contains(&wide, &narrow));
	assert_false(cidr_contains(&narrow, &wide));
	assert_true(cidr_contains(&wide, &wide));
	assert_true(cidr_overlaps(&wide, &narrow) && cidr_overlaps(&narrow, &wide));
	assert_false(cidr_overlaps(&wide, &other));
	assert_true(cidr_contains(&all, &other));
	assert_false(cidr_overlaps(&all, &all6));
}

TEST(prefixes_are_equal_only_with_length_and_family)
{
	struct cidr a = cidr("10.0.0.0/8"), b = cidr("10.0.0.0/16"), c = cidr("0a00::/8"),
		    d = cidr("10.1.2.3/8");

	assert_false(cidr_is_equal(&a, &b));
	assert_false(cidr_is_equal(&a, &c));
	assert_true(cidr_is_equal(&a, &d));
}

TEST(address_alone_is_the_longest_prefix)
{
	struct address ipv4 = address("10.244.1.2"), ipv6 = address("fd00::1");

	assert_int_equal(cidr_of_address(&ipv4).prefix_len, 32);
	assert_int_equal(cidr_of_address(&ipv6).prefix_len, 128);
}

/* -- endpoints -- */

TEST(endpoint_keeps_address_and_port)
{
	static const struct {
		const char *address, *text;
		socklen_t len;
	} cases[] = {
		{"192.0.2.1", "192.0.2.1:51890", sizeof(struct sockaddr_in)},
		{"fd00::1", "[fd00::1]:51890", sizeof(struct sockaddr_in6)},
	};
	char text[ENDPOINT_TEXT_LEN];

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct address given = address(cases[i].address), kept;
		union endpoint endpoint = endpoint_of(&given, 51890);

		kept = endpoint_address(&endpoint);
		assert_true(address_is_equal(&given, &kept));
		assert_int_equal(endpoint_port(&endpoint), 51890);
		assert_int_equal(endpoint_len(&endpoint), cases[i].len);
		assert_string_equal(endpoint_format(text, &endpoint), cases[i].text);
	}
}

TEST(endpoints_differ_by_address_port_and_scope)
{
	struct address one = address("fe80::1"), two = address("fe80::2"),
		       ipv4 = address("192.0.2.1");
	union endpoint a = endpoint_of(&one, 1), b = endpoint_of(&one, 1), c = endpoint_of(&two, 1);
	union endpoint d = endpoint_of(&one, 2), e = endpoint_of(&ipv4, 1);

	assert_true(endpoint_is_equal(&a, &b));
	assert_false(endpoint_is_equal(&a, &c));
	assert_false(endpoint_is_equal(&a, &d));
	assert_false(endpoint_is_equal(&a, &e));
	b.in6.sin6_scope_id = 3;
	assert_false(endpoint_is_equal(&a, &b));
}

/* -- util.h -- */

TEST(numbers_are_in_the_byte_order_of_the_wire)
{
	uint8_t bytes[9] = {0};

	put_be16(bytes + 1, 0x0102);
	assert_memory_equal(bytes + 1, "\x01\x02", 2);
	assert_int_equal(get_be16(bytes + 1), 0x0102);
	put_be32(bytes + 1, 0x01020304);
	assert_memory_equal(bytes + 1, "\x01\x02\x03\x04", 4);
	assert_int_equal(get_be32(bytes + 1), 0x01020304);
	put_be64(bytes + 1, 0x0102030405060708);
	assert_memory_equal(bytes + 1, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
	put_le32(bytes + 1, 0x01020304);
	assert_memory_equal(bytes + 1, "\x04\x03\x02\x01", 4);
	assert_int_equal(get_le32(bytes + 1), 0x01020304);
	put_le64(bytes + 1, 0x0102030405060708);
	assert_memory_equal(bytes + 1, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
	assert_int_equal(get_le64(bytes + 1), 0x0102030405060708);
}

TEST(text_that_does_not_fit_is_cut_and_said_so)
{
	char copy[4] = "xyz";

	assert_true(copy_text(copy, sizeof(copy), "abc"));
	assert_string_equal(copy, "abc");
	assert_false(copy_text(copy, sizeof(copy), "abcd"));
	assert_string_equal(copy, "abc");
	assert_true(copy_text(copy, sizeof(copy), ""));
	assert_string_equal(copy, "");
}

TEST(what_is_taken_is_owned_once)
{
	void *memory = copy_text, *taken = TAKE_PTR(memory);
	int fd = 5, taken_fd = TAKE_FD(fd);

	assert_null(memory);
	assert_non_null(taken);
	assert_int_equal(fd, -1);
	assert_int_equal(taken_fd, 5);
	assert_int_equal(ROUND_UP(1, 16), 16);
	assert_int_equal(ROUND_UP(16, 16), 16);
	assert_int_equal(ROUND_UP(0, 16), 0);
}
