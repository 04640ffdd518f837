/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * to_wire, at the egress of every device that leads to other nodes, after routing and DNAT. A
 * packet for a pod on another node goes into podveil0 or is dropped; it leaves in cleartext only
 * where policy.h allows it. Everything else passes untouched.
 */
#pragma once

#include "policy.h"
#include "verdict.h"

#define TCP_OPTION_END	 0
#define TCP_OPTION_NOP	 1
#define TCP_OPTION_MSS	 2
#define TCP_MSS_LEN	 4
#define TCP_OPTIONS_MAX	 40 /* bytes, and therefore options at most */
#define TCP_HEADERS_V4	 40 /* RFC 6691 subtracts these from the MTU */
#define TCP_HEADERS_V6	 60
#define UNTAG_ROUNDS_MAX (VLAN_TAGS_MAX + 1) /* and the one that the skb holds */

static __always_inline __be16 swap_bytes(__be16 word)
{
	return (__be16)((word << 8) | (word >> 8));
}

static __always_inline void lower_mss(struct __sk_buff *skb, __u32 tcp, __u32 option, __u16 limit)
{
	__u32 check = tcp + offsetof(struct tcphdr, check), value = option + 2;
	__be16 old, new = bpf_htons(limit);

	if (bpf_skb_load_bytes(skb, value, &old, sizeof(old)) || bpf_ntohs(old) <= limit)
		return;
	if (bpf_skb_store_bytes(skb, value, &new, sizeof(new), 0))
		return;
	/* The checksum is over words from the start of the header; at an odd offset the value
	 * straddles two of them. */
	if ((value - tcp) & 1)
		bpf_l4_csum_replace(skb, check, swap_bytes(old), swap_bytes(new), sizeof(new));
	else
		bpf_l4_csum_replace(skb, check, old, new, sizeof(new));
}

/* One option, at tcp + place. Returns its length, or 0 where the list ends or is malformed. Not
 * static, so that the verifier checks it once and not once for every path that leads here: loading
 * takes milliseconds instead of seconds. */
__noinline __u32 lower_mss_option(struct __sk_buff *skb, __u32 tcp, __u32 place, __u32 header_len,
				  __u32 limit)
{
	__u8 kind, length;

	if (bpf_skb_load_bytes(skb, tcp + place, &kind, sizeof(kind)) || kind == TCP_OPTION_END)
		return 0;
	if (kind == TCP_OPTION_NOP)
		return 1;
	if (bpf_skb_load_bytes(skb, tcp + place + 1, &length, sizeof(length)) || length < 2 ||
	    place + length > header_len)
		return 0;
	if (kind == TCP_OPTION_MSS && length == TCP_MSS_LEN)
		lower_mss(skb, tcp, tcp + place, limit);
	return length;
}

/* Lowers all MSS options: the receiver uses the last one. */
static __always_inline void lower_mss_options(struct __sk_buff *skb, __u32 tcp, __u32 header_len,
					      __u32 limit)
{
	__u32 place = sizeof(struct tcphdr), length;

	for (int i = 0; i < TCP_OPTIONS_MAX && place < header_len; i++) {
		length = lower_mss_option(skb, tcp, place, header_len, limit);
		if (!length)
			return;
		place += length;
	}
}

/* Only SYN and SYN-ACK carry the option. */
static __always_inline void lower_mss_of_syn(struct __sk_buff *skb, const struct ip_packet *packet,
					     __u32 mtu)
{
	__u32 headers = packet->version == 4 ? TCP_HEADERS_V4 : TCP_HEADERS_V6;
	struct transport transport;
	struct tcphdr tcp;

	if (mtu <= headers || mtu > 65535 || !parse_transport(skb, packet, &transport))
		return;
	if (transport.is_later_fragment || transport.protocol != IPPROTO_TCP)
		return;
	if (bpf_skb_load_bytes(skb, transport.offset, &tcp, sizeof(tcp)) || !tcp.syn)
		return;
	lower_mss_options(skb, transport.offset, tcp.doff * 4, mtu - headers);
}

/* Removes all VLAN tags, beside the frame and in it: on the way into the TUN the first would be
 * written into the IP header. bpf_skb_vlan_pop() also succeeds if it found no tag, even if
 * skb->protocol misled it, so the frame itself is checked at the end. */
static __always_inline bool untag(struct __sk_buff *skb, struct ip_packet *packet)
{
	__be16 ethertype;
	__u32 offset;

	if (!skb->vlan_present && packet->offset == ETH_HLEN)
		return true;
	for (int i = 0; i < UNTAG_ROUNDS_MAX; i++)
		if (bpf_skb_vlan_pop(skb))
			return false;
	if (skb->vlan_present || parse_ethernet(skb, 0, &ethertype, &offset) || offset != ETH_HLEN)
		return false;
	packet->payload_offset -= packet->offset - ETH_HLEN;
	packet->offset = ETH_HLEN;
	return true;
}

static __always_inline int to_tunnel(struct __sk_buff *skb, struct ip_packet *packet, __u32 peer_id,
				     bool is_ethernet)
{
	struct peer_value *peer = bpf_map_lookup_elem(&peers, &peer_id);
	struct datapath_config *settings = bpf_map_lookup_elem(&config, &(__u32){0});

	if (!peer || !peer->is_usable)
		return verdict_drop(skb, packet, DROP_PEER_UNUSABLE);
	if (!settings || !settings->tunnel_ifindex)
		return verdict_drop(skb, packet, DROP_NO_TUNNEL);
	if (is_ethernet && !untag(skb, packet))
		return verdict_drop(skb, packet, DROP_VLAN_STUCK);
	if (clamp_mss)
		lower_mss_of_syn(skb, packet, settings->tunnel_mtu);
	return verdict_tunnel(skb, packet, peer_id, settings->tunnel_ifindex);
}

static __always_inline int to_wire_ip(struct __sk_buff *skb, __u32 ethertype, __u32 offset,
				      bool is_ethernet)
{
	struct ip_packet packet;
	__u32 peer_id = 0;

	if (!parse_ip(skb, ethertype, offset, &packet))
		return verdict_drop_unread(skb, offset, DROP_TRUNCATED);
	switch (policy_to_wire(skb, &packet, &peer_id)) {
	case ROUTE_PASS:
		return verdict_pass();
	case ROUTE_CLEAR:
		return verdict_clear_out(skb, &packet, peer_id);
	case ROUTE_TUNNEL:
		return to_tunnel(skb, &packet, peer_id, is_ethernet);
	case ROUTE_NO_PEER:
		return verdict_drop(skb, &packet, DROP_NO_PEER);
	}
	return verdict_drop(skb, &packet, DROP_NO_PEER);
}

SEC("tc")
int to_wire(struct __sk_buff *skb)
{
	__be16 ethertype;
	__u32 offset;
	enum parse_result result = parse_ethernet(skb, 0, &ethertype, &offset);

	if (result != PARSE_OK)
		return verdict_drop_frame(skb, result);
	return is_ip(ethertype) ? to_wire_ip(skb, ethertype, offset, true) : verdict_pass();
}

/* For devices without an Ethernet header (ipip, gre, sit, ip6tnl, wireguard, tun). */
SEC("tc")
int to_wire_l3(struct __sk_buff *skb)
{
	if (!is_ip(skb->protocol))
		return verdict_pass();
	return to_wire_ip(skb, skb->protocol, bare_header_len, false);
}
