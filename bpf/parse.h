/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Parses a packet: Ethernet and VLAN headers, IPv4 (RFC 791), IPv6 and its extension headers (RFC
 * 8200).
 *
 * The contract of every function here: offsets count from the first byte of the skb's data; a byte
 * beyond the packet's end is never read, wherever the kernel holds the bytes (linear or not); ret_
 * values are meaningful only after success; nothing is written to the packet. Lengths inside the
 * packet are checked against its end before they are used.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "bpf_abi.h"

#define VLAN_TAGS_MAX	   2 /* in the frame itself: 802.1ad around 802.1Q */
#define EXTENSIONS_MAX	   8
#define FRAGMENT_OFFSET_V4 0x1fff
#define FRAGMENT_OFFSET_V6 0xfff8
#define IPV4_MAPPED_WORD   bpf_htonl(0xffff)

enum parse_result { PARSE_OK, PARSE_CUT_SHORT, PARSE_TOO_DEEP };

struct ip_packet {
	__u32 offset;			       /* of the IP header */
	__u32 len;			       /* from there to the packet's end */
	struct prefix_key source, destination; /* whole addresses, ready for the map */
	__u32 payload_offset; /* after the IPv4 header with its options, or the fixed IPv6 header */
	__u8 version;
	__u8 protocol; /* of the header at payload_offset; in IPv6 it may be an extension header */
	__u8 hop_limit;
	bool is_later_fragment; /* IPv4 only: IPv6 has an extension header for it */
};

struct ports {
	__be16 source, destination;
	__u8 protocol; /* IPPROTO_TCP or IPPROTO_UDP */
};

/* The header after IP and all extension headers. */
struct transport {
	__u32 offset;
	__u8 protocol;
	/* Then this packet has no such header; offset and protocol are meaningless. */
	bool is_later_fragment;
};

static __always_inline bool is_vlan(__u32 ethertype)
{
	return ethertype == bpf_htons(ETH_P_8021Q) || ethertype == bpf_htons(ETH_P_8021AD);
}

static __always_inline bool is_ip(__u32 ethertype)
{
	return ethertype == bpf_htons(ETH_P_IP) || ethertype == bpf_htons(ETH_P_IPV6);
}

/* The EtherType after all VLAN tags of the frame at `start`, and where its payload starts. */
static __always_inline enum parse_result parse_ethernet(struct __sk_buff *skb, __u32 start,
							__be16 *ret_ethertype, __u32 *ret_offset)
{
	__u32 offset = start + offsetof(struct ethhdr, h_proto);
	__be16 ethertype;

	for (int tags = 0; tags <= VLAN_TAGS_MAX; tags++) {
		if (bpf_skb_load_bytes(skb, offset, &ethertype, sizeof(ethertype)))
			return PARSE_CUT_SHORT;
		if (!is_vlan(ethertype)) {
			*ret_ethertype = ethertype;
			*ret_offset = offset + sizeof(ethertype);
			return PARSE_OK;
		}
		offset += 4;
	}
	return PARSE_TOO_DEEP;
}

static __always_inline struct prefix_key key_of_ip4(__be32 address)
{
	__u32 words[4] = {0, 0, IPV4_MAPPED_WORD, address};
	struct prefix_key key = {.prefix_len = 128};

	__builtin_memcpy(key.address, words, sizeof(words));
	return key;
}

static __always_inline struct prefix_key key_of_ip6(const struct in6_addr *address)
{
	struct prefix_key key = {.prefix_len = 128};

	__builtin_memcpy(key.address, address, sizeof(*address));
	return key;
}

static __always_inline bool parse_ip4(struct __sk_buff *skb, __u32 offset,
				      struct ip_packet *ret_packet)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)))
		return false;
	if (ip.version != 4 || ip.ihl < 5 || offset + ip.ihl * 4 > skb->len)
		return false;
	*ret_packet = (struct ip_packet){
		.offset = offset,
		.len = skb->len - offset,
		.source = key_of_ip4(ip.saddr),
		.destination = key_of_ip4(ip.daddr),
		.payload_offset = offset + ip.ihl * 4,
		.version = 4,
		.protocol = ip.protocol,
		.hop_limit = ip.ttl,
		.is_later_fragment = ip.frag_off & bpf_htons(FRAGMENT_OFFSET_V4),
	};
	return true;
}

static __always_inline bool parse_ip6(struct __sk_buff *skb, __u32 offset,
				      struct ip_packet *ret_packet)
{
	struct ipv6hdr ip;

	if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 6)
		return false;
	*ret_packet = (struct ip_packet){
		.offset = offset,
		.len = skb->len - offset,
		.source = key_of_ip6(&ip.saddr),
		.destination = key_of_ip6(&ip.daddr),
		.payload_offset = offset + sizeof(ip),
		.version = 6,
		.protocol = ip.nexthdr,
		.hop_limit = ip.hop_limit,
	};
	return true;
}

