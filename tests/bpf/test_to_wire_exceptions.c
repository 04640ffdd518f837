/* SPDX-License-Identifier: Apache-2.0 */
/*
 * to_wire, packet by packet: traffic that leaves in cleartext to any destination (bpf/policy.h),
 * namely bypassed addresses and ports and frames that carry no pod's data. Nothing else leaves with
 * it, in particular no ICMP error that quotes a pod's packet.
 */
#include "datapath.h"

#define TO_WIRE	   (datapath->progs.to_wire)
#define TO_WIRE_L3 (datapath->progs.to_wire_l3)

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

TEST(to_wire_leaves_bypassed_addresses_and_ports_outside_both_ways)
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

TEST(to_wire_finds_bypassed_ports_behind_options_and_extensions)
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

TEST(to_wire_bypasses_nothing_without_ports_of_tcp_or_udp)
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

TEST(to_wire_looks_for_bypasses_only_when_there_are_any)
{
	struct frame frame;

	set_bypass(peer_pod.ip4, API_PORT);
	set_config(bpf_map__fd(datapath->maps.config), TUNNEL_IFINDEX);
	make_ported(&frame, local_pod.ip4, peer_pod.ip4, 40000, API_PORT, true);
	judge("count 0", TO_WIRE, &frame, NULL, tunnelled(PEER_USABLE));
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

TEST(to_wire_takes_mapped_ip6_addresses_for_no_bypassed_ip4_address)
{
	struct frame frame;

	set_bypass("10.244.1.9", API_PORT);
	make_ported(&frame, "::ffff:10.244.1.9", peer_pod.ip6, API_PORT, 40000, true);
	judge("mapped source", TO_WIRE, &frame, NULL, tunnelled(PEER_USABLE));
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

TEST(to_wire_leaves_tcp_of_an_api_server_outside_and_no_udp)
{
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		const char *pod = place_text(&local_pod, is_ip6),
			   *server = place_text(&peer_pod, is_ip6);
		struct frame frame;

		set_bypass_value(server, API_PORT, BYPASS_TCP);
		make_ported(&frame, pod, server, 40000, API_PORT, true);
		judge("TCP to it", TO_WIRE, &frame, NULL, passes());
		make_ported(&frame, pod, server, 40000, API_PORT, false);
		judge("UDP to it", TO_WIRE, &frame, NULL, tunnelled(PEER_USABLE));
		set_bypass_value(place_text(&node, is_ip6), API_PORT, BYPASS_TCP);
		make_ported(&frame, place_text(&node, is_ip6), server, API_PORT, 40000, true);
		judge("TCP from it", TO_WIRE, &frame, NULL, passes());
		make_ported(&frame, place_text(&node, is_ip6), server, API_PORT, 40000, false);
		judge("UDP from it", TO_WIRE, &frame, NULL, tunnelled(PEER_USABLE));
	}
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

TEST(to_wire_finds_the_protocol_behind_extensions)
{
	struct frame frame;

	set_bypass_value(peer_pod.ip6, API_PORT, BYPASS_TCP);
	for (int is_tcp = 0; is_tcp < 2; is_tcp++) {
		frame_begin(&frame);
		frame_put_ip(&frame, local_pod.ip6, peer_pod.ip6);
		frame_put_extension(&frame, IPPROTO_DSTOPTS, 3);
		if (is_tcp)
			frame_put_tcp(&frame, TCP_ACK, NULL, 0, 8);
		else
			frame_put_udp(&frame, 0, 0, 8);
		put_be16(frame.bytes + frame.transport, 40000);
		put_be16(frame.bytes + frame.transport + 2, API_PORT);
		frame_end(&frame);
		judge(is_tcp ? "TCP" : "UDP", TO_WIRE, &frame, NULL,
		      is_tcp ? passes() : tunnelled(PEER_USABLE));
	}
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

static void judge_probe(const struct place *from, bool is_ip6, uint32_t mark, bool is_tcp,
			uint16_t port, struct expectation expected)
{
	struct __sk_buff context = {.mark = mark};
	struct frame frame;

	make_ported(&frame, place_text(from, is_ip6), place_text(&unclaimed, is_ip6), 40000, port,
		    is_tcp);
	judge("to what may be an API server", TO_WIRE, &frame, &context, expected);
}

TEST(to_wire_passes_a_probe_of_keyd_and_nothing_else_with_it)
{
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		struct expectation dropped = drops(DROP_NO_PEER);
		struct frame frame;

		set_bypass_value(place_text(&unclaimed, is_ip6), API_PORT, BYPASS_PROBE);
		judge_probe(&self, is_ip6, PROBE_MARK, true, API_PORT, passes());
		judge_probe(&self, is_ip6, PROBE_MARK, false, API_PORT, dropped);
		judge_probe(&self, is_ip6, PROBE_MARK, true, API_PORT + 1, dropped);
		judge_probe(&self, is_ip6, 0, true, API_PORT, dropped);
		judge_probe(&self, is_ip6, PROBE_MARK + 1, true, API_PORT, dropped);
		judge_probe(&local_pod, is_ip6, PROBE_MARK, true, API_PORT, dropped);
		judge_probe(&bridge, is_ip6, PROBE_MARK, true, API_PORT, dropped);
		judge_probe(&node, is_ip6, PROBE_MARK, true, API_PORT, dropped);
		judge_probe(&world, is_ip6, PROBE_MARK, true, API_PORT, dropped);
		make_ported(&frame, place_text(&unclaimed, is_ip6), place_text(&peer_pod, is_ip6),
			    API_PORT, 40000, true);
		judge("from there to a pod", TO_WIRE, &frame,
		      &(struct __sk_buff){.mark = PROBE_MARK}, tunnelled(PEER_USABLE));
	}
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

/* -- the tunnel's own datagrams -- */

#define PEER_PORT 4711

static void judge_datagram(const char *name, const struct place *source, uint16_t source_port,
			   const struct place *destination, uint16_t port, bool is_ip6,
			   struct expectation expected)
{
	struct frame frame;

	make_ported(&frame, place_text(source, is_ip6), place_text(destination, is_ip6),
		    source_port, port, false);
	judge(name, TO_WIRE, &frame, NULL, expected);
	judge(name, TO_WIRE_L3, &frame, NULL, expected);
}

static void judge_later_fragment(const struct place *at, bool is_ip6, struct expectation expected)
{
	struct frame frame;

	frame_begin(&frame);
	frame_put_ip(&frame, place_text(&self, is_ip6), place_text(at, is_ip6));
	frame_put_fragment(&frame, 100, true);
	frame_put_udp(&frame, TUNNEL_PORT, PEER_PORT, 64);
	frame_end(&frame);
	judge("later fragment", TO_WIRE, &frame, NULL, expected);
}

/* The tunnel's datagrams to an endpoint of this class. `judged`: the expectation for all other
 * packets to that address. */
static void judge_endpoint(const struct place *at, bool is_ip6, struct expectation judged)
{
	static const struct place *const own[] = {&self, &bridge};
	static const struct place *const others[] = {&local_pod, &moved_pod, &world,
						     &peer_pod,	 &node,	     &contested};
	struct frame frame;

	judge_datagram("no endpoint", &self, TUNNEL_PORT, at, PEER_PORT, is_ip6, judged);
	set_endpoint(place_text(at, is_ip6), PEER_PORT);
	for (unsigned int i = 0; i < ARRAY_SIZE(own); i++)
		judge_datagram(own[i]->name, own[i], TUNNEL_PORT, at, PEER_PORT, is_ip6, passes());
	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++)
		judge_datagram(others[i]->name, others[i], TUNNEL_PORT, at, PEER_PORT, is_ip6,
			       judged);
	judge_datagram("other source port", &self, TUNNEL_PORT + 1, at, PEER_PORT, is_ip6, judged);
	judge_datagram("other port", &self, TUNNEL_PORT, at, PEER_PORT + 1, is_ip6, judged);
	make_ported(&frame, place_text(&self, is_ip6), place_text(at, is_ip6), TUNNEL_PORT,
		    PEER_PORT, true);
	judge("TCP", TO_WIRE, &frame, NULL, judged);
	judge_later_fragment(at, is_ip6, judged);
}

TEST(to_wire_passes_the_tunnels_datagrams_to_an_endpoint_and_nothing_else)
{
	const struct {
		const struct place *at;
		struct expectation judged;
	} cases[] = {
		{&peer_pod, tunnelled(PEER_USABLE)},
		{&unusable_pod, drops(DROP_PEER_UNUSABLE)},
		{&unclaimed, drops(DROP_NO_PEER)},
		{&contested, tunnelled(PEER_USABLE)},
		{&lost_contested, drops(DROP_PEER_UNUSABLE)},
		{&future, drops(DROP_NO_PEER)},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases) * 2; i++)
		judge_endpoint(cases[i / 2].at, i % 2, cases[i / 2].judged);
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++)
		judge_datagram("to another address", &self, TUNNEL_PORT, &inside_pod, PEER_PORT,
			       is_ip6, tunnelled(PEER_INSIDE));
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

TEST(to_wire_opens_nothing_for_a_value_of_a_later_version)
{
	struct frame frame;

	for (unsigned int value = 0; value < 256; value += value == 0 ? BYPASS_PROBE + 1 : 1) {
		set_bypass_value(peer_pod.ip4, API_PORT, (uint8_t)value);
		make_ported(&frame, self.ip4, peer_pod.ip4, 40000, API_PORT, true);
		judge("unknown value", TO_WIRE, &frame, &(struct __sk_buff){.mark = PROBE_MARK},
		      tunnelled(PEER_USABLE));
	}
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

TEST(to_wire_passes_the_tunnels_datagrams_in_every_mode_and_without_a_tunnel)
{
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		set_endpoint(place_text(&unusable_pod, is_ip6), PEER_PORT);
		set_mode(MODE_PERMISSIVE); /* and is not counted as cleartext */
		judge_datagram("permissive", &self, TUNNEL_PORT, &unusable_pod, PEER_PORT, is_ip6,
			       passes());
		set_config(bpf_map__fd(datapath->maps.config), 0);
		judge_datagram("no tunnel", &self, TUNNEL_PORT, &unusable_pod, PEER_PORT, is_ip6,
			       passes());
	}
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

/* -- packets that podveil does not handle -- */

TEST(to_wire_passes_frames_that_are_not_ip)
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

TEST(to_wire_passes_arp_for_pods)
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

TEST(to_wire_passes_neighbour_discovery)
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

TEST(to_wire_passes_no_data_dressed_as_neighbour_discovery)
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

/* -- ICMP errors, which quote a packet -- */

static bool is_error(unsigned int type, bool is_ip6)
{
	return is_ip6 ? type < 128
		      : type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

static void judge_icmp_about(const struct place *to, uint8_t type, const struct place *from,
			     const struct place *about, bool is_ip6, struct expectation expected)
{
	struct frame frame;

	frame_begin(&frame);
	frame_put_ip(&frame, place_text(&self, is_ip6), place_text(to, is_ip6));
	if (is_ip6 && type % 2)
		frame_put_extension(&frame, IPPROTO_DSTOPTS, 0);
	frame_put_icmp_about(&frame, type, place_text(from, is_ip6), place_text(about, is_ip6));
	frame_end(&frame);
	judge(about->name, TO_WIRE, &frame, NULL, expected);
}

TEST(to_wire_tunnels_icmp_errors_between_nodes_that_quote_a_pod)
{
	static const struct place *const pods[] = {&local_pod, &peer_pod, &bridge, &unclaimed,
						   &contested};
	static const struct place *const others[] = {&self, &world, &excepted};

	for (unsigned int type = 0; type < 512; type++) {
		bool is_ip6 = type / 256;
		struct expectation expected =
			is_error(type % 256, is_ip6) ? tunnelled(PEER_USABLE) : passes();

		for (unsigned int i = 0; i < ARRAY_SIZE(pods); i++) {
			judge_icmp_about(&node, (uint8_t)type, &node, pods[i], is_ip6, expected);
			judge_icmp_about(&node, (uint8_t)type, pods[i], &node, is_ip6, expected);
		}
		for (unsigned int i = 0; i < ARRAY_SIZE(others); i++)
			judge_icmp_about(&node, (uint8_t)type, &node, others[i], is_ip6, passes());
	}
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		judge_icmp_about(&unusable_node, 3, &unusable_node, &local_pod, is_ip6,
				 drops(DROP_PEER_UNUSABLE));
		judge_icmp_about(&world, 3, &world, &local_pod, is_ip6, passes());
		judge_icmp_about(&contested, 3, &node, &self, is_ip6, tunnelled(PEER_USABLE));
	}
}

TEST(to_wire_passes_packets_that_only_look_like_an_error_about_a_pod)
{
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		struct frame frame;

		frame_begin(&frame);
		frame_put_ip(&frame, place_text(&self, is_ip6), place_text(&node, is_ip6));
		frame_put_icmp_about(&frame, 3, place_text(&node, is_ip6),
				     place_text(&local_pod, is_ip6));
		frame_end(&frame);
		frame.bytes[frame.next] = IPPROTO_SCTP;
		judge("another protocol", TO_WIRE, &frame, NULL, passes());
		frame.bytes[frame.next] = is_ip6 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
		judge("ICMP of the other family", TO_WIRE, &frame, NULL, passes());
		frame.bytes[frame.next] = is_ip6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
		frame.len = frame.transport + 8 + (is_ip6 ? 39 : 19);
		judge("a quotation without addresses", TO_WIRE, &frame, NULL, passes());
	}
}

TEST_GROUP(setup_datapath, teardown_datapath);
