/* SPDX-License-Identifier: Apache-2.0 */
/*
 * to_wire, packet by packet: in headers of any shape it needs only the addresses (bpf/policy.h), it
 * removes VLAN tags, and it drops packets that are cut short before the addresses or contradict
 * themselves.
 */
#include "datapath.h"

#define TO_WIRE	   (datapath->progs.to_wire)
#define TO_WIRE_L3 (datapath->progs.to_wire_l3)

/* -- shapes of IP: only the addresses matter -- */

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

TEST(to_wire_needs_only_the_addresses)
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

TEST(to_wire_takes_vlan_tags_off_tunnelled_packets_alone)
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

TEST(to_wire_drops_frames_with_three_tags)
{
	static const uint16_t tags[] = {ETH_P_8021AD, ETH_P_8021Q, ETH_P_8021Q};
	struct frame frame;

	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		make_tagged(&frame, tags, ARRAY_SIZE(tags), &peer_pod, is_ip6);
		frame.ip = 0; /* IP is never found, so the whole frame counts */
		judge("three tags", TO_WIRE, &frame, NULL, drops(DROP_VLAN_STUCK));
	}
}

/* -- headers cut short -- */

/* The kernel runs no test on an IP frame with an incomplete header, unless a tag hides it. */
TEST(to_wire_drops_ethernet_frames_cut_at_every_length)
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
					 : frame.ip; /* counted from there if it was found */
			judge("cut", TO_WIRE, &cut, NULL, drops(DROP_TRUNCATED));
		}
	}
}

/* So many bytes precede IP that the kernel runs the test. */
TEST(to_wire_drops_bare_ip_headers_cut_at_every_length)
{
	datapath_unload();
	datapath_load(true, ETH_HLEN + sizeof(struct ipv6hdr));
	judge_bare_ip_at_every_length(TO_WIRE_L3, &local_pod, &peer_pod, drops(DROP_TRUNCATED),
				      tunnelled(PEER_USABLE));
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

TEST(to_wire_drops_ip_headers_that_contradict_themselves)
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

/* The MSS value ends at byte 26: a header that is cut before it is left unchanged. */
TEST(to_wire_tunnels_transport_headers_cut_at_every_length)
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

TEST_GROUP(setup_datapath, teardown_datapath);
