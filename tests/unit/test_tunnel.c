// SPDX-License-Identifier: Apache-2.0
/*
 * Whole conversations between two tunnels: the state that both sides must reach under any wire and
 * any clock.
 */
#include "outputs.h"
#include "packets.h"
#include "world.h"

#define SECONDS(n) ((n)*NS_PER_S)

static const struct virtio_net_hdr plain;

static unsigned int nothing_is_lost(struct world *w, struct datagram *datagram)
{
	return 1;
}

/* -- beginning -- */

SILENT_TEST(packets_pass_both_ways_and_both_families_after_one_handshake)
{
	uint8_t expected[700];

	for (uint8_t version = 4; version <= 6; version += 2) {
		for (unsigned int from = A; from <= B; from++) {
			struct node *to = &world->nodes[1 - from];

			send_inner(from, version, sizeof(expected), 3 * version + from);
			tunnel_flush(&world->nodes[from].tunnel);
			world_settle();
			build_inner(expected, from, version, sizeof(expected), 3 * version + from);
			assert_int_equal(to->last_len, sizeof(expected));
			assert_memory_equal(to->last, expected, sizeof(expected));
		}
	}
	assert_int_equal(world->nodes[A].sent[MESSAGE_INITIATION], 1);
	assert_int_equal(world->nodes[B].sent[MESSAGE_RESPONSE], 1);
	assert_true(current_of(A)->is_initiator);
	assert_false(current_of(B)->is_initiator);
	assert_int_equal(all_drops(A) + all_drops(B), 0);
}

SILENT_TEST(packet_that_began_the_conversation_is_not_lost)
{
	world->latency_ns = 30 * NS_PER_MS;
	for (unsigned int i = 0; i < 20; i++)
		send_inner(A, 4, 200, i);
	world_sleep(SECONDS(1));
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(came(B, i), 1);
}

SILENT_TEST(both_sides_that_begin_at_once_come_to_talk)
{
	for (unsigned int round = 0; round < 1000; round++) {
		uint32_t sequence = 2 * round;

		world->latency_ns = world_random() % (80 * NS_PER_MS);
		send_inner(A, 4, 100, sequence);
		tunnel_flush(&world->nodes[A].tunnel);
		world_sleep(world_random() % (20 * NS_PER_MS));
		send_inner(B, 4, 100, sequence + 1);
		tunnel_flush(&world->nodes[B].tunnel);
		world_sleep(
			SECONDS(1)); /* no retry is needed, also where the initiations crossed */
		assert_int_equal(came(B, sequence), 1);
		assert_int_equal(came(A, sequence + 1), 1);
		world_sleep(SECONDS(600)); /* until nothing is left of it */
		assert_int_equal(peer_of(A)->current, NO_SESSION);
	}
}

/* -- a bad wire -- */

static uint32_t lost_number;

static unsigned int lose_one(struct world *w, struct datagram *datagram)
{
	return w->counter++ != lost_number;
}

SILENT_TEST(any_one_message_may_be_lost)
{
	for (lost_number = 0; lost_number < 12; lost_number++) {
		world->on_wire = lose_one;
		world->counter = 0;
		for (unsigned int second = 0; second < 30; second++) {
			uint32_t sequence = lost_number * 100 + second;

			ping(A, sequence);
			ping(B, sequence);
			world_sleep(SECONDS(1));
			if (second > 20) {
				assert_int_equal(came(B, sequence), 1);
				assert_int_equal(came(A, sequence), 1);
			}
		}
		world_sleep(SECONDS(700));
	}
}

static unsigned int lose_double_and_reorder(struct world *w, struct datagram *datagram)
{
	uint64_t luck = world_random() % 100;

	datagram->arrives_ns += world_random() % (50 * NS_PER_MS);
	return luck < 10 ? 0 : luck < 20 ? 2 : 1;
}

