/* SPDX-License-Identifier: Apache-2.0 */
/*
 * to_wire, packet by packet: frame and maps in, verdict, counters and frame out. Every exception of bpf/policy.h and
 * every reason for which to_wire drops has a test here that provokes it.
 */
#include "datapath.h"

#define TO_WIRE	   (datapath->progs.to_wire)
#define TO_WIRE_L3 (datapath->progs.to_wire_l3)

/* -- chosen by destination -- */

/* An own address in the pods' range counts as a local pod: to the other nodes it looks like one. */
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

static void to_wire_chooses_by_destination_and_longest_prefix(void **state)
{
	judge_routes(TO_WIRE);
}

static void to_wire_chooses_the_same_on_devices_without_ethernet(void **state)
{
	judge_routes(TO_WIRE_L3);
}

static void to_wire_takes_mapped_ip6_addresses_for_no_ip4_address(void **state)
{
	struct frame frame;

	frame_make_udp(&frame, local_pod.ip6, "::ffff:10.244.2.9");
	judge("mapped destination", TO_WIRE, &frame, NULL, passes());
	frame_make_udp(&frame, "::ffff:10.244.1.9", node.ip6);
	judge("mapped source", TO_WIRE, &frame, NULL, passes());
}

static void to_wire_drops_when_there_is_no_tunnel(void **state)
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

/* keyd writes the maps before there is anything in them; an agent that never got that far must not leak either. */
static void to_wire_drops_pod_packets_when_only_the_cluster_is_known(void **state)
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

/* The tunnel's datagrams may have any own address as their source: its port tells. */
static void to_wire_never_leads_the_tunnels_datagrams_back_into_it(void **state)
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

static void to_wire_permissive_sends_in_clear_what_was_never_reached_and_counts_it(void **state)
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

static void to_wire_takes_an_unknown_mode_for_strict(void **state)
{
	struct frame frame;

	set_mode(7);
	frame_make_udp(&frame, local_pod.ip4, unclaimed.ip4);
	judge("to nobody", TO_WIRE, &frame, NULL, drops(DROP_NO_PEER));
	frame_make_udp(&frame, local_pod.ip4, unusable_pod.ip4);
	judge("to a peer never reached", TO_WIRE, &frame, NULL, drops(DROP_PEER_UNUSABLE));
	set_mode(MODE_STRICT);
}

static void to_wire_counts_clear_super_packets_as_their_segments(void **state)
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

/* -- bypass -- */

#define API_PORT 6443

static void make_ported(struct frame *frame, const char *source, const char *destination,
			uint16_t source_port, uint16_t port, bool is_tcp)
{
	frame_begin(frame);
	frame_put_ip(frame, source, destination);
	if (is_tcp)
		frame_put_tcp(frame, TCP_ACK, NULL, 0, 8);
	else
		frame_put_udp(frame, 0, 0, 8);
	put_be16(frame->bytes + frame->transport, source_port);
	put_be16(frame->bytes + frame->transport + 2, port);
	frame_end(frame);
}

static void judge_bypass(const struct place *server, const struct place *pod, bool is_ip6,
			 bool is_tcp)
{
	const char *there = place_text(server, is_ip6), *here = place_text(pod, is_ip6);
	struct frame frame;

	make_ported(&frame, here, there, 40000, API_PORT, is_tcp);
	judge("to the server", TO_WIRE, &frame, NULL, passes());
	make_ported(&frame, here, there, API_PORT, 40000, is_tcp);
	judge("to the server from its port number", TO_WIRE, &frame, NULL, tunnelled(PEER_USABLE));
	make_ported(&frame, here, there, 40000, API_PORT + 1, is_tcp);
	judge("to another port", TO_WIRE, &frame, NULL, tunnelled(PEER_USABLE));
	make_ported(&frame, here, place_text(&inside_pod, is_ip6), 40000, API_PORT, is_tcp);
	judge("to the port elsewhere", TO_WIRE, &frame, NULL, tunnelled(PEER_INSIDE));
	make_ported(&frame, there, place_text(&peer_pod, is_ip6), API_PORT, 40000, is_tcp);
	judge("from the server", TO_WIRE, &frame, NULL, passes());
}

static void to_wire_leaves_bypassed_addresses_and_ports_outside_both_ways(void **state)
{
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		set_bypass(place_text(&node, is_ip6), API_PORT);
		set_bypass(place_text(&peer_pod, is_ip6), API_PORT);
		for (int is_tcp = 0; is_tcp < 2; is_tcp++) {
			judge_bypass(&node, &local_pod, is_ip6, is_tcp);
			judge_bypass(&peer_pod, &local_pod, is_ip6, is_tcp);
		}
	}
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

