// SPDX-License-Identifier: Apache-2.0
/*
 * The guard's table as messages to the kernel. In the words of nft(8):
 *
 *   chain leaves { type filter hook postrouting priority 300; policy accept;   # behind source NAT: as it will be on the wire
 *       oif @guarded accept
 *       iif 0 udp sport PORT accept                     # the tunnel's own datagrams
 *       ip daddr @remote4 goto judge                    ip6 daddr @remote6 goto judge
 *       ip daddr @nodes4 ip saddr @pods4 goto judge     ip6 daddr @nodes6 ip6 saddr @pods6 goto judge }
 *   chain judge {
 *       icmpv6 type 133-137 ip6 hoplimit 255 accept
 *       meta l4proto . ip saddr . th sport @bypass4 accept       and so for daddr . dport, and for ip6
 *       oifkind { veth, bridge } rt ip nexthop @remote4 accept   only with may_have_unknown_pods; and for ip6
 *       counter mark set GUARD_MARK drop }
 *
 * A pod's packet goes straight to the pod; one for another node goes by that node or a router, whose address is no pod's.
 * The mark is what bpf/kernel_drops.bpf.c knows the guard's drops by.
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

/* What nft(8) shows the elements as. */
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

/* Lets nft(8) show devices by their names: a type, a length and a value, as libnftnl keeps them beside a set. */
static const struct {
	uint8_t type, len;
	uint32_t value;
} __attribute__((packed)) host_order = {0, sizeof(uint32_t), 1};

/* What the two families differ in. */
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

/* -- a rule and its expressions; what does not match ends the rule -- */

struct rule {
	struct nft_batch *batch;
	nft_place message, expressions;
};

static struct rule begin_rule(struct nft_batch *batch, const char *chain)
{
	struct rule rule = {.batch = batch};

	rule.message = nft_open(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	nft_put_text(batch, NFTA_RULE_TABLE, GUARD_TABLE);
	nft_put_text(batch, NFTA_RULE_CHAIN, chain);
	rule.expressions = nft_nest(batch, NFTA_RULE_EXPRESSIONS);
	return rule;
}

static void end_rule(const struct rule *rule)
{
	nft_unnest(rule->batch, rule->expressions);
	nft_close(rule->batch, rule->message);
}

struct expression {
	nft_place element, data;
};

static struct expression begin_expression(const struct rule *rule, const char *name)
{
	struct expression expression = {.element = nft_nest(rule->batch, NFTA_LIST_ELEM)};

