/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds frames header by header, from the outside in. frame_end fills in lengths and checksums, so
 * a test that wants an invalid frame changes it afterwards. Addresses are text; their family
 * chooses the IP header.
 */
#pragma once

#include <assert.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "address.h"
#include "util.h"

#define FRAME_MAX 1600

#define TCP_SYN	  0x02
#define TCP_ACK	  0x10

struct frame {
	uint8_t bytes[FRAME_MAX];
	size_t len;
	size_t type;	  /* offset of the next EtherType; 0: bare IP */
	size_t ip;	  /* offset of the IP header */
	size_t next;	  /* offset of the next protocol number */
	size_t transport; /* offset of TCP, UDP or ICMP */
	uint8_t family, protocol;
};

static inline uint8_t *frame_put(struct frame *frame, size_t len)
{
	uint8_t *place = frame->bytes + frame->len;

	assert(frame->len + len <= FRAME_MAX);
	memset(place, 0, len);
	frame->len += len;
	return place;
}

/* A frame without an Ethernet header. */
static inline void frame_begin_bare(struct frame *frame)
{
	memset(frame, 0, sizeof(*frame));
}

static inline void frame_begin(struct frame *frame)
{
	static const uint8_t macs[12] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};

	frame_begin_bare(frame);
	memcpy(frame_put(frame, sizeof(macs)), macs, sizeof(macs));
	frame->type = frame->len;
	frame_put(frame, 2);
}

static inline void frame_put_type(struct frame *frame, uint16_t ethertype)
{
	if (frame->type)
		put_be16(frame->bytes + frame->type, ethertype);
}

static inline void frame_put_tag(struct frame *frame, uint16_t ethertype, uint16_t vlan)
{
	frame_put_type(frame, ethertype);
	put_be16(frame_put(frame, 2), vlan);
	frame->type = frame->len;
	frame_put(frame, 2);
}

static inline void frame_put_ip4(struct frame *frame, const struct address *source,
				 const struct address *destination)
{
	uint8_t *ip = frame_put(frame, sizeof(struct iphdr));

	frame_put_type(frame, ETH_P_IP);
	ip[0] = 0x45;
	put_be16(ip + 4, 0x1234);
	ip[8] = 63;
	memcpy(ip + 12, source->bytes, 4);
	memcpy(ip + 16, destination->bytes, 4);
	frame->next = frame->ip + 9;
}

static inline void frame_put_ip6(struct frame *frame, const struct address *source,
				 const struct address *destination)
{
	uint8_t *ip = frame_put(frame, sizeof(struct ipv6hdr));

	frame_put_type(frame, ETH_P_IPV6);
	ip[0] = 0x60;
	ip[7] = 63;
	memcpy(ip + 8, source->bytes, 16);
	memcpy(ip + 24, destination->bytes, 16);
	frame->next = frame->ip + 6;
}

static inline void frame_put_ip(struct frame *frame, const char *source, const char *destination)
{
	struct address from, to;
	bool is_valid = address_parse(&from, source) && address_parse(&to, destination) &&
			from.family == to.family;

	assert(is_valid);
	(void)is_valid;
	frame->family = from.family;
	frame->ip = frame->len;
	if (from.family == AF_INET)
		frame_put_ip4(frame, &from, &to);
	else
		frame_put_ip6(frame, &from, &to);
}

/* IPv4: this many words of no-operation options. */
static inline void frame_put_ip4_options(struct frame *frame, unsigned int words)
{
	memset(frame_put(frame, words * 4UL), 1, words * 4UL);
	frame->bytes[frame->ip] = (uint8_t)(0x45 + words);
}

/* IPv6: an extension header of (words + 1) * 8 bytes; the length of an authentication header is
 * counted as in RFC 4302. */
static inline uint8_t *frame_put_extension(struct frame *frame, uint8_t protocol,
					   unsigned int words)
{
	size_t place = frame->len;

	frame->bytes[frame->next] = protocol;
	frame->next = place;
	frame_put(frame, (words + 1) * 8UL);
	frame->bytes[place + 1] = (uint8_t)(protocol == IPPROTO_AH ? words * 2 : words);
	return frame->bytes + place;
}

/* Offset in units of eight bytes. */
static inline void frame_put_fragment(struct frame *frame, uint16_t offset, bool has_more)
{
	if (frame->family == AF_INET) {
		put_be16(frame->bytes + frame->ip + 6,
			 (uint16_t)(offset | (has_more ? 0x2000 : 0)));
	} else {
		uint8_t *extension = frame_put_extension(frame, IPPROTO_FRAGMENT, 0);

		extension[1] = 0;
		put_be16(extension + 2, (uint16_t)(offset << 3 | (has_more ? 1 : 0)));
	}
}

