/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finds the packet inside an overlay's packet: VXLAN (RFC 7348), Geneve (RFC 8926), GRE (RFC 2784,
 * 2890) and all four kinds of IP in IP. It looks one level deep, since no cluster's network is an
 * overlay inside an overlay. A packet that cannot be read as one of these has no inner packet. The
 * contract of parse.h holds here too.
 */
#pragma once

#include "maps.h"
#include "parse.h"

#define VXLAN_HEADER_LEN     8
#define GENEVE_HEADER_LEN    8
#define GENEVE_OPTIONS_WORDS 0x3f
#define GRE_CHECKSUM	     bpf_htons(0x8000)
#define GRE_KEY		     bpf_htons(0x2000)
#define GRE_SEQUENCE	     bpf_htons(0x1000)
#define GRE_VERSION	     bpf_htons(0x0007)

/* The functions here return the inner EtherType, in network byte order, and the offset of the inner
 * IP header. */
#define INNER_NONE		 0
#define INNER(ethertype, offset) ((__u32)(ethertype) << 16 | ((offset)&0xffff))
#define INNER_ETHERTYPE(found)	 ((found) >> 16)
#define INNER_OFFSET(found)	 ((found)&0xffff)

static __always_inline __u32 find_in_ethernet(struct __sk_buff *skb, __u32 start)
{
	__be16 ethertype;
	__u32 offset;

	if (parse_ethernet(skb, start, &ethertype, &offset) || !is_ip(ethertype))
		return INNER_NONE;
	return INNER(ethertype, offset);
}

/* Geneve and GRE have the EtherType of their payload. */
static __always_inline __u32 find_by_type(struct __sk_buff *skb, __be16 ethertype, __u32 start)
{
	if (ethertype == bpf_htons(ETH_P_TEB))
		return find_in_ethernet(skb, start);
	return is_ip(ethertype) ? INNER(ethertype, start) : INNER_NONE;
}

static __always_inline __u32 find_in_geneve(struct __sk_buff *skb, __u32 offset)
{
	struct {
		__u8 options, flags;
		__be16 ethertype;
	} geneve;

	if (bpf_skb_load_bytes(skb, offset, &geneve, sizeof(geneve)))
		return INNER_NONE;
	offset += GENEVE_HEADER_LEN + (geneve.options & GENEVE_OPTIONS_WORDS) * 4;
	return find_by_type(skb, geneve.ethertype, offset);
}

static __always_inline __u32 find_in_gre(struct __sk_buff *skb, __u32 offset)
{
	struct {
		__be16 flags, ethertype;
	} gre;

	if (bpf_skb_load_bytes(skb, offset, &gre, sizeof(gre)) || gre.flags & GRE_VERSION)
		return INNER_NONE;
	offset += sizeof(gre);
	offset += gre.flags & GRE_CHECKSUM ? 4 : 0;
	offset += gre.flags & GRE_KEY ? 4 : 0;
	offset += gre.flags & GRE_SEQUENCE ? 4 : 0;
	return find_by_type(skb, gre.ethertype, offset);
}

static __always_inline bool is_listed(const __u16 ports[OVERLAY_PORTS_MAX], __u16 port)
{
	for (int i = 0; i < OVERLAY_PORTS_MAX; i++)
		if (ports[i] == port)
			return port;
	return false;
}

static __always_inline __u32 find_in_udp(struct __sk_buff *skb, __u32 offset)
{
	struct datapath_config *settings = bpf_map_lookup_elem(&config, &(__u32){0});
	struct udphdr udp;
	__u16 port;

	if (!settings || bpf_skb_load_bytes(skb, offset, &udp, sizeof(udp)))
		return INNER_NONE;
	port = bpf_ntohs(udp.dest);
	offset += sizeof(udp);
	if (is_listed(settings->vxlan_ports, port))
		return find_in_ethernet(skb, offset + VXLAN_HEADER_LEN);
	return is_listed(settings->geneve_ports, port) ? find_in_geneve(skb, offset) : INNER_NONE;
}

/* `offset` is that of the header which `protocol` names. Not static: see walk_extensions. */
__noinline __u32 inner_find_at(struct __sk_buff *skb, __u32 protocol, __u32 offset)
{
	switch (protocol) {
	case IPPROTO_UDP:
		return find_in_udp(skb, offset);
	case IPPROTO_IPIP:
		return INNER(bpf_htons(ETH_P_IP), offset);
	case IPPROTO_IPV6:
		return INNER(bpf_htons(ETH_P_IPV6), offset);
	case IPPROTO_GRE:
		return find_in_gre(skb, offset);
	}
	return INNER_NONE;
}

/* Nothing is found in a later fragment; without its first fragment it is never delivered. */
static __always_inline __u32 inner_find(struct __sk_buff *skb, const struct ip_packet *packet)
{
	struct transport transport;

	if (packet->protocol == IPPROTO_TCP || !parse_transport(skb, packet, &transport) ||
	    transport.is_later_fragment)
		return INNER_NONE;
	return inner_find_at(skb, transport.protocol, transport.offset);
}
