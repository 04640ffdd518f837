// SPDX-License-Identifier: Apache-2.0
/* The fate of a packet from the TUN: sealed, staged, or dropped with one reason. */
#include "packets.h"
#include "world.h"

static const struct virtio_net_hdr plain;

static const struct outgoing *last_outgoing(void)
{
	const struct outbox *outbox = tunnel_of_a()->outbox;

	assert_int_not_equal(outbox->messages, 0);
	return &outbox->outgoing[outbox->messages - 1];
}

/* -- what cannot be sent -- */

static void assert_refused(enum drop_reason reason, uint64_t packets)
{
	assert_int_equal(drops(A, reason), packets);
	assert_int_equal(all_drops(A), packets);
	assert_int_equal(tunnel_of_a()->outbox->messages, 0);
}

TALKING_TEST(packet_without_a_peer_is_dropped_and_answered_with_an_error)
{
	uint8_t packet[100];

	build_inner(packet, A, 4, sizeof(packet), 1);
	packet[18] = 9; /* 10.0.9.5 */
	tunnel_send(tunnel_of_a(), &plain, packet, sizeof(packet));
	assert_refused(DROP_NO_ALLOWED_IP, 1);
	assert_int_equal(world->nodes[A].injected, 1);
	assert_int_equal(world->nodes[A].last_injected[9], IPPROTO_ICMP);
	assert_int_equal(world->nodes[A].last_injected[20], 3);
	build_inner(packet, A, 6, sizeof(packet), 1);
	packet[31] = 9;
	tunnel_send(tunnel_of_a(), &plain, packet, sizeof(packet));
	assert_refused(DROP_NO_ALLOWED_IP, 2);
	assert_int_equal(world->nodes[A].injected, 2);
	assert_int_equal(world->nodes[A].last_injected[6], IPPROTO_ICMPV6);
}

TALKING_TEST(multicast_of_our_own_kernel_is_named_and_unanswered)
{
	uint8_t packet[100];

	build_inner(packet, A, 4, sizeof(packet), 1);
	packet[16] = 224; /* 224.0.x.x */
	tunnel_send(tunnel_of_a(), &plain, packet, sizeof(packet));
	assert_refused(DROP_OWN_MULTICAST, 1);
	build_inner(packet, A, 6, sizeof(packet), 1);
	packet[24] = 0xff;
	tunnel_send(tunnel_of_a(), &plain, packet, sizeof(packet));
	assert_refused(DROP_OWN_MULTICAST, 2);
	assert_int_equal(world->nodes[A].injected, 0);
}

TALKING_TEST(packet_for_a_peer_without_endpoint_is_dropped_and_answered_with_an_error)
{
	peer_of(A)->has_endpoint = false;
	send_inner(A, 4, 100, 1);
	assert_refused(DROP_NO_ENDPOINT, 1);
	assert_int_equal(world->nodes[A].injected, 1);
}

/* A route into our own device makes this packet: from our port to the peer's endpoint. */
static void build_own_datagram(uint8_t packet[static 100], uint8_t version)
{
	size_t head = version == 4 ? 20 : 40;
	struct address to = {.family = version == 4 ? AF_INET : AF_INET6};

	build_inner(packet, A, version, 100, 1);
	packet[version == 4 ? 9 : 6] = IPPROTO_UDP;
	put_be16(packet + head, tunnel_of_a()->state->port);
	put_be16(packet + head + 2, 4242);
	memcpy(to.bytes, packet + head - (version == 4 ? 4 : 16), version == 4 ? 4 : 16);
	peer_of(A)->endpoint = endpoint_of(&to, 4242);
}

TALKING_TEST(own_datagram_that_comes_back_is_dropped_and_not_answered)
{
	uint8_t packet[100];

	build_own_datagram(packet, 4);
	tunnel_send(tunnel_of_a(), &plain, packet, sizeof(packet));
	assert_refused(DROP_OWN_DATAGRAM, 1);
	build_own_datagram(packet, 6);
	tunnel_send(tunnel_of_a(), &plain, packet, sizeof(packet));
	assert_refused(DROP_OWN_DATAGRAM, 2);
	assert_int_equal(world->nodes[A].injected, 0);
}

