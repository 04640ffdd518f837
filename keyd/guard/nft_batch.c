// SPDX-License-Identifier: Apache-2.0
/*
 * libmnl writes the headers, lengths and padding. This file keeps the room that is left and the
 * batch around the messages.
 */
#include "nft_batch.h"

#include <arpa/inet.h>
#include <assert.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

/* Counted from the beginning of the message being written, as libmnl compares it. */
static size_t message_room(const struct nft_batch *batch)
{
	return batch->size - batch->len;
}

static void begin_message(struct nft_batch *batch, uint16_t type, uint16_t flags, uint8_t family,
			  uint16_t subsystem)
{
	struct nfgenmsg *generic;

	if (batch->message && !batch->is_cut)
		batch->len += batch->message->nlmsg_len;
	batch->is_cut |= message_room(batch) < sizeof(*batch->message) + sizeof(*generic);
	if (batch->is_cut)
		return;
	batch->message = mnl_nlmsg_put_header(batch->bytes + batch->len);
	batch->message->nlmsg_type = type;
	batch->message->nlmsg_flags = NLM_F_REQUEST | flags;
	batch->message->nlmsg_seq = NFT_SEQUENCE;
	generic = mnl_nlmsg_put_extra_header(batch->message, sizeof(*generic));
	*generic = (struct nfgenmsg){
		.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(subsystem)};
}

void nft_begin_message(struct nft_batch *batch, uint16_t type, uint16_t flags)
{
	begin_message(batch, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, NFPROTO_INET, 0);
}

void nft_begin(struct nft_batch *batch, uint8_t *bytes, size_t size)
{
	*batch = (struct nft_batch){.bytes = bytes, .size = size};
	begin_message(batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
}

bool nft_is_empty(const struct nft_batch *batch)
{
	return !batch->len;
}

/* The kernel reports failures in the order of the messages: an acknowledgement of the last one
 * comes after them. */
bool nft_end(struct nft_batch *batch)
{
	if (!batch->is_cut && !nft_is_empty(batch))
		batch->message->nlmsg_flags |= NLM_F_ACK;
	begin_message(batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	if (!batch->is_cut)
		batch->len += batch->message->nlmsg_len;
	batch->message = NULL;
	return !batch->is_cut;
}

/* -- attributes -- */

void nft_nest(struct nft_batch *batch, uint16_t attribute)
{
	struct nlattr *nest = NULL;

	assert(batch->depth < NFT_DEPTH_MAX);
	if (!batch->is_cut)
		nest = mnl_attr_nest_start_check(batch->message, message_room(batch), attribute);
	batch->is_cut |= !nest;
	batch->nests[batch->depth++] = nest;
}

void nft_unnest(struct nft_batch *batch)
{
	const char *end;
	struct nlattr *nest;

	assert(batch->depth > 0);
	nest = batch->nests[--batch->depth];
	if (batch->is_cut)
		return;
	end = mnl_nlmsg_get_payload_tail(batch->message);
	batch->is_cut = end - (const char *)nest > UINT16_MAX;
	mnl_attr_nest_end(batch->message, nest);
}

/* libmnl before 1.0.5 leaves the padding as it was. */
void nft_put(struct nft_batch *batch, uint16_t attribute, const void *data, size_t len)
{
	size_t padding = (NLA_ALIGNTO - len % NLA_ALIGNTO) % NLA_ALIGNTO;

	batch->is_cut =
		batch->is_cut || len > UINT16_MAX - sizeof(struct nlattr) ||
		!mnl_attr_put_check(batch->message, message_room(batch), attribute, len, data);
	if (!batch->is_cut)
		memset((char *)mnl_nlmsg_get_payload_tail(batch->message) - padding, 0, padding);
}

void nft_put_u32(struct nft_batch *batch, uint16_t attribute, uint32_t value)
{
	uint32_t wire = htonl(value);

	nft_put(batch, attribute, &wire, sizeof(wire));
}

void nft_put_text(struct nft_batch *batch, uint16_t attribute, const char *text)
{
	nft_put(batch, attribute, text, strlen(text) + 1);
}

bool nft_write_removal(struct nft_batch *batch, const char *table)
{
	nft_begin_message(batch, NFT_MSG_DELTABLE, 0);
	nft_put_text(batch, NFTA_TABLE_NAME, table);
	return nft_end(batch);
}
