/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * wire_guard, at the same egress as to_wire and behind it, attached by the other mechanism: who takes one of the two
 * away leaks nothing. It judges as to_wire does, so whatever it has to drop is a leak that was stopped: its counters are
 * the leak meter and stay at 0 while to_wire does its work. It never redirects and never changes a packet.
 *
 * Besides, it looks into the packets of overlays: a pod's packet that some other way led into VXLAN, Geneve, GRE or IP
 * in IP past to_wire would cross the wire in clear.
 */
#pragma once

#include "inner.h"
#include "policy.h"
#include "verdict.h"

/* Returns an enum route. Not static: see walk_extensions. What cannot be read in there nobody can deliver. */
__noinline int judge_inner_to_wire(struct __sk_buff *skb, __u32 ethertype, __u32 offset)
{
	struct ip_packet inner;
	__u32 peer_id;

	if (!parse_ip(skb, ethertype, offset, &inner))
		return ROUTE_PASS;
	return policy_to_wire(skb, &inner, &peer_id);
}

static __always_inline bool is_route_clear(int route)
{
	return route == ROUTE_PASS || route == ROUTE_CLEAR;
}

static __always_inline int wire_guard_ip(struct __sk_buff *skb, __u32 ethertype, __u32 offset)
{
	struct ip_packet packet;
	__u32 peer_id, found;

	if (!parse_ip(skb, ethertype, offset, &packet))
		return verdict_drop_unread(skb, offset, DROP_TRUNCATED);
	/* to_wire has counted what goes in clear by permission. */
	if (!is_route_clear(policy_to_wire(skb, &packet, &peer_id)))
		return verdict_drop(skb, &packet, DROP_CLEAR_OUT);
	found = inner_find(skb, &packet);
	if (found != INNER_NONE &&
	    !is_route_clear(judge_inner_to_wire(skb, INNER_ETHERTYPE(found), INNER_OFFSET(found))))
		return verdict_drop(skb, &packet, DROP_CLEAR_OVERLAY_OUT);
	return verdict_pass();
}

SEC("tc")
int wire_guard(struct __sk_buff *skb)
{
	__be16 ethertype;
	__u32 offset;
	enum parse_result result = parse_ethernet(skb, 0, &ethertype, &offset);

	if (result != PARSE_OK)
		return verdict_drop_frame(skb, result);
	return is_ip(ethertype) ? wire_guard_ip(skb, ethertype, offset) : verdict_pass();
}

SEC("tc")
int wire_guard_l3(struct __sk_buff *skb)
{
	if (!is_ip(skb->protocol))
		return verdict_pass();
	return wire_guard_ip(skb, skb->protocol, bare_header_len);
}
