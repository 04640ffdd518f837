// SPDX-License-Identifier: Apache-2.0
/* keyd/guard/nft_batch.c: messages to nf_tables, in their batch. */
#include "nft_text.h"
#include "test.h"

TEST(removal_is_one_answered_message_in_a_batch)
{
	_Alignas(struct nlmsghdr) uint8_t bytes[256];
	struct nft_batch batch;

	nft_begin(&batch, bytes, sizeof(bytes));
	assert_true(nft_write_removal(&batch, "somebody"));
	assert_string_equal(nft_text(&batch), "begin\ndelete table somebody !\nend\n");
}

TEST(only_the_last_message_is_answered)
{
	_Alignas(struct nlmsghdr) uint8_t bytes[256];
	struct nft_batch batch;

	nft_begin(&batch, bytes, sizeof(bytes));
	for (unsigned int i = 0; i < 2; i++)
		nft_begin_message(&batch, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	assert_true(nft_end(&batch));
	assert_string_equal(nft_text(&batch), "begin\nnew table\nnew table !\nend\n");
}

TEST(nested_attributes_carry_their_length)
{
	_Alignas(struct nlmsghdr) uint8_t bytes[256];
	struct nft_batch batch;

	nft_begin(&batch, bytes, sizeof(bytes));
	nft_begin_message(&batch, NFT_MSG_NEWRULE, 0);
	nft_nest(&batch, 1);
	nft_put_text(&batch, 1, "ab");
	nft_nest(&batch, 2);
	nft_put_u32(&batch, 3, 0x01020304);
	nft_unnest(&batch);
	nft_unnest(&batch);
	nft_put(&batch, 4, "\xff\xee\xdd\xcc\xbb", 5);
	assert_true(nft_end(&batch));
	assert_string_equal(nft_text(&batch),
			    "begin\nnew rule ab 0x01020304 0xffeeddccbb !\nend\n");
}

TEST(batch_that_does_not_fit_is_never_whole)
{
	_Alignas(struct nlmsghdr) uint8_t bytes[256];
	uint8_t guard[256];
	struct nft_batch batch;
	size_t needed;

	nft_begin(&batch, bytes, sizeof(bytes));
	assert_true(nft_write_removal(&batch, "somebody"));
	needed = batch.len;
	for (size_t size = 0; size < needed; size++) {
		memset(guard, 0xa5, sizeof(guard));
		memcpy(bytes, guard, sizeof(bytes));
		nft_begin(&batch, bytes, size);
		assert_false(nft_write_removal(&batch, "somebody"));
		assert_memory_equal(bytes + size, guard, sizeof(bytes) - size);
	}
	nft_begin(&batch, bytes, needed);
	assert_true(nft_write_removal(&batch, "somebody"));
}

TEST(attribute_too_long_for_its_length_field_is_refused)
{
	static _Alignas(struct nlmsghdr) uint8_t bytes[80000];
	static uint8_t data[1000];
	struct nft_batch batch;

	nft_begin(&batch, bytes, sizeof(bytes));
	nft_nest(&batch, 1);
	for (unsigned int i = 0; i < 66; i++)
		nft_put(&batch, 2, data, sizeof(data));
	nft_unnest(&batch);
	assert_false(nft_end(&batch));
}