/* An arbitrary IP payload. */
typedef void shape_fn(struct frame *frame);

/* Any payload of any protocol after IP. */
static inline uint8_t *frame_put_payload(struct frame *frame, uint8_t protocol, size_t len)
{
	uint8_t *payload;

	frame->bytes[frame->next] = protocol;
	frame->protocol = protocol;
	frame->transport = frame->len;
	payload = frame_put(frame, len);
	for (size_t i = 0; i < len; i++)
		payload[i] = (uint8_t)(0xa0 + i);
	return payload;
}

static inline void frame_put_udp(struct frame *frame, uint16_t source_port, uint16_t port,
				 size_t payload_len)
{
	uint8_t *udp = frame_put_payload(frame, IPPROTO_UDP, sizeof(struct udphdr) + payload_len);

	put_be16(udp, source_port);
	put_be16(udp + 2, port);
	put_be16(udp + 4, (uint16_t)(sizeof(struct udphdr) + payload_len));
	put_be16(udp + 6, 0);
}

/* The length of the options must be a multiple of four. */
static inline void frame_put_tcp(struct frame *frame, uint8_t flags, const uint8_t *options,
				 size_t options_len, size_t payload_len)
{
	size_t header_len = sizeof(struct tcphdr) + options_len;
	uint8_t *tcp = frame_put_payload(frame, IPPROTO_TCP, header_len + payload_len);

	memset(tcp, 0, sizeof(struct tcphdr));
	put_be16(tcp, 40000);
	put_be16(tcp + 2, 80);
	tcp[12] = (uint8_t)(header_len / 4 << 4);
	tcp[13] = flags;
	put_be16(tcp + 14, 64240);
	if (options_len)
		memcpy(tcp + sizeof(struct tcphdr), options, options_len);
}

static inline void frame_put_icmp6(struct frame *frame, uint8_t type, uint8_t hop_limit)
{
	uint8_t *icmp = frame_put_payload(frame, IPPROTO_ICMPV6, 24);

	icmp[0] = type;
	icmp[1] = 0;
	frame->bytes[frame->ip + 7] = hop_limit;
}

/* RFC 1071, of any length; the result is in the byte order of a header field. */
static inline uint32_t checksum_add(uint32_t sum, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += (uint32_t)bytes[i] << (i & 1 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* 0 if the checksum of TCP or UDP is correct; with a zeroed field, the value for it. */
static inline uint16_t frame_transport_checksum(const struct frame *frame)
{
	const uint8_t *ip = frame->bytes + frame->ip;
	size_t len = frame->len - frame->transport;
	uint32_t sum = checksum_add((uint32_t)(len + frame->protocol),
				    frame->bytes + frame->transport, len);

	sum = frame->family == AF_INET ? checksum_add(sum, ip + 12, 8)
				       : checksum_add(sum, ip + 8, 32);
	return (uint16_t)~sum;
}

static inline void frame_end(struct frame *frame)
{
	uint8_t *ip = frame->bytes + frame->ip;
	size_t len = frame->len - frame->ip;

	if (frame->family == AF_INET) {
		put_be16(ip + 2, (uint16_t)len);
		put_be16(ip + 10, (uint16_t)~checksum_add(0, ip, (ip[0] & 15U) * 4));
	} else if (frame->family == AF_INET6) {
		put_be16(ip + 4, (uint16_t)(len - sizeof(struct ipv6hdr)));
	}
	if (frame->transport && frame->protocol == IPPROTO_TCP)
		put_be16(frame->bytes + frame->transport + 16, frame_transport_checksum(frame));
	if (frame->transport && frame->protocol == IPPROTO_UDP)
		put_be16(frame->bytes + frame->transport + 6, frame_transport_checksum(frame));
}

/* An ICMP message about a UDP datagram between two others, which quotes its headers. */
static inline void frame_put_icmp_about(struct frame *frame, uint8_t type, const char *source,
					const char *destination)
{
	bool is_ip4 = frame->family == AF_INET;
	struct frame about;
	uint8_t *icmp;

	frame_begin_bare(&about);
	frame_put_ip(&about, source, destination);
	frame_put_udp(&about, 4000, 5000, 0);
	frame_end(&about);
	icmp = frame_put_payload(frame, is_ip4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, 8 + about.len);
	icmp[0] = type;
	memcpy(icmp + 8, about.bytes, about.len);
}

/* An ordinary frame. */
static inline void frame_make_udp(struct frame *frame, const char *source, const char *destination)
{
	frame_begin(frame);
	frame_put_ip(frame, source, destination);
	frame_put_udp(frame, 4000, 5000, 64);
	frame_end(frame);
}