	nft_put_text(rule->batch, NFTA_EXPR_NAME, name);
	expression.data = nft_nest(rule->batch, NFTA_EXPR_DATA);
	return expression;
}

static void end_expression(const struct rule *rule, struct expression expression)
{
	nft_unnest(rule->batch, expression.data);
	nft_unnest(rule->batch, expression.element);
}

static void load_meta(const struct rule *rule, enum nft_meta_keys key, uint32_t into)
{
	struct expression expression = begin_expression(rule, "meta");

	nft_put_u32(rule->batch, NFTA_META_KEY, key);
	nft_put_u32(rule->batch, NFTA_META_DREG, into);
	end_expression(rule, expression);
}

static void load_payload(const struct rule *rule, enum nft_payload_bases base, uint32_t offset,
			 uint32_t len, uint32_t into)
{
	struct expression expression = begin_expression(rule, "payload");

	nft_put_u32(rule->batch, NFTA_PAYLOAD_DREG, into);
	nft_put_u32(rule->batch, NFTA_PAYLOAD_BASE, base);
	nft_put_u32(rule->batch, NFTA_PAYLOAD_OFFSET, offset);
	nft_put_u32(rule->batch, NFTA_PAYLOAD_LEN, len);
	end_expression(rule, expression);
}

static void load_nexthop(const struct rule *rule, enum nft_rt_keys key)
{
	struct expression expression = begin_expression(rule, "rt");

	nft_put_u32(rule->batch, NFTA_RT_DREG, NFT_REG_1);
	nft_put_u32(rule->batch, NFTA_RT_KEY, key);
	end_expression(rule, expression);
}

static void compare(const struct rule *rule, enum nft_cmp_ops op, const void *data, size_t len)
{
	struct expression expression = begin_expression(rule, "cmp");
	nft_place value;

	nft_put_u32(rule->batch, NFTA_CMP_SREG, NFT_REG_1);
	nft_put_u32(rule->batch, NFTA_CMP_OP, op);
	value = nft_nest(rule->batch, NFTA_CMP_DATA);
	nft_put(rule->batch, NFTA_DATA_VALUE, data, len);
	nft_unnest(rule->batch, value);
	end_expression(rule, expression);
}

static void compare_byte(const struct rule *rule, enum nft_cmp_ops op, uint8_t value)
{
	compare(rule, op, &value, sizeof(value));
}

static void look_up(const struct rule *rule, enum guard_set set, uint32_t from)
{
	struct expression expression = begin_expression(rule, "lookup");

	nft_put_text(rule->batch, NFTA_LOOKUP_SET, sets[set].name);
	nft_put_u32(rule->batch, NFTA_LOOKUP_SREG, from);
	end_expression(rule, expression);
}

static void set_mark(const struct rule *rule, uint32_t mark)
{
	struct expression expression = begin_expression(rule, "immediate");
	nft_place value;

	nft_put_u32(rule->batch, NFTA_IMMEDIATE_DREG, NFT_REG_1);
	value = nft_nest(rule->batch, NFTA_IMMEDIATE_DATA);
	nft_put(rule->batch, NFTA_DATA_VALUE, &mark, sizeof(mark));
	nft_unnest(rule->batch, value);
	end_expression(rule, expression);
	expression = begin_expression(rule, "meta");
	nft_put_u32(rule->batch, NFTA_META_KEY, NFT_META_MARK);
	nft_put_u32(rule->batch, NFTA_META_SREG, NFT_REG_1);
	end_expression(rule, expression);
}

static void count(const struct rule *rule)
{
	end_expression(rule, begin_expression(rule, "counter"));
}

/* `chain` with NFT_GOTO, else NULL. Ends the rule. */
static void decide(const struct rule *rule, int code, const char *chain)
{
	struct expression expression = begin_expression(rule, "immediate");
	nft_place data, verdict;

	nft_put_u32(rule->batch, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = nft_nest(rule->batch, NFTA_IMMEDIATE_DATA);
	verdict = nft_nest(rule->batch, NFTA_DATA_VERDICT);
	nft_put_u32(rule->batch, NFTA_VERDICT_CODE, (uint32_t)code);
	if (chain)
		nft_put_text(rule->batch, NFTA_VERDICT_CHAIN, chain);
	nft_unnest(rule->batch, verdict);
	nft_unnest(rule->batch, data);
	end_expression(rule, expression);
	end_rule(rule);
}

static void want_family(const struct rule *rule, const struct family *family)
{
	load_meta(rule, NFT_META_NFPROTO, NFT_REG_1);
	compare_byte(rule, NFT_CMP_EQ, family->protocol);
}

static void want_address(const struct rule *rule, const struct family *family, uint32_t offset,
			 enum guard_set set)
{
	load_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, offset, family->len, NFT_REG_1);
	look_up(rule, set, NFT_REG_1);
}

/* -- what leaves -- */

static void pass_devices(struct nft_batch *batch)
{
	struct rule rule = begin_rule(batch, CHAIN_LEAVES);

	load_meta(&rule, NFT_META_OIF, NFT_REG_1);
	look_up(&rule, GUARD_DEVICES, NFT_REG_1);
	decide(&rule, NF_ACCEPT, NULL);
}

static void judge_for_remote(struct nft_batch *batch, const struct family *family)
{
	struct rule rule = begin_rule(batch, CHAIN_LEAVES);

	want_family(&rule, family);
	want_address(&rule, family, family->destination, family->remote);
	decide(&rule, NFT_GOTO, CHAIN_JUDGE);
}

/* What has no device that it came by was made on this machine. */
static void pass_tunnel(struct nft_batch *batch, uint16_t port)
{
	struct rule rule = begin_rule(batch, CHAIN_LEAVES);
	const uint32_t none = 0;
	uint16_t wire = htons(port);

	load_meta(&rule, NFT_META_IIF, NFT_REG_1);
	compare(&rule, NFT_CMP_EQ, &none, sizeof(none));
	load_meta(&rule, NFT_META_L4PROTO, NFT_REG_1);
	compare_byte(&rule, NFT_CMP_EQ, IPPROTO_UDP);
	load_payload(&rule, NFT_PAYLOAD_TRANSPORT_HEADER, 0, sizeof(wire), NFT_REG_1);
	compare(&rule, NFT_CMP_EQ, &wire, sizeof(wire));
	decide(&rule, NF_ACCEPT, NULL);
}

static void judge_for_nodes(struct nft_batch *batch, const struct family *family)
{
	struct rule rule = begin_rule(batch, CHAIN_LEAVES);

	want_family(&rule, family);
	want_address(&rule, family, family->destination, family->nodes);
	want_address(&rule, family, family->source, family->pods);
	decide(&rule, NFT_GOTO, CHAIN_JUDGE);
}

/* -- what may do so all the same -- */

static void pass_neighbour_discovery(struct nft_batch *batch)
{
	struct rule rule = begin_rule(batch, CHAIN_JUDGE);

	want_family(&rule, &families[1]);
	load_meta(&rule, NFT_META_L4PROTO, NFT_REG_1);
	compare_byte(&rule, NFT_CMP_EQ, IPPROTO_ICMPV6);
	load_payload(&rule, NFT_PAYLOAD_NETWORK_HEADER, 7, 1, NFT_REG_1);
	compare_byte(&rule, NFT_CMP_EQ, ND_HOP_LIMIT);
	load_payload(&rule, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, NFT_REG_1);
	compare_byte(&rule, NFT_CMP_GTE, ICMPV6_ND_FIRST);
	compare_byte(&rule, NFT_CMP_LTE, ICMPV6_ND_LAST);
	decide(&rule, NF_ACCEPT, NULL);
}

/* A later fragment has no port, and ends the rule there. */
static void pass_bypass(struct nft_batch *batch, const struct family *family, uint32_t address,
			uint32_t port)
{
	struct rule rule = begin_rule(batch, CHAIN_JUDGE);

	want_family(&rule, family);
	load_meta(&rule, NFT_META_L4PROTO, NFT_REG32_00);
	load_payload(&rule, NFT_PAYLOAD_NETWORK_HEADER, address, family->len, NFT_REG32_01);
	load_payload(&rule, NFT_PAYLOAD_TRANSPORT_HEADER, port, 2, NFT_REG32_01 + family->len / 4);
	look_up(&rule, family->bypass, NFT_REG32_00);
	decide(&rule, NF_ACCEPT, NULL);
}

static void pass_unknown_pods(struct nft_batch *batch, const struct family *family,
			      const char *kind)
{
	struct rule rule = begin_rule(batch, CHAIN_JUDGE);
	char padded[IF_NAMESIZE] = {0};

	copy_text(padded, sizeof(padded), kind);
	want_family(&rule, family);
	load_meta(&rule, NFT_META_OIFKIND, NFT_REG_1);
	compare(&rule, NFT_CMP_EQ, padded, sizeof(padded));
	load_nexthop(&rule, family->nexthop);
	look_up(&rule, family->remote, NFT_REG_1);
	decide(&rule, NF_ACCEPT, NULL);
}

static void drop_the_rest(struct nft_batch *batch)
{
	struct rule rule = begin_rule(batch, CHAIN_JUDGE);

	count(&rule);
	set_mark(&rule, GUARD_MARK);
	decide(&rule, NF_DROP, NULL);
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
	nft_place message = nft_open(batch, NFT_MSG_NEWSET, NLM_F_CREATE);

	nft_put_text(batch, NFTA_SET_TABLE, GUARD_TABLE);
	nft_put_text(batch, NFTA_SET_NAME, sets[set].name);
	nft_put_u32(batch, NFTA_SET_FLAGS, sets[set].flags);
	nft_put_u32(batch, NFTA_SET_KEY_TYPE, sets[set].type);
	nft_put_u32(batch, NFTA_SET_KEY_LEN, sets[set].key_len);
	nft_put_u32(batch, NFTA_SET_ID, set + 1);
	if (set == GUARD_DEVICES)
		nft_put(batch, NFTA_SET_USERDATA, &host_order, sizeof(host_order));
	nft_close(batch, message);
}

static void write_chain(struct nft_batch *batch, const char *name, bool is_base)
{
	nft_place message = nft_open(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE), hook;

	nft_put_text(batch, NFTA_CHAIN_TABLE, GUARD_TABLE);
	nft_put_text(batch, NFTA_CHAIN_NAME, name);
	if (is_base) {
		hook = nft_nest(batch, NFTA_CHAIN_HOOK);
		nft_put_u32(batch, NFTA_HOOK_HOOKNUM, NF_INET_POST_ROUTING);
		nft_put_u32(batch, NFTA_HOOK_PRIORITY, PRIORITY);
		nft_unnest(batch, hook);
		nft_put_u32(batch, NFTA_CHAIN_POLICY, NF_ACCEPT);
		nft_put_text(batch, NFTA_CHAIN_TYPE, "filter");
	}
	nft_close(batch, message);
}

static void empty_chain(struct nft_batch *batch, const char *name)
{
	nft_place message = nft_open(batch, NFT_MSG_DELRULE, 0);

	nft_put_text(batch, NFTA_RULE_TABLE, GUARD_TABLE);
	nft_put_text(batch, NFTA_RULE_CHAIN, name);
	nft_close(batch, message);
}

void guard_write_table(struct nft_batch *batch, uint16_t tunnel_port, bool may_have_unknown_pods)
{
	nft_place message = nft_open(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE);

	nft_put_text(batch, NFTA_TABLE_NAME, GUARD_TABLE);
	nft_put_u32(batch, NFTA_TABLE_FLAGS, 0); /* in force, if somebody has made it dormant */
	nft_close(batch, message);
	for (unsigned int set = 0; set < GUARD_SETS; set++)
		write_set_itself(batch, (enum guard_set)set);
	write_chain(batch, CHAIN_LEAVES, true);
	write_chain(batch, CHAIN_JUDGE, false);
	empty_chain(batch, CHAIN_LEAVES);
	empty_chain(batch, CHAIN_JUDGE);
	write_rules(batch, tunnel_port, may_have_unknown_pods);
}

/* -- the sets' elements -- */

static nft_place open_elements(struct nft_batch *batch, uint16_t type, uint16_t flags,
			       enum guard_set set)
{
	nft_place message = nft_open(batch, type, flags);

