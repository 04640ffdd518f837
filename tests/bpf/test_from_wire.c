/* SPDX-License-Identifier: Apache-2.0 */
/*
 * from_wire, packet by packet: cleartext that no node's to_wire sends does not come in, bare or
 * inside an overlay's packet, and datagrams that cannot be WireGuard messages do not reach the
 * tunnel's port.
 */
#include "overlay.h"

#define FROM_WIRE    (datapath->progs.from_wire)
#define FROM_WIRE_L3 (datapath->progs.from_wire_l3)

/* -- by source, and for nodes by destination -- */

struct entry_case {
	const struct place *source;
	bool may_reach_pods, may_reach_others;
	uint32_t peer; /* counted in permissive mode for packets that strict mode drops */
};

static const struct entry_case entries[] = {
	{&world, true, true, PEER_NONE},
	{&local_pod, true, true, PEER_NONE},
	{&moved_pod, true, true, PEER_NONE},
	{&self, true, true, PEER_NONE},
	{&bridge, true, true, PEER_NONE},
	{&excepted, true, true, PEER_NONE},
	{&node, false, true, PEER_USABLE},
	{&unusable_node, false, true, PEER_UNUSABLE},
	{&lost_node, false, true, PEER_LOST},
	{&contested, false, true, PEER_USABLE},
	{&unusable_contested, false, true, PEER_UNUSABLE},
	{&lost_contested, false, true, PEER_LOST},
	{&peer_pod, false, false, PEER_USABLE},
	{&inside_pod, false, false, PEER_INSIDE},
	{&unusable_pod, false, false, PEER_UNUSABLE},
	{&unknown_pod, false, false, PEER_UNKNOWN},
	{&lost_pod, false, false, PEER_LOST},
	{&unclaimed, false, false, PEER_NONE},
};

static const struct place *const pods_here[] = {&local_pod, &moved_pod, &bridge};
static const struct place *const others[] = {&self,	&world,	    &node,
					     &peer_pod, &contested, &unclaimed};

static void judge_entry(const struct entry_case *entry, const struct place *destination,
			bool may_enter, bool is_ip6, bool is_permissive)
{
	struct expectation expected = passes();
	struct frame frame;
	char name[128];

	if (!may_enter)
		expected = is_permissive ? clear_in(entry->peer) : drops(DROP_CLEAR_IN);
	snprintf(name, sizeof(name), "%s to %s", entry->source->name, destination->name);
	frame_make_udp(&frame, place_text(entry->source, is_ip6), place_text(destination, is_ip6));
	judge(name, FROM_WIRE, &frame, NULL, expected);
	judge(name, FROM_WIRE_L3, &frame, NULL, expected);
}

static void judge_entries(bool is_permissive)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(entries) * 2; i++) {
		const struct entry_case *entry = &entries[i / 2];

		for (unsigned int j = 0; j < ARRAY_SIZE(pods_here); j++)
			judge_entry(entry, pods_here[j], entry->may_reach_pods, i % 2,
				    is_permissive);
		for (unsigned int j = 0; j < ARRAY_SIZE(others); j++)
			judge_entry(entry, others[j], entry->may_reach_others, i % 2,
				    is_permissive);
		judge_entry(entry, &excepted, true, i % 2, is_permissive);
	}
}

TEST(from_wire_drops_clear_packets_that_only_the_tunnel_may_bring)
{
	judge_entries(false);
}

TEST(from_wire_counts_and_passes_them_in_permissive_mode)
{
	set_mode(MODE_PERMISSIVE);
	judge_entries(true);
	set_mode(MODE_STRICT);
}

TEST(from_wire_drops_classes_of_later_versions)
{
	struct frame frame;

	frame_make_udp(&frame, future.ip4, local_pod.ip4);
	judge("later version", FROM_WIRE, &frame, NULL, drops(DROP_CLEAR_IN));
}