static void to_wire_finds_bypassed_ports_behind_options_and_extensions(void **state)
{
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		struct frame frame;

		set_bypass(place_text(&peer_pod, is_ip6), API_PORT);
		frame_begin(&frame);
		frame_put_ip(&frame, place_text(&local_pod, is_ip6), place_text(&peer_pod, is_ip6));
		if (is_ip6)
			frame_put_extension(&frame, IPPROTO_DSTOPTS, 3);
		else
			frame_put_ip4_options(&frame, 7);
		frame_put_udp(&frame, 4000, API_PORT, 8);
		frame_end(&frame);
		judge("behind options", TO_WIRE, &frame, NULL, passes());
	}
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

static void to_wire_bypasses_nothing_without_ports_of_tcp_or_udp(void **state)
{
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		struct frame frame;

		set_bypass(place_text(&peer_pod, is_ip6), API_PORT);
		make_ported(&frame, place_text(&local_pod, is_ip6), place_text(&peer_pod, is_ip6),
			    40000, API_PORT, false);
		frame.bytes[frame.next] = IPPROTO_SCTP;
		judge("SCTP", TO_WIRE, &frame, NULL, tunnelled(PEER_USABLE));
		frame.bytes[frame.next] = IPPROTO_UDP;
		frame.len = frame.transport + 3;
		judge("cut short", TO_WIRE, &frame, NULL, tunnelled(PEER_USABLE));

		frame_begin(&frame);
		frame_put_ip(&frame, place_text(&local_pod, is_ip6), place_text(&peer_pod, is_ip6));
		frame_put_fragment(&frame, 100, true);
		frame_put_udp(&frame, 40000, API_PORT, 64);
		frame_end(&frame);
		judge("later fragment", TO_WIRE, &frame, NULL, tunnelled(PEER_USABLE));
	}
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