TALKING_TEST(datagram_that_is_only_like_our_own_is_sent)
{
	uint8_t packet[100];

	build_own_datagram(packet, 4);
	put_be16(packet + 20, (uint16_t)(tunnel_of_a()->state->port + 1));
	tunnel_send(tunnel_of_a(), &plain, packet, sizeof(packet));
	build_own_datagram(packet, 4);
	put_be16(packet + 22, 4243);
	tunnel_send(tunnel_of_a(), &plain, packet, sizeof(packet));
	build_own_datagram(packet, 4);
	packet[9] = IPPROTO_SCTP;
	tunnel_send(tunnel_of_a(), &plain, packet, sizeof(packet));
	build_own_datagram(packet, 4);
	packet[19]++;
	tunnel_send(tunnel_of_a(), &plain, packet, sizeof(packet));
	assert_int_equal(all_drops(A), 0);
}

TALKING_TEST(packet_is_dropped_while_we_have_no_key)
{
	tunnel_set_private_key(tunnel_of_a(), KEY_CURRENT, NULL);
	send_inner(A, 4, 100, 1);
	assert_refused(DROP_NO_KEY, 1);
	assert_int_equal(world->nodes[A].injected, 1);
}

TALKING_TEST(bytes_that_are_no_packet_are_dropped)
{
	uint8_t packet[100];
	unsigned int count = 0;

	for (unsigned int version = 0; version < 16; version++) {
		for (size_t len = 0; len <= sizeof(packet); len++) {
			if (version == 4 || version == 6)
				continue;
			build_inner(packet, A, 4, sizeof(packet), 1);
			packet[0] = (uint8_t)(version << 4 | 5);
			tunnel_send(tunnel_of_a(), &plain, packet, len);
			assert_refused(DROP_TUN_MALFORMED, ++count);
		}
	}
	for (size_t len = 0; len < sizeof(packet); len++) {
		build_inner(packet, A, len % 2 ? 4 : 6, sizeof(packet), 1);
		tunnel_send(tunnel_of_a(), &plain, packet, len);
		assert_refused(DROP_TUN_MALFORMED, ++count);
	}
	assert_int_equal(world->nodes[A].injected, 0);
}

TALKING_TEST(packet_that_is_too_big_is_dropped_and_answered_with_the_mtu)
{
	send_inner(A, 4, 1421, 1);
	assert_refused(DROP_TOO_BIG, 1);
	assert_int_equal(world->nodes[A].last_injected[20], 3);
	assert_int_equal(world->nodes[A].last_injected[21], 4);
	assert_int_equal(get_be16(world->nodes[A].last_injected + 26), 1420);
	send_inner(A, 6, 1421, 1);
	assert_refused(DROP_TOO_BIG, 2);
	assert_int_equal(world->nodes[A].last_injected[40], 2);
	assert_int_equal(get_be32(world->nodes[A].last_injected + 44), 1420);
	send_inner(A, 4, 1420, 1);
	assert_int_equal(drops(A, DROP_TOO_BIG), 2);
}

/* A TCP super-packet of the node's, `segments` of 1000 bytes payload. */
static size_t build_super(uint8_t *packet, struct virtio_net_hdr *ret_vnet, unsigned int segments)
{
	struct shape shape = {
		.version = 4, .flags = PSH | ACK, .payload_len = segments * 1000u, .sequence = 7};
	size_t len = build(packet, &shape);

	*ret_vnet = leave_checksum(packet, &shape);
	ret_vnet->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	ret_vnet->gso_size = 1000;
	ret_vnet->hdr_len = 40;
	return len;
}

TALKING_TEST(super_packet_counts_its_segments_when_it_is_dropped)
{
	static uint8_t packet[PACKET_MAX];
	struct virtio_net_hdr vnet;
	size_t len = build_super(packet, &vnet, 37); /* to 10.244.2.10, which is nobody's */

	tunnel_send(tunnel_of_a(), &vnet, packet, len);
	assert_refused(DROP_NO_ALLOWED_IP, 37);
}