/* Apart from datagrams for the tunnel's port, the content of a packet does not matter. */
TEST(from_wire_judges_every_shape_of_ip)
{
	static const uint8_t protocols[] = {IPPROTO_SCTP, IPPROTO_ICMP,	  IPPROTO_ESP,
					    253,	  IPPROTO_ICMPV6, IPPROTO_TCP};

	for (unsigned int i = 0; i < ARRAY_SIZE(protocols) * 8; i++) {
		bool is_ip6 = i & 1, is_fragment = i & 2, has_options = i & 4;
		struct frame frame;

		frame_begin(&frame);
		frame_put_ip(&frame, place_text(&peer_pod, is_ip6), place_text(&local_pod, is_ip6));
		if (has_options && is_ip6)
			frame_put_extension(&frame, IPPROTO_DSTOPTS, 1);
		else if (has_options)
			frame_put_ip4_options(&frame, 3);
		if (is_fragment)
			frame_put_fragment(&frame, 50, true);
		frame_put_payload(&frame, protocols[i / 8], 24);
		frame_end(&frame);
		judge("from a remote pod", FROM_WIRE, &frame, NULL, drops(DROP_CLEAR_IN));
	}
}

TEST(from_wire_looks_behind_vlan_tags)
{
	for (unsigned int tags = 1; tags <= 3; tags++) {
		struct frame frame;

		frame_begin(&frame);
		for (unsigned int i = 0; i < tags; i++)
			frame_put_tag(&frame, ETH_P_8021Q, 9);
		frame_put_ip(&frame, peer_pod.ip4, local_pod.ip4);
		frame_put_udp(&frame, 4000, 5000, 64);
		frame_end(&frame);
		/* The VLAN's own device has a from_wire, which sees one tag less. */
		judge("tagged", FROM_WIRE, &frame, NULL,
		      tags == 3 ? passes() : drops(DROP_CLEAR_IN));
	}
}

TEST(from_wire_counts_a_super_packet_as_its_segments)
{
	struct __sk_buff context = {.gso_size = 500, .gso_segs = 2};
	struct expectation expected = drops(DROP_CLEAR_IN);
	struct frame frame;

	expected.packets = 2;
	frame_begin(&frame);
	frame_put_ip(&frame, peer_pod.ip4, local_pod.ip4);
	frame_put_tcp(&frame, TCP_ACK, NULL, 0, 1000);
	frame_end(&frame);
	judge("super-packet", FROM_WIRE, &frame, &context, expected);
	set_mode(MODE_PERMISSIVE);
	expected = clear_in(PEER_USABLE);
	expected.packets = 2;
	judge("super-packet", FROM_WIRE, &frame, &context, expected);
	set_mode(MODE_STRICT);
}

/* -- exceptions -- */

TEST(from_wire_passes_frames_that_are_not_ip_or_unreadable)
{
	struct frame frame;

	frame_begin(&frame);
	frame_put_type(&frame, ETH_P_ARP);
	memset(frame_put(&frame, 28), 0x45, 28);
	judge("ARP", FROM_WIRE, &frame, NULL, passes());
	judge("no IP", FROM_WIRE_L3, &frame, NULL, passes());
	frame_make_udp(&frame, peer_pod.ip4, local_pod.ip4);
	frame.bytes[frame.ip] = 0x65;
	judge("wrong version", FROM_WIRE, &frame, NULL, passes());
	frame.bytes[frame.ip] = 0x44;
	judge("header too short", FROM_WIRE, &frame, NULL, passes());
}

TEST(from_wire_passes_neighbour_discovery_and_nothing_dressed_as_it)
{
	for (uint8_t type = 132; type <= 138; type++)
		for (unsigned int limit = 254; limit <= 255; limit++) {
			bool is_discovery = type >= 133 && type <= 137 && limit == 255;
			struct frame frame;

			frame_begin(&frame);
			frame_put_ip(&frame, peer_pod.ip6, local_pod.ip6);
			frame_put_icmp6(&frame, type, (uint8_t)limit);
			frame_end(&frame);
			judge("ICMPv6", FROM_WIRE, &frame, NULL,
			      is_discovery ? passes() : drops(DROP_CLEAR_IN));
		}
}

TEST(from_wire_drops_icmp_errors_between_nodes_that_quote_a_pod)
{
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		const char *there = place_text(&node, is_ip6), *here = place_text(&self, is_ip6);
		struct frame frame;

		frame_begin(&frame);
		frame_put_ip(&frame, there, here);
		frame_put_icmp_about(&frame, 3, here, place_text(&peer_pod, is_ip6));
		frame_end(&frame);
		judge("about a pod", FROM_WIRE, &frame, NULL, drops(DROP_CLEAR_IN));
		frame_begin(&frame);
		frame_put_ip(&frame, there, here);
		frame_put_icmp_about(&frame, 3, here, place_text(&contested, is_ip6));
		frame_end(&frame);
		judge("about a contested address", FROM_WIRE, &frame, NULL, drops(DROP_CLEAR_IN));
		frame_begin(&frame);
		frame_put_ip(&frame, there, here);
		frame_put_icmp_about(&frame, 3, here, there);
		frame_end(&frame);
		judge("about nodes", FROM_WIRE, &frame, NULL, passes());
	}
}