static void to_wire_looks_for_bypasses_only_when_there_are_any(void **state)
{
	struct frame frame;

	set_bypass(peer_pod.ip4, API_PORT);
	set_config(bpf_map__fd(datapath->maps.config), TUNNEL_IFINDEX);
	make_ported(&frame, local_pod.ip4, peer_pod.ip4, 40000, API_PORT, true);
	judge("count 0", TO_WIRE, &frame, NULL, tunnelled(PEER_USABLE));
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

static void to_wire_takes_mapped_ip6_addresses_for_no_bypassed_ip4_address(void **state)
{
	struct frame frame;

	set_bypass("10.244.1.9", API_PORT);
	make_ported(&frame, "::ffff:10.244.1.9", peer_pod.ip6, API_PORT, 40000, true);
	judge("mapped source", TO_WIRE, &frame, NULL, tunnelled(PEER_USABLE));
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

/* -- shapes of IP: addresses alone decide -- */

typedef void shape_fn(struct frame *frame);

static void judge_shape(const char *name, shape_fn *shape, bool is_ip6)
{
	const struct {
		const struct place *destination;
		struct expectation expected;
	} cases[] = {
		{&peer_pod, tunnelled(PEER_USABLE)},
		{&unclaimed, drops(DROP_NO_PEER)},
		{&world, passes()},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct frame frame;
		char text[128];

		snprintf(text, sizeof(text), "%s to %s", name, cases[i].destination->name);
		frame_begin(&frame);
		frame_put_ip(&frame, place_text(&local_pod, is_ip6),
			     place_text(cases[i].destination, is_ip6));
		shape(&frame);
		frame_end(&frame);
		judge(text, TO_WIRE, &frame, NULL, cases[i].expected);
	}
}

static void shape_one_option_word(struct frame *frame)
{
	frame_put_ip4_options(frame, 1);
	frame_put_udp(frame, 1, 2, 32);
}

static void shape_all_option_words(struct frame *frame)
{
	frame_put_ip4_options(frame, 10);
	frame_put_tcp(frame, TCP_ACK, NULL, 0, 32);
}

static void shape_no_payload(struct frame *frame)
{
	frame_put_payload(frame, 253, 0);
}

static void shape_icmp(struct frame *frame)
{
	frame_put_payload(frame, IPPROTO_ICMP, 16);
}

static void shape_esp(struct frame *frame)
{
	frame_put_payload(frame, IPPROTO_ESP, 40);
}

static void shape_ip_in_ip(struct frame *frame)
{
	frame_put_payload(frame, frame->family == AF_INET ? IPPROTO_IPIP : IPPROTO_IPV6, 60);
}

static void shape_sctp(struct frame *frame)
{
	frame_put_payload(frame, IPPROTO_SCTP, 40);
}

static void shape_tcp_cut_short(struct frame *frame)
{
	frame_put_payload(frame, IPPROTO_TCP, 7);
}

static void shape_first_fragment(struct frame *frame)
{
	frame_put_fragment(frame, 0, true);
	frame_put_udp(frame, 1, 2, 32);
}

static void shape_middle_fragment(struct frame *frame)
{
	frame_put_fragment(frame, 100, true);
	frame_put_payload(frame, IPPROTO_TCP, 64);
}

static void shape_last_fragment(struct frame *frame)
{
	frame_put_fragment(frame, 185, false);
	frame_put_payload(frame, IPPROTO_UDP, 1);
}

static void shape_hop_by_hop(struct frame *frame)
{
	frame_put_extension(frame, IPPROTO_HOPOPTS, 0);
	frame_put_udp(frame, 1, 2, 32);
}

static void shape_routing(struct frame *frame)
{
	frame_put_extension(frame, IPPROTO_ROUTING, 2);
	frame_put_tcp(frame, TCP_SYN, NULL, 0, 0);
}

static void shape_destination_options(struct frame *frame)
{
	frame_put_extension(frame, IPPROTO_DSTOPTS, 3);
	frame_put_udp(frame, 1, 2, 32);
}

static void shape_authentication(struct frame *frame)
{
	frame_put_extension(frame, IPPROTO_AH, 2);
	frame_put_udp(frame, 1, 2, 32);
}

static void shape_all_extensions(struct frame *frame)
{
	frame_put_extension(frame, IPPROTO_HOPOPTS, 0);
	frame_put_extension(frame, IPPROTO_DSTOPTS, 1);
	frame_put_extension(frame, IPPROTO_ROUTING, 2);
	frame_put_fragment(frame, 0, true);
	frame_put_extension(frame, IPPROTO_AH, 1);
	frame_put_extension(frame, IPPROTO_DSTOPTS, 0);
	frame_put_tcp(frame, TCP_SYN, NULL, 0, 0);
}

static void shape_endless_extensions(struct frame *frame)
{
	for (int i = 0; i < 40; i++)
		frame_put_extension(frame, IPPROTO_DSTOPTS, 0);
	frame_put_udp(frame, 1, 2, 0);
}

static void shape_extension_beyond_end(struct frame *frame)
{
	frame_put_extension(frame, IPPROTO_DSTOPTS, 0)[1] = 255;
}

static void shape_no_next_header(struct frame *frame)
{
	frame_put_payload(frame, IPPROTO_NONE, 8);
}

static void to_wire_needs_only_the_addresses(void **state)
{
	static const struct {
		const char *name;
		shape_fn *shape;
		bool has_ip4, has_ip6;
	} shapes[] = {
		{"one word of options", shape_one_option_word, true, false},
		{"ten words of options", shape_all_option_words, true, false},
		{"no payload", shape_no_payload, true, true},
		{"ICMP", shape_icmp, true, false},
		{"ESP", shape_esp, true, true},
		{"IP in IP", shape_ip_in_ip, true, true},
		{"SCTP", shape_sctp, true, true},
		{"TCP cut short", shape_tcp_cut_short, true, true},
		{"first fragment", shape_first_fragment, true, true},
		{"middle fragment", shape_middle_fragment, true, true},
		{"last fragment", shape_last_fragment, true, true},
		{"hop-by-hop options", shape_hop_by_hop, false, true},
		{"routing header", shape_routing, false, true},
		{"destination options", shape_destination_options, false, true},
		{"authentication header", shape_authentication, false, true},
		{"all extension headers", shape_all_extensions, false, true},
		{"forty extension headers", shape_endless_extensions, false, true},
		{"extension header beyond the end", shape_extension_beyond_end, false, true},
		{"no next header", shape_no_next_header, false, true},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(shapes); i++) {
		if (shapes[i].has_ip4)
			judge_shape(shapes[i].name, shapes[i].shape, false);
		if (shapes[i].has_ip6)
			judge_shape(shapes[i].name, shapes[i].shape, true);
	}
}

/* -- VLAN tags in the frame -- */

static void make_tagged(struct frame *frame, const uint16_t *tags, unsigned int count,
			const struct place *destination, bool is_ip6)
{
	frame_begin(frame);
	for (unsigned int i = 0; i < count; i++)
		frame_put_tag(frame, tags[i], (uint16_t)(100 + i));
	frame_put_ip(frame, place_text(&local_pod, is_ip6), place_text(destination, is_ip6));
	frame_put_udp(frame, 4000, 5000, 64);
	frame_end(frame);
}

static void to_wire_takes_vlan_tags_off_tunnelled_packets_alone(void **state)
{
	static const uint16_t tags[][2] = {{ETH_P_8021Q, 0},
					   {ETH_P_8021AD, 0},
					   {ETH_P_8021Q, ETH_P_8021Q},
					   {ETH_P_8021AD, ETH_P_8021Q}};

	for (unsigned int i = 0; i < ARRAY_SIZE(tags) * 2; i++) {
		const uint16_t *stack = tags[i / 2];
		unsigned int count = stack[1] ? 2 : 1;
		struct frame tagged, bare;
		struct expectation redirected = tunnelled(PEER_USABLE);

		redirected.out = &bare;
		make_tagged(&bare, NULL, 0, &peer_pod, i % 2);
		make_tagged(&tagged, stack, count, &peer_pod, i % 2);
		judge("tagged, to a peer", TO_WIRE, &tagged, NULL, redirected);
		make_tagged(&tagged, stack, count, &unclaimed, i % 2);
		judge("tagged, to nobody", TO_WIRE, &tagged, NULL, drops(DROP_NO_PEER));
		make_tagged(&tagged, stack, count, &unusable_pod, i % 2);
		judge("tagged, to an unusable peer", TO_WIRE, &tagged, NULL,
		      drops(DROP_PEER_UNUSABLE));
		make_tagged(&tagged, stack, count, &world, i % 2);
		judge("tagged, to the world", TO_WIRE, &tagged, NULL, passes());
	}
}

static void to_wire_drops_what_hides_below_three_tags(void **state)
{
	static const uint16_t tags[] = {ETH_P_8021AD, ETH_P_8021Q, ETH_P_8021Q};
	struct frame frame;

	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		make_tagged(&frame, tags, ARRAY_SIZE(tags), &peer_pod, is_ip6);
		frame.ip = 0; /* never found, so the whole frame counts */
		judge("three tags", TO_WIRE, &frame, NULL, drops(DROP_VLAN_STUCK));
	}
}

static void to_wire_clamps_behind_a_vlan_tag(void **state)
{
	static const uint8_t before[] = {2, 4, 0x05, 0xb4}, after[] = {2, 4, 0x05, 0x78};
	struct expectation expected = tunnelled(PEER_USABLE);
	struct frame in, out;

	for (int is_out = 0; is_out < 2; is_out++) {
		struct frame *frame = is_out ? &out : &in;

		frame_begin(frame);
		if (!is_out)
			frame_put_tag(frame, ETH_P_8021Q, 5);
		frame_put_ip(frame, local_pod.ip4, peer_pod.ip4);
		frame_put_tcp(frame, TCP_SYN, is_out ? after : before, 4, 0);
		frame_end(frame);
	}
	expected.out = &out;
	judge("tagged SYN", TO_WIRE, &in, NULL, expected);
}

/* -- headers cut short -- */

/* The kernel runs no test with an IP frame whose header is cut, unless a tag hides it. */
static void to_wire_drops_ethernet_frames_cut_at_every_length(void **state)
{
	static const uint16_t tags[] = {ETH_P_8021Q};
	struct frame frame, cut;

	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		make_tagged(&frame, tags, 1, &world, is_ip6);
		judge("whole", TO_WIRE, &frame, NULL, passes());
		cut = frame;
		for (cut.len = ETH_HLEN; cut.len < frame.ip + (is_ip6 ? 40 : 20); cut.len++) {
			cut.ip = cut.len < frame.ip
					 ? 0
					 : frame.ip; /* counted from there, if it was found */
			judge("cut", TO_WIRE, &cut, NULL, drops(DROP_TRUNCATED));
		}
	}
}

