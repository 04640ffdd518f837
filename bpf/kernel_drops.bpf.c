// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Counts, by reason, our packets that the kernel itself loses: pod packets and the tunnel's
 * datagrams that it frees undelivered (tracepoint skb:kfree_skb) in this node's network namespace,
 * before to_wire, behind from_tunnel, or between the tunnel and the wire. It only counts, and
 * nothing here runs while nothing is dropped. Packets that our own TC programs drop already have a
 * reason. Packets that reached a process of the node, or left for a pod's namespace, are no longer
 * our concern.
 *
 * This is an object of its own: a kernel without BTF cannot load it, but must still get the other
 * programs.
 */
#include "policy.h"
#include "verdict.h"

#include <bpf/bpf_core_read.h> /* uses the types included above */

#define ARPHRD_NONE		0xfffe /* of <linux/if_arp.h>: a TUN's type */
#define WIREGUARD_DATA		4      /* the type of a message, in its first byte */
#define WIREGUARD_KEEPALIVE_LEN 32

#define AS_IN_KERNEL		__attribute__((preserve_access_index))

struct ns_common {
	unsigned int inum;
} AS_IN_KERNEL;

struct net {
	struct ns_common ns;
} AS_IN_KERNEL;

typedef struct {
	struct net *net;
} AS_IN_KERNEL possible_net_t;

struct net_device {
	int ifindex;
	unsigned short type;
	possible_net_t nd_net;
} AS_IN_KERNEL;

struct sock_common {
	possible_net_t skc_net;
} AS_IN_KERNEL;

struct sock {
	struct sock_common __sk_common;
} AS_IN_KERNEL;

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned int len, data_len, end, mark;
	__be16 protocol;
	__u16 network_header;
	unsigned char *head;
} AS_IN_KERNEL;

struct skb_shared_info {
	unsigned short gso_size, gso_segs;
} AS_IN_KERNEL;

/* Looked up by name: the numbers differ between kernels. */
enum skb_drop_reason {
	SKB_DROP_REASON_NO_SOCKET,
	SKB_DROP_REASON_SOCKET_RCVBUFF,
	SKB_DROP_REASON_PROTO_MEM,
	SKB_DROP_REASON_NETFILTER_DROP,
	SKB_DROP_REASON_IP_OUTNOROUTES,
	SKB_DROP_REASON_IP_INNOROUTES,
	SKB_DROP_REASON_NEIGH_CREATEFAIL,
	SKB_DROP_REASON_NEIGH_FAILED,
	SKB_DROP_REASON_NEIGH_QUEUEFULL,
	SKB_DROP_REASON_NEIGH_DEAD,
	SKB_DROP_REASON_TC_INGRESS,
	SKB_DROP_REASON_TC_EGRESS,
	SKB_DROP_REASON_QDISC_DROP,
	SKB_DROP_REASON_DEV_READY,
	SKB_DROP_REASON_PKT_TOO_BIG,
};

#define IS(cause, name)                                                              \
	(bpf_core_enum_value_exists(enum skb_drop_reason, SKB_DROP_REASON_##name) && \
	 (cause) == bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_##name))

/* The inode number of this node's network namespace; a packet without a namespace has 0. */
const volatile __u32 own_namespace = 0;

struct lost {
	struct ip_packet packet;
	struct prefix_value source, destination;
	__u32 namespace, ifindex, packets, mark;
	__u16 device_type;
	bool is_outer; /* a datagram of the tunnel with a packet in it */
};

#define NOT_COUNTED DROP_REASON_COUNT

static __always_inline bool read_ip(const struct sk_buff *skb, struct ip_packet *ret_packet)
{
	const unsigned char *at = skb->head + skb->network_header;
	struct ipv6hdr ip6;
	struct iphdr ip4;

	*ret_packet = (struct ip_packet){.len = skb->len};
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_probe_read_kernel(&ip4, sizeof(ip4), at) || ip4.version != 4)
			return false;
		ret_packet->version = 4;
		ret_packet->protocol = ip4.protocol;
		ret_packet->payload_offset = ip4.ihl * 4;
		ret_packet->source = key_of_ip4(ip4.saddr);
		ret_packet->destination = key_of_ip4(ip4.daddr);
		return true;
	}
	if (skb->protocol != bpf_htons(ETH_P_IPV6) ||
	    bpf_probe_read_kernel(&ip6, sizeof(ip6), at) || ip6.version != 6)
		return false;
	ret_packet->version = 6;
	ret_packet->protocol = ip6.nexthdr;
	ret_packet->payload_offset = sizeof(ip6);
	ret_packet->source = key_of_ip6(&ip6.saddr);
	ret_packet->destination = key_of_ip6(&ip6.daddr);
	return true;
}

