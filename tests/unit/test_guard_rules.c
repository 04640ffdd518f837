// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/guard/guard_rules.c: the guard's table, as it goes to the kernel. Numbers are
 * <linux/netfilter/nf_tables.h>'s.
 */
#include "bpf_abi.h"
#include "guard/guard.h"
#include "nft_text.h"
#include "test.h"

static const char *table_text(uint16_t port, bool may_have_unknown_pods)
{
	static _Alignas(struct nlmsghdr) uint8_t bytes[GUARD_RULES_LEN];
	struct nft_batch batch;

	nft_begin(&batch, bytes, sizeof(bytes));
	guard_write_table(&batch, port, may_have_unknown_pods);
	assert_true(nft_end(&batch));
	return nft_text(&batch);
}

/* The line that begins so, without its end; empty: there is none. */
static const char *line(const char *text, const char *begin, unsigned int number)
{
	static char found[2048];
	size_t len = strlen(begin);

	for (; *text; text = strchr(text, '\n') + 1)
		if (!strncmp(text, begin, len) && !number--) {
			snprintf(found, sizeof(found), "%.*s", (int)strcspn(text, "\n"), text);
			return found;
		}
	return "";
}

TEST(guarded_devices_are_asked_first)
{
	/* meta oif into register 1, lookup, verdict accept */
	assert_string_equal(line(table_text(51890, false), "new rule podveil_guard leaves", 0),
			    "new rule podveil_guard leaves meta 0x00000005 0x00000001"
			    " lookup guarded 0x00000001 immediate 0x00000000 0x00000001");
}

/* They are ciphertext, wherever an endpoint lies; by which device they came tells them from a
 * pod's. */
TEST(tunnels_own_datagrams_pass_before_anything_is_judged)
{
	static const char *const sets[] = {"remote4", "remote6", "nodes4", "nodes6"};
	const char *text = table_text(51890, false);

	/* meta iif is 0; meta l4proto is UDP; two bytes of the transport header from 0 are the
	 * port; verdict accept */
	assert_string_equal(line(text, "new rule podveil_guard leaves", 1),
			    "new rule podveil_guard leaves meta 0x00000004 0x00000001"
			    " cmp 0x00000001 0x00000000 0x00000000"
			    " meta 0x00000010 0x00000001 cmp 0x00000001 0x00000000 0x11"
			    " payload 0x00000001 0x00000002 0x00000000 0x00000002"
			    " cmp 0x00000001 0x00000000 0xcab2 immediate 0x00000000 0x00000001");
	for (unsigned int i = 0; i < ARRAY_SIZE(sets); i++)
		assert_non_null(
			strstr(line(text, "new rule podveil_guard leaves", 2 + i), sets[i]));
	assert_non_null(strstr(line(text, "new rule podveil_guard leaves", 4), "pods4"));
	assert_non_null(strstr(line(text, "new rule podveil_guard leaves", 5), "pods6"));
	assert_string_equal(line(text, "new rule podveil_guard leaves", 6), "");
}

TEST(packet_without_an_exception_is_marked_and_dropped)
{
	uint32_t mark = GUARD_MARK;
	char wanted[256], shown[16] = "";

	for (unsigned int i = 0; i < sizeof(mark); i++)
		sprintf(shown + 2 * i, "%02x", ((const uint8_t *)&mark)[i]);
	/* counter, immediate into register 1, meta mark from it, verdict drop: the last message, so
	 * answered */
	snprintf(wanted, sizeof(wanted),
		 "new rule podveil_guard judge counter immediate 0x00000001 0x%s"
		 " meta 0x00000003 0x00000001 immediate 0x00000000 0x00000000 !",
		 shown);
	assert_string_equal(line(table_text(51890, false), "new rule podveil_guard judge", 5),
			    wanted);
	assert_string_equal(line(table_text(51890, false), "new rule podveil_guard judge", 6), "");
}

TEST(unknown_pods_pass_only_where_there_can_be_some)
{
	assert_null(strstr(table_text(51890, false), "0x627269646765"));
	assert_non_null(strstr(table_text(51890, true), "0x627269646765"));
	assert_non_null(strstr(table_text(51890, true), " rt 0x00000001"));
}

TEST(rules_are_replaced_and_never_doubled)
{
	const char *text = table_text(51890, false);
	const char *deletion = strstr(text, "delete rules podveil_guard judge\n");

	assert_non_null(deletion);
	assert_non_null(strstr(text, "delete rules podveil_guard leaves\n"));
	assert_null(strstr(deletion, "new chain"));
	assert_true(strstr(text, "new rule") > deletion);
}

TEST(chain_comes_after_source_nat)
{
	/* hook 4, NF_INET_POST_ROUTING; priority 300; policy accept */
	assert_string_equal(line(table_text(51890, false), "new chain podveil_guard leaves", 0),
			    "new chain podveil_guard leaves 0x00000004 0x0000012c 0x00000001"
			    " filter");
}

TEST(set_is_emptied_before_it_is_filled)
{
	static const struct guard_element elements[] = {{.key = {10, 244, 0, 0}},
							{.key = {10, 245, 0, 0}, .is_end = 1}};
	_Alignas(struct nlmsghdr) uint8_t bytes[1024];
	struct nft_batch batch;

	nft_begin(&batch, bytes, sizeof(bytes));
	guard_write_set(&batch, GUARD_REMOTE4, elements, ARRAY_SIZE(elements));
	assert_true(nft_end(&batch));
	assert_string_equal(
		nft_text(&batch),
		"begin\ndelete elements podveil_guard remote4\n"
		"new elements podveil_guard remote4 0x0af40000 0x0af50000 0x00000001 !\n"
		"end\n");
}

TEST(long_set_fits_in_the_room_that_is_promised)
{
	static struct guard_element elements[5000];
	static _Alignas(struct nlmsghdr)
		uint8_t bytes[GUARD_SET_LEN + ARRAY_SIZE(elements) * GUARD_ELEMENT_LEN];
	struct nft_batch batch;

	for (unsigned int set = 0; set < GUARD_SETS; set++)
		for (uint32_t count = 0; count <= ARRAY_SIZE(elements); count += 1000) {
			nft_begin(&batch, bytes, GUARD_SET_LEN + count * (size_t)GUARD_ELEMENT_LEN);
			guard_write_set(&batch, (enum guard_set)set, elements, count);
			assert_true(nft_end(&batch));
		}
}
