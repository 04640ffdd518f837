/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Decides which packets belong into the tunnel, and which may come out of it. It decides by
 * addresses alone, so that fragments, options and extension headers change nothing; only an
 * exception may look at more.
 *
 * policy_to_wire is the one decision about outgoing packets: to_wire acts on it, and wire_guard
 * verifies that, also for the packet inside an overlay's. These packets leave a node in cleartext,
 * for these reasons; everything else is tunnelled or dropped:
 *   not IP (ARP, LLDP, ...)                  the link cannot work without it, and it carries no
 *                                            pod's data
 *   destination in no known prefix           the world outside the cluster, or multicast: no node
 *                                            there could decrypt
 *   destination a local pod or this node     no other node's pod: a hairpin of the CNI, which
 *                                            stays on this machine
 *   the tunnel's datagram to an endpoint     ciphertext, wherever the endpoint is (`endpoints`)
 *   destination a node, source no local pod  node to node: kubelet, API server, overlays, and the
 *                                            tunnel's datagrams. This node's addresses inside its
 *                                            pods' range (a bridge's) count as local pods, since
 *                                            other nodes cannot tell them apart. An ICMP error
 *                                            about a pod's packet is no exception: it quotes up to
 *                                            1,232 bytes of its data
 *   destination in --except-cidr             the administrator chose it
 *   --bypass, TCP or UDP from or to it       the API server distributes the keys, so reaching it
 *                                            must never require one. A later fragment shows no
 *                                            port, so it is no exception
 *   an API server, TCP from or to it         the same reason. Only if keyd itself has completed
 *                                            TLS with it, and no member has a pod at that address
 *   keyd's probe of an API server, TCP       without it TLS cannot complete. Only with PROBE_MARK,
 *                                            and from this node's own addresses
 *   neighbour discovery, hop limit 255       a neighbour in the cluster range must be resolved
 *                                            before anything can be sent to it. A router lowers
 *                                            the limit, so no pod can send data this way
 *   permissive mode: a node never reached    for migrating a live cluster; counted. The first
 *                                            handshake ends it for good: from then on the node's
 *                                            traffic is tunnelled or dropped in every mode. The
 *                                            same for destinations in the cluster range that no
 *                                            node claims yet
 *
 * policy_from_wire mirrors it for incoming cleartext. It drops the packets that no node's to_wire
 * sends:
 *   source a remote pod, or unclaimed        to any destination: DNAT behind us may change it
 *   source a node, destination a local pod   that node tunnels it, since its destination is a pod
 *   source a node, ICMP error about a pod    that node tunnels it, since it quotes a pod's packet
 *
 * It has the same exceptions, seen from the receiver: --except-cidr on either side, bypasses,
 * answers to a probe, and neighbour discovery. A multicast or broadcast destination passes too,
 * because the sender treats it as outside the cluster. The tunnel's own datagrams never get here.
 * In permissive mode it drops nothing and only counts: the two ends learn of their first handshake
 * at different moments, and the cleartext that one end sends until then must not be lost. This
 * gives nothing away: while a node may send cleartext, anyone may impersonate it; only strict mode
 * promises otherwise.
 *
 * An address that two nodes claim (PREFIX_CONTESTED) is treated as a pod's for outgoing packets and
 * as a node's for incoming ones. Its traffic is tunnelled, and cleartext that its node still sends
 * is not lost: that node learns of the dispute at another moment.
 *
 * Why no loop is possible: a datagram of the tunnel has an address of this node as its source
 * (PREFIX_SELF, never PREFIX_LOCAL: the longest prefix wins), the tunnel's port as its source port,
 * and a peer's endpoint as its destination. That endpoint is PREFIX_NODE, or unmatched behind a
 * NAT, and both pass from such a source and port; or it is in `endpoints`, which passes too. So a
 * packet that has been in the tunnel is never sent into it again. If a route leads it into
 * podveil0, which no program here sees, the tunnel recognizes its own datagram (tunnel/send.c).
 */
#pragma once

#include "maps.h"
#include "parse.h"