/* -- data -- */

TALKING_TEST(every_length_is_padded_to_16_but_never_beyond_the_mtu)
{
	struct tunnel *tunnel = tunnel_of_a();

	for (unsigned int mtu = 1280; mtu <= 1420; mtu += 7) {
		tunnel->state->mtu = mtu;
		for (size_t len = 20; len <= mtu; len++) {
			size_t padded = MIN((len + 15) / 16 * 16, mtu);
			const struct outgoing *outgoing;

			tunnel_flush(tunnel);
			clear_wire();
			send_inner(A, 4, len, 1);
			outgoing = last_outgoing();
			assert_int_equal(outgoing->len, 32 + padded);
			for (size_t i = len; i < padded; i++)
				assert_int_equal(outgoing->data[16 + i], 0); /* not sealed yet */
		}
	}
}

TALKING_TEST(every_length_from_a_header_to_the_mtu_arrives_as_it_was)
{
	uint8_t expected[1420];

	for (uint8_t version = 4; version <= 6; version += 2) {
		for (size_t len = version == 4 ? 20 : 40; len <= 1420; len++) {
			unsigned int before = world->nodes[B].delivered;

			send_inner(A, version, len, (uint32_t)len);
			tunnel_flush(tunnel_of_a());
			world_settle();
			build_inner(expected, A, version, len, (uint32_t)len);
			assert_int_equal(world->nodes[B].delivered, before + 1);
			assert_int_equal(world->nodes[B].last_len, len);
			assert_memory_equal(world->nodes[B].last, expected, len);
		}
	}
}

TALKING_TEST(packets_of_one_length_become_one_send_though_they_came_one_by_one)
{
	for (unsigned int i = 0; i < 40; i++)
		send_inner(A, 4, 500, i);
	assert_int_equal(tunnel_of_a()->outbox->messages, 1);
	assert_int_equal(last_outgoing()->count, 40);
	assert_int_equal(last_outgoing()->segment_len, 32 + 512);
	send_inner(A, 4, 400, 40); /* shorter: it may be the last */
	assert_int_equal(tunnel_of_a()->outbox->messages, 1);
	send_inner(A, 4, 400, 41); /* and nothing may follow it */
	assert_int_equal(tunnel_of_a()->outbox->messages, 2);
	send_inner(A, 4, 500, 42); /* nor may anything longer */
	assert_int_equal(tunnel_of_a()->outbox->messages, 3);
	tunnel_flush(tunnel_of_a());
	world_settle();
	for (unsigned int i = 0; i <= 42; i++)
		assert_int_equal(came(B, i), 1);
}

TALKING_TEST(sends_stay_within_the_kernels_limits_for_segmentation)
{
	for (unsigned int i = 0; i < 200; i++)
		send_inner(A, 4, 84, i); /* 64 segments each */
	assert_int_equal(tunnel_of_a()->outbox->messages, 4);
	for (unsigned int i = 200; i < 300; i++)
		send_inner(A, 4, 1420, i); /* 45 segments of 1452 fit 65507 bytes */
	assert_int_equal(tunnel_of_a()->outbox->outgoing[4].count, 45);
	assert_int_equal(tunnel_of_a()->outbox->messages, 7);
	tunnel_flush(tunnel_of_a());
	world_settle();
	for (unsigned int i = 0; i < 300; i++)
		assert_int_equal(came(B, i), 1);
}

TALKING_TEST(full_outbox_sends_by_itself_and_loses_nothing)
{
	for (unsigned int i = 0; i < 5000; i++)
		send_inner(A, 4, i % 2 ? 1420 : 60, i);
	tunnel_flush(tunnel_of_a());
	world_settle();
	for (unsigned int i = 0; i < 5000; i++)
		assert_int_equal(came(B, i), 1);
	assert_int_equal(all_drops(A) + all_drops(B), 0);
}