TEST(from_wire_passes_multicast_and_broadcast_because_they_are_outside)
{
	static const struct {
		const char *source, *destination;
		bool is_outside;
	} cases[] = {
		{"10.244.2.9", "224.0.0.1", true},
		{"10.244.2.9", "239.255.255.250", true},
		{"10.244.2.9", "255.255.255.255", true},
		{"10.244.2.9", "223.255.255.255", false},
		{"10.244.2.9", "240.0.0.1", false},
		{"10.244.2.9", "255.255.255.254", false},
		{"fd00:244:0:2::9", "ff02::1", true},
		{"fd00:244:0:2::9", "ff0e::42", true},
		{"fd00:244:0:2::9", "fe80::1", false},
		{"fd00:244:0:2::9", "::ffff:224.0.0.1", false},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct frame frame;

		frame_make_udp(&frame, cases[i].source, cases[i].destination);
		judge(cases[i].destination, FROM_WIRE, &frame, NULL,
		      cases[i].is_outside ? passes() : drops(DROP_CLEAR_IN));
	}
}

static void judge_ports(const struct place *from, const struct place *to, bool is_ip6,
			uint16_t source_port, uint16_t port, struct expectation expected)
{
	struct frame frame;

	frame_begin(&frame);
	frame_put_ip(&frame, place_text(from, is_ip6), place_text(to, is_ip6));
	frame_put_tcp(&frame, TCP_ACK, NULL, 0, 8);
	put_be16(frame.bytes + frame.transport, source_port);
	put_be16(frame.bytes + frame.transport + 2, port);
	frame_end(&frame);
	judge("TCP", FROM_WIRE, &frame, NULL, expected);
}

TEST(from_wire_passes_bypassed_addresses_and_ports_both_ways)
{
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		set_bypass(place_text(&node, is_ip6), 6443);
		set_bypass(place_text(&self, is_ip6), 6443);
		judge_ports(&node, &local_pod, is_ip6, 6443, 40000, passes());
		judge_ports(&node, &local_pod, is_ip6, 40000, 6443, drops(DROP_CLEAR_IN));
		judge_ports(&peer_pod, &self, is_ip6, 40000, 6443, passes());
		judge_ports(&peer_pod, &self, is_ip6, 6443, 40000, drops(DROP_CLEAR_IN));
		judge_ports(&peer_pod, &local_pod, is_ip6, 6443, 6443, drops(DROP_CLEAR_IN));
	}
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

TEST(from_wire_passes_answers_of_an_api_server_over_tcp_alone)
{
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		struct frame frame;

		set_bypass_value(place_text(&peer_pod, is_ip6), 6443, BYPASS_TCP);
		judge_ports(&peer_pod, &local_pod, is_ip6, 6443, 40000, passes());
		frame_begin(&frame);
		frame_put_ip(&frame, place_text(&peer_pod, is_ip6), place_text(&local_pod, is_ip6));
		frame_put_udp(&frame, 6443, 40000, 8);
		frame_end(&frame);
		judge("UDP", FROM_WIRE, &frame, NULL, drops(DROP_CLEAR_IN));
	}
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

