// SPDX-License-Identifier: Apache-2.0
/*
 * The guard's table as messages to the kernel. In the syntax of nft(8):
 *
 *   chain leaves {   # behind source NAT: packets as they will be on the wire
 *       type filter hook postrouting priority 300; policy accept;
 *       oif @guarded accept
 *       iif 0 udp sport PORT accept                  # the tunnel's own datagrams
 *       ip daddr @remote4 goto judge                 # these two for ip6 as well
 *       ip daddr @nodes4 ip saddr @pods4 goto judge
 *   }
 *   chain judge {    # all but the first and the last for ip6 as well
 *       icmpv6 type 133-137 ip6 hoplimit 255 accept
 *       meta l4proto . ip saddr . th sport @bypass4 accept
 *       meta l4proto . ip daddr . th dport @bypass4 accept
 *       oifkind { veth, bridge } rt ip nexthop @remote4 accept   # may_have_unknown_pods
 *       counter mark set GUARD_MARK drop
 *   }
 *
 * The next hop of a packet to a local pod is the pod itself; towards another node it is that node
 * or a router, neither of which has a pod's address. bpf/kernel_drops.bpf.c recognizes the guard's
 * drops by the mark.
 */
#include "guard.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netlink.h>
#include <net/if.h>

#define CHAIN_LEAVES	 "leaves"
#define CHAIN_JUDGE	 "judge"

#define PRIORITY	 300  /* source NAT has 100 */
#define ELEMENTS_AT_ONCE 1000 /* an attribute has at most 65,535 bytes */

#define ICMPV6_ND_FIRST	 133 /* RFC 4861 section 4 */
#define ICMPV6_ND_LAST	 137
#define ND_HOP_LIMIT	 255

/* The types by which nft(8) displays the elements. */
#define TYPE_BITS	     6
#define TYPE_ADDRESS4	     7U
#define TYPE_ADDRESS6	     8U
#define TYPE_PROTOCOL	     12U
#define TYPE_PORT	     13U
#define TYPE_DEVICE	     20U
#define TYPE_BYPASS(address) (TYPE_PROTOCOL << 2 * TYPE_BITS | (address) << TYPE_BITS | TYPE_PORT)

static const struct {
	const char *name;
	uint32_t type, key_len, flags;
} sets[GUARD_SETS] = {
	[GUARD_DEVICES] = {"guarded", TYPE_DEVICE, 4, 0},
	[GUARD_REMOTE4] = {"remote4", TYPE_ADDRESS4, 4, NFT_SET_INTERVAL},
	[GUARD_REMOTE6] = {"remote6", TYPE_ADDRESS6, 16, NFT_SET_INTERVAL},
	[GUARD_NODES4] = {"nodes4", TYPE_ADDRESS4, 4, NFT_SET_INTERVAL},
	[GUARD_NODES6] = {"nodes6", TYPE_ADDRESS6, 16, NFT_SET_INTERVAL},
	[GUARD_PODS4] = {"pods4", TYPE_ADDRESS4, 4, NFT_SET_INTERVAL},
	[GUARD_PODS6] = {"pods6", TYPE_ADDRESS6, 16, NFT_SET_INTERVAL},
	[GUARD_BYPASS4] = {"bypass4", TYPE_BYPASS(TYPE_ADDRESS4), 12, 0},
	[GUARD_BYPASS6] = {"bypass6", TYPE_BYPASS(TYPE_ADDRESS6), 24, 0},
};

/* Lets nft(8) display devices by name: a type, a length and a value, as libnftnl stores them with a
 * set. */
static const struct {
	uint8_t type, len;
	uint32_t value;
} __attribute__((packed)) host_order = {0, sizeof(uint32_t), 1};

/* The differences between the two families. */
static const struct family {
	uint8_t protocol;
	uint32_t source, destination, len; /* of an address, in the IP header */
	enum nft_rt_keys nexthop;
	enum guard_set remote, nodes, pods, bypass;
} families[] = {
	{NFPROTO_IPV4, 12, 16, 4, NFT_RT_NEXTHOP4, GUARD_REMOTE4, GUARD_NODES4, GUARD_PODS4,
	 GUARD_BYPASS4},
	{NFPROTO_IPV6, 8, 24, 16, NFT_RT_NEXTHOP6, GUARD_REMOTE6, GUARD_NODES6, GUARD_PODS6,
	 GUARD_BYPASS6},
};

const char *guard_set_name(enum guard_set set)
{
	return sets[set].name;
}

/* -- a rule and its expressions; the first that does not match leaves the rule -- */

