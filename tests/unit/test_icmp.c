/* SPDX-License-Identifier: Apache-2.0 */
/*
 * icmp.c: the content and the receiver of an error, the quotation in it, and the packets that it
 * must not answer.
 */
#include "packet/icmp.h"

#include "packets.h"

static const uint8_t destination_options[] = {58, 0, 1, 4, 0, 0, 0, 0};
static const uint8_t first_fragment[] = {17, 0, 0, 1, 0, 0, 0, 1};
static const uint8_t later_fragment[] = {17, 0, 0, 16, 0, 0, 0, 1};

static uint8_t packet[PACKET_MAX], error[ICMP_ERROR_MAX];

static size_t too_big(const struct shape *shape)
{
	memset(error, 0xa5, sizeof(error));
	return icmp_create_too_big(error, packet, build(packet, shape), 1420);
}

/* Everything of an IPv4 error but type, code and value. */
static void assert_error4(size_t len, size_t quoted_len)
{
	assert_int_equal(len, 20 + 8 + quoted_len);
	assert_ip_is_right(error, len);
	assert_int_equal(error[0], 0x45);
	assert_int_equal(get_be16(error + 6), 0x4000);
	assert_true(error[8] > 1);
	assert_int_equal(error[9], IPPROTO_ICMP);
	assert_memory_equal(error + 12, packet + 16, 4);
	assert_memory_equal(error + 16, packet + 12, 4);
	assert_int_equal(naive_sum(0, error + 20, len - 20), 0xffff);
	assert_memory_equal(error + 28, packet, quoted_len);
}

static void assert_error6(size_t len, size_t quoted_len)
{
	assert_int_equal(len, 40 + 8 + quoted_len);
	assert_ip_is_right(error, len);
	assert_int_equal(error[0] >> 4, 6);
	assert_int_equal(error[6], IPPROTO_ICMPV6);
	assert_true(error[7] > 1);
	assert_memory_equal(error + 8, packet + 24, 16);
	assert_memory_equal(error + 24, packet + 8, 16);
	assert_transport_is_right(error, len, 40, IPPROTO_ICMPV6);
	assert_memory_equal(error + 48, packet, quoted_len);
}

TEST(fragmentation_needed_names_the_mtu)
{
	struct shape shape = {
		.version = 4, .protocol = IPPROTO_UDP, .fragment = 0x4000, .payload_len = 1472};

	assert_error4(too_big(&shape), 576 - 28);
	assert_int_equal(error[20], 3);
	assert_int_equal(error[21], 4);
	assert_int_equal(get_be16(error + 24), 0);
	assert_int_equal(get_be16(error + 26), 1420);
}

TEST(packet_too_big_names_the_mtu)
{
	struct shape shape = {.version = 6, .protocol = IPPROTO_UDP, .payload_len = 1452};

	assert_error6(too_big(&shape), 1280 - 48);
	assert_int_equal(error[40], 2);
	assert_int_equal(error[41], 0);
	assert_int_equal(get_be32(error + 44), 1420);
}

TEST(unreachable_is_said_in_both_families)
{
	struct shape shape = {.version = 4, .payload_len = 40};

	assert_error4(icmp_create_unreachable(error, packet, build(packet, &shape)), 80);
	assert_int_equal(error[20], 3);
	assert_int_equal(error[21], 1);
	assert_int_equal(get_be32(error + 24), 0);
	shape.version = 6;
	assert_error6(icmp_create_unreachable(error, packet, build(packet, &shape)), 100);
	assert_int_equal(error[40], 1);
	assert_int_equal(error[41], 3);
	assert_int_equal(get_be32(error + 44), 0);
}

TEST(short_packets_are_quoted_whole_for_every_length)
{
	for (size_t length = 0; length < 1300; length++) {
		struct shape shape = {.version = 4, .protocol = IPPROTO_UDP, .payload_len = length};

		assert_error4(too_big(&shape), MIN(28 + length, 548U));
		shape.version = 6;
		assert_error6(too_big(&shape), MIN(48 + length, 1232U));
	}
}

TEST(padding_is_not_quoted)
{
	struct shape shape = {.version = 4, .protocol = IPPROTO_UDP, .payload_len = 1};
	size_t len = build(packet, &shape);

	memset(packet + len, 0xee, 17);
	assert_error4(icmp_create_unreachable(error, packet, len + 17), len);
}

TEST(errors_are_never_answered)
{
	static const uint8_t errors4[] = {3, 4, 5, 11, 12, 1, 2, 6, 7, 19, 30, 41, 255};
	static const uint8_t errors6[] = {0, 1, 2, 3, 4, 100, 127, 137};
	struct shape shape = {.version = 4, .protocol = IPPROTO_ICMP, .payload_len = 1472};
	size_t len = build(packet, &shape);

	for (size_t i = 0; i < ARRAY_SIZE(errors4); i++) {
		packet[20] = errors4[i];
		assert_int_equal(icmp_create_too_big(error, packet, len, 1420), 0);
	}
	shape.version = 6;
	shape.protocol = IPPROTO_ICMPV6;
	len = build(packet, &shape);
	for (size_t i = 0; i < ARRAY_SIZE(errors6); i++) {
		packet[40] = errors6[i];
		assert_int_equal(icmp_create_unreachable(error, packet, len), 0);
	}
	shape.extra = destination_options;
	shape.extra_len = sizeof(destination_options);
	shape.first_next = 60;
	len = build(packet, &shape);
	packet[48] = 1;
	assert_int_equal(icmp_create_unreachable(error, packet, len), 0);
	packet[48] = 128;
	assert_true(icmp_create_unreachable(error, packet, len) > 0);
}