TEST(from_wire_passes_answers_to_a_probe_to_this_nodes_own_addresses_only)
{
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		struct frame frame;

		set_bypass_value(place_text(&unclaimed, is_ip6), 6443, BYPASS_PROBE);
		judge_ports(&unclaimed, &self, is_ip6, 6443, 40000, passes());
		judge_ports(&unclaimed, &self, is_ip6, 6444, 40000, drops(DROP_CLEAR_IN));
		judge_ports(&unclaimed, &self, is_ip6, 40000, 6443, drops(DROP_CLEAR_IN));
		judge_ports(&unclaimed, &local_pod, is_ip6, 6443, 40000, drops(DROP_CLEAR_IN));
		judge_ports(&unclaimed, &bridge, is_ip6, 6443, 40000, drops(DROP_CLEAR_IN));
		judge_ports(&unclaimed, &world, is_ip6, 6443, 40000, drops(DROP_CLEAR_IN));
		judge_ports(&peer_pod, &self, is_ip6, 6443, 40000, drops(DROP_CLEAR_IN));
		frame_begin(&frame);
		frame_put_ip(&frame, place_text(&unclaimed, is_ip6), place_text(&self, is_ip6));
		frame_put_udp(&frame, 6443, 40000, 8);
		frame_end(&frame);
		judge("UDP", FROM_WIRE, &frame, NULL, drops(DROP_CLEAR_IN));
	}
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

TEST(from_wire_takes_mapped_ip6_addresses_for_no_ip4_address)
{
	struct frame frame;

	frame_make_udp(&frame, "::ffff:10.244.2.9", local_pod.ip6);
	judge("mapped source", FROM_WIRE, &frame, NULL, passes());
}

/* -- overlays -- */

static void judge_overlay(const struct overlay_kind *kind, const struct place *source,
			  const struct place *destination, unsigned int families,
			  struct expectation expected)
{
	struct frame inner, outer;

	overlay_make_inner(&inner, kind, place_text(source, families & 1),
			   place_text(destination, families & 1));
	overlay_wrap(&outer, kind, &inner, place_text(&node, families & 2),
		     place_text(&self, families & 2));
	judge(kind->name, FROM_WIRE, &outer, NULL, expected);
	judge(kind->name, FROM_WIRE_L3, &outer, NULL, expected);
}

TEST(from_wire_drops_clear_pod_packets_inside_every_overlay)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(overlay_kinds) * 4; i++) {
		const struct overlay_kind *kind = &overlay_kinds[i / 4];
		struct expectation dropped = drops(DROP_CLEAR_OVERLAY_IN);

		judge_overlay(kind, &peer_pod, &local_pod, i % 4, dropped);
		judge_overlay(kind, &unclaimed, &self, i % 4, dropped);
		judge_overlay(kind, &node, &local_pod, i % 4, dropped);
		judge_overlay(kind, &node, &self, i % 4, passes());
		judge_overlay(kind, &world, &local_pod, i % 4, passes());
		judge_overlay(kind, &local_pod, &peer_pod, i % 4, passes());
		judge_overlay(kind, &excepted, &local_pod, i % 4, passes());
	}
}

TEST(from_wire_passes_overlays_in_permissive_mode_and_counts_nothing_twice)
{
	set_mode(MODE_PERMISSIVE);
	for (unsigned int i = 0; i < ARRAY_SIZE(overlay_kinds) * 4; i++)
		judge_overlay(&overlay_kinds[i / 4], &peer_pod, &local_pod, i % 4, passes());
	set_mode(MODE_STRICT);
}

/* -- the tunnel's own port -- */

static void make_datagram(struct frame *frame, const struct place *to, bool is_ip6, uint32_t type,
			  size_t len)
{
	uint8_t *payload;

	frame_begin(frame);
	frame_put_ip(frame, place_text(&world, is_ip6), place_text(to, is_ip6));
	frame_put_udp(frame, 40000, TUNNEL_PORT, len);
	payload = frame->bytes + frame->transport + sizeof(struct udphdr);
	for (size_t i = 0; i < 4 && i < len; i++)
		payload[i] = (uint8_t)(type >> (24 - 8 * i));
	frame_end(frame);
}

static void judge_datagram(const struct place *to, uint32_t type, size_t len,
			   struct expectation expected)
{
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		struct frame frame;
		char name[64];

		make_datagram(&frame, to, is_ip6, type, len);
		snprintf(name, sizeof(name), "message %08x, %zu bytes", type, len);
		judge(name, FROM_WIRE, &frame, NULL, expected);
	}
}

TEST(from_wire_passes_every_wireguard_message)
{
	judge_datagram(&self, 0x01000000, 148, passes());
	judge_datagram(&self, 0x02000000, 92, passes());
	judge_datagram(&self, 0x03000000, 64, passes());
	for (size_t len = 32; len < 1480; len += 1)
		judge_datagram(&self, 0x04000000, len, passes());
}