/* Enough is put before IP to make the kernel run the test. */
static void to_wire_drops_bare_ip_headers_cut_at_every_length(void **state)
{
	datapath_unload();
	datapath_load(true, ETH_HLEN + sizeof(struct ipv6hdr));
	judge_bare_ip_at_every_length(TO_WIRE_L3, &local_pod, &peer_pod, drops(DROP_TRUNCATED),
				      tunnelled(PEER_USABLE));
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

static void to_wire_drops_ip_headers_that_contradict_themselves(void **state)
{
	struct frame frame;

	for (unsigned int version = 0; version < 16; version++) {
		frame_make_udp(&frame, local_pod.ip4, world.ip4);
		frame.bytes[frame.ip] = (uint8_t)(version << 4 | 5);
		judge("version of IPv4", TO_WIRE, &frame, NULL,
		      version == 4 ? passes() : drops(DROP_TRUNCATED));
		frame_make_udp(&frame, local_pod.ip6, world.ip6);
		frame.bytes[frame.ip] = (uint8_t)(version << 4);
		judge("version of IPv6", TO_WIRE, &frame, NULL,
		      version == 6 ? passes() : drops(DROP_TRUNCATED));
	}
	for (unsigned int words = 0; words < 16; words++) {
		frame_make_udp(&frame, local_pod.ip4, peer_pod.ip4);
		frame.len = frame.ip + 40;
		frame.bytes[frame.ip] = (uint8_t)(0x40 | words);
		judge("header length", TO_WIRE, &frame, NULL,
		      words < 5 || words > 10 ? drops(DROP_TRUNCATED) : tunnelled(PEER_USABLE));
	}
}

/* The MSS value ends at byte 26: a header that is cut before it is left as it is. */
static void to_wire_tunnels_transport_headers_cut_at_every_length(void **state)
{
	static const uint8_t options[] = {1, 1, 2, 4, 0xff, 0xff, 1, 0};

	for (unsigned int i = 0; i < 26 * 2; i++) {
		struct frame frame;

		frame_begin(&frame);
		frame_put_ip(&frame, place_text(&local_pod, i % 2), place_text(&peer_pod, i % 2));
		frame_put_tcp(&frame, TCP_SYN, options, sizeof(options), 0);
		frame_end(&frame);
		frame.len = frame.transport + i / 2;
		judge("TCP cut short", TO_WIRE, &frame, NULL, tunnelled(PEER_USABLE));
	}
}

/* -- what is none of our business -- */

static void to_wire_passes_what_is_not_ip(void **state)
{
	static const uint16_t types[] = {
		ETH_P_ARP,     ETH_P_RARP, 0x88cc /* LLDP */, ETH_P_MPLS_UC,
		ETH_P_PPP_SES, ETH_P_PAE,  ETH_P_LOOPBACK,    0x0026 /* a length: 802.3 */,
		0x88b5};

	for (unsigned int i = 0; i < ARRAY_SIZE(types) * 2; i++) {
		struct frame frame;

		frame_begin(&frame);
		if (i % 2)
			frame_put_tag(&frame, ETH_P_8021Q, 7);
		frame_put_type(&frame, types[i / 2]);
		memset(frame_put(&frame, 60), 0x45, 60);
		judge("not IP", TO_WIRE, &frame, NULL, passes());
		if (i % 2 == 0)
			judge("not IP, no Ethernet", TO_WIRE_L3, &frame, NULL, passes());
	}
}

static void to_wire_passes_arp_for_pods(void **state)
{
	struct frame frame;
	uint8_t *arp;

	frame_begin(&frame);
	frame_put_type(&frame, ETH_P_ARP);
	arp = frame_put(&frame, 28);
	memcpy(arp, (const uint8_t[]){0, 1, 8, 0, 6, 4, 0, 1}, 8);
	memcpy(arp + 14, (const uint8_t[]){10, 244, 1, 9}, 4);
	memcpy(arp + 24, (const uint8_t[]){10, 244, 2, 9}, 4);
	judge("ARP request", TO_WIRE, &frame, NULL, passes());
}

static void judge_icmp6(const char *name, const struct place *destination, uint8_t type,
			uint8_t hop_limit, struct expectation expected)
{
	struct frame frame;

	frame_begin(&frame);
	frame_put_ip(&frame, "fe80::1", destination->ip6);
	frame_put_icmp6(&frame, type, hop_limit);
	frame_end(&frame);
	judge(name, TO_WIRE, &frame, NULL, expected);
}

static void to_wire_passes_neighbour_discovery(void **state)
{
	static const struct place all_nodes = {"all nodes", "", "ff02::1"},
				  link = {"link", "", "fe80::2"};

	for (uint8_t type = 133; type <= 137; type++) {
		judge_icmp6("to a peer's pod", &peer_pod, type, 255, passes());
		judge_icmp6("to nobody", &unclaimed, type, 255, passes());
		judge_icmp6("to an unusable peer", &unusable_pod, type, 255, passes());
		judge_icmp6("to all nodes", &all_nodes, type, 255, passes());
		judge_icmp6("to a neighbour", &link, type, 255, passes());
	}
}

static void to_wire_passes_no_data_dressed_as_neighbour_discovery(void **state)
{
	struct frame frame;

	for (uint8_t type = 133; type <= 137; type++) {
		judge_icmp6("routed", &peer_pod, type, 254, tunnelled(PEER_USABLE));
		judge_icmp6("routed to nobody", &unclaimed, type, 64, drops(DROP_NO_PEER));
	}
	judge_icmp6("echo", &peer_pod, 128, 255, tunnelled(PEER_USABLE));
	judge_icmp6("type before", &unclaimed, 132, 255, drops(DROP_NO_PEER));
	judge_icmp6("type behind", &unclaimed, 138, 255, drops(DROP_NO_PEER));

	frame_begin(&frame);
	frame_put_ip(&frame, local_pod.ip6, peer_pod.ip6);
	frame_put_extension(&frame, IPPROTO_DSTOPTS, 0);
	frame_put_icmp6(&frame, 135, 255);
	frame_end(&frame);
	judge("behind an extension header", TO_WIRE, &frame, NULL, tunnelled(PEER_USABLE));

	frame_begin(&frame);
	frame_put_ip(&frame, local_pod.ip4, peer_pod.ip4);
	frame_put_payload(&frame, IPPROTO_ICMPV6, 24)[0] = 135;
	frame.bytes[frame.ip + 8] = 255;
	frame_end(&frame);
	judge("in IPv4", TO_WIRE, &frame, NULL, tunnelled(PEER_USABLE));

	frame_begin(&frame);
	frame_put_ip(&frame, local_pod.ip6, peer_pod.ip6);
	frame_put_payload(&frame, IPPROTO_ICMPV6, 0);
	frame.bytes[frame.ip + 7] = 255;
	frame_end(&frame);
	judge("without a type", TO_WIRE, &frame, NULL, tunnelled(PEER_USABLE));
}

/* -- MSS -- */

struct mss_case {
	const char *name;
	uint8_t flags;
	uint8_t options[40];
	uint8_t options_len;
	uint8_t place; /* of the value that is lowered, in the options; 0: nothing changes */
};

#define MSS_IP4		   (TUNNEL_MTU - 40)
#define MSS_IP6		   (TUNNEL_MTU - 60)
#define MSS_HI(family_mss) (uint8_t)((family_mss) >> 8)
#define MSS_LO(family_mss) (uint8_t)((family_mss)&255)

static const struct mss_case mss_cases[] = {
	{"SYN", TCP_SYN, {2, 4, 0x05, 0xb4}, 4, 2},
	{"SYN-ACK", TCP_SYN | TCP_ACK, {2, 4, 0x05, 0xb4}, 4, 2},
	{"SYN with ECN", TCP_SYN | 0xc0, {2, 4, 0x05, 0xb4}, 4, 2},
	{"greatest MSS", TCP_SYN, {2, 4, 0xff, 0xff}, 4, 2},
	{"one more than fits", TCP_SYN, {2, 4, MSS_HI(MSS_IP4 + 1), MSS_LO(MSS_IP4 + 1)}, 4, 2},
	{"what Linux sends",
	 TCP_SYN,
	 {2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7},
	 20,
	 2},
	{"behind other options",
	 TCP_SYN,
	 {8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 4, 2, 2, 4, 5, 0xb4},
	 16,
	 14},
	{"behind one no-operation: odd place", TCP_SYN, {1, 2, 4, 5, 0xb4, 1, 1, 1}, 8, 3},
	{"behind three no-operations: odd place", TCP_SYN, {1, 1, 1, 2, 4, 5, 0xb4, 0}, 8, 5},
	{"behind an option of odd length", TCP_SYN, {3, 3, 7, 2, 4, 0x22, 0x33, 0}, 8, 5},
	{"at the very end",
	 TCP_SYN,
	 {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	  1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 5, 0xb4},
	 40,
	 38},
	{"unknown options before", TCP_SYN, {254, 6, 1, 2, 3, 4, 253, 2, 2, 4, 9, 0}, 12, 10},
	{"far smaller", TCP_SYN, {2, 4, 0x02, 0x18}, 4, 0},
	{"zero", TCP_SYN, {2, 4, 0, 0}, 4, 0},
	{"no option at all", TCP_SYN, {0}, 0, 0},
	{"options without MSS", TCP_SYN, {4, 2, 1, 1, 3, 3, 7, 0}, 8, 0},
	{"no SYN", TCP_ACK, {2, 4, 0x05, 0xb4}, 4, 0},
	{"RST", 0x04, {2, 4, 0x05, 0xb4}, 4, 0},
	{"behind the end of the list", TCP_SYN, {0, 0, 0, 0, 2, 4, 5, 0xb4}, 8, 0},
	{"behind an option of length 0", TCP_SYN, {8, 0, 2, 4, 5, 0xb4, 0, 0}, 8, 0},
	{"behind an option of length 1", TCP_SYN, {8, 1, 2, 4, 5, 0xb4, 0, 0}, 8, 0},
	{"MSS of length 3", TCP_SYN, {2, 3, 0xff, 2, 4}, 4, 0},
	{"MSS of length 6", TCP_SYN, {2, 6, 0xff, 0xff, 0xff, 0xff, 1, 1}, 8, 0},
	{"MSS longer than the header", TCP_SYN, {1, 1, 2, 4}, 4, 0},
	{"option longer than the header", TCP_SYN, {8, 255, 2, 4, 5, 0xb4, 0, 0}, 8, 0},
	{"kind without length at the end", TCP_SYN, {1, 1, 1, 2}, 4, 0},
};

static void make_syn(struct frame *frame, const struct mss_case *mss, bool is_ip6,
		     shape_fn *before_tcp)
{
	frame_begin(frame);
	frame_put_ip(frame, place_text(&local_pod, is_ip6), place_text(&peer_pod, is_ip6));
	if (before_tcp)
		before_tcp(frame);
	frame_put_tcp(frame, mss->flags, mss->options, mss->options_len, 8);
	frame_end(frame);
}

/* The expected frame is built anew with the value lowered, so its checksum is computed and not updated. */
static void judge_mss(const struct mss_case *mss, bool is_ip6, shape_fn *before_tcp)
{
	struct expectation expected = tunnelled(PEER_USABLE);
	struct mss_case lowered = *mss;
	struct frame in, out;

	if (mss->place)
		put_be16(lowered.options + mss->place, is_ip6 ? MSS_IP6 : MSS_IP4);
	make_syn(&in, mss, is_ip6, before_tcp);
	make_syn(&out, &lowered, is_ip6, before_tcp);
	expected.out = &out;
	judge(mss->name, TO_WIRE, &in, NULL, expected);
}

static void to_wire_lowers_mss_of_syn_and_keeps_the_checksum_right(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(mss_cases); i++) {
		judge_mss(&mss_cases[i], false, NULL);
		judge_mss(&mss_cases[i], true, NULL);
	}
}

