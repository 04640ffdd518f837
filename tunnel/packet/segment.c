/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splits a packet of the TUN into packets that fit the tunnel. TCP is segmented like the kernel's
 * GSO (tcp_gso_segment), UDP like __udp_gso_segment; IPv4 fragments follow RFC 791, IPv6 fragments
 * RFC 8200 section 4.5. A pod wrote the packet: lengths are checked before every read, and a wrong
 * checksum of the sender is never repaired by segmenting.
 */
#include "segment.h"

#include "checksum.h"

#define TCP_LEN_MIN	    20
#define TCP_CHECKSUM_OFFSET 16
#define UDP_LEN		    8
#define UDP_CHECKSUM_OFFSET 6
#define FRAGMENT_UNIT	    8
#define IP6_FRAGMENT_LEN    8
#define IP6_FRAGMENT_OFFSET 0xfff8 /* in bytes */
#define IP6_MORE_FRAGMENTS  0x0001

enum {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_URG = 0x20,
	TCP_CWR = 0x80
};

enum { TCP_OPTION_END = 0, TCP_OPTION_NOP = 1, TCP_OPTION_MD5 = 19, TCP_OPTION_AO = 29 };

enum { IP4_OPTION_END = 0, IP4_OPTION_NOP = 1, IP4_OPTION_COPIED = 0x80 };

/* The headers that precede a fragment header. */
static bool is_repeated_header(uint8_t type)
{
	return type == IPPROTO_HOPOPTS || type == IPPROTO_ROUTING || type == IPPROTO_DSTOPTS;
}

static uint32_t divide_up(size_t n, size_t by)
{
	return (uint32_t)((n + by - 1) / by);
}

/* -- planning -- */

/* Length of the TCP header at ip_len; 0: not a whole one. */
static size_t tcp_head_len(const struct inner *inner, const uint8_t *packet)
{
	size_t length;

	if (inner->protocol != IPPROTO_TCP || inner->is_fragment ||
	    inner->len < inner->ip_len + TCP_LEN_MIN)
		return 0;
	length = (size_t)(packet[inner->ip_len + 12] >> 4) * 4;
	return length >= TCP_LEN_MIN && inner->ip_len + length <= inner->len ? length : 0;
}

static size_t udp_head_len(const struct inner *inner)
{
	bool is_whole = inner->protocol == IPPROTO_UDP && !inner->is_fragment &&
			inner->len >= inner->ip_len + UDP_LEN;

	return is_whole ? UDP_LEN : 0;
}

/* RFC 2385 and RFC 5925: the signature covers the segment as it was sent. */
static bool tcp_is_signed(const uint8_t *tcp, size_t head_len)
{
	size_t at = TCP_LEN_MIN;

	while (at < head_len && tcp[at] != TCP_OPTION_END) {
		if (tcp[at] == TCP_OPTION_MD5 || tcp[at] == TCP_OPTION_AO)
			return true;
		if (tcp[at] == TCP_OPTION_NOP) {
			at++;
			continue;
		}
		if (head_len - at < 2 || tcp[at + 1] < 2)
			return false;
		at += tcp[at + 1];
	}
	return false;
}

static bool transport_is_intact(const struct segmenter *segmenter, uint8_t protocol)
{
	const uint8_t *transport = segmenter->packet + segmenter->ip_len;
	size_t length = segmenter->len - segmenter->ip_len;

	return checksum_is_valid(checksum_pseudo(segmenter->packet, protocol, length) +
				 checksum_sum(transport, length));
}

/* True if the virtio header requests the checksum of this transport, or the packet's checksum is
 * correct. */