TEST(echo_requests_and_replies_are_answered)
{
	struct shape shape = {
		.version = 4, .protocol = IPPROTO_ICMP, .fragment = 0x4000, .payload_len = 1472};
	size_t len = build(packet, &shape);

	for (uint8_t type = 0; type <= 8; type = (uint8_t)(type + 8)) {
		packet[20] = type;
		assert_error4(icmp_create_too_big(error, packet, len, 1420), 548);
	}
	shape.version = 6;
	shape.protocol = IPPROTO_ICMPV6;
	len = build(packet, &shape);
	for (uint8_t type = 128; type <= 129; type++) {
		packet[40] = type;
		assert_error6(icmp_create_too_big(error, packet, len, 1420), 1232);
	}
}

TEST(first_fragment_alone_is_answered)
{
	struct shape shape = {
		.version = 4, .protocol = IPPROTO_UDP, .fragment = 0x2000, .payload_len = 1472};

	assert_error4(too_big(&shape), 548);
	shape.fragment = 0x2001;
	assert_int_equal(too_big(&shape), 0);
	shape = (struct shape){.version = 6, .extra_len = 8, .first_next = 44, .payload_len = 1400};
	shape.extra = first_fragment;
	assert_error6(too_big(&shape), 1232);
	shape.extra = later_fragment;
	assert_int_equal(too_big(&shape), 0);
}

TEST(icmp_error_in_a_first_fragment_is_not_answered)
{
	struct shape shape = {
		.version = 4, .protocol = IPPROTO_ICMP, .fragment = 0x2000, .payload_len = 1472};
	size_t len = build(packet, &shape);

	packet[20] = 3;
	assert_int_equal(icmp_create_too_big(error, packet, len, 1420), 0);
}

TEST(addresses_that_are_nobodys_are_not_answered)
{
	static const uint8_t bad4[][4] = {{0, 0, 0, 0},	       {0, 1, 2, 3},	 {127, 0, 0, 1},
					  {224, 0, 0, 1},      {239, 255, 0, 1}, {240, 0, 0, 1},
					  {255, 255, 255, 255}};
	static const uint8_t bad6[][16] = {
		{0}, {[15] = 1}, {0xff, 2, [15] = 1}, {0xff, 5, [15] = 2}};
	struct shape shape = {.version = 4, .protocol = IPPROTO_UDP, .payload_len = 1472};
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(bad4); i++)
		for (size_t at = 12; at <= 16; at += 4) {
			len = build(packet, &shape);
			memcpy(packet + at, bad4[i], 4);
			assert_int_equal(icmp_create_too_big(error, packet, len, 1420), 0);
		}
	shape.version = 6;
	for (size_t i = 0; i < ARRAY_SIZE(bad6); i++)
		for (size_t at = 8; at <= 24; at += 16) {
			len = build(packet, &shape);
			memcpy(packet + at, bad6[i], 16);
			assert_int_equal(icmp_create_too_big(error, packet, len, 1420), 0);
		}
}

TEST(mtu_beyond_the_field_is_clipped)
{
	struct shape shape = {.version = 4, .payload_len = 100};

	assert_error4(icmp_create_too_big(error, packet, build(packet, &shape), 70000), 140);
	assert_int_equal(get_be32(error + 24), 65535);
}

TEST(packet_too_big_never_names_less_than_ipv6_takes)
{
	struct shape shape = {.version = 6, .payload_len = 100};

	assert_true(icmp_create_too_big(error, packet, build(packet, &shape), 1220) > 0);
	assert_int_equal(get_be32(error + 44), 1280);
	shape.version = 4;
	assert_true(icmp_create_too_big(error, packet, build(packet, &shape), 1220) > 0);
	assert_int_equal(get_be16(error + 26), 1220);
}

TEST(no_mutation_reads_or_writes_outside)
{
	for (int i = 0; i < 200000; i++) {
		struct shape shape = {.version = any(2) ? 4 : 6,
				      .protocol = any(2) ? IPPROTO_ICMP : IPPROTO_ICMPV6,
				      .payload_len = any(100)};
		size_t len = build(packet, &shape);
		uint8_t *exact, *answer = malloc(ICMP_ERROR_MAX);

		for (uint32_t n = any(4); n; n--)
			packet[any(64)] = (uint8_t)any(256);
		len = any(3) ? len : 1 + any((uint32_t)len);
		exact = malloc(len);
		assert_non_null(exact);
		assert_non_null(answer);
		memcpy(exact, packet, len);
		assert_in_range(icmp_create_too_big(answer, exact, len, 1420), 0, ICMP_ERROR_MAX);
		free(exact);
		free(answer);
	}
}