static void put_ip4_options(struct frame *frame)
{
	frame_put_ip4_options(frame, 3);
}

static void put_extensions(struct frame *frame)
{
	frame_put_extension(frame, IPPROTO_HOPOPTS, 0);
	frame_put_extension(frame, IPPROTO_ROUTING, 2);
	frame_put_extension(frame, IPPROTO_AH, 2);
	frame_put_extension(frame, IPPROTO_DSTOPTS, 1);
}

static void put_first_fragment(struct frame *frame)
{
	frame_put_fragment(frame, 0, true);
}

static void to_wire_lowers_mss_behind_options_extensions_and_in_first_fragments(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(mss_cases); i++) {
		judge_mss(&mss_cases[i], false, put_ip4_options);
		judge_mss(&mss_cases[i], true, put_extensions);
		judge_mss(&mss_cases[i], false, put_first_fragment);
		judge_mss(&mss_cases[i], true, put_first_fragment);
	}
}

static void to_wire_never_raises_an_mss(void **state)
{
	static const uint16_t limits[] = {MSS_IP4, MSS_IP6};

	for (unsigned int i = 0; i < ARRAY_SIZE(limits); i++)
		for (int below = 0; below < 3; below++) {
			uint16_t mss = (uint16_t)(limits[i] - below);
			struct mss_case unchanged = {
				"fits", TCP_SYN, {2, 4, MSS_HI(mss), MSS_LO(mss)}, 4, 0};

			judge_mss(&unchanged, i == 1, NULL);
		}
}

