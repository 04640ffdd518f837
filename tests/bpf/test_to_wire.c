/* SPDX-License-Identifier: Apache-2.0 */
/*
 * to_wire, packet by packet: frame and maps in, verdict, counters and frame out; here for each
 * destination, in both modes. Together with test_to_wire_exceptions.c, test_to_wire_headers.c and
 * test_to_wire_mss.c, a test provokes every exception of bpf/policy.h and every reason for which
 * to_wire drops.
 */
#include "datapath.h"

#define TO_WIRE	   (datapath->progs.to_wire)
#define TO_WIRE_L3 (datapath->progs.to_wire_l3)

/* -- the choice by destination -- */

/* An own address inside the pods' range counts as a local pod: other nodes cannot tell the two
 * apart. */
struct route_case {
	const struct place *destination;
	struct expectation from_local, from_elsewhere;
};

static void judge_routes(struct bpf_program *program)
{
	static const struct place *const sources[] = {&world,  &unclaimed, &local_pod, &self,
						      &bridge, &peer_pod,  &node};
	const struct route_case cases[] = {
		{&world, passes(), passes()},
		{&unclaimed, drops(DROP_NO_PEER), drops(DROP_NO_PEER)},
		{&local_pod, passes(), passes()},
		{&moved_pod, passes(), passes()},
		{&self, passes(), passes()},
		{&bridge, passes(), passes()},
		{&peer_pod, tunnelled(PEER_USABLE), tunnelled(PEER_USABLE)},
		{&inside_pod, tunnelled(PEER_INSIDE), tunnelled(PEER_INSIDE)},
		{&unusable_pod, drops(DROP_PEER_UNUSABLE), drops(DROP_PEER_UNUSABLE)},
		{&unknown_pod, drops(DROP_PEER_UNUSABLE), drops(DROP_PEER_UNUSABLE)},
		{&node, tunnelled(PEER_USABLE), passes()},
		{&unusable_node, drops(DROP_PEER_UNUSABLE), passes()},
		{&lost_pod, drops(DROP_PEER_UNUSABLE), drops(DROP_PEER_UNUSABLE)},
		{&contested, tunnelled(PEER_USABLE), tunnelled(PEER_USABLE)},
		{&unusable_contested, drops(DROP_PEER_UNUSABLE), drops(DROP_PEER_UNUSABLE)},
		{&excepted, passes(), passes()},
		{&future, drops(DROP_NO_PEER), drops(DROP_NO_PEER)},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases) * ARRAY_SIZE(sources) * 2; i++) {
		const struct route_case *route = &cases[i / 2 / ARRAY_SIZE(sources)];
		const struct place *source = sources[i / 2 % ARRAY_SIZE(sources)];
		struct frame frame;
		char name[128];

		snprintf(name, sizeof(name), "%s to %s, IPv%d", source->name,
			 route->destination->name, i % 2 ? 6 : 4);
		frame_make_udp(&frame, place_text(source, i % 2),
			       place_text(route->destination, i % 2));
		judge(name, program, &frame, NULL,
		      source == &local_pod || source == &bridge ? route->from_local
								: route->from_elsewhere);
	}
}

TEST(to_wire_chooses_by_destination_and_longest_prefix)
{
	judge_routes(TO_WIRE);
}

TEST(to_wire_chooses_the_same_on_devices_without_ethernet)
{
	judge_routes(TO_WIRE_L3);
}

TEST(to_wire_takes_mapped_ip6_addresses_for_no_ip4_address)
{
	struct frame frame;

	frame_make_udp(&frame, local_pod.ip6, "::ffff:10.244.2.9");
	judge("mapped destination", TO_WIRE, &frame, NULL, passes());
	frame_make_udp(&frame, "::ffff:10.244.1.9", node.ip6);
	judge("mapped source", TO_WIRE, &frame, NULL, passes());
}