static bool checksum_agrees(const struct segmenter *segmenter, const struct virtio_net_hdr *vnet,
			    uint8_t protocol, uint16_t offset)
{
	if (vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return vnet->csum_start == segmenter->ip_len && vnet->csum_offset == offset;
	return transport_is_intact(segmenter, protocol);
}

static void take_head(struct segmenter *segmenter, uint8_t protocol, size_t head_len,
		      size_t payload_max)
{
	segmenter->protocol = protocol;
	segmenter->head_len = (uint16_t)head_len;
	segmenter->payload_max = (uint16_t)payload_max;
	segmenter->count = MAX(divide_up(segmenter->len - head_len, payload_max), 1U);
	segmenter->needs_checksum = true;
}

static size_t payload_len(const struct segmenter *segmenter, uint32_t index)
{
	size_t left = segmenter->len - segmenter->head_len - (size_t)index * segmenter->payload_max;

	return MIN(left, segmenter->payload_max);
}

/* Transport bytes of one datagram: of the packet itself, or of one segment of a super-packet. */
static size_t datagram_len(const struct segmenter *segmenter, uint32_t datagram)
{
	if (segmenter->protocol)
		return UDP_LEN + payload_len(segmenter, datagram);
	return segmenter->len - segmenter->ip_len;
}

/* Finds the start of the fragmentable part: behind all headers that each fragment repeats,
 * including an existing fragment header. */
static void find_ip6_cut(struct segmenter *segmenter)
{
	const uint8_t *packet = segmenter->packet;
	size_t at = INNER_IP6_LEN, next_at = 6;

	while (is_repeated_header(packet[next_at]) && segmenter->len - at >= 8) {
		size_t length = ((size_t)packet[at + 1] + 1) * 8;

		if (length > segmenter->len - at)
			break;
		next_at = at;
		at += length;
	}
	if (packet[next_at] == IPPROTO_FRAGMENT && segmenter->len - at >= IP6_FRAGMENT_LEN)
		at += IP6_FRAGMENT_LEN;
	else
		segmenter->fragment_header_len = IP6_FRAGMENT_LEN;
	segmenter->next_header_at = (uint16_t)next_at;
	segmenter->ip_len = (uint16_t)at;
}

/* RFC 8200 lets only the source fragment, but the source never makes packets smaller than 1280
 * bytes: on an underlay of 1280 bytes its packets would be lost for good. The alternatives are
 * worse: outer fragments are lost in many networks, and podveil promises never to send them; a
 * format of our own would not be WireGuard. The receiver treats these fragments as the source's
 * own. */
static bool may_cut_ip6(const struct segmenter *segmenter, size_t longest)
{
	return segmenter->ip_version == 6 && longest <= IP6_MTU_MIN;
}

/* Offset of the packet itself, if it is a fragment. */
static size_t offset_of_first(const struct segmenter *segmenter)
{
	if (segmenter->ip_version == 4)
		return (size_t)(get_be16(segmenter->packet + 6) & IP4_FRAGMENT_OFFSET) *
		       FRAGMENT_UNIT;
	if (segmenter->fragment_header_len)
		return 0;
	return get_be16(segmenter->packet + segmenter->ip_len - IP6_FRAGMENT_LEN + 2) &
	       IP6_FRAGMENT_OFFSET;
}

/* On entry, count is the number of datagrams; on return, that of fragments. */
static enum segment_verdict init_fragments(struct segmenter *segmenter, const struct inner *inner,
					   size_t mtu)
{
	size_t head_len, last;

	if (may_cut_ip6(segmenter, segmenter->ip_len + datagram_len(segmenter, 0)))
		find_ip6_cut(segmenter);
	else if (!inner->may_fragment)
		return SEGMENT_TOO_BIG;
	last = datagram_len(segmenter, segmenter->count - 1);
	head_len = (size_t)segmenter->ip_len + segmenter->fragment_header_len;
	if (mtu < head_len + FRAGMENT_UNIT)
		return SEGMENT_TOO_BIG;
	if (offset_of_first(segmenter) + inner->len > UINT16_MAX)
		return SEGMENT_MALFORMED;
	segmenter->is_fragmenting = true;
	segmenter->fragment_max = (uint16_t)((mtu - head_len) / FRAGMENT_UNIT * FRAGMENT_UNIT);
	segmenter->fragments_each = divide_up(datagram_len(segmenter, 0), segmenter->fragment_max);
	segmenter->count = (segmenter->count - 1) * segmenter->fragments_each +
			   divide_up(last, segmenter->fragment_max);
	return SEGMENT_READY;
}

static enum segment_verdict init_tcp_super(struct segmenter *segmenter, const struct inner *inner,
					   const struct virtio_net_hdr *vnet, size_t mtu)
{
	const uint8_t *tcp = segmenter->packet + inner->ip_len;
	size_t head_len = inner->ip_len + tcp_head_len(inner, segmenter->packet);
	uint8_t version =
		(vnet->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_TCPV4 ? 4 : 6;

	if (head_len == inner->ip_len || inner->version != version || !vnet->gso_size ||
	    tcp[13] & TCP_SYN ||
	    !checksum_agrees(segmenter, vnet, IPPROTO_TCP, TCP_CHECKSUM_OFFSET))
		return SEGMENT_MALFORMED;
	take_head(segmenter, IPPROTO_TCP, head_len, vnet->gso_size);
	if (head_len >= mtu)
		return SEGMENT_TOO_BIG;
	take_head(segmenter, IPPROTO_TCP, head_len, MIN(vnet->gso_size, mtu - head_len));
	segmenter->clears_cwr = vnet->gso_type & VIRTIO_NET_HDR_GSO_ECN;
	return SEGMENT_READY;
}

static enum segment_verdict init_udp_super(struct segmenter *segmenter, const struct inner *inner,
					   const struct virtio_net_hdr *vnet, size_t mtu)
{
	const uint8_t *udp = segmenter->packet + inner->ip_len;
	size_t head_len = inner->ip_len + udp_head_len(inner);
	bool is_without_checksum;

	if (head_len == inner->ip_len || !vnet->gso_size)
		return SEGMENT_MALFORMED;
	is_without_checksum = !(vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && inner->version == 4 &&
			      !get_be16(udp + UDP_CHECKSUM_OFFSET);
	if (!is_without_checksum &&
	    !checksum_agrees(segmenter, vnet, IPPROTO_UDP, UDP_CHECKSUM_OFFSET))
		return SEGMENT_MALFORMED;
	take_head(segmenter, IPPROTO_UDP, head_len, vnet->gso_size);
	segmenter->needs_checksum = !is_without_checksum;
	if (head_len + payload_len(segmenter, 0) > mtu)
		return init_fragments(segmenter, inner, mtu);
	return SEGMENT_READY;
}

/* A connection older than the agent has an MSS too large for the tunnel. A segment that opens or
 * resets a connection must stay one unit, and so must a signed segment. */
static bool tcp_may_be_cut(const struct inner *inner, const uint8_t *packet, size_t mtu)
{
	const uint8_t *tcp = packet + inner->ip_len;
	size_t length = tcp_head_len(inner, packet);

	return length && inner->ip_len + length < mtu && !(tcp[13] & (TCP_SYN | TCP_RST)) &&
	       !tcp_is_signed(tcp, length);
}

static bool is_within(const struct segmenter *segmenter, const struct virtio_net_hdr *vnet)
{
	return vnet->csum_start >= segmenter->ip_len &&
	       (size_t)vnet->csum_start + vnet->csum_offset + 2 <= segmenter->len;
}

static enum segment_verdict init_single(struct segmenter *segmenter, const struct inner *inner,
					const struct virtio_net_hdr *vnet, size_t mtu)
{
	const uint8_t *packet = segmenter->packet;

	segmenter->needs_checksum = vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	segmenter->checksum_start = vnet->csum_start;
	segmenter->checksum_offset = vnet->csum_offset;
	if (segmenter->needs_checksum && !is_within(segmenter, vnet))
		return SEGMENT_MALFORMED;
	if (inner->len <= mtu)
		return SEGMENT_READY;
	if (tcp_may_be_cut(inner, packet, mtu)) {
		size_t head_len = inner->ip_len + tcp_head_len(inner, packet);

		if (!checksum_agrees(segmenter, vnet, IPPROTO_TCP, TCP_CHECKSUM_OFFSET))
			return SEGMENT_MALFORMED;
		take_head(segmenter, IPPROTO_TCP, head_len, mtu - head_len);
		return SEGMENT_READY;
	}
	if (segmenter->needs_checksum)
		checksum_put_transport(
			segmenter->checksum,
			checksum_sum(packet + vnet->csum_start, inner->len - vnet->csum_start));
	return init_fragments(segmenter, inner, mtu);
}

enum segment_verdict segment_init(struct segmenter *segmenter, const struct virtio_net_hdr *vnet,
				  const struct inner *inner, const uint8_t *packet, size_t mtu)
{
	*segmenter = (struct segmenter){.packet = packet, .count = 1};
	if (inner->ip_len > UINT16_MAX)
		return SEGMENT_TOO_BIG;
	segmenter->len = inner->len;
	segmenter->ip_version = inner->version;
	segmenter->ip_len = (uint16_t)inner->ip_len;
	switch (vnet->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return init_single(segmenter, inner, vnet, mtu);
	case VIRTIO_NET_HDR_GSO_TCPV4:
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return init_tcp_super(segmenter, inner, vnet, mtu);
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return init_udp_super(segmenter, inner, vnet, mtu);
	default:
		return SEGMENT_MALFORMED;
	}
}

/* -- writing segments -- */

/* Writes the IP header of a segment of `total` bytes; each gets its own id, as from the kernel. */
static void write_ip(const struct segmenter *segmenter, uint8_t *ip, size_t total, uint32_t index)
{
	if (segmenter->ip_version == 6) {
		put_be16(ip + 4, (uint16_t)(total - INNER_IP6_LEN));
		return;
	}
	put_be16(ip + 2, (uint16_t)total);
	put_be16(ip + 4, (uint16_t)(get_be16(ip + 4) + index));
	checksum_put_ip4(ip, segmenter->ip_len);
}

/* Adjusts the flags that belong to one end only, and the urgent pointer, which counts from the
 * sequence number. */
static void write_tcp_flags(const struct segmenter *segmenter, uint8_t *tcp, size_t start)
{
	size_t urgent = get_be16(tcp + 18);

	if (segmenter->done + 1 < segmenter->count)
		tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (segmenter->done && segmenter->clears_cwr)
		tcp[13] &= (uint8_t)~TCP_CWR;
	if (!(tcp[13] & TCP_URG) || !start)
		return;
	if (urgent <= start)
		tcp[13] &= (uint8_t)~TCP_URG;
	put_be16(tcp + 18, (uint16_t)(urgent > start ? urgent - start : 0));
}

static size_t write_tcp(const struct segmenter *segmenter, uint8_t *destination)
{
	size_t start = (size_t)segmenter->done * segmenter->payload_max;
	size_t length = payload_len(segmenter, segmenter->done);
	size_t total = segmenter->head_len + length,
	       tcp_len = segmenter->head_len - segmenter->ip_len;
	uint8_t *tcp = destination + segmenter->ip_len;
	uint64_t sum;

	memcpy(destination, segmenter->packet, segmenter->head_len);
	write_ip(segmenter, destination, total, segmenter->done);
	put_be32(tcp + 4, get_be32(tcp + 4) + (uint32_t)start);
	write_tcp_flags(segmenter, tcp, start);
	memset(tcp + TCP_CHECKSUM_OFFSET, 0, 2);
	sum = checksum_copy(tcp + tcp_len, segmenter->packet + segmenter->head_len + start, length);
	sum += checksum_sum(tcp, tcp_len) +
	       checksum_pseudo(destination, IPPROTO_TCP, tcp_len + length);
	checksum_put_transport(tcp + TCP_CHECKSUM_OFFSET, sum);
	return total;
}

/* Writes the UDP header of the datagram with this number. payload_sum is used only if there is a
 * checksum. */
static void write_udp_head(const struct segmenter *segmenter, uint8_t *udp, size_t length,
			   uint64_t payload_sum)
{
	memcpy(udp, segmenter->packet + segmenter->ip_len, UDP_LEN);
	put_be16(udp + 4, (uint16_t)length);
	memset(udp + UDP_CHECKSUM_OFFSET, 0, 2);
	if (segmenter->needs_checksum)
		checksum_put_transport(
			udp + UDP_CHECKSUM_OFFSET,
			checksum_sum(udp, UDP_LEN) + payload_sum +
				checksum_pseudo(segmenter->packet, IPPROTO_UDP, length));
}

static size_t write_udp(const struct segmenter *segmenter, uint8_t *destination)
{
	size_t start = (size_t)segmenter->done * segmenter->payload_max;
	size_t length = payload_len(segmenter, segmenter->done);
	uint8_t *udp = destination + segmenter->ip_len;
	uint64_t sum;

	memcpy(destination, segmenter->packet, segmenter->ip_len);
	write_ip(segmenter, destination, segmenter->head_len + length, segmenter->done);
	sum = checksum_copy(udp + UDP_LEN, segmenter->packet + segmenter->head_len + start, length);
	write_udp_head(segmenter, udp, UDP_LEN + length, sum);
	return segmenter->head_len + length;
}

static size_t write_whole(const struct segmenter *segmenter, uint8_t *destination)
{
	const uint8_t *packet = segmenter->packet;
	size_t start = segmenter->checksum_start;
	uint64_t sum;

	if (!segmenter->needs_checksum) {
		memcpy(destination, packet, segmenter->len);
		return segmenter->len;
	}
	memcpy(destination, packet, start);
	/* The field holds the sum of the pseudo header and is part of the summed data. */
	sum = checksum_copy(destination + start, packet + start, segmenter->len - start);
	checksum_put_transport(destination + start + segmenter->checksum_offset, sum);
	return segmenter->len;
}

/* -- fragments -- */

struct fragment {
	uint32_t datagram;
	size_t start, len; /* of the datagram's transport bytes */
	bool is_last;
};

static struct fragment fragment_at(const struct segmenter *segmenter)
{
	struct fragment fragment = {.datagram = segmenter->done / segmenter->fragments_each};
	size_t left = datagram_len(segmenter, fragment.datagram);

	fragment.start =
		(size_t)(segmenter->done % segmenter->fragments_each) * segmenter->fragment_max;
	left -= fragment.start;
	fragment.len = MIN(left, segmenter->fragment_max);
	fragment.is_last = fragment.len == left;
	return fragment;
}

/* Blanks options without the copied flag in all fragments but the first, as the kernel does: the
 * header keeps its length. */
static void blank_ip4_options(uint8_t *ip, size_t ip_len)
{
	size_t at = INNER_IP4_LEN;

	while (at < ip_len && ip[at] != IP4_OPTION_END) {
		size_t length = 1;

		if (ip[at] != IP4_OPTION_NOP) {
			if (ip_len - at < 2 || ip[at + 1] < 2 || ip[at + 1] > ip_len - at)
				return;
			length = ip[at + 1];
		}
		if (!(ip[at] & IP4_OPTION_COPIED))
			memset(ip + at, IP4_OPTION_NOP, length);
		at += length;
	}
}

static void write_fragment_ip6(const struct segmenter *segmenter, const struct fragment *fragment,
			       uint8_t *ip)
{
	size_t head_len = (size_t)segmenter->ip_len + segmenter->fragment_header_len;
	uint8_t *header = ip + head_len - IP6_FRAGMENT_LEN;
	size_t offset;

	memcpy(ip, segmenter->packet, segmenter->ip_len);
	put_be16(ip + 4, (uint16_t)(head_len - INNER_IP6_LEN + fragment->len));
	if (segmenter->fragment_header_len) {
		memset(header, 0, IP6_FRAGMENT_LEN);
		header[0] = ip[segmenter->next_header_at];
		ip[segmenter->next_header_at] = IPPROTO_FRAGMENT;
		put_be32(header + 4, segmenter->fragment_id + fragment->datagram);
	}
	offset = get_be16(header + 2) +
		 fragment->start; /* its low bits are flags: both are in bytes */
	put_be16(header + 2, (uint16_t)(offset | (fragment->is_last ? 0 : IP6_MORE_FRAGMENTS)));
}

static void write_fragment_ip4(const struct segmenter *segmenter, const struct fragment *fragment,
			       uint8_t *ip)
{
	uint16_t field = get_be16(segmenter->packet + 6);

	memcpy(ip, segmenter->packet, segmenter->ip_len);
	if (fragment->start)
		blank_ip4_options(ip, segmenter->ip_len);
	if (!fragment->is_last)
		field |= IP4_MORE_FRAGMENTS;
	put_be16(ip + 6, (uint16_t)(field + fragment->start / FRAGMENT_UNIT));
	write_ip(segmenter, ip, segmenter->ip_len + fragment->len, fragment->datagram);
}

/* Writes a part of the packet itself. The missing checksum may be anywhere in it, even across two
 * fragments. */
static void write_part(const struct segmenter *segmenter, const struct fragment *fragment,
		       uint8_t *destination)
{
	size_t field =
		(size_t)segmenter->checksum_start + segmenter->checksum_offset - segmenter->ip_len;

	memcpy(destination, segmenter->packet + segmenter->ip_len + fragment->start, fragment->len);
	for (size_t i = 0; segmenter->needs_checksum && i < sizeof(segmenter->checksum); i++)
		if (field + i >= fragment->start && field + i < fragment->start + fragment->len)
			destination[field + i - fragment->start] = segmenter->checksum[i];
}

/* Writes a part of a super-packet's datagram; the first fragment gets its UDP header. */
static void write_datagram_part(const struct segmenter *segmenter, const struct fragment *fragment,
				uint8_t *destination)
{
	const uint8_t *payload = segmenter->packet + segmenter->head_len +
				 (size_t)fragment->datagram * segmenter->payload_max;
	size_t length = payload_len(segmenter, fragment->datagram);

	if (fragment->start) {
		memcpy(destination, payload + fragment->start - UDP_LEN, fragment->len);
		return;
	}
	write_udp_head(segmenter, destination, UDP_LEN + length, checksum_sum(payload, length));
	memcpy(destination + UDP_LEN, payload, fragment->len - UDP_LEN);
}

static size_t write_fragment(const struct segmenter *segmenter, uint8_t *destination)
{
	struct fragment fragment = fragment_at(segmenter);
	size_t head_len = (size_t)segmenter->ip_len + segmenter->fragment_header_len;

	if (segmenter->ip_version == 4)
		write_fragment_ip4(segmenter, &fragment, destination);
	else
		write_fragment_ip6(segmenter, &fragment, destination);
	if (segmenter->protocol)
		write_datagram_part(segmenter, &fragment, destination + head_len);
	else
		write_part(segmenter, &fragment, destination + head_len);
	return head_len + fragment.len;
}

/* -- iteration -- */

size_t segment_peek_len(const struct segmenter *segmenter)
{
	if (segmenter->done == segmenter->count)
		return 0;
	if (segmenter->is_fragmenting)
		return (size_t)segmenter->ip_len + segmenter->fragment_header_len +
		       fragment_at(segmenter).len;
	if (segmenter->protocol)
		return segmenter->head_len + payload_len(segmenter, segmenter->done);
	return segmenter->len;
}

size_t segment_next(struct segmenter *segmenter, uint8_t *destination)
{
	size_t length;

	if (segmenter->done == segmenter->count)
		return 0;
	if (segmenter->is_fragmenting)
		length = write_fragment(segmenter, destination);
	else if (segmenter->protocol == IPPROTO_TCP)
		length = write_tcp(segmenter, destination);
	else if (segmenter->protocol == IPPROTO_UDP)
		length = write_udp(segmenter, destination);
	else
		length = write_whole(segmenter, destination);
	segmenter->done++;
	return length;
}
