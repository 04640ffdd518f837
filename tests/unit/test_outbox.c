// SPDX-License-Identifier: Apache-2.0
/* Datagrams that wait to be sent: which of them share a send, and that none overtakes another. */
#include "world.h"

static union endpoint somewhere, elsewhere;
static struct local_source source;

static int begin(void **state)
{
	world_begin(state);
	somewhere = endpoint_from("192.0.2.50", 1);
	elsewhere = endpoint_from("192.0.2.51", 1);
	source = (struct local_source){.address = {.family = AF_INET, .bytes = {192, 0, 2, 1}},
				       .ifindex = 3};
	return 0;
}

static void add(const union endpoint *to, const struct local_source *from, uint8_t tos, size_t len)
{
	const struct outbox_address address = {to, from, tos};

	put_le32(outbox_add(tunnel_of_a(), &address, len), MESSAGE_DATA);
}

static unsigned int messages(void)
{
	return tunnel_of_a()->outbox->messages;
}

TEST(datagrams_to_one_endpoint_go_together, begin, world_end)
{
	for (unsigned int i = 0; i < 10; i++)
		add(&somewhere, &source, 0, 100);
	assert_int_equal(messages(), 1);
	assert_int_equal(tunnel_of_a()->outbox->outgoing[0].count, 10);
	assert_int_equal(tunnel_of_a()->outbox->outgoing[0].segment_len, 100);
	assert_int_equal(tunnel_of_a()->outbox->outgoing[0].len, 1000);
}

TEST(datagrams_that_differ_in_anything_but_length_go_apart, begin, world_end)
{
	struct local_source other = source;

	add(&somewhere, &source, 0, 100);
	add(&elsewhere, &source, 0, 100);
	assert_int_equal(messages(), 2);
	add(&elsewhere, &source, 2, 100);
	assert_int_equal(messages(), 3);
	other.ifindex++;
	add(&elsewhere, &other, 2, 100);
	assert_int_equal(messages(), 4);
	other.address.bytes[3]++;
	add(&elsewhere, &other, 2, 100);
	assert_int_equal(messages(), 5);
	add(&somewhere, &source, 0, 100); /* as the first, but it must not overtake the others */
	assert_int_equal(messages(), 6);
}

TEST(shorter_datagram_ends_its_send, begin, world_end)
{
	add(&somewhere, &source, 0, 100);
	add(&somewhere, &source, 0, 60);
	assert_int_equal(messages(), 1);
	add(&somewhere, &source, 0, 60);
	assert_int_equal(messages(), 2);
	add(&somewhere, &source, 0, 61);
	assert_int_equal(messages(), 3);
}

TEST(send_has_at_most_64_datagrams_and_65507_bytes, begin, world_end)
{
	for (unsigned int i = 0; i < 65; i++)
		add(&somewhere, &source, 0, 50);
	assert_int_equal(messages(), 2);
	for (unsigned int i = 0; i < 3; i++)
		add(&elsewhere, &source, 0, 65507 / 2);
	assert_int_equal(messages(), 4);
	add(&somewhere, &source, 0, 65507);
	assert_int_equal(messages(), 5);
}

TEST(outbox_flushes_when_datagrams_or_bytes_run_out, begin, world_end)
{
	for (unsigned int i = 0; i < OUTBOX_DATAGRAMS; i++)
		add(i % 2 ? &somewhere : &elsewhere, &source, 0, 50);
	assert_int_equal(messages(), OUTBOX_DATAGRAMS);
	assert_int_equal(world->nodes[A].transmits, 0);
	add(&somewhere, &source, 0, 50);
	assert_int_equal(messages(), 1);
	assert_int_equal(world->nodes[A].transmits, OUTBOX_DATAGRAMS);
	while (world->nodes[A].transmits == OUTBOX_DATAGRAMS)
		add(&somewhere, &source, 0, 65507);
	assert_int_equal(messages(), 1);
	assert_int_equal(tunnel_of_a()->outbox->used, 65507);
}

TEST(flush_of_nothing_sends_nothing, begin, world_end)
{
	tunnel_flush(tunnel_of_a());
	assert_int_equal(world->nodes[A].transmits, 0);
}
