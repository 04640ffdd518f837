/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which packets belong into the tunnel, and which may come out of it. Decided by addresses alone, so that fragments,
 * options and extension headers change nothing.
 *
 * All that leaves a node in clear, and why; everything else is tunnelled or dropped:
 *   not IP (ARP, LLDP, ...)                  the link cannot work without it, and it carries no pod's data
 *   destination in no known prefix           the world outside the cluster; no node there could decrypt
 *   destination a local pod or this node     no other node's pod: a hairpin of the CNI, which stays on this machine
 *   destination a node, source no local pod  node to node: kubelet, API server, overlays, and the tunnel's datagrams
 *   neighbour discovery, hop limit 255       a neighbour in the cluster range must be found before anything can be
 *                                            sent; a router lowers the limit, so no pod can send data this way
 *
 * Why no loop is possible: what the tunnel sends has an address of this node as its source (PREFIX_SELF, never
 * PREFIX_LOCAL: the longest prefix wins) and a peer's endpoint as its destination. That is PREFIX_NODE, or unmatched
 * behind a NAT, and both pass from such a source; an endpoint inside a pod prefix keyd refuses. So a packet that has
 * been in the tunnel is never led into it again, whatever podveil0's routes say.
 */
#pragma once

#include "maps.h"
#include "parse.h"

#define ND_ROUTER_SOLICITATION 133 /* RFC 4861 section 4: 133 to 137 */
#define ND_REDIRECT	       137
#define ND_HOP_LIMIT	       255

enum route { ROUTE_PASS, ROUTE_TUNNEL, ROUTE_NO_PEER };

/* The map holds IPv4 as mapped addresses; an IPv6 packet that carries such an address is no IPv4 packet. */
static __always_inline bool is_mapped(const struct prefix_key *key)
{
	__u32 words[4];

	__builtin_memcpy(words, key->address, sizeof(words));
	return !words[0] && !words[1] && words[2] == IPV4_MAPPED_WORD;
}

/* class 0: unmatched. */
static __always_inline struct prefix_value policy_classify(const struct ip_packet *packet,
							   const struct prefix_key *address)
{
	struct prefix_value *value, unmatched = {0};

	if (packet->version == 6 && is_mapped(address))
		return unmatched;
	value = bpf_map_lookup_elem(&prefixes, address);
	return value ? *value : unmatched;
}

static __always_inline bool is_neighbour_discovery(struct __sk_buff *skb,
						   const struct ip_packet *packet)
{
	__u8 type;

	return packet->version == 6 && packet->protocol == IPPROTO_ICMPV6 &&
	       packet->hop_limit == ND_HOP_LIMIT &&
	       !bpf_skb_load_bytes(skb, packet->payload_offset, &type, sizeof(type)) &&
	       type >= ND_ROUTER_SOLICITATION && type <= ND_REDIRECT;
}

/* For a packet about to leave the node. ret_peer_id is set with ROUTE_TUNNEL. */
static __always_inline enum route policy_to_wire(struct __sk_buff *skb,
						 const struct ip_packet *packet, __u32 *ret_peer_id)
{
	struct prefix_value destination = policy_classify(packet, &packet->destination);

	if (!destination.class || is_neighbour_discovery(skb, packet))
		return ROUTE_PASS;
	*ret_peer_id = destination.peer_id;
	switch (destination.class) {
	case PREFIX_LOCAL:
	case PREFIX_SELF:
		return ROUTE_PASS;
	case PREFIX_NODE:
		return policy_classify(packet, &packet->source).class == PREFIX_LOCAL ? ROUTE_TUNNEL
										      : ROUTE_PASS;
	case PREFIX_PEER:
		return ROUTE_TUNNEL;
	default: /* PREFIX_CLUSTER, and whatever a later keyd may write: never in clear */
		return ROUTE_NO_PEER;
	}
}

/* For a decrypted packet: only this node's pods and its own addresses, so neither loopback, link-local, multicast,
 * broadcast nor another machine can be reached through us. */
static __always_inline bool policy_may_enter(struct prefix_value destination)
{
	return destination.class == PREFIX_LOCAL || destination.class == PREFIX_SELF;
}

/* The peer that a decrypted packet's source belongs to; 0: none. */
static __always_inline __u32 policy_source_peer(const struct ip_packet *packet)
{
	struct prefix_value source = policy_classify(packet, &packet->source);

	return source.class == PREFIX_PEER || source.class == PREFIX_NODE ? source.peer_id : 0;
}
