/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes messages of nf_tables (linux/netfilter/nf_tables.h) into the caller's storage. The kernel
 * accepts them only in a batch, and applies all of it or nothing. CORE. A batch that does not fit
 * is marked and must not be sent. Numbers are in network order, as nf_tables expects its own.
 */
#pragma once

#include <linux/netlink.h>

#include "util.h"

#define NFT_SEQUENCE  1 /* of every message */
#define NFT_DEPTH_MAX 8 /* nested attributes; a rule has 5 */

struct nft_batch {
	uint8_t *bytes;
	size_t len, size;	  /* len: of the finished messages; after nft_end, of all */
	struct nlmsghdr *message; /* being written; NULL: none */
	struct nlattr *nests[NFT_DEPTH_MAX]; /* open in it, the innermost last */
	uint32_t depth;
	bool is_cut;
};

/* `bytes` is aligned as a struct nlmsghdr. */
void nft_begin(struct nft_batch *batch, uint8_t *bytes, size_t size);
/* False: it did not fit. The kernel acknowledges the last message, so its first answer is the
 * verdict on all. */
MUST_CHECK bool nft_end(struct nft_batch *batch);
/* True while no message follows nft_begin. */
bool nft_is_empty(const struct nft_batch *batch);

/* Begins the next message and ends the previous one: `type` as NFT_MSG_NEWTABLE, for family inet;
 * flags beside NLM_F_REQUEST. Without nft_begin, the message is alone, as requests do that change
 * nothing. */
void nft_begin_message(struct nft_batch *batch, uint16_t type, uint16_t flags);

/* Begins an attribute that contains those put until the matching nft_unnest. */
void nft_nest(struct nft_batch *batch, uint16_t attribute);
void nft_unnest(struct nft_batch *batch);

void nft_put(struct nft_batch *batch, uint16_t attribute, const void *data, size_t len);
void nft_put_u32(struct nft_batch *batch, uint16_t attribute, uint32_t value);
void nft_put_text(struct nft_batch *batch, uint16_t attribute, const char *text);

/* The whole batch: delete the table of that name, with everything in it. */
MUST_CHECK bool nft_write_removal(struct nft_batch *batch, const char *table);
