/* SPDX-License-Identifier: Apache-2.0 */
/*
 * from_tunnel, packet by packet. The program runs on a device without an Ethernet header, which a
 * test run cannot have, so the tests load it with another offset. test_on_devices.c sends real
 * packets through a real TUN.
 */
#include "datapath.h"

#define FROM_TUNNEL (datapath->progs.from_tunnel)

static struct expectation enters(uint32_t peer)
{
	return (struct expectation){.verdict = PASS, .peer = peer};
}

/* -- where a decrypted packet may go -- */

TEST(from_tunnel_passes_only_local_pods_and_own_addresses)
{
	static const struct place *const places[] = {
		&world,	      &unclaimed,     &local_pod,  &moved_pod, &self,
		&bridge,      &peer_pod,      &inside_pod, &node,      &unusable_pod,
		&unknown_pod, &unusable_node, &contested,  &excepted,  &future};
	static const struct place *const allowed[] = {&local_pod, &moved_pod, &self, &bridge};

	for (unsigned int i = 0; i < ARRAY_SIZE(places) * 2; i++) {
		const struct place *destination = places[i / 2];
		struct expectation expected = drops(DROP_NOT_LOCAL);
		struct frame frame;

		for (unsigned int j = 0; j < ARRAY_SIZE(allowed); j++)
			if (allowed[j] == destination)
				expected = enters(PEER_USABLE);
		frame_make_udp(&frame, place_text(&peer_pod, i % 2),
			       place_text(destination, i % 2));
		judge(destination->name, FROM_TUNNEL, &frame, NULL, expected);
	}
}

TEST(from_tunnel_reaches_no_special_address)
{
	static const char *const ip4[] = {
		"127.0.0.1", "127.8.9.10",	"0.0.0.0",   "255.255.255.255", "169.254.1.1",
		"224.0.0.1", "239.255.255.250", "240.0.0.1", "100.64.0.1",	"192.168.50.255"};
	static const char *const ip6[] = {
		"::1",	   "::",	  "fe80::1",	    "ff02::1",
		"ff05::2", "::127.0.0.1", "64:ff9b::a00:1", "fd00:50::ffff",
		"ff0e::1"};
	struct frame frame;

	for (unsigned int i = 0; i < ARRAY_SIZE(ip4); i++) {
		frame_make_udp(&frame, peer_pod.ip4, ip4[i]);
		judge(ip4[i], FROM_TUNNEL, &frame, NULL, drops(DROP_NOT_LOCAL));
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(ip6); i++) {
		frame_make_udp(&frame, peer_pod.ip6, ip6[i]);
		judge(ip6[i], FROM_TUNNEL, &frame, NULL, drops(DROP_NOT_LOCAL));
	}
}

TEST(from_tunnel_takes_mapped_ip6_addresses_for_no_ip4_address)
{
	struct frame frame;

	frame_make_udp(&frame, peer_pod.ip6, "::ffff:10.244.1.9");
	judge("mapped destination", FROM_TUNNEL, &frame, NULL, drops(DROP_NOT_LOCAL));
	frame_make_udp(&frame, "::ffff:10.244.2.9", local_pod.ip6);
	judge("mapped source counts for nobody", FROM_TUNNEL, &frame, NULL, enters(PEER_NONE));
}

TEST(from_tunnel_counts_by_the_sources_peer)
{
	const struct {
		const struct place *source;
		uint32_t peer;
	} cases[] = {
		{&peer_pod, PEER_USABLE},
		{&node, PEER_USABLE},
		{&inside_pod, PEER_INSIDE},
		{&unusable_pod, PEER_UNUSABLE},
		{&unusable_node, PEER_UNUSABLE},
		{&unknown_pod, PEER_UNKNOWN},
		{&contested, PEER_USABLE},
		{&unusable_contested, PEER_UNUSABLE},
		{&world, PEER_NONE},
		{&unclaimed, PEER_NONE},
		{&local_pod, PEER_NONE},
		{&self, PEER_NONE},
		{&future, PEER_NONE},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases) * 2; i++) {
		struct frame frame;

		frame_make_udp(&frame, place_text(cases[i / 2].source, i % 2),
			       place_text(&local_pod, i % 2));
		judge(cases[i / 2].source->name, FROM_TUNNEL, &frame, NULL,
		      enters(cases[i / 2].peer));
	}
}

/* -- the tunnel's own port -- */

typedef void before_udp_fn(struct frame *frame);

static void put_nothing(struct frame *frame)
{
	(void)frame;
}

static void put_options(struct frame *frame)
{
	if (frame->family == AF_INET) {
		frame_put_ip4_options(frame, 5);
	} else {
		frame_put_extension(frame, IPPROTO_HOPOPTS, 1);
		frame_put_extension(frame, IPPROTO_DSTOPTS, 0);
	}
}

static void put_first_fragment(struct frame *frame)
{
	frame_put_fragment(frame, 0, true);
}

TEST(from_tunnel_drops_datagrams_for_the_tunnels_own_port)
{
	static before_udp_fn *const shapes[] = {put_nothing, put_options, put_first_fragment};
	const struct {
		const struct place *destination;
		uint16_t port;
		struct expectation expected;
	} cases[] = {
		{&self, TUNNEL_PORT, drops(DROP_TUNNEL_PORT)},
		{&bridge, TUNNEL_PORT, drops(DROP_TUNNEL_PORT)},
		{&self, TUNNEL_PORT + 1, enters(PEER_USABLE)},
		{&self, TUNNEL_PORT - 1, enters(PEER_USABLE)},
		{&local_pod, TUNNEL_PORT, enters(PEER_USABLE)}, /* a pod may have that port */
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases) * ARRAY_SIZE(shapes) * 2; i++) {
		bool is_ip6 = i % 2;
		struct frame frame;

		frame_begin(&frame);
		frame_put_ip(&frame, place_text(&peer_pod, is_ip6),
			     place_text(cases[i / 2 / ARRAY_SIZE(shapes)].destination, is_ip6));
		shapes[i / 2 % ARRAY_SIZE(shapes)](&frame);
		frame_put_udp(&frame, 4000, cases[i / 2 / ARRAY_SIZE(shapes)].port, 64);
		frame_end(&frame);
		judge("port", FROM_TUNNEL, &frame, NULL,
		      cases[i / 2 / ARRAY_SIZE(shapes)].expected);
	}
}