static __always_inline __u32 count_segments(const struct sk_buff *skb)
{
	const struct skb_shared_info *shared = (const void *)(skb->head + skb->end);
	__u16 segments = BPF_CORE_READ(shared, gso_segs), size = BPF_CORE_READ(shared, gso_size);

	if (segments || !size)
		return segments ? segments : 1;
	return (skb->len + size - 1) / size;
}

/* If a datagram's payload is not in the head (joined datagrams, for which the kernel uses pages),
 * its type cannot be read. Handshake messages are short and sent alone, so it is data. */
static __always_inline bool has_data_type(const struct sk_buff *skb, const unsigned char *payload)
{
	__u8 type;

	return skb->data_len ||
	       (!bpf_probe_read_kernel(&type, sizeof(type), payload) && type == WIREGUARD_DATA);
}

/* A datagram of the tunnel with a packet in it. A handshake or a keepalive carries no packet, and
 * the protocol's own timers send it again. */
static __always_inline bool is_tunnel_data(const struct sk_buff *skb,
					   const struct ip_packet *packet)
{
	struct datapath_config *settings = bpf_map_lookup_elem(&config, &(__u32){0});
	const unsigned char *at = skb->head + skb->network_header + packet->payload_offset;
	struct udphdr udp;

	return settings && packet->protocol == IPPROTO_UDP &&
	       !bpf_probe_read_kernel(&udp, sizeof(udp), at) &&
	       udp.dest == bpf_htons((__u16)settings->tunnel_port) &&
	       bpf_ntohs(udp.len) > sizeof(udp) + WIREGUARD_KEEPALIVE_LEN &&
	       has_data_type(skb, at + sizeof(udp));
}

/* The namespace of the packet. In a socket's queue the kernel reuses `dev` for something else,
 * which reads as 0. */
static __always_inline __u32 namespace_of(const struct sk_buff *skb)
{
	__u32 namespace = skb->dev->nd_net.net->ns.inum;
	const struct sock *sk = skb->sk;

	return namespace || !sk ? namespace : sk->__sk_common.skc_net.net->ns.inum;
}

static __always_inline bool read_lost(const struct sk_buff *skb, struct lost *ret_lost)
{
	if (!read_ip(skb, &ret_lost->packet))
		return false;
	ret_lost->source = policy_classify(&ret_lost->packet, &ret_lost->packet.source);
	ret_lost->destination = policy_classify(&ret_lost->packet, &ret_lost->packet.destination);
	ret_lost->is_outer = is_tunnel_data(skb, &ret_lost->packet);
	ret_lost->namespace = namespace_of(skb);
	ret_lost->ifindex = skb->dev->ifindex;
	ret_lost->device_type = skb->dev->type;
	ret_lost->packets = count_segments(skb);
	ret_lost->mark = skb->mark;
	return true;
}

/* A datagram for this node that no longer has a namespace was unread in the tunnel's socket. */
static __always_inline bool was_unread(const struct lost *lost)
{
	return lost->is_outer && !lost->namespace && lost->destination.class == PREFIX_SELF;
}