TALKING_TEST(packets_of_two_peers_are_not_mixed)
{
	struct public_key key = {{9}};
	uint32_t other;

	assert_int_equal(tunnel_add_peer(tunnel_of_a(), &key, &other), 0);
	tunnel_set_endpoint(
		tunnel_of_a(), other,
		&(union endpoint){.in4 = {AF_INET, htons(7), {htonl(0xc0000207)}, {0}}});
	allow(tunnel_of_a(), other, "10.0.1.6/32");
	for (unsigned int i = 0; i < 10; i++) {
		uint8_t packet[200];

		send_inner(A, 4, sizeof(packet), i);
		build_inner(packet, A, 4, sizeof(packet), 100 + i);
		packet[19] = 6;
		tunnel_send(tunnel_of_a(), &plain, packet, sizeof(packet));
	}
	tunnel_flush(tunnel_of_a());
	world_settle();
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(came(B, i), 1);
		assert_int_equal(came(B, 100 + i), 0);
	}
	assert_int_equal(tunnel_of_a()->state->peers[other].stage_count, 10);
}

TALKING_TEST(counters_go_up_by_one_in_the_order_of_the_packets)
{
	uint64_t counter = current_of(A)->send_counter;
	const struct outbox *outbox = tunnel_of_a()->outbox;

	for (unsigned int i = 0; i < 300; i++)
		send_inner(A, 4, 40 + i * 3, i);
	for (unsigned int message = 0; message < outbox->messages; message++) {
		const struct outgoing *outgoing = &outbox->outgoing[message];

		for (uint32_t at = 0; at < outgoing->len; at += outgoing->segment_len)
			assert_int_equal(get_le64(outgoing->data + at + 8), counter++);
	}
	assert_int_equal(counter, current_of(A)->send_counter);
}

SILENT_TEST(traffic_figures_are_those_of_the_kernel)
{
	for (unsigned int i = 0; i < 10; i++) {
		ping(A, i);
		ping(B, i);
	}
	assert_int_equal(peer_of(A)->sent_bytes, 1428);
	assert_int_equal(peer_of(A)->received_bytes, 1372);
	assert_int_equal(peer_of(B)->sent_bytes, 1372);
	assert_int_equal(peer_of(B)->received_bytes, 1428);
	assert_int_equal(peer_of(A)->last_handshake_wall_ns, WORLD_BEGIN_WALL);
	assert_int_equal(peer_of(B)->last_handshake_wall_ns, WORLD_BEGIN_WALL);
}

TALKING_TEST(outer_tos_shows_the_handshake_and_congestion_and_nothing_else)
{
	uint8_t packet[100];
	static const uint8_t outer[] = {0, 1, 2, 2}; /* RFC 6040: CE is not shown, ECT(0) is */

	for (unsigned int tos = 0; tos < 256; tos++) {
		build_inner(packet, A, 4, sizeof(packet), 1);
		packet[1] = (uint8_t)tos;
		tunnel_send(tunnel_of_a(), &plain, packet, sizeof(packet));
		assert_int_equal(last_outgoing()->tos, outer[tos & 3]);
		build_inner(packet, A, 6, sizeof(packet), 1);
		packet[0] |= (uint8_t)(tos >> 4);
		packet[1] |= (uint8_t)(tos << 4);
		tunnel_send(tunnel_of_a(), &plain, packet, sizeof(packet));
		assert_int_equal(last_outgoing()->tos, outer[tos & 3]);
	}
	peer_of(A)->timers.last_initiation_sent_ns = 0;
	assert_true(send_initiation(tunnel_of_a(), world->nodes[A].peer, false));
	assert_int_equal(last_outgoing()->tos, 0x88);
	assert_int_equal(last_outgoing()->count, 1);
}

TALKING_TEST(answers_leave_from_the_address_that_was_spoken_to)
{
	send_inner(A, 4, 100, 1);
	assert_true(address_is_equal(&last_outgoing()->from.address,
				     &(struct address){AF_INET, {192, 0, 2, 1}}));
}

/* -- limits of a session -- */

