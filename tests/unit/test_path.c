// SPDX-License-Identifier: Apache-2.0
/*
 * The largest packet to a peer: the path MTU that the kernel reports, when it is asked, and how far
 * it is believed.
 */
#include "path.h"

#include "packets.h"
#include "world.h"

#define MS_NS (NS_PER_S / 1000)

static size_t limit(void)
{
	return path_inner_mtu(&world->nodes[A].tunnel, world->nodes[A].peer);
}

static void kernel_says(uint32_t mtu)
{
	world->nodes[A].path_mtu = mtu;
}

static void wait_ms(uint64_t ms)
{
	world_set_clock(world->now_ns + ms * MS_NS);
}

TALKING_TEST(path_leaves_room_for_the_headers_of_its_family)
{
	world->nodes[A].tunnel.state->mtu = 9000;
	kernel_says(1400);
	wait_ms(1000);
	assert_int_equal(limit(), 1340);
	peer_of(A)->endpoint = endpoint_from("2001:db8::2", 51890);
	assert_int_equal(limit(), 1320);
}

TALKING_TEST(path_never_goes_beyond_the_device)
{
	kernel_says(9000);
	wait_ms(1000);
	assert_int_equal(limit(), 1420);
	kernel_says(0);
	wait_ms(1000);
	assert_int_equal(limit(), 1420);
}

TALKING_TEST(path_below_1280_is_not_believed)
{
	for (uint32_t mtu = 1; mtu < 1280; mtu += 71) {
		kernel_says(mtu);
		wait_ms(1000);
		assert_int_equal(limit(), 1220);
	}
	world->nodes[A].tunnel.state->mtu = 940; /* but a device that is narrow itself is */
	assert_int_equal(limit(), 940);
}

TALKING_TEST(path_is_asked_for_once_a_second)
{
	unsigned int before;

	wait_ms(1000);
	before = world->nodes[A].path_asked;
	for (int i = 0; i < 1000; i++) {
		(void)limit();
		wait_ms(10);
	}
	assert_int_equal(world->nodes[A].path_asked - before, 10);
}

TALKING_TEST(path_is_asked_for_at_once_after_a_hint)
{
	wait_ms(1000);
	kernel_says(1500);
	assert_int_equal(limit(), 1420);
	wait_ms(60);
	kernel_says(1300);
	assert_int_equal(limit(), 1420);
	tunnel_path_changed(&world->nodes[A].tunnel);
	assert_int_equal(limit(), 1240);
}

TALKING_TEST(flood_of_hints_does_not_make_every_packet_ask)
{
	unsigned int before;

	wait_ms(1000);
	before = world->nodes[A].path_asked;
	for (int i = 0; i < 1000; i++) {
		tunnel_path_changed(&world->nodes[A].tunnel);
		(void)limit();
		wait_ms(1);
	}
	assert_in_range(world->nodes[A].path_asked - before, 15, 21);
}

TALKING_TEST(path_mtu_grows_again_when_the_kernel_reports_more)
{
	kernel_says(1280);
	wait_ms(1000);
	assert_int_equal(limit(), 1220);
	kernel_says(1500);
	wait_ms(1000);
	assert_int_equal(limit(), 1420);
}

TALKING_TEST(another_endpoint_is_another_path)
{
	union endpoint elsewhere = endpoint_from("192.0.2.99", 51890);

	kernel_says(1300);
	wait_ms(1000);
	assert_int_equal(limit(), 1240);
	kernel_says(1400);
	tunnel_set_endpoint(&world->nodes[A].tunnel, world->nodes[A].peer, &elsewhere);
	assert_int_equal(limit(), 1340);
	kernel_says(1350);
	peer_follow(&world->nodes[A].tunnel, world->nodes[A].peer, &world->nodes[B].address,
		    &(struct local_source){0});
	assert_int_equal(limit(), 1290);
}

/* -- what becomes of packets -- */