/* False if the header is cut short or contradicts its EtherType or itself: the destination is
 * unknown. */
static __always_inline bool parse_ip(struct __sk_buff *skb, __u32 ethertype, __u32 offset,
				     struct ip_packet *ret_packet)
{
	if (ethertype == bpf_htons(ETH_P_IP))
		return parse_ip4(skb, offset, ret_packet);
	if (ethertype == bpf_htons(ETH_P_IPV6))
		return parse_ip6(skb, offset, ret_packet);
	return false;
}

static __always_inline bool is_extension(__u32 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
	       protocol == IPPROTO_FRAGMENT || protocol == IPPROTO_DSTOPTS ||
	       protocol == IPPROTO_AH;
}

/* RFC 8200 section 4; RFC 4302 section 2.2 for AH, which counts in words of four bytes. */
static __always_inline __u32 extension_len(__u32 protocol, __u32 length)
{
	if (protocol == IPPROTO_FRAGMENT)
		return 8;
	if (protocol == IPPROTO_AH)
		return (length + 2) * 4;
	return (length + 1) * 8;
}

/* Walks the chain of IPv6 headers from the one at `offset`. Not static, so that the verifier checks
 * the loop once and not once for every path that leads here. Such a function returns a number, so
 * it packs three values: the offset where the chain ends, the protocol there << 16, and 1 << 24 for
 * a later fragment. -1: the chain is cut short or too long. */
__noinline int walk_extensions(struct __sk_buff *skb, __u32 offset, __u32 protocol)
{
	struct {
		__u8 next, length;
		__be16 fragment;
	} extension;

	for (int i = 0; i <= EXTENSIONS_MAX; i++) {
		if (!is_extension(protocol))
			return (protocol & 0xff) << 16 | (offset & 0xffff);
		if (bpf_skb_load_bytes(skb, offset, &extension, sizeof(extension)))
			return -1;
		if (protocol == IPPROTO_FRAGMENT &&
		    extension.fragment & bpf_htons(FRAGMENT_OFFSET_V6))
			return 1 << 24;
		offset += extension_len(protocol, extension.length);
		protocol = extension.next;
	}
	return -1;
}

/* False if the chain of headers is cut short or longer than EXTENSIONS_MAX. */
static __always_inline bool parse_transport(struct __sk_buff *skb, const struct ip_packet *packet,
					    struct transport *ret_transport)
{
	int found;

	if (packet->version == 4) {
		*ret_transport = (struct transport){packet->payload_offset, packet->protocol,
						    packet->is_later_fragment};
		return true;
	}
	found = walk_extensions(skb, packet->payload_offset, packet->protocol);
	if (found < 0)
		return false;
	*ret_transport = (struct transport){found & 0xffff, found >> 16 & 0xff, found >> 24};
	return true;
}

/* False if the packet is neither TCP nor UDP, or has no readable ports: it is a later fragment, or
 * cut short. */
static __always_inline bool parse_ports(struct __sk_buff *skb, const struct ip_packet *packet,
					struct ports *ret_ports)
{
	struct transport transport;

	if (!parse_transport(skb, packet, &transport) || transport.is_later_fragment)
		return false;
	if (transport.protocol != IPPROTO_TCP && transport.protocol != IPPROTO_UDP)
		return false;
	ret_ports->protocol = transport.protocol;
	return !bpf_skb_load_bytes(skb, transport.offset, ret_ports,
				   offsetof(struct ports, protocol));
}

/* Length of the TCP or UDP header that the segments of a super-packet share. */
static __always_inline __u32 parse_transport_len(struct __sk_buff *skb,
						 const struct transport *transport)
{
	struct tcphdr tcp;

	if (transport->protocol != IPPROTO_TCP)
		return sizeof(struct udphdr);
	if (bpf_skb_load_bytes(skb, transport->offset, &tcp, sizeof(tcp)))
		return sizeof(tcp);
	return tcp.doff * 4;
}

/* The number of packets that this one counts for. A super-packet written to a TUN has gso_size
 * only: the kernel fills in gso_segs when it segments. */
static __always_inline __u32 parse_segments(struct __sk_buff *skb, const struct ip_packet *packet)
{
	struct transport transport;
	__u32 headers;

	if (skb->gso_segs)
		return skb->gso_segs;
	if (!skb->gso_size || !parse_transport(skb, packet, &transport))
		return 1;
	headers = transport.offset - packet->offset + parse_transport_len(skb, &transport);
	if (packet->len <= headers)
		return 1;
	return (packet->len - headers + skb->gso_size - 1) / skb->gso_size;
}