static void to_wire_lowers_every_mss_option(void **state)
{
	struct mss_case twice = {"two", TCP_SYN, {2, 4, 0xff, 0xff, 2, 4, 0x05, 0xb4}, 8, 0},
			lowered = twice;
	struct expectation expected = tunnelled(PEER_USABLE);
	struct frame in, out;

	put_be16(lowered.options + 2, MSS_IP4);
	put_be16(lowered.options + 6, MSS_IP4);
	make_syn(&in, &twice, false, NULL);
	make_syn(&out, &lowered, false, NULL);
	expected.out = &out;
	judge("two MSS options", TO_WIRE, &in, NULL, expected);
}

static void put_later_fragment(struct frame *frame)
{
	frame_put_fragment(frame, 20, false);
}

static void to_wire_changes_nothing_that_only_looks_like_a_syn(void **state)
{
	struct mss_case looks = mss_cases[0];
	struct frame frame;

	looks.place = 0;
	judge_mss(&looks, false, put_later_fragment);
	judge_mss(&looks, true, put_later_fragment);

	make_syn(&frame, &mss_cases[0], false, NULL);
	frame.bytes[frame.ip + 9] = IPPROTO_UDP;
	judge("UDP", TO_WIRE, &frame, NULL, tunnelled(PEER_USABLE));
	frame_begin(&frame);
	frame_put_ip(&frame, local_pod.ip4, world.ip4);
	frame_put_tcp(&frame, TCP_SYN, mss_cases[0].options, 4, 0);
	frame_end(&frame);
	judge("to the world", TO_WIRE, &frame, NULL, passes());
}