TEST(from_wire_sheds_datagrams_that_cannot_be_wireguard)
{
	static const size_t lengths[] = {148, 92, 64, 32};

	for (uint32_t type = 1; type <= 4; type++)
		for (size_t len = 0; len < 200; len++)
			if (type == 4 ? len < lengths[3] : len != lengths[type - 1])
				judge_datagram(&self, type << 24, len, drops(DROP_NOT_WIREGUARD));
	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		judge_datagram(&self, 0, lengths[i], drops(DROP_NOT_WIREGUARD));
		judge_datagram(&self, 0x05000000, lengths[i], drops(DROP_NOT_WIREGUARD));
		judge_datagram(&self, 0xff000000, lengths[i], drops(DROP_NOT_WIREGUARD));
		for (uint32_t bit = 1; bit < 1 << 24; bit <<= 1)
			judge_datagram(&self, (i + 1) << 24 | bit, lengths[i],
				       drops(DROP_NOT_WIREGUARD));
	}
}

TEST(from_wire_leaves_other_ports_and_addresses_alone)
{
	struct frame frame;

	judge_datagram(&world, 0xdeadbeef, 40, passes());
	judge_datagram(&local_pod, 0xdeadbeef, 40, passes());
	make_datagram(&frame, &self, false, 0xdeadbeef, 40);
	put_be16(frame.bytes + frame.transport + 2, TUNNEL_PORT + 1);
	judge("another port", FROM_WIRE, &frame, NULL, passes());
	make_datagram(&frame, &self, false, 0xdeadbeef, 40);
	frame.bytes[frame.ip + 9] = IPPROTO_TCP;
	judge("TCP", FROM_WIRE, &frame, NULL, passes());
}

/* A later fragment shows no port; a first one has the whole datagram's length in its UDP header. */
TEST(from_wire_judges_fragmented_datagrams_by_their_first_fragment)
{
	for (unsigned int i = 0; i < 8; i++) {
		bool is_ip6 = i & 1, is_later = i & 2, is_garbage = i & 4;
		struct frame frame;
		uint8_t *udp;

		frame_begin(&frame);
		frame_put_ip(&frame, place_text(&world, is_ip6), place_text(&self, is_ip6));
		frame_put_fragment(&frame, is_later ? 8 : 0, true);
		frame_put_udp(&frame, 40000, TUNNEL_PORT, 64);
		udp = frame.bytes + frame.transport;
		put_be32(udp + sizeof(struct udphdr), is_garbage ? 0x09000000 : 0x01000000);
		frame_end(&frame);
		put_be16(udp + 4, sizeof(struct udphdr) + 148);
		judge("fragment", FROM_WIRE, &frame, NULL,
		      is_garbage && !is_later ? drops(DROP_NOT_WIREGUARD) : passes());
	}
}

TEST(from_wire_judges_super_packets_by_their_segments)
{
	static const struct {
		uint32_t type, segment;
		bool is_wireguard;
	} cases[] = {{4, 148, true},  {4, 31, false}, {1, 148, true},
		     {1, 149, false}, {2, 92, true},  {7, 148, false}};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct __sk_buff context = {.gso_size = cases[i].segment, .gso_segs = 3};
		struct expectation dropped = drops(DROP_NOT_WIREGUARD);
		struct frame frame;

		dropped.packets = 3;
		make_datagram(&frame, &self, false, cases[i].type << 24, 3UL * cases[i].segment);
		judge("super-packet", FROM_WIRE, &frame, &context,
		      cases[i].is_wireguard ? passes() : dropped);
	}
}

/* A peer has an endpoint in the cluster range if a NAT is there: its session authenticates it. */
TEST(from_wire_passes_the_tunnels_datagrams_from_everywhere)
{
	static const struct place *const from[] = {&world, &node, &unclaimed, &peer_pod, &future};

	for (unsigned int i = 0; i < ARRAY_SIZE(from); i++) {
		struct frame frame;

		frame_begin(&frame);
		frame_put_ip(&frame, from[i]->ip4, self.ip4);
		frame_put_udp(&frame, 51890, TUNNEL_PORT, 32);
		put_be32(frame.bytes + frame.transport + sizeof(struct udphdr), 0x04000000);
		frame_end(&frame);
		judge(from[i]->name, FROM_WIRE, &frame, NULL, passes());
	}
}

TEST_GROUP(setup_datapath, teardown_datapath);
