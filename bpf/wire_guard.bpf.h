/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * wire_guard, at the same egress as to_wire and behind it, attached by the other mechanism, so that
 * removing one of the two leaks nothing. It makes the same decision as to_wire, so each packet that
 * it drops is a leak that it stopped. Its counters are the leak meter: they stay at 0 while to_wire
 * works. It never redirects and never changes a packet.
 *
 * It also looks inside the packets of overlays: a pod's packet that reached VXLAN, Geneve, GRE or
 * IP in IP around to_wire would cross the wire in cleartext.
 */
#pragma once

#include "inner.h"
#include "policy.h"
#include "verdict.h"

/* Returns an enum route. Not static: see walk_extensions. An unreadable inner packet passes: no
 * receiver can deliver it. */
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
	/* to_wire has already counted the packets that permissive mode lets pass in cleartext. */
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
