// SPDX-License-Identifier: Apache-2.0
/* The pool in which packets wait for a session. */
#include "stage.h"
#include "test.h"

struct queue {
	uint32_t head, tail, count;
};

static struct stage *stage;
static uint8_t packet[STAGE_PACKET_MAX], out[STAGE_PACKET_MAX];

static struct stage_queue ends(struct queue *queue)
{
	return (struct stage_queue){&queue->head, &queue->tail, &queue->count};
}

static const struct queue empty = {NO_CHUNK, NO_CHUNK, 0};

static int begin(void **state)
{
	stage = calloc(1, sizeof(*stage));
	assert_non_null(stage);
	stage_init(stage);
	return 0;
}

static int end(void **state)
{
	free(stage);
	return 0;
}

static void fill(size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		packet[i] = (uint8_t)(i * 13 + (i >> 8) + seed);
}

static bool push(struct queue *queue, size_t len, uint16_t packets, unsigned int seed)
{
	struct virtio_net_hdr vnet = {.gso_size = (uint16_t)seed};

	fill(len, seed);
	return stage_push(stage, ends(queue), &vnet, packet, len, packets);
}

static void assert_pops(struct queue *queue, size_t len, uint16_t packets, unsigned int seed)
{
	struct virtio_net_hdr vnet = {0};
	uint16_t popped_packets = 0;

	assert_int_equal(stage_pop(stage, ends(queue), &vnet, out, &popped_packets), len);
	assert_int_equal(popped_packets, packets);
	assert_int_equal(vnet.gso_size, (uint16_t)seed);
	fill(len, seed);
	assert_memory_equal(out, packet, len);
}

TEST(stage_gives_back_every_length_as_it_was, begin, end)
{
	struct queue queue = empty;

	for (unsigned int len = 1; len <= STAGE_PACKET_MAX; len += len < 5000 ? 1 : 997) {
		assert_true(push(&queue, len, 1, len));
		assert_pops(&queue, len, 1, len);
		assert_int_equal(queue.head, NO_CHUNK);
	}
	assert_true(push(&queue, STAGE_PACKET_MAX, 45, 7));
	assert_pops(&queue, STAGE_PACKET_MAX, 45, 7);
	assert_int_equal(stage->free_count, STAGE_CHUNKS);
}

TEST(stage_keeps_order_and_queues_apart, begin, end)
{
	struct queue first = empty, second = empty;

	for (unsigned int i = 0; i < 50; i++) {
		assert_true(push(&first, 100 + i * 90, (uint16_t)(1 + i % 5), i));
		assert_true(push(&second, 5000 - i * 90, 1, 1000 + i));
	}
	assert_int_equal(first.count, 150);
	assert_int_equal(second.count, 50);
	for (unsigned int i = 0; i < 50; i++) {
		assert_pops(&second, 5000 - i * 90, 1, 1000 + i);
		assert_pops(&first, 100 + i * 90, (uint16_t)(1 + i % 5), i);
	}
	assert_int_equal(first.count, 0);
	assert_int_equal(stage->free_count, STAGE_CHUNKS);
}

TEST(stage_pops_nothing_from_an_empty_queue, begin, end)
{
	struct queue queue = empty;
	uint16_t packets = 77;

	assert_int_equal(stage_pop(stage, ends(&queue), NULL, out, &packets), 0);
	assert_int_equal(packets, 77);
}

TEST(stage_drops_without_copying, begin, end)
{
	struct queue queue = empty;
	uint16_t packets;

	assert_true(push(&queue, 9000, 7, 1));
	assert_int_equal(stage_pop(stage, ends(&queue), NULL, NULL, &packets), 9000);
	assert_int_equal(packets, 7);
	assert_int_equal(stage->free_count, STAGE_CHUNKS);
}

TEST(stage_refuses_a_packet_that_does_not_fit_and_keeps_no_part_of_it, begin, end)
{
	struct queue queue = empty, late = empty;
	unsigned int pushed = 0;

	while (push(&queue, STAGE_PACKET_MAX, 45, pushed))
		pushed++;
	assert_int_equal(pushed, STAGE_CHUNKS / ((STAGE_PACKET_MAX + STAGE_CHUNK_LEN - 1) /
						 STAGE_CHUNK_LEN));
	assert_int_equal(queue.count, pushed * 45);
	while (push(&late, STAGE_CHUNK_LEN, 1, 5))
		;
	assert_int_equal(stage->free_count, 0);
	assert_false(push(&late, 1, 1, 5));
	for (unsigned int i = 0; i < pushed; i++)
		assert_pops(&queue, STAGE_PACKET_MAX, 45, i);
	assert_true(push(&late, STAGE_PACKET_MAX, 45, 6));
}

TEST(stage_refuses_lengths_that_no_packet_has, begin, end)
{
	struct queue queue = empty;
	static uint8_t long_packet[STAGE_PACKET_MAX + 1];
	struct virtio_net_hdr vnet = {0};

	assert_false(stage_push(stage, ends(&queue), &vnet, packet, 0, 1));
	assert_false(stage_push(stage, ends(&queue), &vnet, long_packet, sizeof(long_packet), 1));
	assert_int_equal(queue.count, 0);
}
