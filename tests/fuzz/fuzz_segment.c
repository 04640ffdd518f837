// SPDX-License-Identifier: Apache-2.0
/*
 * Packets from the TUN with any virtio header. The segments of a packet fit, are complete, and have
 * correct lengths and checksums, and their payloads together are the payload of the packet (or its
 * fragments, with their offsets). A packet that cannot be sent is answered by a complete ICMP
 * error, or by none.
 */
#include "cursor.h"
#include "packet/icmp.h"
#include "packet/inner.h"
#include "packet/segment.h"
#include "unit/packets.h"
#include "unit/segment_packet.h"

#define BYTES_MAX 4000

struct input {
	uint8_t *packet;
	size_t len, mtu;
	struct virtio_net_hdr vnet;
};

/* Makes lengths and checksum fields consistent with the packet if the input asks for it. */
static void dress(struct input *input, struct cursor *cursor)
{
	uint8_t how = take_8(cursor), *packet = input->packet;
	size_t ip_len = packet[0] >> 4 == 4 ? (packet[0] & 15) * 4U : 40;
	bool is_tcp = how & 2;

	if (!(how & 1) || input->len < ip_len + 20)
		return;
	if (packet[0] >> 4 == 4) {
		put_be16(packet + 2, (uint16_t)input->len);
		packet[9] = is_tcp ? IPPROTO_TCP : IPPROTO_UDP;
		packet[6] &= how & 4 ? 0x40 : 0xff;
		packet[7] &= how & 4 ? 0 : 0xff;
	} else {
		packet[0] = 0x60 | (packet[0] & 15);
		put_be16(packet + 4, (uint16_t)(input->len - 40));
		packet[6] = is_tcp ? IPPROTO_TCP : IPPROTO_UDP;
	}
	if (is_tcp && how & 8)
		packet[ip_len + 12] = 0x50;
	if (is_tcp && how & 16)
		packet[ip_len + 13] = 0x10;
	input->vnet.flags = how & 32 ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0;
	input->vnet.csum_start = (uint16_t)ip_len;
	input->vnet.csum_offset = is_tcp ? 16 : 6;
	if (how & 64)
		input->vnet.gso_type = !is_tcp		     ? VIRTIO_NET_HDR_GSO_UDP_L4
				       : packet[0] >> 4 == 4 ? VIRTIO_NET_HDR_GSO_TCPV4
							     : VIRTIO_NET_HDR_GSO_TCPV6;
}

static struct input choose_input(struct cursor *cursor)
{
	struct input input = {.mtu = take_16(cursor) % 2000 + 576};

	input.vnet.flags = take_8(cursor);
	input.vnet.gso_type = take_8(cursor);
	input.vnet.gso_size = take_16(cursor);
	input.vnet.csum_start = take_16(cursor);
	input.vnet.csum_offset = take_16(cursor);
	input.len = take_16(cursor) % BYTES_MAX;
	input.packet = take_copy(cursor, input.len);
	if (input.len >= 60)
		dress(&input, cursor);
	return input;
}

/* The length of the repeated header, and the offset of the bytes after it in the original. */
struct piece {
	size_t head_len, offset;
};

static struct piece find_piece(const struct segmenter *segmenter, const uint8_t *packet,
			       size_t done_len)
{
	const size_t head_len = (size_t)segmenter->ip_len + segmenter->fragment_header_len;

	if (!segmenter->is_fragmenting)
		return (struct piece){segmenter->protocol ? segmenter->head_len : 0, done_len};
	if (segmenter->ip_version == 4)
		return (struct piece){head_len, (get_be16(packet + 6) & 0x1fff) * 8U};
	return (struct piece){head_len, get_be16(packet + head_len - 6) & 0xfff8};
}

static void check_checksums(const struct segmenter *segmenter, const uint8_t *packet, size_t len)
{
	size_t ip_len = segmenter->ip_len;

	if (segmenter->ip_version == 4 && (segmenter->protocol || segmenter->is_fragmenting))
		MUST(naive_sum(0, packet, ip_len) == 0xffff);
	if (segmenter->protocol && !segmenter->is_fragmenting && segmenter->needs_checksum)
		MUST(naive_sum(naive_pseudo(packet, segmenter->protocol, len - ip_len),
			       packet + ip_len, len - ip_len) == 0xffff);
}

/* A plain packet or TCP: the payload is unchanged and complete. */
static void check_pieces(struct segmenter *segmenter, const struct input *input)
{
	bool is_comparable = segmenter->protocol == IPPROTO_TCP ||
			     (segmenter->protocol && !segmenter->is_fragmenting);
	size_t len, done_len = 0, head_len = segmenter->head_len;
	uint32_t count = 0;

	while ((len = segment_peek_len(segmenter))) {
		uint8_t *packet = malloc(len);
		struct piece piece;
		struct inner inner;

		MUST(packet && len <= input->mtu && segment_next(segmenter, packet) == len);
		MUST(inner_parse(&inner, packet, len) && inner.len == len);
		piece = find_piece(segmenter, packet, done_len);
		check_checksums(segmenter, packet, len);
		if (is_comparable)
			MUST(!memcmp(packet + piece.head_len, input->packet + head_len + done_len,
				     len - piece.head_len));
		done_len += len - piece.head_len;
		count++;
		free(packet);
	}
	MUST(count == segmenter->count);
	if (is_comparable)
		MUST(done_len == segmenter->len - head_len);
}

/* The fragments of one packet follow each other without a gap and end with its last byte. */
static void check_fragments(struct segmenter *segmenter, const struct input *input)
{
	size_t transport_len = segmenter->len - segmenter->ip_len, expected, len;
	uint8_t *packet = malloc(input->mtu);
	bool is_first = true;

	for (expected = 0; (len = segment_next(segmenter, packet)); is_first = false) {
		struct piece piece = find_piece(segmenter, packet, 0);

		MUST(len <= input->mtu && len > piece.head_len);
		if (is_first)
			expected = piece.offset;
		MUST(piece.offset == expected);
		expected += len - piece.head_len;
		transport_len -= len - piece.head_len;
		check_checksums(segmenter, packet, len);
	}
	MUST(!transport_len);
	free(packet);
}

static void check_icmp(const struct input *input)
{
	uint8_t error[ICMP_ERROR_MAX];
	struct inner inner;
	size_t len;

	for (unsigned int i = 0; i < 2; i++) {
		len = i ? icmp_create_unreachable(error, input->packet, input->len)
			: icmp_create_too_big(error, input->packet, input->len,
					      (uint32_t)input->mtu);
		MUST(len <= ICMP_ERROR_MAX);
		if (!len)
			continue;
		MUST(inner_parse(&inner, error, len) && inner.len == len);
		MUST(naive_sum(inner.version == 4 ? 0
						  : naive_pseudo(error, IPPROTO_ICMPV6, len - 40),
			       error + inner.ip_len, len - inner.ip_len) == 0xffff);
		MUST(!icmp_create_unreachable((uint8_t[ICMP_ERROR_MAX]){0}, error, len));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cursor cursor = {data, len};
	struct input input = choose_input(&cursor);
	struct segmenter segmenter;

	check_icmp(&input);
	if (segment_packet(&segmenter, &input.vnet, input.packet, input.len, input.mtu) ==
	    SEGMENT_READY) {
		MUST(segmenter.count);
		if (segmenter.is_fragmenting && !segmenter.protocol)
			check_fragments(&segmenter, &input);
		else
			check_pieces(&segmenter, &input);
	}
	free(input.packet);
	return 0;
}