TEST(to_wire_drops_when_there_is_no_tunnel)
{
	struct frame frame;

	set_config(bpf_map__fd(datapath->maps.config), 0);
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		frame_make_udp(&frame, place_text(&local_pod, is_ip6),
			       place_text(&peer_pod, is_ip6));
		judge("to a peer", TO_WIRE, &frame, NULL, drops(DROP_NO_TUNNEL));
		frame_make_udp(&frame, place_text(&local_pod, is_ip6), place_text(&world, is_ip6));
		judge("to the world", TO_WIRE, &frame, NULL, passes());
		frame_make_udp(&frame, place_text(&self, is_ip6), place_text(&node, is_ip6));
		judge("node to node", TO_WIRE, &frame, NULL, passes());
	}
	set_config(bpf_map__fd(datapath->maps.config), TUNNEL_IFINDEX);
}

/* keyd starts with only the cluster range in the maps; an agent that never gets further must not
 * leak either. */
TEST(to_wire_drops_pod_packets_when_only_the_cluster_is_known)
{
	struct frame frame;

	datapath_unload();
	datapath = podveil__open();
	assert_int_equal(podveil__load(datapath), 0);
	set_prefix(bpf_map__fd(datapath->maps.prefixes), "10.244.0.0/16", PREFIX_CLUSTER, 0);
	for (uint32_t id = PEER_NONE; id < PEERS_END; id++)
		add_peer_traffic(bpf_map__fd(datapath->maps.peer_traffic), id);
	frame_make_udp(&frame, local_pod.ip4, peer_pod.ip4);
	judge("cluster alone", TO_WIRE, &frame, NULL, drops(DROP_NO_PEER));
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

/* The tunnel's datagrams may have any own address as their source: its port identifies them. */
TEST(to_wire_never_leads_the_tunnels_datagrams_back_into_it)
{
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++)
		for (int is_udp = 0; is_udp < 2; is_udp++) {
			struct frame frame;

			frame_begin(&frame);
			frame_put_ip(&frame, place_text(&bridge, is_ip6),
				     place_text(&node, is_ip6));
			frame_put_udp(&frame, TUNNEL_PORT, 51890, 64);
			if (!is_udp)
				frame.bytes[frame.next] = IPPROTO_TCP;
			frame_end(&frame);
			judge("from the tunnel's port", TO_WIRE, &frame, NULL,
			      is_udp ? passes() : tunnelled(PEER_USABLE));
		}
}

/* -- permissive mode -- */

TEST(to_wire_permissive_sends_cleartext_to_nodes_never_reached_and_counts_it)
{
	const struct route_case cases[] = {
		{&world, passes(), passes()},
		{&local_pod, passes(), passes()},
		{&self, passes(), passes()},
		{&excepted, passes(), passes()},
		{&unclaimed, clear_out(PEER_NONE), clear_out(PEER_NONE)},
		{&peer_pod, tunnelled(PEER_USABLE), tunnelled(PEER_USABLE)},
		{&inside_pod, clear_out(PEER_INSIDE), clear_out(PEER_INSIDE)},
		{&unusable_pod, clear_out(PEER_UNUSABLE), clear_out(PEER_UNUSABLE)},
		{&unusable_node, clear_out(PEER_UNUSABLE), passes()},
		{&lost_pod, drops(DROP_PEER_UNUSABLE), drops(DROP_PEER_UNUSABLE)},
		{&lost_node, drops(DROP_PEER_UNUSABLE), passes()},
		{&contested, tunnelled(PEER_USABLE), tunnelled(PEER_USABLE)},
		{&unusable_contested, clear_out(PEER_UNUSABLE), clear_out(PEER_UNUSABLE)},
		{&lost_contested, drops(DROP_PEER_UNUSABLE), drops(DROP_PEER_UNUSABLE)},
		{&unknown_pod, drops(DROP_PEER_UNUSABLE), drops(DROP_PEER_UNUSABLE)},
		{&node, tunnelled(PEER_USABLE), passes()},
		{&future, drops(DROP_NO_PEER), drops(DROP_NO_PEER)},
	};

	set_mode(MODE_PERMISSIVE);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases) * 4; i++) {
		const struct route_case *route = &cases[i / 4];
		bool is_local = i & 1, is_ip6 = i & 2;
		struct frame frame;

		frame_make_udp(&frame, place_text(is_local ? &local_pod : &self, is_ip6),
			       place_text(route->destination, is_ip6));
		judge(route->destination->name, i & 1 ? TO_WIRE : TO_WIRE_L3, &frame, NULL,
		      is_local ? route->from_local : route->from_elsewhere);
	}
	set_mode(MODE_STRICT);
}