#define ND_ROUTER_SOLICITATION 133 /* RFC 4861 section 4: 133 to 137 */
#define ND_REDIRECT	       137
#define ND_HOP_LIMIT	       255
#define ICMP_UNREACHABLE       3 /* RFC 792: the errors are 3 to 5, 11 and 12 */
#define ICMP_REDIRECT	       5
#define ICMP_TIME_EXCEEDED     11
#define ICMP_PARAMETER_PROBLEM 12
#define ICMP6_INFORMATIONAL    128 /* RFC 4443 section 2.1: types below are errors */
#define ICMP_HEADER_LEN	       8   /* followed by the packet that the error is about */
#define ADDRESS_BITS	       128

/* ROUTE_CLEAR: belongs into the tunnel, but passes in cleartext because the mode is permissive. */
enum route { ROUTE_PASS, ROUTE_CLEAR, ROUTE_TUNNEL, ROUTE_NO_PEER };

/* The map holds IPv4 as mapped addresses; an IPv6 packet with such an address is not IPv4. */
static __always_inline bool is_mapped(const struct prefix_key *key)
{
	__u32 words[4];

	__builtin_memcpy(words, key->address, sizeof(words));
	return !words[0] && !words[1] && words[2] == IPV4_MAPPED_WORD;
}

/* Returns class 0 if no prefix matches. */
static __always_inline struct prefix_value policy_classify(const struct ip_packet *packet,
							   const struct prefix_key *address)
{
	struct prefix_value *value, unmatched = {0};

	if (packet->version == 6 && is_mapped(address))
		return unmatched;
	value = bpf_map_lookup_elem(&prefixes, address);
	return value ? *value : unmatched;
}

/* -- exceptions -- */

static __always_inline bool is_neighbour_discovery(struct __sk_buff *skb,
						   const struct ip_packet *packet)
{
	__u8 type;

	return packet->version == 6 && packet->protocol == IPPROTO_ICMPV6 &&
	       packet->hop_limit == ND_HOP_LIMIT &&
	       !bpf_skb_load_bytes(skb, packet->payload_offset, &type, sizeof(type)) &&
	       type >= ND_ROUTER_SOLICITATION && type <= ND_REDIRECT;
}

/* An enum bypass_value; 0: no bypass. */
static __always_inline __u8 find_bypass(const struct ip_packet *packet,
					const struct prefix_key *address, __be16 port)
{
	struct bypass_key key = {.port = port};
	__u8 *value;

	if (packet->version == 6 && is_mapped(address))
		return 0;
	__builtin_memcpy(key.address, address->address, sizeof(key.address));
	value = bpf_map_lookup_elem(&bypass, &key);
	return value ? *value : 0;
}

static __always_inline bool covers(__u8 bypass_value, __u8 protocol)
{
	return bypass_value == BYPASS_TCP_UDP ||
	       (bypass_value == BYPASS_TCP && protocol == IPPROTO_TCP);
}

static __always_inline bool is_multicast(const struct ip_packet *packet)
{
	const __u8 *address = packet->destination.address;
	__u32 word;

	if (packet->version == 6)
		return address[0] == 0xff;
	__builtin_memcpy(&word, address + 12, sizeof(word));
	return (address[12] & 0xf0) == 0xe0 || word == 0xffffffff;
}

/* -- the decision -- */

/* The tunnel sends UDP from its port, and never in fragments. */
static __always_inline bool is_sent_by_tunnel(struct __sk_buff *skb, const struct ip_packet *packet)
{
	struct datapath_config *settings = bpf_map_lookup_elem(&config, &(__u32){0});
	struct ports ports;

	return settings && packet->protocol == IPPROTO_UDP && parse_ports(skb, packet, &ports) &&
	       bpf_ntohs(ports.source) == settings->tunnel_port;
}

/* The class of the longest prefix around a whole address: a lookup with 127 bits does not match the
 * address itself. */
static __always_inline __u32 class_around(const struct ip_packet *packet,
					  const struct prefix_key *address)
{
	struct prefix_key around = *address;

	around.prefix_len = ADDRESS_BITS - 1;
	return policy_classify(packet, &around).class;
}

/* A local pod's address, or one of this node's own addresses inside its pods' range. */
static __always_inline bool is_among_local_pods(const struct ip_packet *packet,
						const struct prefix_key *address,
						struct prefix_value found)
{
	if (found.class != PREFIX_SELF)
		return found.class == PREFIX_LOCAL;
	return class_around(packet, address) == PREFIX_LOCAL;
}

/* Towards a node that is reachable through the tunnel, an address of this node inside another
 * node's pod range counts too: the other nodes treat it as contested. */