TEST(from_tunnel_takes_only_udp_for_the_tunnels_port)
{
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		struct frame frame;

		frame_begin(&frame);
		frame_put_ip(&frame, place_text(&peer_pod, is_ip6), place_text(&self, is_ip6));
		frame_put_tcp(&frame, TCP_SYN, NULL, 0, 0);
		put_be16(frame.bytes + frame.transport + 2, TUNNEL_PORT);
		judge("TCP", FROM_TUNNEL, &frame, NULL, enters(PEER_USABLE));

		frame_begin(&frame);
		frame_put_ip(&frame, place_text(&peer_pod, is_ip6), place_text(&self, is_ip6));
		frame_put_fragment(&frame, 10, false);
		frame_put_udp(&frame, 4000, TUNNEL_PORT, 0);
		frame_end(&frame);
		judge("later fragment", FROM_TUNNEL, &frame, NULL, enters(PEER_USABLE));
	}
}

TEST(from_tunnel_drops_packets_that_hide_their_port)
{
	struct frame frame;

	for (unsigned int i = 0; i < 8 * 2; i++) {
		frame_begin(&frame);
		frame_put_ip(&frame, place_text(&peer_pod, i % 2), place_text(&self, i % 2));
		frame_put_udp(&frame, 4000, 5000, 0);
		frame_end(&frame);
		frame.len = frame.transport + i / 2;
		judge("UDP cut short", FROM_TUNNEL, &frame, NULL, drops(DROP_TUNNEL_TRUNCATED));
	}
}

TEST(from_tunnel_walks_eight_headers_and_drops_packets_with_more)
{
	struct frame frame;

	for (int count = 0; count < 20; count++) {
		frame_begin(&frame);
		frame_put_ip(&frame, peer_pod.ip6, self.ip6);
		for (int i = 0; i < count; i++)
			frame_put_extension(&frame, IPPROTO_DSTOPTS, 0);
		frame_put_udp(&frame, 4000, TUNNEL_PORT, 0);
		frame_end(&frame);
		judge("headers", FROM_TUNNEL, &frame, NULL,
		      drops(count <= 8 ? DROP_TUNNEL_PORT : DROP_TUNNEL_TRUNCATED));
	}

	frame_begin(&frame);
	frame_put_ip(&frame, peer_pod.ip6, self.ip6);
	frame_put_extension(&frame, IPPROTO_DSTOPTS, 0)[1] = 200;
	frame_end(&frame);
	judge("header beyond the end", FROM_TUNNEL, &frame, NULL, drops(DROP_TUNNEL_TRUNCATED));
}

/* -- headers cut short -- */

TEST(from_tunnel_drops_ip_headers_cut_at_every_length)
{
	datapath_unload();
	datapath_load(true, ETH_HLEN + sizeof(struct ipv6hdr));
	judge_bare_ip_at_every_length(FROM_TUNNEL, &peer_pod, &local_pod,
				      drops(DROP_TUNNEL_TRUNCATED), enters(PEER_USABLE));
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

TEST(from_tunnel_drops_packets_that_are_not_ip)
{
	static const uint16_t types[] = {ETH_P_ARP, ETH_P_8021Q, ETH_P_MPLS_UC, 0x88b5};

	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		struct frame frame;

		frame_make_udp(&frame, peer_pod.ip4, local_pod.ip4);
		frame_put_type(&frame, types[i]);
		judge("not IP", FROM_TUNNEL, &frame, NULL, drops(DROP_TUNNEL_TRUNCATED));
	}
	for (unsigned int words = 0; words < 5; words++) {
		struct frame frame;

		frame_make_udp(&frame, peer_pod.ip4, local_pod.ip4);
		frame.bytes[frame.ip] = (uint8_t)(0x40 | words);
		judge("header length", FROM_TUNNEL, &frame, NULL, drops(DROP_TUNNEL_TRUNCATED));
	}
}

/* -- counters -- */

/* A super-packet that is written to a TUN has gso_size only. */
TEST(from_tunnel_counts_a_super_packet_as_its_segments)
{
	static const struct {
		uint32_t payload, packets;
		bool is_udp;
	} cases[] = {{1000, 2, false},
		     {1001, 3, false},
		     {1, 1, false},
		     {1500, 3, true},
		     {1499, 3, true}};
	struct __sk_buff context = {.gso_size = 500};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases) * 2; i++) {
		struct expectation expected = enters(PEER_USABLE);
		struct frame frame;

		expected.packets = cases[i / 2].packets;
		frame_begin(&frame);
		frame_put_ip(&frame, place_text(&peer_pod, i % 2), place_text(&local_pod, i % 2));
		if (cases[i / 2].is_udp)
			frame_put_udp(&frame, 4000, 5000, cases[i / 2].payload);
		else
			frame_put_tcp(&frame, TCP_ACK, (const uint8_t[]){1, 1, 1, 1}, 4,
				      cases[i / 2].payload);
		frame_end(&frame);
		judge("super-packet", FROM_TUNNEL, &frame, &context, expected);
	}
}

TEST_GROUP(setup_datapath, teardown_datapath);