TALKING_TEST(session_past_2_to_the_60_messages_asks_for_another)
{
	world_sleep(10 * NS_PER_S);
	current_of(A)->send_counter = 1ULL << 60;
	ping(A, 1);
	assert_int_equal(world->nodes[A].sent[MESSAGE_INITIATION], 2);
	assert_int_equal(came(B, 1), 1);
	assert_int_equal(current_of(A)->send_counter, 1); /* the keepalive that confirmed */
}

TALKING_TEST(session_sends_its_last_counter_and_then_no_more)
{
	struct session *session = current_of(A);

	world_sleep(10 * NS_PER_S);
	current_of(B)->replay.greatest = 0;
	session->send_counter = REJECT_AFTER_MESSAGES - 1;
	peer_of(A)->timers.last_initiation_sent_ns = tunnel_of_a()->now_ns;
	send_inner(A, 4, 100, 1);
	send_inner(A, 4, 100, 2);
	assert_int_equal(session->send_counter, REJECT_AFTER_MESSAGES);
	assert_int_equal(peer_of(A)->stage_count, 1);
	tunnel_flush(tunnel_of_a());
	world_settle();
	assert_int_equal(came(B, 1), 1);
	assert_int_equal(came(B, 2), 0);
	world_sleep(5 * NS_PER_S);
	ping(A, 3);
	assert_int_equal(came(B, 2), 1);
	assert_int_equal(came(B, 3), 1);
}

TALKING_TEST(super_packet_that_the_counters_do_not_suffice_for_waits_whole)
{
	static uint8_t packet[PACKET_MAX];
	struct virtio_net_hdr vnet;
	size_t len = build_super(packet, &vnet, 30);

	allow(tunnel_of_a(), world->nodes[A].peer, "10.244.2.0/24");
	allow(&world->nodes[B].tunnel, world->nodes[B].peer, "10.244.1.0/24");
	world_sleep(10 * NS_PER_S);
	current_of(A)->send_counter = REJECT_AFTER_MESSAGES - 29;
	tunnel_send(tunnel_of_a(), &vnet, packet, len);
	assert_int_equal(peer_of(A)->stage_count, 30);
	tunnel_flush(tunnel_of_a());
	world_settle();
	assert_int_equal(peer_of(A)->stage_count, 0);
	assert_int_equal(world->nodes[B].delivered, 1 + 30);
}

/* -- staging -- */

SILENT_TEST(staged_packets_are_bounded_and_the_oldest_go)
{
	world->latency_ns = NS_PER_S;
	for (unsigned int i = 0; i < 300; i++)
		send_inner(A, 4, 100, i);
	assert_int_equal(peer_of(A)->stage_count, STAGED_PACKETS_MAX);
	assert_int_equal(drops(A, DROP_STAGE_FULL), 300 - STAGED_PACKETS_MAX);
	world_sleep(5 * NS_PER_S);
	for (unsigned int i = 0; i < 300; i++)
		assert_int_equal(came(B, i), i >= 300 - STAGED_PACKETS_MAX);
	assert_int_equal(tunnel_of_a()->state->stage.free_count, STAGE_CHUNKS);
}

SILENT_TEST(staged_super_packets_count_their_segments)
{
	static uint8_t packet[PACKET_MAX];
	struct virtio_net_hdr vnet;
	size_t len = build_super(packet, &vnet, 40);

	allow(tunnel_of_a(), world->nodes[A].peer, "10.244.2.0/24");
	for (unsigned int i = 0; i < 5; i++)
		tunnel_send(tunnel_of_a(), &vnet, packet, len);
	assert_int_equal(peer_of(A)->stage_count, 160); /* 120 before the last */
	assert_int_equal(drops(A, DROP_STAGE_FULL), 40);
}

