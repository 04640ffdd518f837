/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The only place that ends a packet's way or counts it. A drop without a reason of include/drop_reason.h cannot be
 * written. A packet that is none of our business goes on to the programs after us (TC_ACT_UNSPEC, which is also
 * TCX_NEXT): TC_ACT_OK would hide it from the CNI's own.
 *
 * Counters are per CPU and TC programs run with bottom halves off, so plain additions lose nothing; kernel_drops runs
 * anywhere, and adds in one step.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "maps.h"
#include "parse.h"

static __always_inline void count(struct traffic *sum, __u32 packets, __u32 bytes)
{
	sum->packets += packets;
	sum->bytes += bytes;
}

static __always_inline void count_drop(enum drop_reason reason, __u32 packets, __u32 bytes)
{
	__u32 key = reason;
	struct traffic *sum = bpf_map_lookup_elem(&drops, &key);

	if (sum)
		count(sum, packets, bytes);
}

/* For what the kernel dropped: in any context, so that another one may come in between. */
static __always_inline void count_loss(enum drop_reason reason, __u32 packets, __u32 bytes)
{
	__u32 key = reason;
	struct traffic *sum = bpf_map_lookup_elem(&drops, &key);

	if (!sum)
		return;
	__sync_fetch_and_add(&sum->packets, packets);
	__sync_fetch_and_add(&sum->bytes, bytes);
}

static __always_inline int verdict_pass(void)
{
	return TC_ACT_UNSPEC;
}

static __always_inline int verdict_drop(struct __sk_buff *skb, const struct ip_packet *packet,
					enum drop_reason reason)
{
	count_drop(reason, parse_segments(skb, packet), packet->len);
	return TC_ACT_SHOT;
}

/* For a packet whose IP header, at `offset`, could not be read. */
static __always_inline int verdict_drop_unread(struct __sk_buff *skb, __u32 offset,
					       enum drop_reason reason)
{
	count_drop(reason, skb->gso_segs ? skb->gso_segs : 1, skb->len - offset);
	return TC_ACT_SHOT;
}

/* For a frame whose IP header was not found. */
static __always_inline int verdict_drop_frame(struct __sk_buff *skb, enum parse_result result)
{
	return verdict_drop_unread(skb, 0,
				   result == PARSE_TOO_DEEP ? DROP_VLAN_STUCK : DROP_TRUNCATED);
}

/* Out of podveil0, to its reader: without the Ethernet header, which the kernel takes off on this way. */
static __always_inline int verdict_tunnel(struct __sk_buff *skb, const struct ip_packet *packet,
					  __u32 peer_id, __u32 tunnel_ifindex)
{
	struct peer_traffic *traffic = bpf_map_lookup_elem(&peer_traffic, &peer_id);

	if (traffic)
		count(&traffic->to_tunnel, parse_segments(skb, packet), packet->len);
	return bpf_redirect(tunnel_ifindex, 0);
}

/* In clear because the mode is permissive; peer_id 0: to an address that no node claims. Counted on each device of ours
 * that the packet crosses, so twice where one stands on another, as a VLAN on its NIC. */
static __always_inline int verdict_clear_out(struct __sk_buff *skb, const struct ip_packet *packet,
					     __u32 peer_id)
{
	struct peer_traffic *traffic = bpf_map_lookup_elem(&peer_traffic, &peer_id);

	if (traffic)
		count(&traffic->clear_out, parse_segments(skb, packet), packet->len);
	return verdict_pass();
}

/* As above, for a packet that came so; peer_id 0: from an address that no node claims. */
static __always_inline int verdict_clear_in(struct __sk_buff *skb, const struct ip_packet *packet,
					    __u32 peer_id)
{
	struct peer_traffic *traffic = bpf_map_lookup_elem(&peer_traffic, &peer_id);

	if (traffic)
		count(&traffic->clear_in, parse_segments(skb, packet), packet->len);
	return verdict_pass();
}

/* A decrypted packet goes on into the node's stack; peer_id 0: its source belongs to no peer. */
static __always_inline int verdict_enter(struct __sk_buff *skb, const struct ip_packet *packet,
					 __u32 peer_id)
{
	struct peer_traffic *traffic;

	traffic = peer_id ? bpf_map_lookup_elem(&peer_traffic, &peer_id) : NULL;
	if (traffic)
		count(&traffic->from_tunnel, parse_segments(skb, packet), packet->len);
	return verdict_pass();
}
