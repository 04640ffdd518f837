/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The only file that drops, redirects or counts a packet. A drop without a reason of
 * include/drop_reason.h cannot be written. A packet that we do not handle continues to the next
 * program (TC_ACT_UNSPEC, which is also TCX_NEXT): TC_ACT_OK would hide it from the CNI's programs.
 *
 * Counters are per CPU and TC programs run with bottom halves off, so plain additions lose nothing.
 * kernel_drops runs in any context and adds atomically.
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

/* For packets that the kernel dropped: this runs in any context, so another one may interrupt
 * it. */
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

/* For a packet with an unreadable IP header at `offset`. */
static __always_inline int verdict_drop_unread(struct __sk_buff *skb, __u32 offset,
					       enum drop_reason reason)
{
	count_drop(reason, skb->gso_segs ? skb->gso_segs : 1, skb->len - offset);
	return TC_ACT_SHOT;
}

/* For a frame in which no IP header was found. */
static __always_inline int verdict_drop_frame(struct __sk_buff *skb, enum parse_result result)
{
	return verdict_drop_unread(skb, 0,
				   result == PARSE_TOO_DEEP ? DROP_VLAN_STUCK : DROP_TRUNCATED);
}

/* Out of podveil0, to its reader. The kernel strips the Ethernet header on this path. */
static __always_inline int verdict_tunnel(struct __sk_buff *skb, const struct ip_packet *packet,
					  __u32 peer_id, __u32 tunnel_ifindex)
{
	struct peer_traffic *traffic = bpf_map_lookup_elem(&peer_traffic, &peer_id);

	if (traffic)
		count(&traffic->to_tunnel, parse_segments(skb, packet), packet->len);
	return bpf_redirect(tunnel_ifindex, 0);
}

/* In cleartext because the mode is permissive; peer_id 0: to an address that no node claims.
 * Counted on each of our devices that the packet crosses, so twice if one is on top of another, as
 * a VLAN on its NIC. */
static __always_inline int verdict_clear_out(struct __sk_buff *skb, const struct ip_packet *packet,
					     __u32 peer_id)
{
	struct peer_traffic *traffic = bpf_map_lookup_elem(&peer_traffic, &peer_id);

	if (traffic)
		count(&traffic->clear_out, parse_segments(skb, packet), packet->len);
	return verdict_pass();
}

/* The same for incoming cleartext; peer_id 0: from an address that no node claims. */
static __always_inline int verdict_clear_in(struct __sk_buff *skb, const struct ip_packet *packet,
					    __u32 peer_id)
{
	struct peer_traffic *traffic = bpf_map_lookup_elem(&peer_traffic, &peer_id);

	if (traffic)
		count(&traffic->clear_in, parse_segments(skb, packet), packet->len);
	return verdict_pass();
}

/* A decrypted packet continues into the node's stack; peer_id 0: no peer owns its source. */
static __always_inline int verdict_enter(struct __sk_buff *skb, const struct ip_packet *packet,
					 __u32 peer_id)
{
	struct peer_traffic *traffic;

	traffic = peer_id ? bpf_map_lookup_elem(&peer_traffic, &peer_id) : NULL;
	if (traffic)
		count(&traffic->from_tunnel, parse_segments(skb, packet), packet->len);
	return verdict_pass();
}