	nft_put_text(batch, NFTA_SET_ELEM_LIST_TABLE, GUARD_TABLE);
	nft_put_text(batch, NFTA_SET_ELEM_LIST_SET, sets[set].name);
	return message;
}

static void write_element(struct nft_batch *batch, enum guard_set set,
			  const struct guard_element *element)
{
	nft_place item = nft_nest(batch, NFTA_LIST_ELEM), key = nft_nest(batch, NFTA_SET_ELEM_KEY);

	nft_put(batch, NFTA_DATA_VALUE, element->key, sets[set].key_len);
	nft_unnest(batch, key);
	if (element->is_end)
		nft_put_u32(batch, NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
	nft_unnest(batch, item);
}

void guard_write_set(struct nft_batch *batch, enum guard_set set,
		     const struct guard_element *elements, uint32_t element_count)
{
	nft_place message = open_elements(batch, NFT_MSG_DELSETELEM, 0, set), list;

	nft_close(batch, message); /* without a list: all of them */
	for (uint32_t i = 0; i < element_count;) {
		message = open_elements(batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE, set);
		list = nft_nest(batch, NFTA_SET_ELEM_LIST_ELEMENTS);
		for (uint32_t end = MIN(element_count, i + ELEMENTS_AT_ONCE); i < end; i++)
			write_element(batch, set, &elements[i]);
		nft_unnest(batch, list);
		nft_close(batch, message);
	}
}
