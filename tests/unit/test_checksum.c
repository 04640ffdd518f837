/* SPDX-License-Identifier: Apache-2.0 */
/* checksum.c against the definition in RFC 1071, computed two bytes at a time. */
#include "packet/checksum.h"
#include "packets.h"

static uint8_t data[70000], copy[70000];

static void fill(void)
{
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)any(256);
}

static uint16_t finished(uint64_t sum)
{
	uint8_t field[2];

	checksum_put_partial(field, sum);
	return get_be16(field);
}

TEST(checksum_of_the_rfc_example_is_right)
{
	static const uint8_t example[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

	assert_int_equal(finished(checksum_sum(example, sizeof(example))), 0xddf2);
}

TEST(sum_is_right_for_every_short_length_and_alignment)
{
	fill();
	for (size_t len = 0; len < 200; len++)
		for (size_t at = 0; at < 64; at++)
			assert_int_equal(finished(checksum_sum(data + at, len)),
					 naive_sum(0, data + at, len));
}

TEST(sum_is_right_up_to_the_largest_packet)
{
	fill();
	for (size_t len = 200; len <= 65600; len += 1 + any(300))
		assert_int_equal(finished(checksum_sum(data + len % 7, len)),
				 naive_sum(0, data + len % 7, len));
}

TEST(sum_of_all_ones_loses_no_carry)
{
	memset(data, 0xff, sizeof(data));
	for (size_t len = 65000; len < 65600; len++)
		assert_int_equal(finished(checksum_sum(data, len)), naive_sum(0, data, len));
}

TEST(copy_sums_and_copies_exactly_its_length)
{
	fill();
	for (size_t len = 0; len < 3000; len += 1 + any(3)) {
		memset(copy, 0xa5, sizeof(copy));
		assert_int_equal(finished(checksum_copy(copy + 3, data + 1, len)),
				 naive_sum(0, data + 1, len));
		assert_memory_equal(copy + 3, data + 1, len);
		assert_int_equal(copy[2], 0xa5);
		assert_int_equal(copy[3 + len], 0xa5);
	}
}

TEST(sums_of_even_pieces_add_up)
{
	fill();
	for (size_t cut = 0; cut <= 1400; cut += 2)
		assert_int_equal(
			finished(checksum_sum(data, cut) + checksum_sum(data + cut, 1401 - cut)),
			naive_sum(0, data, 1401));
}

TEST(pseudo_header_is_that_of_both_families)
{
	uint8_t packet[PACKET_MAX];

	for (uint8_t version = 4; version <= 6; version += 2) {
		build(packet, &(struct shape){.version = version, .payload_len = 100});
		for (size_t len = 0; len <= 65535; len += 257)
			assert_int_equal(finished(checksum_pseudo(packet, IPPROTO_UDP, len)),
					 naive_pseudo(packet, IPPROTO_UDP, len));
	}
}

TEST(transport_checksum_is_never_written_as_zero)
{
	uint8_t field[2];

	checksum_put(field, 0xffff);
	assert_int_equal(get_be16(field), 0);
	checksum_put_transport(field, 0xffff);
	assert_int_equal(get_be16(field), 0xffff);
	checksum_put_transport(field, htobe16(0x1234));
	assert_int_equal(get_be16(field), 0xedcb);
}

TEST(wrong_bit_anywhere_makes_the_checksum_invalid)
{
	uint8_t packet[PACKET_MAX];
	size_t len = build(packet, &(struct shape){.version = 4, .payload_len = 77});

	assert_true(checksum_is_valid(checksum_sum(packet, 20)));
	for (size_t bit = 20 * 8; bit < len * 8; bit++) {
		packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(checksum_is_valid(checksum_pseudo(packet, IPPROTO_TCP, len - 20) +
					       checksum_sum(packet + 20, len - 20)));
		packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}