SILENT_TEST(bad_wire_loses_packets_but_doubles_none_and_ends_nothing)
{
	uint32_t sequence = 0;
	unsigned int arrived = 0;

	world->on_wire = lose_double_and_reorder;
	for (; sequence < 12000; sequence++) {
		send_inner(sequence % 2, 4, 100 + world_random() % 900, sequence);
		world_sleep(50 * NS_PER_MS);
	}
	for (uint32_t i = 0; i < sequence; i++) {
		assert_in_range(came(1 - i % 2, i), 0, 1);
		arrived += came(1 - i % 2, i);
	}
	assert_in_range(arrived, sequence * 85 / 100, sequence * 95 / 100);
	world->on_wire = NULL;
	world_sleep(SECONDS(15));
	ping(A, sequence);
	ping(B, sequence);
	assert_int_equal(came(B, sequence), 1);
	assert_int_equal(came(A, sequence), 1);
}

/* -- a session takes over from another -- */

TALKING_TEST(rekeying_loses_no_packet_in_flight)
{
	uint32_t sequence = 0;

	world->latency_ns = 50 * NS_PER_MS;
	for (; sequence < 60000; sequence++) { /* ten minutes, both ways */
		send_inner(sequence % 2, 4, 120, sequence);
		tunnel_flush(&world->nodes[sequence % 2].tunnel);
		world_sleep(10 * NS_PER_MS);
	}
	world_sleep(SECONDS(1));
	for (uint32_t i = 0; i < sequence; i++)
		assert_int_equal(came(1 - i % 2, i), 1);
	assert_in_range(world->nodes[A].sent[MESSAGE_INITIATION] +
				world->nodes[B].sent[MESSAGE_INITIATION],
			5, 6);
	assert_int_equal(all_drops(A) + all_drops(B), 0);
}

/* -- the state is a value -- */

static void move_state(struct node *node)
{
	struct tunnel_state *copy = world_map(sizeof(*copy));

	memcpy(copy, node->tunnel.state, sizeof(*copy));
	memset(node->tunnel.state, 0xdb,
	       sizeof(struct tunnel_secrets) + 65536); /* nobody may look there again */
	munmap(node->tunnel.state, sizeof(*copy));
	node->tunnel.state = copy;
}

SILENT_TEST(state_that_was_copied_goes_on_in_the_middle_of_anything)
{
	world->latency_ns = SECONDS(1) / 2;
	send_inner(A, 4, 100, 1); /* staged */
	move_state(&world->nodes[A]);
	tunnel_flush(&world->nodes[A].tunnel);
	world_sleep(SECONDS(1) * 3 / 4); /* the response is under way */
	move_state(&world->nodes[A]);
	move_state(&world->nodes[B]);
	world_sleep(SECONDS(2));
	assert_int_equal(came(B, 1), 1);
	for (unsigned int i = 2; i < 10; i++) {
		send_inner(A, 4, 100, i);
		send_inner(B, 4, 100, i);
		tunnel_flush(&world->nodes[A].tunnel);
		tunnel_flush(&world->nodes[B].tunnel);
		move_state(&world->nodes[i % 2]);
		world_sleep(SECONDS(30));
		assert_int_equal(came(A, i), 1);
		assert_int_equal(came(B, i), 1);
	}
	assert_int_equal(all_drops(A) + all_drops(B), 0);
}

/* -- super-packets -- */

static void allow_super_packets(void)
{
	allow(&world->nodes[A].tunnel, world->nodes[A].peer, "10.244.2.0/24");
	allow(&world->nodes[B].tunnel, world->nodes[B].peer, "10.244.1.0/24");
	allow(&world->nodes[A].tunnel, world->nodes[A].peer, "fd00::2/127");
	allow(&world->nodes[B].tunnel, world->nodes[B].peer, "fd00::1/128");
}

static uint8_t stream[70000];
static size_t stream_len;
static unsigned int stream_packets;

