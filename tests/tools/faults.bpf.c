// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A bad cable, as TC programs for the ingress of its device, one per fault. Of the UDP datagrams
 * that are long enough to be WireGuard messages, each program takes one in RATE and drops it,
 * delivers it twice, or flips bits of one of its bytes, from the first after the UDP header to the
 * last. Everything else passes untouched. The map counts the faults.
 *
 *   tc filter add dev DEVICE ingress bpf direct-action obj faults.bpf.o \
 *       sec lose|duplicate|corrupt|all
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define RATE	     20 /* one in so many */
#define MESSAGE_MIN  32
#define SECOND_MARK  0x7477 /* of the copy: once is enough */
#define DATAGRAM_MAX 2048

char _license[] SEC("license") = "Dual BSD/GPL";

enum fault { FAULT_LOST, FAULT_DUPLICATED, FAULT_CORRUPTED, FAULT_COUNT };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FAULT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} faults SEC(".maps");

static __always_inline void count(enum fault fault)
{
	__u32 key = fault;
	__u64 *value = bpf_map_lookup_elem(&faults, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
}

/* The offset of the UDP payload; 0 if the frame has none as long as a message. */
static __always_inline __u32 payload_offset(const struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *ethernet = data;
	struct iphdr *ip4 = data + sizeof(*ethernet);
	struct ipv6hdr *ip6 = data + sizeof(*ethernet);
	__u32 offset = 0;

	if ((void *)(ip4 + 1) > end)
		return 0;
	if (ethernet->h_proto == bpf_htons(ETH_P_IP) && ip4->protocol == IPPROTO_UDP &&
	    ip4->ihl == 5)
		offset = sizeof(*ethernet) + sizeof(*ip4) + sizeof(struct udphdr);
	else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6) && (void *)(ip6 + 1) <= end &&
		 ip6->nexthdr == IPPROTO_UDP)
		offset = sizeof(*ethernet) + sizeof(*ip6) + sizeof(struct udphdr);
	return offset && skb->len >= offset + MESSAGE_MIN ? offset : 0;
}

static __always_inline int is_chosen(void)
{
	return bpf_get_prandom_u32() % RATE == 0;
}

static __always_inline void duplicate(struct __sk_buff *skb)
{
	skb->mark = SECOND_MARK;
	if (!bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS))
		count(FAULT_DUPLICATED);
	skb->mark = 0;
}

static __always_inline void corrupt(struct __sk_buff *skb, __u32 offset)
{
	__u32 at = offset + bpf_get_prandom_u32() % (skb->len - offset);
	__u8 byte;

	if (at > DATAGRAM_MAX || bpf_skb_load_bytes(skb, at, &byte, 1))
		return;
	byte ^= 1 + bpf_get_prandom_u32() % 255;
	if (!bpf_skb_store_bytes(skb, at, &byte, 1, 0))
		count(FAULT_CORRUPTED);
}

static __always_inline int lose(void)
{
	count(FAULT_LOST);
	return TC_ACT_SHOT;
}

SEC("lose")
int fault_lose(struct __sk_buff *skb)
{
	return payload_offset(skb) && is_chosen() ? lose() : TC_ACT_OK;
}

SEC("duplicate")
int fault_duplicate(struct __sk_buff *skb)
{
	if (payload_offset(skb) && skb->mark != SECOND_MARK && is_chosen())
		duplicate(skb);
	return TC_ACT_OK;
}

SEC("corrupt")
int fault_corrupt(struct __sk_buff *skb)
{
	__u32 offset = payload_offset(skb);

	if (offset && is_chosen())
		corrupt(skb, offset);
	return TC_ACT_OK;
}

/* A copy may be lost or corrupted as well. */
SEC("all")
int fault_all(struct __sk_buff *skb)
{
	__u32 offset = payload_offset(skb);

	if (!offset)
		return TC_ACT_OK;
	if (skb->mark != SECOND_MARK && is_chosen())
		duplicate(skb);
	if (is_chosen())
		corrupt(skb, offset);
	return is_chosen() ? lose() : TC_ACT_OK;
}