static __always_inline bool is_from_local_pod(struct __sk_buff *skb, const struct ip_packet *packet,
					      struct prefix_value destination)
{
	struct prefix_value source = policy_classify(packet, &packet->source);
	struct peer_value *peer;
	__u32 around;

	if (source.class != PREFIX_SELF)
		return source.class == PREFIX_LOCAL;
	if (is_sent_by_tunnel(skb, packet))
		return false;
	around = class_around(packet, &packet->source);
	if (around != PREFIX_PEER)
		return around == PREFIX_LOCAL;
	peer = bpf_map_lookup_elem(&peers, &destination.peer_id);
	return peer && peer->is_usable;
}

static __always_inline bool is_to_endpoint(struct __sk_buff *skb, const struct ip_packet *packet,
					   const struct datapath_config *settings)
{
	struct endpoint_key key = {0};
	struct ports ports;

	if (packet->protocol != IPPROTO_UDP || !parse_ports(skb, packet, &ports) ||
	    bpf_ntohs(ports.source) != settings->tunnel_port)
		return false;
	__builtin_memcpy(key.address, packet->destination.address, sizeof(key.address));
	key.port = ports.destination;
	return bpf_map_lookup_elem(&endpoints, &key) &&
	       policy_classify(packet, &packet->source).class == PREFIX_SELF;
}

/* -- bypasses -- */

/* An address of this node that cannot be mistaken for a pod's. */
static __always_inline bool is_own(const struct ip_packet *packet, const struct prefix_key *address)
{
	struct prefix_value found = policy_classify(packet, address);

	return found.class == PREFIX_SELF && !is_among_local_pods(packet, address, found);
}

/* A TCP packet of keyd's own between this node and a possible API server. `to` and `from` are the
 * bypass values of its destination and source. */
static __always_inline bool is_probe(const struct __sk_buff *skb, const struct ip_packet *packet,
				     __u8 to, __u8 from)
{
	if (to == BYPASS_PROBE && skb->mark == PROBE_MARK)
		return is_own(packet, &packet->source);
	return from == BYPASS_PROBE && is_own(packet, &packet->destination);
}

static __always_inline bool is_bypassed(struct __sk_buff *skb, const struct ip_packet *packet,
					const struct datapath_config *settings)
{
	struct ports ports;
	__u8 to, from;

	if (!settings->bypass_count || !parse_ports(skb, packet, &ports))
		return false;
	to = find_bypass(packet, &packet->destination, ports.destination);
	from = find_bypass(packet, &packet->source, ports.source);
	if (covers(to, ports.protocol) || covers(from, ports.protocol))
		return true;
	return ports.protocol == IPPROTO_TCP && is_probe(skb, packet, to, from);
}

/* -- ICMP errors, which quote a packet -- */

static __always_inline bool is_icmp_error(__u32 version, __u8 type)
{
	if (version == 6)
		return type < ICMP6_INFORMATIONAL;
	return (type >= ICMP_UNREACHABLE && type <= ICMP_REDIRECT) || type == ICMP_TIME_EXCEEDED ||
	       type == ICMP_PARAMETER_PROBLEM;
}

static __always_inline bool is_among_pods(const struct ip_packet *packet,
					  const struct prefix_key *address)
{
	struct prefix_value found = policy_classify(packet, address);

	return found.class == PREFIX_PEER || found.class == PREFIX_CONTESTED ||
	       found.class == PREFIX_CLUSTER || is_among_local_pods(packet, address, found);
}

/* True if the ICMP message at `offset` is an error about a packet from or to a pod. Not static: see
 * walk_extensions. */
__noinline int quotes_pod(struct __sk_buff *skb, __u32 offset, __u32 version)
{
	__u32 ethertype = version == 6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	struct ip_packet about;
	__u8 type;

	if (bpf_skb_load_bytes(skb, offset, &type, sizeof(type)) || !is_icmp_error(version, type) ||
	    !parse_ip(skb, ethertype, offset + ICMP_HEADER_LEN, &about))
		return 0;
	return is_among_pods(&about, &about.source) || is_among_pods(&about, &about.destination);
}

static __always_inline bool is_error_about_pod(struct __sk_buff *skb,
					       const struct ip_packet *packet)
{
	__u8 icmp = packet->version == 6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	struct transport transport;

	return parse_transport(skb, packet, &transport) && !transport.is_later_fragment &&
	       transport.protocol == icmp && quotes_pod(skb, transport.offset, packet->version);
}