/* Puts the payload of each TCP packet where its sequence number says. */
static void collect_stream(void *context, uint8_t *packet, size_t len)
{
	size_t ip_len = packet[0] >> 4 == 4 ? 20 : 40;
	uint32_t sequence = get_be32(packet + ip_len + 4);

	assert_ip_is_right(packet, len);
	assert_transport_is_right(packet, len, ip_len, IPPROTO_TCP);
	memcpy(stream + sequence, packet + ip_len + 20, len - ip_len - 20);
	stream_len += len - ip_len - 20;
	stream_packets++;
}

static void send_super(uint8_t version, size_t payload_len, uint16_t gso_size)
{
	static uint8_t packet[PACKET_MAX];
	struct shape shape = {.version = version, .flags = PSH | ACK, .payload_len = payload_len};
	size_t len = build(packet, &shape);
	struct virtio_net_hdr vnet = leave_checksum(packet, &shape);

	vnet.gso_type = version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
	vnet.gso_size = gso_size;
	vnet.hdr_len = (uint16_t)(version == 4 ? 40 : 60);
	stream_len = stream_packets = 0;
	memset(stream, 0, sizeof(stream));
	tunnel_send(&world->nodes[A].tunnel, &vnet, packet, len);
	tunnel_flush(&world->nodes[A].tunnel);
	world_settle();
}

static void assert_stream(size_t payload_len, uint16_t gso_size)
{
	assert_int_equal(stream_len, payload_len);
	assert_int_equal(stream_packets, (payload_len + gso_size - 1) / gso_size);
	for (size_t i = 0; i < payload_len; i++)
		assert_int_equal(stream[i], payload_byte(0, i));
}

TALKING_TEST(super_packets_arrive_as_segments_that_are_complete)
{
	static const struct {
		size_t payload_len;
		uint16_t gso_size;
	} cases[] = {{65000, 1380}, {65400, 1360}, {2761, 1380},
		     {1381, 1380},  {60000, 536},  {30000, 48}};

	allow_super_packets();
	world->nodes[B].tunnel.upcalls.deliver = collect_stream;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		send_super(4, cases[i].payload_len, cases[i].gso_size);
		assert_stream(cases[i].payload_len, cases[i].gso_size);
		if (cases[i].gso_size > 1360)
			continue; /* IPv6 headers leave 1360 */
		send_super(6, cases[i].payload_len, cases[i].gso_size);
		assert_stream(cases[i].payload_len, cases[i].gso_size);
	}
	assert_int_equal(all_drops(A) + all_drops(B), 0);
}

TALKING_TEST(super_packet_of_47_segments_takes_two_sends)
{
	unsigned int before;

	allow_super_packets();
	world->nodes[B].tunnel.upcalls.deliver = collect_stream;
	before = world->nodes[A].transmits;
	send_super(4, 47 * 1380, 1380);
	assert_stream(47 * 1380, 1380);
	assert_int_equal(world->nodes[A].transmits, before + 2);
}

SILENT_TEST(super_packet_that_waited_arrives_too)
{
	allow_super_packets();
	world->nodes[B].tunnel.upcalls.deliver = collect_stream;
	send_super(4, 65000, 1380);
	assert_stream(65000, 1380);
	assert_int_equal(all_drops(A), 0);
}

/* -- our own key -- */

static void rekey_both(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		make_key(&world->nodes[i]);
		tunnel_set_private_key(&world->nodes[i].tunnel, KEY_CURRENT,
				       &world->nodes[i].private_key);
	}
	for (unsigned int i = 0; i < 2; i++)
		change_peer_key(&world->nodes[i].tunnel, world->nodes[i].peer,
				&world->nodes[1 - i].public_key);
}

/* Even right after another message, no handshake has to wait for REKEY_TIMEOUT. */
TALKING_TEST(keys_of_both_may_change_and_packets_pass_within_a_second)
{
	for (unsigned int round = 0; round < 40; round++) {
		rekey_both();
		ping(round % 2, round);
		world_sleep(SECONDS(1));
		assert_int_equal(came(1 - round % 2, round), 1);
	}
}