static void begin_rule(struct nft_batch *batch, const char *chain)
{
	nft_begin_message(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	nft_put_text(batch, NFTA_RULE_TABLE, GUARD_TABLE);
	nft_put_text(batch, NFTA_RULE_CHAIN, chain);
	nft_nest(batch, NFTA_RULE_EXPRESSIONS);
}

static void end_rule(struct nft_batch *batch)
{
	nft_unnest(batch);
}

static void begin_expression(struct nft_batch *batch, const char *name)
{
	nft_nest(batch, NFTA_LIST_ELEM);
	nft_put_text(batch, NFTA_EXPR_NAME, name);
	nft_nest(batch, NFTA_EXPR_DATA);
}

static void end_expression(struct nft_batch *batch)
{
	nft_unnest(batch);
	nft_unnest(batch);
}

static void load_meta(struct nft_batch *batch, enum nft_meta_keys key, uint32_t into)
{
	begin_expression(batch, "meta");
	nft_put_u32(batch, NFTA_META_KEY, key);
	nft_put_u32(batch, NFTA_META_DREG, into);
	end_expression(batch);
}

static void load_payload(struct nft_batch *batch, enum nft_payload_bases base, uint32_t offset,
			 uint32_t len, uint32_t into)
{
	begin_expression(batch, "payload");
	nft_put_u32(batch, NFTA_PAYLOAD_DREG, into);
	nft_put_u32(batch, NFTA_PAYLOAD_BASE, base);
	nft_put_u32(batch, NFTA_PAYLOAD_OFFSET, offset);
	nft_put_u32(batch, NFTA_PAYLOAD_LEN, len);
	end_expression(batch);
}

static void load_nexthop(struct nft_batch *batch, enum nft_rt_keys key)
{
	begin_expression(batch, "rt");
	nft_put_u32(batch, NFTA_RT_DREG, NFT_REG_1);
	nft_put_u32(batch, NFTA_RT_KEY, key);
	end_expression(batch);
}

static void compare(struct nft_batch *batch, enum nft_cmp_ops op, const void *data, size_t len)
{
	begin_expression(batch, "cmp");
	nft_put_u32(batch, NFTA_CMP_SREG, NFT_REG_1);
	nft_put_u32(batch, NFTA_CMP_OP, op);
	nft_nest(batch, NFTA_CMP_DATA);
	nft_put(batch, NFTA_DATA_VALUE, data, len);
	nft_unnest(batch);
	end_expression(batch);
}

static void compare_byte(struct nft_batch *batch, enum nft_cmp_ops op, uint8_t value)
{
	compare(batch, op, &value, sizeof(value));
}

static void look_up(struct nft_batch *batch, enum guard_set set, uint32_t from)
{
	begin_expression(batch, "lookup");
	nft_put_text(batch, NFTA_LOOKUP_SET, sets[set].name);
	nft_put_u32(batch, NFTA_LOOKUP_SREG, from);
	end_expression(batch);
}

static void set_mark(struct nft_batch *batch, uint32_t mark)
{
	begin_expression(batch, "immediate");
	nft_put_u32(batch, NFTA_IMMEDIATE_DREG, NFT_REG_1);
	nft_nest(batch, NFTA_IMMEDIATE_DATA);
	nft_put(batch, NFTA_DATA_VALUE, &mark, sizeof(mark));
	nft_unnest(batch);
	end_expression(batch);
	begin_expression(batch, "meta");
	nft_put_u32(batch, NFTA_META_KEY, NFT_META_MARK);
	nft_put_u32(batch, NFTA_META_SREG, NFT_REG_1);
	end_expression(batch);
}

static void count(struct nft_batch *batch)
{
	begin_expression(batch, "counter");
	end_expression(batch);
}

/* `chain` with NFT_GOTO, else NULL. Ends the rule. */
static void decide(struct nft_batch *batch, int code, const char *chain)
{
	begin_expression(batch, "immediate");
	nft_put_u32(batch, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	nft_nest(batch, NFTA_IMMEDIATE_DATA);
	nft_nest(batch, NFTA_DATA_VERDICT);
	nft_put_u32(batch, NFTA_VERDICT_CODE, (uint32_t)code);
	if (chain)
		nft_put_text(batch, NFTA_VERDICT_CHAIN, chain);
	nft_unnest(batch);
	nft_unnest(batch);
	end_expression(batch);
	end_rule(batch);
}

static void want_family(struct nft_batch *batch, const struct family *family)
{
	load_meta(batch, NFT_META_NFPROTO, NFT_REG_1);
	compare_byte(batch, NFT_CMP_EQ, family->protocol);
}

static void want_address(struct nft_batch *batch, const struct family *family, uint32_t offset,
			 enum guard_set set)
{
	load_payload(batch, NFT_PAYLOAD_NETWORK_HEADER, offset, family->len, NFT_REG_1);
	look_up(batch, set, NFT_REG_1);
}

/* -- chain leaves -- */

static void pass_devices(struct nft_batch *batch)
{
	begin_rule(batch, CHAIN_LEAVES);
	load_meta(batch, NFT_META_OIF, NFT_REG_1);
	look_up(batch, GUARD_DEVICES, NFT_REG_1);
	decide(batch, NF_ACCEPT, NULL);
}

static void judge_for_remote(struct nft_batch *batch, const struct family *family)
{
	begin_rule(batch, CHAIN_LEAVES);
	want_family(batch, family);
	want_address(batch, family, family->destination, family->remote);
	decide(batch, NFT_GOTO, CHAIN_JUDGE);
}

/* A packet without an input device was made on this machine. */
static void pass_tunnel(struct nft_batch *batch, uint16_t port)
{
	const uint32_t none = 0;
	uint16_t wire = htons(port);

	begin_rule(batch, CHAIN_LEAVES);
	load_meta(batch, NFT_META_IIF, NFT_REG_1);
	compare(batch, NFT_CMP_EQ, &none, sizeof(none));
	load_meta(batch, NFT_META_L4PROTO, NFT_REG_1);
	compare_byte(batch, NFT_CMP_EQ, IPPROTO_UDP);
	load_payload(batch, NFT_PAYLOAD_TRANSPORT_HEADER, 0, sizeof(wire), NFT_REG_1);
	compare(batch, NFT_CMP_EQ, &wire, sizeof(wire));
	decide(batch, NF_ACCEPT, NULL);
}

static void judge_for_nodes(struct nft_batch *batch, const struct family *family)
{
	begin_rule(batch, CHAIN_LEAVES);
	want_family(batch, family);
	want_address(batch, family, family->destination, family->nodes);
	want_address(batch, family, family->source, family->pods);
	decide(batch, NFT_GOTO, CHAIN_JUDGE);
}

/* -- chain judge: exceptions, then the drop -- */

static void pass_neighbour_discovery(struct nft_batch *batch)
{
	begin_rule(batch, CHAIN_JUDGE);
	want_family(batch, &families[1]);
	load_meta(batch, NFT_META_L4PROTO, NFT_REG_1);
	compare_byte(batch, NFT_CMP_EQ, IPPROTO_ICMPV6);
	load_payload(batch, NFT_PAYLOAD_NETWORK_HEADER, 7, 1, NFT_REG_1);
	compare_byte(batch, NFT_CMP_EQ, ND_HOP_LIMIT);
	load_payload(batch, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, NFT_REG_1);
	compare_byte(batch, NFT_CMP_GTE, ICMPV6_ND_FIRST);
	compare_byte(batch, NFT_CMP_LTE, ICMPV6_ND_LAST);
	decide(batch, NF_ACCEPT, NULL);
}

/* A fragment other than the first has no port, and leaves the rule there. */
static void pass_bypass(struct nft_batch *batch, const struct family *family, uint32_t address,
			uint32_t port)
{
	begin_rule(batch, CHAIN_JUDGE);
	want_family(batch, family);
	load_meta(batch, NFT_META_L4PROTO, NFT_REG32_00);
	load_payload(batch, NFT_PAYLOAD_NETWORK_HEADER, address, family->len, NFT_REG32_01);
	load_payload(batch, NFT_PAYLOAD_TRANSPORT_HEADER, port, 2, NFT_REG32_01 + family->len / 4);
	look_up(batch, family->bypass, NFT_REG32_00);
	decide(batch, NF_ACCEPT, NULL);
}

static void pass_unknown_pods(struct nft_batch *batch, const struct family *family,
			      const char *kind)
{
	char padded[IF_NAMESIZE] = {0};

	begin_rule(batch, CHAIN_JUDGE);
	copy_text(padded, sizeof(padded), kind);
	want_family(batch, family);
	load_meta(batch, NFT_META_OIFKIND, NFT_REG_1);
	compare(batch, NFT_CMP_EQ, padded, sizeof(padded));
	load_nexthop(batch, family->nexthop);
	look_up(batch, family->remote, NFT_REG_1);
	decide(batch, NF_ACCEPT, NULL);
}

static void drop_the_rest(struct nft_batch *batch)
{
	begin_rule(batch, CHAIN_JUDGE);
	count(batch);
	set_mark(batch, GUARD_MARK);
	decide(batch, NF_DROP, NULL);
}

static void write_rules(struct nft_batch *batch, uint16_t tunnel_port, bool may_have_unknown_pods)
{
	pass_devices(batch);
	pass_tunnel(batch, tunnel_port);
	for (unsigned int i = 0; i < ARRAY_SIZE(families); i++)
		judge_for_remote(batch, &families[i]);
	for (unsigned int i = 0; i < ARRAY_SIZE(families); i++)
		judge_for_nodes(batch, &families[i]);
	pass_neighbour_discovery(batch);
	for (unsigned int i = 0; i < ARRAY_SIZE(families); i++) {
		pass_bypass(batch, &families[i], families[i].source, 0);
		pass_bypass(batch, &families[i], families[i].destination, 2);
		if (may_have_unknown_pods) {
			pass_unknown_pods(batch, &families[i], "veth");
			pass_unknown_pods(batch, &families[i], "bridge");
		}
	}
	drop_the_rest(batch);
}

/* -- the table -- */

static void write_set_itself(struct nft_batch *batch, enum guard_set set)
{
	nft_begin_message(batch, NFT_MSG_NEWSET, NLM_F_CREATE);
	nft_put_text(batch, NFTA_SET_TABLE, GUARD_TABLE);
	nft_put_text(batch, NFTA_SET_NAME, sets[set].name);
	nft_put_u32(batch, NFTA_SET_FLAGS, sets[set].flags);
	nft_put_u32(batch, NFTA_SET_KEY_TYPE, sets[set].type);
	nft_put_u32(batch, NFTA_SET_KEY_LEN, sets[set].key_len);
	nft_put_u32(batch, NFTA_SET_ID, set + 1);
	if (set == GUARD_DEVICES)
		nft_put(batch, NFTA_SET_USERDATA, &host_order, sizeof(host_order));
}

static void write_chain(struct nft_batch *batch, const char *name, bool is_base)
{
	nft_begin_message(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	nft_put_text(batch, NFTA_CHAIN_TABLE, GUARD_TABLE);
	nft_put_text(batch, NFTA_CHAIN_NAME, name);
	if (is_base) {
		nft_nest(batch, NFTA_CHAIN_HOOK);
		nft_put_u32(batch, NFTA_HOOK_HOOKNUM, NF_INET_POST_ROUTING);
		nft_put_u32(batch, NFTA_HOOK_PRIORITY, PRIORITY);
		nft_unnest(batch);
		nft_put_u32(batch, NFTA_CHAIN_POLICY, NF_ACCEPT);
		nft_put_text(batch, NFTA_CHAIN_TYPE, "filter");
	}
}

static void empty_chain(struct nft_batch *batch, const char *name)
{
	nft_begin_message(batch, NFT_MSG_DELRULE, 0);
	nft_put_text(batch, NFTA_RULE_TABLE, GUARD_TABLE);
	nft_put_text(batch, NFTA_RULE_CHAIN, name);
}

void guard_write_table(struct nft_batch *batch, uint16_t tunnel_port, bool may_have_unknown_pods)
{
	nft_begin_message(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	nft_put_text(batch, NFTA_TABLE_NAME, GUARD_TABLE);
	nft_put_u32(batch, NFTA_TABLE_FLAGS,
		    0); /* active, even if another program made it dormant */
	for (unsigned int set = 0; set < GUARD_SETS; set++)
		write_set_itself(batch, (enum guard_set)set);
	write_chain(batch, CHAIN_LEAVES, true);
	write_chain(batch, CHAIN_JUDGE, false);
	empty_chain(batch, CHAIN_LEAVES);
	empty_chain(batch, CHAIN_JUDGE);
	write_rules(batch, tunnel_port, may_have_unknown_pods);
}

/* -- the sets' elements -- */

static void begin_elements(struct nft_batch *batch, uint16_t type, uint16_t flags,
			   enum guard_set set)
{
	nft_begin_message(batch, type, flags);
	nft_put_text(batch, NFTA_SET_ELEM_LIST_TABLE, GUARD_TABLE);
	nft_put_text(batch, NFTA_SET_ELEM_LIST_SET, sets[set].name);
}

static void write_element(struct nft_batch *batch, enum guard_set set,
			  const struct guard_element *element)
{
	nft_nest(batch, NFTA_LIST_ELEM);
	nft_nest(batch, NFTA_SET_ELEM_KEY);
	nft_put(batch, NFTA_DATA_VALUE, element->key, sets[set].key_len);
	nft_unnest(batch);
	if (element->is_end)
		nft_put_u32(batch, NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
	nft_unnest(batch);
}

void guard_write_set(struct nft_batch *batch, enum guard_set set,
		     const struct guard_element *elements, uint32_t element_count)
{
	begin_elements(batch, NFT_MSG_DELSETELEM, 0, set); /* without a list: deletes all */
	for (uint32_t i = 0; i < element_count;) {
		begin_elements(batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE, set);
		nft_nest(batch, NFTA_SET_ELEM_LIST_ELEMENTS);
		for (uint32_t end = MIN(element_count, i + ELEMENTS_AT_ONCE); i < end; i++)
			write_element(batch, set, &elements[i]);
		nft_unnest(batch);
	}
}
