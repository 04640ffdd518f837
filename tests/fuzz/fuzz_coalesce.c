// SPDX-License-Identifier: Apache-2.0
/*
 * Packets of a few flows, merged for the TUN and segmented again as the kernel would do it: every
 * packet comes back, byte for byte (except for ids without meaning), and those of one flow in order
 * of arrival. No packet with a wrong checksum is marked as verified.
 */
#include "cursor.h"
#include "packet/coalesce.h"
#include "packet/inner.h"
#include "packet/segment.h"
#include "unit/packets.h"
#include "unit/segment_packet.h"

#define PACKETS_MAX 96

static struct packet {
	uint8_t *bytes; /* the coalescer writes here */
	uint8_t *original;
	size_t len;
	bool is_written;
} packets[PACKETS_MAX];
static unsigned int count, written;

/* The next values of each flow. */
static uint32_t sequences[4];
static uint16_t ids[4];

/* Compares ports and addresses, as far as the packet includes them. */
static bool is_same_flow(const struct packet *packet, const uint8_t *other, size_t len)
{
	const uint8_t *bytes = packet->original;
	size_t at = bytes[0] >> 4 == 4 ? 12 : 8, addresses_len = bytes[0] >> 4 == 4 ? 8 : 32;
	size_t protocol = bytes[0] >> 4 == 4 ? 9 : 6;
	size_t shown = MIN(packet->len, at + addresses_len + 4);

	return MIN(len, at + addresses_len + 4) == shown && bytes[0] == other[0] &&
	       bytes[protocol] == other[protocol] && !memcmp(bytes + at, other + at, shown - at);
}

static void forget_id(uint8_t *packet)
{
	if (packet[0] >> 4 != 4 || !(packet[6] & 0x40))
		return;
	put_be16(packet + 4, 0);
	put_be16(packet + 10, 0);
}

static bool is_same_packet(const struct packet *packet, const uint8_t *other, size_t len)
{
	uint8_t *a, *b;
	bool is_same;

	if (packet->len != len)
		return false;
	a = copy_bytes(packet->original, len);
	b = copy_bytes(other, len);
	forget_id(a);
	forget_id(b);
	is_same = !memcmp(a, b, len);
	free(a);
	free(b);
	return is_same;
}

/* The oldest packet of its flow that has not been written. */
static void check_packet(const uint8_t *bytes, size_t len)
{
	for (unsigned int i = 0; i < count; i++) {
		struct packet *packet = &packets[i];

		if (packet->is_written || !is_same_flow(packet, bytes, len))
			continue;
		MUST(is_same_packet(packet, bytes, len));
		packet->is_written = true;
		written++;
		return;
	}
	MUST(false);
}

static void cut_again(const struct virtio_net_hdr *vnet, const uint8_t *super, size_t len,
		      unsigned int expected)
{
	struct segmenter segmenter;
	uint8_t packet[PACKET_MAX];
	size_t packet_len;

	MUST(vnet->gso_type == VIRTIO_NET_HDR_GSO_NONE || expected > 1);
	if (expected == 1) {
		check_packet(super, len);
		return;
	}
	MUST(segment_packet(&segmenter, vnet, super, len, PACKET_MAX) == SEGMENT_READY);
	MUST(segmenter.count == expected);
	while ((packet_len = segment_next(&segmenter, packet)))
		check_packet(packet, packet_len);
}

static void take_write(void *context, const struct iovec *vector, unsigned int pieces,
		       unsigned int expected)
{
	static uint8_t super[PACKET_MAX];
	size_t len = 0;

	(void)context;
	MUST(vector[0].iov_len == sizeof(struct virtio_net_hdr));
	for (unsigned int i = 1; i < pieces; i++) {
		MUST(len + vector[i].iov_len <= UINT16_MAX);
		memcpy(super + len, vector[i].iov_base, vector[i].iov_len);
		len += vector[i].iov_len;
	}
	cut_again(vector[0].iov_base, super, len, expected);
}

/* Most packets continue the flow of the one before. */
static struct shape choose_shape(struct cursor *cursor)
{
	uint8_t how = take_8(cursor), flow = how & 3;
	struct shape shape = {
		.version = flow & 1 ? 6 : 4,
		.protocol = flow & 2 ? IPPROTO_UDP : IPPROTO_TCP,
		.payload_len = how & 4 ? 100 : take_8(cursor),
		.fragment = how & 8 ? 0x4000 : 0,
		.port = how & 16 ? 80 : 0,
	};

	shape.sequence = sequences[flow];
	shape.id = ids[flow]++;
	if (how & 32) {
		uint8_t oddity = take_8(cursor);

		shape.flags = oddity & 1 ? ACK | PSH : oddity & 2 ? ACK | FIN : ACK;
		shape.tos = oddity & 4;
		shape.hops = oddity & 8 ? 9 : 0;
		shape.acknowledged = oddity >> 4 & 3;
		shape.sequence += oddity >> 6;
	}
	sequences[flow] = shape.sequence + (uint32_t)shape.payload_len;
	return shape;
}

static void add_packet(struct coalescer *coalescer, struct cursor *cursor)
{
	uint8_t bytes[PACKET_MAX], spoil = take_8(cursor);
	struct shape shape = choose_shape(cursor);
	size_t len = build(bytes, &shape);
	struct packet *packet = &packets[count];

	if (spoil >= 240)
		bytes[take_8(cursor) % len] ^= take_8(cursor);
	*packet = (struct packet){copy_bytes(bytes, len), copy_bytes(bytes, len), len, false};
	if (inner_len(bytes, len) != len) { /* receive.c passes no other packets on */
		free(packet->bytes);
		free(packet->original);
		return;
	}
	count++;
	coalesce_add(coalescer, packet->bytes, len);
	if (spoil < 16)
		coalesce_flush(coalescer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cursor cursor = {data, len};
	static struct coalescer coalescer;

	count = written = 0;
	memset(sequences, 0, sizeof(sequences));
	memset(ids, 0, sizeof(ids));
	coalesce_init(&coalescer, take_write, NULL, true, true);
	while (cursor.left && count < PACKETS_MAX)
		add_packet(&coalescer, &cursor);
	coalesce_flush(&coalescer);
	MUST(written == count);
	while (count--) {
		free(packets[count].bytes);
		free(packets[count].original);
	}
	return 0;
}