SILENT_TEST(pool_that_many_silent_peers_have_filled_still_takes_the_newest)
{
	struct tunnel *tunnel = tunnel_of_a();
	static uint8_t packet[1400];
	uint64_t sent = 0, waiting = 0;

	for (unsigned int i = 0; i < 100; i++) {
		struct public_key key;
		char text[32];
		uint32_t slot;

		world_fill_random(NULL, key.bytes, KEY_LEN);
		assert_int_equal(tunnel_add_peer(tunnel, &key, &slot), 0);
		tunnel_set_endpoint(tunnel, slot, &world->nodes[B].address);
		snprintf(text, sizeof(text), "10.9.%u.0/24", i);
		allow(tunnel, slot, text);
		for (unsigned int n = 0; n < 128; n++, sent++) {
			build_inner(packet, A, 4, sizeof(packet), n);
			packet[17] = 9;
			packet[18] = (uint8_t)i;
			tunnel_send(tunnel, &plain, packet, sizeof(packet));
		}
	}
	for (uint32_t slot = 0; slot < tunnel->state->peers_used_end; slot++)
		waiting += tunnel->state->peers[slot].stage_count;
	assert_int_equal(waiting, STAGE_CHUNKS);
	assert_int_equal(drops(A, DROP_STAGE_FULL) + waiting, sent);
	assert_int_equal(all_drops(A) + waiting, sent);
}

SILENT_TEST(staged_packet_goes_where_its_destination_is_when_the_session_is_made)
{
	world->latency_ns = NS_PER_S;
	send_inner(A, 4, 100, 1);
	tunnel_of_a()->state->mtu = 90;
	world_sleep(5 * NS_PER_S);
	assert_int_equal(came(B, 1), 0);
	assert_int_equal(drops(A, DROP_TOO_BIG), 1);
	assert_int_equal(peer_of(A)->stage_count, 0);
}

/* -- the handshake -- */

SILENT_TEST(timestamps_never_go_back_though_the_clock_does)
{
	ping(A, 1);
	for (unsigned int i = 0; i < 5; i++) {
		world_sleep(181 * NS_PER_S);
		world->wall_ns -= 400 * NS_PER_S; /* the clock is set back, again and again */
		world_set_clock(world->now_ns);
		ping(A, 2 + i);
		assert_int_equal(came(B, 2 + i), 1);
	}
	assert_int_equal(drops(B, DROP_HANDSHAKE_REPLAY), 0);
}

SILENT_TEST(initiator_confirms_the_session_with_a_staged_or_an_empty_packet)
{
	ping(A, 1);
	assert_int_equal(world->nodes[A].sent[MESSAGE_DATA], 1);
	assert_int_equal(world->nodes[A].keepalives_sent, 0);
	world_sleep(200 * NS_PER_S);
	send_keepalive(tunnel_of_a(), world->nodes[A].peer);
	tunnel_flush(tunnel_of_a());
	world_settle();
	assert_int_equal(world->nodes[A].keepalives_sent, 1 + 0);
	assert_int_equal(peer_of(B)->next, NO_SESSION);
}

static unsigned int lose_data_from_a(struct world *w, struct datagram *datagram)
{
	return datagram->to == A || get_le32(datagram->bytes) != MESSAGE_DATA;
}

SILENT_TEST(responder_sends_nothing_on_a_session_that_is_not_confirmed)
{
	world->on_wire = lose_data_from_a;
	ping(A, 1);
	assert_int_not_equal(peer_of(B)->next, NO_SESSION);
	assert_int_equal(peer_of(B)->current, NO_SESSION);
	ping(B, 1);
	assert_int_equal(world->nodes[B].sent[MESSAGE_DATA], 0);
	assert_int_equal(peer_of(B)->stage_count, 1);
	world->on_wire = NULL;
	ping(A, 2);
	assert_int_equal(came(B, 2), 1);
	assert_int_equal(came(A, 1), 1);
	assert_int_equal(world->nodes[B].sent[MESSAGE_INITIATION], 0);
}

SILENT_TEST(interface_that_comes_up_starts_persistent_keepalives)
{
	peer_of(A)->persistent_keepalive_s = 25;
	tunnel_interface_up(tunnel_of_a());
	tunnel_flush(tunnel_of_a());
	assert_int_equal(world->nodes[A].sent[MESSAGE_INITIATION], 1);
}