SILENT_TEST(handshake_under_a_key_in_another_slot_is_recognized_by_mac1_and_harms_nothing)
{
	struct tunnel *b = &world->nodes[B].tunnel;
	struct node next = {0};

	make_key(&next);
	tunnel_set_private_key(b, KEY_NEXT, &next.private_key);
	ping(A, 1);
	assert_int_equal(came(B, 1), 1);
	assert_int_equal(all_drops(B), 0);
	tunnel_set_private_key(b, KEY_NEXT, NULL);
	ping(A, 2);
	assert_int_equal(came(B, 2), 1);
}

/* -- peers that go -- */

TALKING_TEST(peer_removed_while_packets_fly_harms_nothing)
{
	world->latency_ns = 20 * NS_PER_MS;
	for (unsigned int i = 0; i < 100; i++) {
		send_inner(A, 4, 300, i);
		send_inner(B, 4, 300, i);
		world_sleep(NS_PER_MS);
		if (i == 50)
			tunnel_remove_peer(&world->nodes[B].tunnel, world->nodes[B].peer);
	}
	world_sleep(SECONDS(1));
	assert_true(came(A, 50));
	assert_int_equal(came(A, 51), 0);
	assert_int_equal(drops(B, DROP_NO_ALLOWED_IP), 49);
	assert_true(drops(B, DROP_UNKNOWN_INDEX) > 50);
	assert_int_equal(tunnel_add_peer(&world->nodes[B].tunnel, &world->nodes[A].public_key,
					 &world->nodes[B].peer),
			 0);
	tunnel_set_endpoint(&world->nodes[B].tunnel, world->nodes[B].peer,
			    &world->nodes[A].address);
	allow(&world->nodes[B].tunnel, world->nodes[B].peer, "10.0.0.0/24");
	ping(B, 200);
	world_sleep(SECONDS(1));
	assert_int_equal(came(A, 200), 1);
}

TALKING_TEST(peer_that_forgot_everything_is_reached_again)
{
	tunnel_remove_peer(&world->nodes[B].tunnel, world->nodes[B].peer);
	assert_int_equal(tunnel_add_peer(&world->nodes[B].tunnel, &world->nodes[A].public_key,
					 &world->nodes[B].peer),
			 0);
	tunnel_set_endpoint(&world->nodes[B].tunnel, world->nodes[B].peer,
			    &world->nodes[A].address);
	allow(&world->nodes[B].tunnel, world->nodes[B].peer, "10.0.0.0/24");
	ping(A, 1); /* into the void */
	world_sleep(SECONDS(16));
	ping(A, 2);
	assert_int_equal(came(B, 1), 0);
	assert_int_equal(came(B, 2), 1);
}

/* -- a clock that lies -- */

static void set_wall_clock(unsigned int node, uint64_t wall_ns)
{
	world->nodes[node].tunnel.wall_ns = wall_ns;
}

/* CVE-2021-46873: a node's clock is set years ahead, the node sends, and its clock is set right
 * again. It continues from its greatest timestamp; after a restart, it has another key. */
SILENT_TEST(clock_that_was_years_ahead_locks_no_peer_out)
{
	ping(A, 1);
	world_sleep(SECONDS(600));
	set_wall_clock(A, world->wall_ns + SECONDS(10ULL * 365 * 86400));
	send_inner(A, 4, 84, 2);
	tunnel_flush(&world->nodes[A].tunnel);
	world_settle();
	assert_int_equal(came(B, 2), 1);
	for (unsigned int i = 0; i < 10; i++) {
		world_sleep(SECONDS(600)); /* which sets it right */
		ping(A, 3 + i);
		assert_int_equal(came(B, 3 + i), 1);
	}
	node_begin(&world->nodes[A], A);
	world_set_clock(world->now_ns);
	node_know(&world->nodes[A], &world->nodes[B]);
	change_peer_key(&world->nodes[B].tunnel, world->nodes[B].peer, &world->nodes[A].public_key);
	ping(A, 100);
	assert_int_equal(came(B, 100), 1);
	assert_int_equal(drops(B, DROP_HANDSHAKE_REPLAY), 0);
}

