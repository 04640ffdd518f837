/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints a batch of nf_tables as text, one line a message, so that tests compare readable text: the
 * name of the message, then its texts and numbers in order. Fails if lengths do not fit together.
 */
#pragma once

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdio.h>

#include "guard/nft_batch.h"
#include "test.h"

#define NFT_TEXT_MAX 65536

static const char *nft_message_name(uint16_t type)
{
	static const struct {
		uint16_t type;
		const char *name;
	} names[] = {{NFNL_MSG_BATCH_BEGIN, "begin"},
		     {NFNL_MSG_BATCH_END, "end"},
		     {NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE, "new table"},
		     {NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE, "delete table"},
		     {NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN, "new chain"},
		     {NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSET, "new set"},
		     {NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE, "new rule"},
		     {NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELRULE, "delete rules"},
		     {NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM, "new elements"},
		     {NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELSETELEM, "delete elements"}};

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].type == type)
			return names[i].name;
	return "?";
}

static bool nft_is_word(const uint8_t *bytes, size_t len)
{
	if (len < 2 || bytes[len - 1])
		return false;
	for (size_t i = 0; i + 1 < len; i++)
		if (!(bytes[i] >= 'a' && bytes[i] <= 'z') && bytes[i] != '_' &&
		    !(bytes[i] >= '0' && bytes[i] <= '9'))
			return false;
	return true;
}

static void nft_add_value(char *text, const uint8_t *bytes, size_t len)
{
	char *end = text + strlen(text);

	if (nft_is_word(bytes, len)) {
		sprintf(end, " %s", (const char *)bytes);
		return;
	}
	end += sprintf(end, " 0x");
	for (size_t i = 0; i < len; i++)
		end += sprintf(end, "%02x", bytes[i]);
}

static void nft_add_attributes(char *text, const uint8_t *bytes, size_t len)
{
	while (len) {
		struct nlattr header;
		size_t padded;

		assert_true(len >= sizeof(header));
		memcpy(&header, bytes, sizeof(header));
		padded = (header.nla_len + 3U) & ~3U;
		assert_true(header.nla_len >= sizeof(header) && padded <= len);
		if (header.nla_type & NLA_F_NESTED)
			nft_add_attributes(text, bytes + sizeof(header),
					   header.nla_len - sizeof(header));
		else
			nft_add_value(text, bytes + sizeof(header),
				      header.nla_len - sizeof(header));
		bytes += padded;
		len -= padded;
	}
}

/* Lines; a message that is to be answered ends with " !". */
static const char *nft_text(const struct nft_batch *batch)
{
	static char text[NFT_TEXT_MAX];
	const size_t head = sizeof(struct nlmsghdr) + sizeof(struct nfgenmsg);
	size_t at = 0;

	text[0] = '\0';
	while (at < batch->len) {
		struct nlmsghdr header;

		assert_true(batch->len - at >= head);
		memcpy(&header, batch->bytes + at, sizeof(header));
		assert_true(header.nlmsg_len >= head && header.nlmsg_len <= batch->len - at);
		assert_true(strlen(text) < NFT_TEXT_MAX / 2);
		strcat(text, nft_message_name(header.nlmsg_type));
		nft_add_attributes(text, batch->bytes + at + head, header.nlmsg_len - head);
		strcat(text, header.nlmsg_flags & NLM_F_ACK ? " !\n" : "\n");
		at += header.nlmsg_len;
	}
	return text;
}
