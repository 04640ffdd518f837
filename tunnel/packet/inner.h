/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parses the headers of an IP packet inside the tunnel (RFC 791, RFC 8200). A pod wrote the packet:
 * every access is length-checked, and no header counts unless the packet contains all of it.
 */
#pragma once

#include <linux/virtio_net.h>
#include <netinet/in.h>

#include "util.h"

#define INNER_IP4_LEN 20 /* without options */
#define INNER_IP6_LEN 40 /* without extension headers */

/* every link carries it whole, and no sender goes below (RFC 8200) */
#define IP6_MTU_MIN	    1280

#define IP4_MORE_FRAGMENTS  0x2000
#define IP4_DONT_FRAGMENT   0x4000
#define IP4_FRAGMENT_OFFSET 0x1fff

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4 /* headers before Linux 6.2 */
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

struct inner {
	uint8_t version;
	/* Of the header at ip_len. 0: none that we may read, because of a later fragment, an
	 * unknown extension header, or a chain that ends early. */
	uint8_t protocol;
	bool is_fragment;  /* any fragment, the first included */
	bool may_fragment; /* IPv4 without DF */
	size_t ip_len;	   /* IP header with options or extension headers */
	size_t len;	   /* as in the header, never more than the bytes present */
};

static inline uint8_t inner_version(const uint8_t *packet)
{
	return packet[0] >> 4;
}

/* Length in the IP header, without padding behind it. 0: not a whole IP packet. */
static inline size_t inner_len(const uint8_t *packet, size_t len)
{
	size_t total, head;

	if (len >= INNER_IP4_LEN && inner_version(packet) == 4) {
		head = (size_t)(packet[0] & 0xf) * 4;
		total = get_be16(packet + 2);
		return head >= INNER_IP4_LEN && total >= head && total <= len ? total : 0;
	}
	if (len >= INNER_IP6_LEN && inner_version(packet) == 6) {
		total = INNER_IP6_LEN + (size_t)get_be16(packet + 4);
		return total <= len ? total : 0;
	}
	return 0;
}

static inline void inner_parse_ip4(struct inner *inner, const uint8_t *packet)
{
	uint16_t fragment = get_be16(packet + 6);

	inner->ip_len = (size_t)(packet[0] & 0xf) * 4;
	inner->may_fragment = !(fragment & IP4_DONT_FRAGMENT);
	inner->is_fragment = fragment & (IP4_MORE_FRAGMENTS | IP4_FRAGMENT_OFFSET);
	inner->protocol = fragment & IP4_FRAGMENT_OFFSET ? 0 : packet[9];
}

/* Length of the extension header of this type at `at`; 0: none that may be skipped. A routing
 * header with segments left may not: it contains the address of the pseudo header. */
static inline size_t inner_extension_len(uint8_t type, const uint8_t *at, size_t left)
{
	if (left < 8)
		return 0;
	switch (type) {
	case IPPROTO_ROUTING:
		if (at[3])
			return 0;
		FALLTHROUGH;
	case IPPROTO_HOPOPTS:
	case IPPROTO_DSTOPTS:
		return ((size_t)at[1] + 1) * 8;
	case IPPROTO_FRAGMENT:
		return get_be16(at + 2) & 0xfff8 ? 0 : 8;
	default:
		return 0;
	}
}

static inline bool inner_is_extension(uint8_t type)
{
	return type == IPPROTO_HOPOPTS || type == IPPROTO_ROUTING || type == IPPROTO_FRAGMENT ||
	       type == IPPROTO_DSTOPTS || type == IPPROTO_AH;
}

static inline void inner_parse_ip6(struct inner *inner, const uint8_t *packet)
{
	uint8_t type = packet[6];
	size_t at = INNER_IP6_LEN;

	while (inner_is_extension(type)) {
		size_t length = inner_extension_len(type, packet + at, inner->len - at);

		inner->is_fragment |= type == IPPROTO_FRAGMENT;
		if (!length || length > inner->len - at) {
			type = 0;
			break;
		}
		type = packet[at];
		at += length;
	}
	inner->protocol = type;
	inner->ip_len = at;
}

/* False: not a whole IP packet. */
static inline MUST_CHECK bool inner_parse(struct inner *ret_inner, const uint8_t *packet,
					  size_t len)
{
	struct inner inner = {.len = inner_len(packet, len)};

	if (!inner.len)
		return false;
	inner.version = inner_version(packet);
	if (inner.version == 4)
		inner_parse_ip4(&inner, packet);
	else
		inner_parse_ip6(&inner, packet);
	*ret_inner = inner;
	return true;
}

/* Source address, with the destination right behind it. */
static inline const uint8_t *inner_addresses(const uint8_t *packet)
{
	return packet + (inner_version(packet) == 4 ? 12 : 8);
}

static inline size_t inner_address_len(uint8_t version)
{
	return version == 4 ? 4 : 16;
}

static inline const uint8_t *inner_destination(const uint8_t *packet, uint8_t version)
{
	return packet + (version == 4 ? 16 : 24);
}

static inline uint8_t inner_family(uint8_t version)
{
	return version == 4 ? AF_INET : AF_INET6;
}