TEST(to_wire_takes_an_unknown_mode_for_strict)
{
	struct frame frame;

	set_mode(7);
	frame_make_udp(&frame, local_pod.ip4, unclaimed.ip4);
	judge("to nobody", TO_WIRE, &frame, NULL, drops(DROP_NO_PEER));
	frame_make_udp(&frame, local_pod.ip4, unusable_pod.ip4);
	judge("to a peer never reached", TO_WIRE, &frame, NULL, drops(DROP_PEER_UNUSABLE));
	set_mode(MODE_STRICT);
}

TEST(to_wire_counts_clear_super_packets_as_their_segments)
{
	struct __sk_buff context = {.gso_size = 400, .gso_segs = 3};
	struct expectation expected = clear_out(PEER_UNUSABLE);
	struct frame frame;

	set_mode(MODE_PERMISSIVE);
	expected.packets = 3;
	frame_begin(&frame);
	frame_put_ip(&frame, local_pod.ip4, unusable_pod.ip4);
	frame_put_tcp(&frame, TCP_ACK, NULL, 0, 1000);
	frame_end(&frame);
	judge("super-packet", TO_WIRE, &frame, &context, expected);
	set_mode(MODE_STRICT);
}

/* -- counters -- */

TEST(to_wire_counts_a_super_packet_as_its_segments)
{
	static const struct {
		uint32_t gso_size, gso_segs, payload, packets;
	} cases[] = {{0, 0, 1000, 1},	{500, 2, 1000, 2}, {500, 44, 1000, 44}, {500, 0, 1000, 2},
		     {500, 0, 1001, 3}, {500, 0, 499, 1},  {500, 0, 0, 1}};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases) * 2; i++) {
		struct __sk_buff context = {.gso_size = cases[i / 2].gso_size,
					    .gso_segs = cases[i / 2].gso_segs};
		struct expectation redirected = tunnelled(PEER_USABLE),
				   dropped = drops(DROP_NO_PEER);
		struct frame frame;

		redirected.packets = dropped.packets = cases[i / 2].packets;
		for (int is_claimed = 0; is_claimed < 2; is_claimed++) {
			frame_begin(&frame);
			frame_put_ip(&frame, place_text(&local_pod, i % 2),
				     place_text(is_claimed ? &peer_pod : &unclaimed, i % 2));
			frame_put_tcp(&frame, TCP_ACK, (const uint8_t[]){1, 1, 1, 1}, 4,
				      cases[i / 2].payload);
			frame_end(&frame);
			judge("super-packet", TO_WIRE, &frame, &context,
			      is_claimed ? redirected : dropped);
		}
	}
}

TEST(to_wire_works_for_a_peer_without_counters)
{
	int peer_traffic = bpf_map__fd(datapath->maps.peer_traffic);
	uint32_t id = PEER_USABLE;
	struct frame frame, out;

	assert_int_equal(bpf_map_delete_elem(peer_traffic, &id), 0);
	frame_make_udp(&frame, local_pod.ip4, peer_pod.ip4);
	assert_int_equal(run(TO_WIRE, &frame, &out, NULL), REDIRECT);
	add_peer_traffic(peer_traffic, id);
}

TEST_GROUP(setup_datapath, teardown_datapath);
