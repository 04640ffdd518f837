/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * from_tunnel, at the ingress of podveil0: a decrypted packet may reach local pods and this node's
 * own addresses and nothing else, and never the tunnel's own port. So a peer can neither use this
 * node as a router nor nest the tunnel in itself. Accepted packets go through the node's stack:
 * conntrack and network policy depend on it.
 */
#pragma once

#include "policy.h"
#include "verdict.h"

enum aim { AIM_OTHER, AIM_TUNNEL_PORT, AIM_HIDDEN };

/* AIM_HIDDEN: the headers are cut short or too many, so the port is unknown. A later fragment has
 * no port; without its first fragment it is never delivered. */
static __always_inline enum aim find_aim(struct __sk_buff *skb, const struct ip_packet *packet)
{
	struct datapath_config *settings = bpf_map_lookup_elem(&config, &(__u32){0});
	struct transport transport;
	struct udphdr udp;

	if (!settings || !parse_transport(skb, packet, &transport))
		return AIM_HIDDEN;
	if (transport.is_later_fragment || transport.protocol != IPPROTO_UDP)
		return AIM_OTHER;
	if (bpf_skb_load_bytes(skb, transport.offset, &udp, sizeof(udp)))
		return AIM_HIDDEN;
	return bpf_ntohs(udp.dest) == settings->tunnel_port ? AIM_TUNNEL_PORT : AIM_OTHER;
}

static __always_inline int from_tunnel_ip(struct __sk_buff *skb, __u32 ethertype, __u32 offset)
{
	struct prefix_value destination;
	struct ip_packet packet;

	if (!parse_ip(skb, ethertype, offset, &packet))
		return verdict_drop_unread(skb, offset, DROP_TUNNEL_TRUNCATED);
	destination = policy_classify(&packet, &packet.destination);
	if (!policy_may_enter(destination))
		return verdict_drop(skb, &packet, DROP_NOT_LOCAL);
	if (destination.class == PREFIX_SELF) {
		switch (find_aim(skb, &packet)) {
		case AIM_OTHER:
			break;
		case AIM_TUNNEL_PORT:
			return verdict_drop(skb, &packet, DROP_TUNNEL_PORT);
		case AIM_HIDDEN:
			return verdict_drop(skb, &packet, DROP_TUNNEL_TRUNCATED);
		}
	}
	return verdict_enter(skb, &packet, policy_source_peer(&packet));
}

SEC("tc")
int from_tunnel(struct __sk_buff *skb)
{
	return from_tunnel_ip(skb, skb->protocol, bare_header_len);
}