/* -- the two directions -- */

/* For a destination that belongs into the tunnel, or that no known node owns. */
static __always_inline enum route choose_route(struct prefix_value destination,
					       const struct datapath_config *settings)
{
	bool is_permissive = settings->mode == MODE_PERMISSIVE;
	struct peer_value *peer;

	switch (destination.class) {
	case PREFIX_NODE:
	case PREFIX_PEER:
	case PREFIX_CONTESTED:
		peer = is_permissive ? bpf_map_lookup_elem(&peers, &destination.peer_id) : NULL;
		return peer && !peer->was_reached ? ROUTE_CLEAR : ROUTE_TUNNEL;
	case PREFIX_CLUSTER:
		return is_permissive ? ROUTE_CLEAR : ROUTE_NO_PEER;
	/* Unknown class, perhaps from a newer keyd: fail closed. */
	default:
		return ROUTE_NO_PEER;
	}
}

/* For a packet about to leave the node. ret_peer_id is set with ROUTE_TUNNEL and ROUTE_CLEAR; 0: no
 * peer. */
static __always_inline enum route policy_to_wire(struct __sk_buff *skb,
						 const struct ip_packet *packet, __u32 *ret_peer_id)
{
	struct datapath_config *settings = bpf_map_lookup_elem(&config, &(__u32){0});
	struct prefix_value destination = policy_classify(packet, &packet->destination);

	switch (destination.class) {
	case 0:
	case PREFIX_LOCAL:
	case PREFIX_SELF:
	case PREFIX_EXCEPT:
		return ROUTE_PASS;
	case PREFIX_NODE:
		if (!is_from_local_pod(skb, packet, destination) &&
		    !is_error_about_pod(skb, packet))
			return ROUTE_PASS;
		break;
	default:
		break;
	}
	if (!settings) /* never true: for the verifier */
		return ROUTE_NO_PEER;
	if (is_to_endpoint(skb, packet, settings) || is_neighbour_discovery(skb, packet) ||
	    is_bypassed(skb, packet, settings))
		return ROUTE_PASS;
	*ret_peer_id = destination.peer_id;
	return choose_route(destination, settings);
}

/* For a packet that arrived in cleartext. ROUTE_TUNNEL: only the tunnel may bring it. ret_peer_id
 * is set with ROUTE_CLEAR; 0: no peer. */
static __always_inline enum route
policy_from_wire(struct __sk_buff *skb, const struct ip_packet *packet, __u32 *ret_peer_id)
{
	struct datapath_config *settings = bpf_map_lookup_elem(&config, &(__u32){0});
	struct prefix_value source = policy_classify(packet, &packet->source), destination;

	switch (source.class) {
	case 0:
	case PREFIX_LOCAL:
	case PREFIX_SELF:
	case PREFIX_EXCEPT:
		return ROUTE_PASS;
	default:
		break;
	}
	destination = policy_classify(packet, &packet->destination);
	if ((source.class == PREFIX_NODE || source.class == PREFIX_CONTESTED) &&
	    !is_among_local_pods(packet, &packet->destination, destination) &&
	    !is_error_about_pod(skb, packet))
		return ROUTE_PASS;
	if (!settings)
		return ROUTE_TUNNEL;
	if (destination.class == PREFIX_EXCEPT || is_multicast(packet) ||
	    is_neighbour_discovery(skb, packet) || is_bypassed(skb, packet, settings))
		return ROUTE_PASS;
	*ret_peer_id = source.peer_id;
	return settings->mode == MODE_PERMISSIVE ? ROUTE_CLEAR : ROUTE_TUNNEL;
}

/* For a decrypted packet: accepts only this node's pods and its own addresses, so that a peer can
 * reach neither loopback, link-local, multicast and broadcast addresses nor another machine through
 * this node. */
static __always_inline bool policy_may_enter(struct prefix_value destination)
{
	return destination.class == PREFIX_LOCAL || destination.class == PREFIX_SELF;
}

/* The peer that owns a decrypted packet's source; 0: no peer does. */
static __always_inline __u32 policy_source_peer(const struct ip_packet *packet)
{
	struct prefix_value source = policy_classify(packet, &packet->source);

	return source.class == PREFIX_PEER || source.class == PREFIX_NODE ||
			       source.class == PREFIX_CONTESTED
		       ? source.peer_id
		       : 0;
}
