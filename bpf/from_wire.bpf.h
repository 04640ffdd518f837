/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * from_wire, at the ingress of every device that leads to other nodes, before the stack sees a
 * packet. It drops cleartext that no node's to_wire would have sent in cleartext, inside an
 * overlay's packet too. It also drops datagrams for the tunnel's port that cannot be WireGuard
 * messages, so that they never cost the tunnel a system call.
 *
 * Unreadable packets pass: the stack behind cannot read them either.
 */
#pragma once

#include "inner.h"
#include "policy.h"
#include "verdict.h"

#define WIREGUARD_INITIATION_LEN 148 /* the paper, section 5.4 */
#define WIREGUARD_RESPONSE_LEN	 92
#define WIREGUARD_COOKIE_LEN	 64
#define WIREGUARD_DATA_MIN	 32

enum datagram { DATAGRAM_OTHER, DATAGRAM_WIREGUARD, DATAGRAM_GARBAGE };

/* A data message need not be a multiple of 16 bytes: padding ends at the MTU. */
static __always_inline bool is_wireguard(__u32 message, __u32 len)
{
	switch (bpf_ntohl(message)) { /* the type, and three zero bytes */
	case 0x01000000:
		return len == WIREGUARD_INITIATION_LEN;
	case 0x02000000:
		return len == WIREGUARD_RESPONSE_LEN;
	case 0x03000000:
		return len == WIREGUARD_COOKIE_LEN;
	case 0x04000000:
		return len >= WIREGUARD_DATA_MIN;
	}
	return false;
}

/* For a super-packet this judges the first segment; the tunnel judges each. The UDP header of a
 * first fragment has the length of the whole datagram. */
static __always_inline enum datagram find_datagram(struct __sk_buff *skb,
						   const struct ip_packet *packet)
{
	struct datapath_config *settings = bpf_map_lookup_elem(&config, &(__u32){0});
	struct transport transport;
	struct udphdr udp;
	__u32 message, len;

	if (!settings || packet->protocol == IPPROTO_TCP ||
	    !parse_transport(skb, packet, &transport) || transport.is_later_fragment ||
	    transport.protocol != IPPROTO_UDP)
		return DATAGRAM_OTHER;
	if (bpf_skb_load_bytes(skb, transport.offset, &udp, sizeof(udp)) ||
	    bpf_ntohs(udp.dest) != settings->tunnel_port ||
	    policy_classify(packet, &packet->destination).class != PREFIX_SELF)
		return DATAGRAM_OTHER;
	if (bpf_skb_load_bytes(skb, transport.offset + sizeof(udp), &message, sizeof(message)))
		return DATAGRAM_GARBAGE;
	len = skb->gso_size ? skb->gso_size : bpf_ntohs(udp.len) - sizeof(udp);
	return is_wireguard(message, len) ? DATAGRAM_WIREGUARD : DATAGRAM_GARBAGE;
}

/* Returns an enum route. Not static: see walk_extensions. */
__noinline int judge_inner_from_wire(struct __sk_buff *skb, __u32 ethertype, __u32 offset)
{
	struct ip_packet inner;
	__u32 peer_id;

	if (!parse_ip(skb, ethertype, offset, &inner))
		return ROUTE_PASS;
	return policy_from_wire(skb, &inner, &peer_id);
}

/* In permissive mode nothing is counted here: the overlay's own device has a from_wire, which sees
 * the inner packet itself. */
static __always_inline int from_overlay(struct __sk_buff *skb, const struct ip_packet *packet)
{
	__u32 found = inner_find(skb, packet);

	if (found != INNER_NONE &&
	    judge_inner_from_wire(skb, INNER_ETHERTYPE(found), INNER_OFFSET(found)) == ROUTE_TUNNEL)
		return verdict_drop(skb, packet, DROP_CLEAR_OVERLAY_IN);
	return verdict_pass();
}

static __always_inline int from_wire_ip(struct __sk_buff *skb, __u32 ethertype, __u32 offset)
{
	struct ip_packet packet;
	__u32 peer_id;

	if (!parse_ip(skb, ethertype, offset, &packet))
		return verdict_pass();
	switch (find_datagram(skb, &packet)) {
	case DATAGRAM_OTHER:
		break;
	case DATAGRAM_WIREGUARD:
		return verdict_pass();
	case DATAGRAM_GARBAGE:
		return verdict_drop(skb, &packet, DROP_NOT_WIREGUARD);
	}
	switch (policy_from_wire(skb, &packet, &peer_id)) {
	case ROUTE_PASS:
		return from_overlay(skb, &packet);
	case ROUTE_CLEAR:
		return verdict_clear_in(skb, &packet, peer_id);
	case ROUTE_TUNNEL:
	case ROUTE_NO_PEER:
		return verdict_drop(skb, &packet, DROP_CLEAR_IN);
	}
	return verdict_drop(skb, &packet, DROP_CLEAR_IN);
}

SEC("tc")
int from_wire(struct __sk_buff *skb)
{
	__be16 ethertype;
	__u32 offset;

	if (parse_ethernet(skb, 0, &ethertype, &offset) || !is_ip(ethertype))
		return verdict_pass();
	return from_wire_ip(skb, ethertype, offset);
}

SEC("tc")
int from_wire_l3(struct __sk_buff *skb)
{
	if (!is_ip(skb->protocol))
		return verdict_pass();
	return from_wire_ip(skb, skb->protocol, bare_header_len);
}