TALKING_TEST(sender_of_a_packet_too_big_for_the_path_learns_the_mtu)
{
	kernel_says(1400);
	wait_ms(1000);
	send_inner(A, 4, 1341, 1);
	assert_int_equal(drops(A, DROP_TOO_BIG), 1);
	assert_int_equal(get_be16(world->nodes[A].last_injected + 26), 1340);
	send_inner(A, 6, 1341, 1);
	assert_int_equal(drops(A, DROP_TOO_BIG), 2);
	assert_int_equal(get_be32(world->nodes[A].last_injected + 44), 1340);
	ping(A, 2);
	assert_int_equal(all_drops(A), 2);
}

TALKING_TEST(padding_never_goes_beyond_the_path)
{
	struct tunnel *tunnel = &world->nodes[A].tunnel;

	kernel_says(1299);
	wait_ms(1000);
	for (size_t len = 1200; len <= 1239; len++) {
		tunnel_flush(tunnel);
		clear_wire();
		send_inner(A, 4, len, 1);
		assert_int_equal(tunnel->outbox->outgoing[0].len,
				 32 + MIN(ROUND_UP(len, (size_t)16), (size_t)1239));
	}
	assert_int_equal(all_drops(A), 0);
}

/* Everything in the outbox on the wire: no datagram may need fragments. */
static void assert_fits(size_t headers, size_t path_mtu)
{
	const struct outbox *outbox = world->nodes[A].tunnel.outbox;

	for (uint32_t i = 0; i < outbox->messages; i++)
		assert_in_range(outbox->outgoing[i].segment_len + headers, 1, path_mtu);
}

TALKING_TEST(datagram_of_no_size_needs_fragments)
{
	static const char *const places[] = {"192.0.2.2", "2001:db8::2"};
	static const size_t headers[] = {20 + 8, 40 + 8};

	world->nodes[A].tunnel.state->mtu = 9000;
	for (unsigned int family = 0; family < 2; family++) {
		for (uint32_t mtu = 1280; mtu <= 1520; mtu += 3) {
			peer_of(A)->endpoint = endpoint_from(places[family], 51890);
			kernel_says(mtu);
			wait_ms(1000);
			for (size_t len = 20; len <= mtu; len += 1 + len % 7) {
				tunnel_flush(&world->nodes[A].tunnel);
				clear_wire();
				send_inner(A, 4, len, 1);
				assert_fits(headers[family], mtu);
			}
		}
	}
	assert_true(drops(A, DROP_TOO_BIG) > 0);
	assert_int_equal(all_drops(A), drops(A, DROP_TOO_BIG));
}

/* No id of one cut packet says anything about the next one's. */
TALKING_TEST(ip6_of_1280_bytes_crosses_the_narrowest_path_in_two_pieces)
{
	uint32_t ids[2];

	kernel_says(1280);
	wait_ms(1000);
	for (unsigned int i = 0; i < 2; i++) {
		unsigned int before = world->nodes[B].delivered;

		send_inner(A, 6, 1280, 1);
		tunnel_flush(&world->nodes[A].tunnel);
		world_settle();
		assert_int_equal(world->nodes[B].delivered, before + 2);
		assert_int_equal(world->nodes[B].last[6], 44);
		ids[i] = get_be32(world->nodes[B].last + 44);
	}
	assert_int_not_equal(ids[0], ids[1]);
	assert_int_not_equal(ids[0] + 1, ids[1]);
	assert_int_equal(all_drops(A), 0);
	send_inner(A, 6, 1281, 1);
	assert_int_equal(drops(A, DROP_TOO_BIG), 1);
	assert_int_equal(get_be32(world->nodes[A].last_injected + 44), 1280);
}

SILENT_TEST(staged_packet_meets_the_path_of_when_it_is_sent)
{
	world->latency_ns = NS_PER_S;
	send_inner(A, 4, 1400, 1);
	kernel_says(1400);
	world_sleep(5 * NS_PER_S);
	assert_int_equal(came(B, 1), 0);
	assert_int_equal(drops(A, DROP_TOO_BIG), 1);
}
