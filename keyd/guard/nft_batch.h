/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes messages of nf_tables (linux/netfilter/nf_tables.h) into the caller's storage, in the batch without which the kernel takes
 * none: all of it comes into force at once, or nothing. CORE. A batch that does not fit is marked and must not be sent.
 * Numbers are in network order, as nf_tables wants its own.
 */
#pragma once

#include "util.h"

struct nft_batch {
	uint8_t *bytes;
	size_t len, size;
	size_t last; /* where the message that is answered begins */
	bool is_cut;
};

/* A message or an attribute that holds others: where it begins, for its length. */
typedef size_t nft_place;

void nft_begin(struct nft_batch *batch, uint8_t *bytes, size_t size);
/* False: it did not fit. The last message before is the one that is answered. */
MUST_CHECK bool nft_end(struct nft_batch *batch);

/* `type` as NFT_MSG_NEWTABLE, for family inet; flags beside NLM_F_REQUEST. */
nft_place nft_open(struct nft_batch *batch, uint16_t type, uint16_t flags);
void nft_close(struct nft_batch *batch, nft_place message);

nft_place nft_nest(struct nft_batch *batch, uint16_t attribute);
void nft_unnest(struct nft_batch *batch, nft_place nest);

void nft_put(struct nft_batch *batch, uint16_t attribute, const void *data, size_t len);
void nft_put_u32(struct nft_batch *batch, uint16_t attribute, uint32_t value);
void nft_put_text(struct nft_batch *batch, uint16_t attribute, const char *text);

/* The whole batch: delete the table of that name, with all that is in it. */
MUST_CHECK bool nft_write_removal(struct nft_batch *batch, const char *table);