static void to_wire_leaves_mss_alone_when_told_so_or_without_an_mtu(void **state)
{
	struct datapath_config config = config_of(TUNNEL_IFINDEX);
	struct mss_case unchanged = mss_cases[0];

	unchanged.place = 0;
	for (config.tunnel_mtu = 0; config.tunnel_mtu <= 40; config.tunnel_mtu += 20) {
		write_config(bpf_map__fd(datapath->maps.config), &config);
		judge_mss(&unchanged, false, NULL);
		judge_mss(&unchanged, true, NULL);
	}
	datapath_unload();
	datapath_load(false, ETH_HLEN);
	judge_mss(&unchanged, false, NULL);
	judge_mss(&unchanged, true, NULL);
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

/* -- counters -- */

static void to_wire_counts_a_super_packet_as_its_segments(void **state)
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

static void to_wire_works_for_a_peer_without_counters(void **state)
{
	int peer_traffic = bpf_map__fd(datapath->maps.peer_traffic);
	uint32_t id = PEER_USABLE;
	struct frame frame, out;

	assert_int_equal(bpf_map_delete_elem(peer_traffic, &id), 0);
	frame_make_udp(&frame, local_pod.ip4, peer_pod.ip4);
	assert_int_equal(run(TO_WIRE, &frame, &out, NULL), REDIRECT);
	add_peer_traffic(peer_traffic, id);
}

static int report_frames(void **state)
{
	printf("# %u frames judged\n", frames_judged);
	return teardown_datapath(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(to_wire_chooses_by_destination_and_longest_prefix),
		cmocka_unit_test(to_wire_chooses_the_same_on_devices_without_ethernet),
		cmocka_unit_test(to_wire_takes_mapped_ip6_addresses_for_no_ip4_address),
		cmocka_unit_test(to_wire_drops_when_there_is_no_tunnel),
		cmocka_unit_test(to_wire_drops_pod_packets_when_only_the_cluster_is_known),
		cmocka_unit_test(to_wire_never_leads_the_tunnels_datagrams_back_into_it),
		cmocka_unit_test(
			to_wire_permissive_sends_in_clear_what_was_never_reached_and_counts_it),
		cmocka_unit_test(to_wire_takes_an_unknown_mode_for_strict),
		cmocka_unit_test(to_wire_counts_clear_super_packets_as_their_segments),
		cmocka_unit_test(to_wire_leaves_bypassed_addresses_and_ports_outside_both_ways),
		cmocka_unit_test(to_wire_finds_bypassed_ports_behind_options_and_extensions),
		cmocka_unit_test(to_wire_bypasses_nothing_without_ports_of_tcp_or_udp),
		cmocka_unit_test(to_wire_looks_for_bypasses_only_when_there_are_any),
		cmocka_unit_test(to_wire_takes_mapped_ip6_addresses_for_no_bypassed_ip4_address),
		cmocka_unit_test(to_wire_needs_only_the_addresses),
		cmocka_unit_test(to_wire_takes_vlan_tags_off_tunnelled_packets_alone),
		cmocka_unit_test(to_wire_drops_what_hides_below_three_tags),
		cmocka_unit_test(to_wire_clamps_behind_a_vlan_tag),
		cmocka_unit_test(to_wire_drops_ethernet_frames_cut_at_every_length),
		cmocka_unit_test(to_wire_drops_bare_ip_headers_cut_at_every_length),
		cmocka_unit_test(to_wire_drops_ip_headers_that_contradict_themselves),
		cmocka_unit_test(to_wire_tunnels_transport_headers_cut_at_every_length),
		cmocka_unit_test(to_wire_passes_what_is_not_ip),
		cmocka_unit_test(to_wire_passes_arp_for_pods),
		cmocka_unit_test(to_wire_passes_neighbour_discovery),
		cmocka_unit_test(to_wire_passes_no_data_dressed_as_neighbour_discovery),
		cmocka_unit_test(to_wire_lowers_mss_of_syn_and_keeps_the_checksum_right),
		cmocka_unit_test(
			to_wire_lowers_mss_behind_options_extensions_and_in_first_fragments),
		cmocka_unit_test(to_wire_never_raises_an_mss),
		cmocka_unit_test(to_wire_lowers_every_mss_option),
		cmocka_unit_test(to_wire_changes_nothing_that_only_looks_like_a_syn),
		cmocka_unit_test(to_wire_leaves_mss_alone_when_told_so_or_without_an_mtu),
		cmocka_unit_test(to_wire_counts_a_super_packet_as_its_segments),
		cmocka_unit_test(to_wire_works_for_a_peer_without_counters),
	};

	if (!datapath_is_possible())
		return 0;
	return cmocka_run_group_tests(tests, setup_datapath, report_frames);
}