static __always_inline bool is_of_a_pod(const struct prefix_value *value)
{
	return value->class == PREFIX_PEER || value->class == PREFIX_CONTESTED ||
	       value->class == PREFIX_CLUSTER;
}

/* A packet for this node itself has arrived: from there its processes are responsible for it. */
static __always_inline bool is_ours(const struct lost *lost)
{
	if (lost->namespace != own_namespace)
		return was_unread(lost);
	if (lost->mark == GUARD_MARK || lost->is_outer || is_of_a_pod(&lost->destination))
		return true;
	if (lost->destination.class == PREFIX_NODE)
		return lost->source.class == PREFIX_LOCAL;
	return lost->destination.class == PREFIX_LOCAL &&
	       (is_of_a_pod(&lost->source) || lost->source.class == PREFIX_NODE);
}

/* The full buffer first: a datagram that overflows it may look unread, since the socket had already
 * claimed it. */
static __always_inline enum drop_reason reason_of_outer(const struct lost *lost, __u32 cause)
{
	if (IS(cause, SOCKET_RCVBUFF) || IS(cause, PROTO_MEM))
		return NOT_COUNTED; /* the tunnel counts it: udp_overflow */
	if (was_unread(lost) || IS(cause, NO_SOCKET))
		return DROP_TUNNEL_AWAY;
	return DROP_KERNEL_OTHER;
}

static __always_inline bool is_on_tunnel_device(const struct lost *lost)
{
	struct datapath_config *settings = bpf_map_lookup_elem(&config, &(__u32){0});

	return settings && settings->tunnel_ifindex && lost->ifindex == settings->tunnel_ifindex;
}

/* The tunnel's write to a device that is down or about to be deleted fails; the tunnel counts it
 * itself: tun_write. */
static __always_inline bool was_refused(const struct lost *lost, __u32 cause)
{
	return IS(cause, DEV_READY) && lost->device_type == ARPHRD_NONE &&
	       lost->destination.class == PREFIX_LOCAL;
}

static __always_inline enum drop_reason reason_of(const struct lost *lost, __u32 cause)
{
	if (IS(cause, TC_INGRESS) || IS(cause, TC_EGRESS) || was_refused(lost, cause))
		return NOT_COUNTED;
	if (is_on_tunnel_device(lost) && lost->destination.class != PREFIX_LOCAL)
		return DROP_TUN_OVERFLOW;
	if (IS(cause, NEIGH_CREATEFAIL) || IS(cause, NEIGH_FAILED) || IS(cause, NEIGH_QUEUEFULL) ||
	    IS(cause, NEIGH_DEAD))
		return DROP_NEIGHBOUR;
	if (IS(cause, IP_OUTNOROUTES) || IS(cause, IP_INNOROUTES))
		return DROP_NO_ROUTE;
	if (IS(cause, DEV_READY) || IS(cause, QDISC_DROP))
		return DROP_LINK_DOWN;
	if (IS(cause, NETFILTER_DROP))
		return lost->mark == GUARD_MARK ? DROP_UNGUARDED_DEVICE : DROP_NETFILTER;
	if (IS(cause, PKT_TOO_BIG))
		return DROP_TOO_BIG;
	return lost->is_outer ? reason_of_outer(lost, cause) : DROP_KERNEL_OTHER;
}

/* Arguments: skb, the location in the kernel, enum skb_drop_reason; newer kernels append more. */
SEC("tp_btf/kfree_skb")
int kernel_drops(__u64 *arguments)
{
	const struct sk_buff *skb = (const struct sk_buff *)arguments[0];
	enum drop_reason reason;
	struct lost lost;

	if (!read_lost(skb, &lost) || !is_ours(&lost))
		return 0;
	reason = reason_of(&lost, (__u32)arguments[2]);
	if (reason != NOT_COUNTED)
		count_loss(reason, lost.packets, lost.packet.len);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