/* -- a tunnel that is started again -- */

/* With the same key and the same peers, in the middle of everything; the world fails on any counter
 * that is used twice under one key. */
SILENT_TEST(restarted_tunnel_uses_no_counter_twice)
{
	struct private_key key;
	uint32_t sequence = 0;

	for (unsigned int round = 0; round < 20; round++) {
		struct node *node = &world->nodes[round % 2];

		for (unsigned int i = 0; i < 100; i++)
			ping(i % 2, sequence++);
		key = node->private_key;
		node_begin(node, node->number);
		node->private_key = key;
		crypto_make_pair(node->private_key.bytes, node->public_key.bytes);
		world_set_clock(world->now_ns);
		node_know(node, &world->nodes[1 - round % 2]);
		for (unsigned int second = 0; second < 20; second++) {
			world_sleep(SECONDS(1));
			ping(A, sequence++);
			ping(B, sequence++);
		}
		assert_int_equal(came(B, sequence - 2), 1);
		assert_int_equal(came(A, sequence - 1), 1);
	}
}

/* -- a wire that carries nothing else -- */

static unsigned int every_datagram_is_a_message(struct world *w, struct datagram *datagram)
{
	for (uint32_t at = 0; at < datagram->len; at += datagram->segment_len) {
		const uint8_t *message = datagram->bytes + at;
		uint32_t len = MIN(datagram->segment_len, datagram->len - at);

		switch (get_le32(message)) {
		case MESSAGE_INITIATION:
			assert_int_equal(len, 148);
			break;
		case MESSAGE_RESPONSE:
			assert_int_equal(len, 92);
			break;
		case MESSAGE_COOKIE:
			assert_int_equal(len, 64);
			break;
		default:
			assert_int_equal(get_le32(message), MESSAGE_DATA);
			assert_true(len >= 32);
		}
		assert_null(memmem(message, len, "a marker that is clear", 22));
	}
	return nothing_is_lost(w, datagram);
}

SILENT_TEST(no_cleartext_is_ever_on_the_wire)
{
	uint8_t packet[1400];

	world->on_wire = every_datagram_is_a_message;
	for (unsigned int i = 0; i < 3000; i++) {
		size_t len = 64 + world_random() % 1300;

		build_inner(packet, i % 2, 4, len, i);
		memcpy(packet + 30, "a marker that is clear", 22);
		tunnel_send(&world->nodes[i % 2].tunnel, &plain, packet, len);
		world_sleep(world_random() % SECONDS(1));
	}
	assert_non_null(memmem(world->nodes[A].last, 100, "a marker that is clear", 22));
}

/* -- what nobody may read -- */

/* Everything that holds a key is CORE, and CORE logs nothing, neither in good conditions nor in bad
 * ones. */
SILENT_TEST(conversation_writes_nothing_to_a_log)
{
	begin_capture();
	rekey_both();
	ping(A, 1);
	world->on_wire = lose_double_and_reorder;
	for (unsigned int i = 0; i < 400; i++) {
		uint8_t junk[200];

		world_fill_random(NULL, junk, sizeof(junk));
		put_le32(junk, 1 + i % 4);
		receive_bytes(&world->nodes[A], &world->nodes[B].address, junk, i % 2 ? 148 : 92);
		send_inner(i % 2, 4, 100, 2 + i);
		world_sleep(SECONDS(1));
	}
	tunnel_remove_peer(&world->nodes[A].tunnel, world->nodes[A].peer);
	tunnel_set_private_key(&world->nodes[A].tunnel, KEY_CURRENT, NULL);
	(void)end_capture();
	assert_int_equal(captured_len, 0);
}
