// SPDX-License-Identifier: Apache-2.0
/*
 * The form of nfnetlink's messages and attributes, which are padded to four bytes and carry their length; it knows
 * nothing of what they say.
 */
#include "nft_batch.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#define SEQUENCE 1

/* Room for `len` bytes, zeroed and padded; NULL: there is none. */
static uint8_t *take(struct nft_batch *batch, size_t len)
{
	size_t padded = (len + NLA_ALIGNTO - 1) & ~((size_t)NLA_ALIGNTO - 1);
	uint8_t *at = batch->bytes + batch->len;

	if (batch->is_cut || padded > batch->size - batch->len) {
		batch->is_cut = true;
		return NULL;
	}
	memset(at, 0, padded);
	batch->len += padded;
	return at;
}

static nft_place open_message(struct nft_batch *batch, uint16_t type, uint16_t flags,
			      uint8_t family, uint16_t subsystem)
{
	nft_place place = batch->len;
	struct nlmsghdr header = {
		.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = SEQUENCE};
	struct nfgenmsg generic = {
		.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(subsystem)};
	uint8_t *at = take(batch, sizeof(header) + sizeof(generic));

	if (at) {
		memcpy(at, &header, sizeof(header));
		memcpy(at + sizeof(header), &generic, sizeof(generic));
	}
	return place;
}

nft_place nft_open(struct nft_batch *batch, uint16_t type, uint16_t flags)
{
	batch->last = batch->len;
	return open_message(batch, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags,
			    NFPROTO_INET, 0);
}

void nft_close(struct nft_batch *batch, nft_place message)
{
	uint32_t len = (uint32_t)(batch->len - message);

	if (!batch->is_cut)
		memcpy(batch->bytes + message + offsetof(struct nlmsghdr, nlmsg_len), &len,
		       sizeof(len));
}

void nft_begin(struct nft_batch *batch, uint8_t *bytes, size_t size)
{
	*batch = (struct nft_batch){.bytes = bytes, .size = size};
	nft_close(batch,
		  open_message(batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
}

/* Whatever fails before it is told before it, so that the first answer is the verdict on all. */
static void want_answer(struct nft_batch *batch)
{
	uint8_t *at = batch->bytes + batch->last + offsetof(struct nlmsghdr, nlmsg_flags);
	uint16_t flags;

	if (batch->is_cut || !batch->last)
		return;
	memcpy(&flags, at, sizeof(flags));
	flags |= NLM_F_ACK;
	memcpy(at, &flags, sizeof(flags));
}

bool nft_end(struct nft_batch *batch)
{
	want_answer(batch);
	nft_close(batch,
		  open_message(batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
	return !batch->is_cut;
}

/* -- attributes -- */

static void write_header(struct nft_batch *batch, nft_place place, uint16_t attribute, size_t len)
{
	struct nlattr header = {.nla_len = (uint16_t)len, .nla_type = attribute};

	if (len > UINT16_MAX)
		batch->is_cut = true;
	if (!batch->is_cut)
		memcpy(batch->bytes + place, &header, sizeof(header));
}

nft_place nft_nest(struct nft_batch *batch, uint16_t attribute)
{
	nft_place place = batch->len;

	if (take(batch, sizeof(struct nlattr)))
		write_header(batch, place, attribute | NLA_F_NESTED, sizeof(struct nlattr));
	return place;
}

void nft_unnest(struct nft_batch *batch, nft_place nest)
{
	struct nlattr header;

	if (batch->is_cut)
		return;
	memcpy(&header, batch->bytes + nest, sizeof(header));
	write_header(batch, nest, header.nla_type, batch->len - nest);
}

void nft_put(struct nft_batch *batch, uint16_t attribute, const void *data, size_t len)
{
	nft_place place = batch->len;
	uint8_t *at = take(batch, sizeof(struct nlattr) + len);

	if (!at)
		return;
	write_header(batch, place, attribute, sizeof(struct nlattr) + len);
	memcpy(at + sizeof(struct nlattr), data, len);
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
	nft_place message = nft_open(batch, NFT_MSG_DELTABLE, 0);

	nft_put_text(batch, NFTA_TABLE_NAME, table);
	nft_close(batch, message);
	return nft_end(batch);
}
