/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire_guard, packet by packet: every packet that to_wire would have tunnelled or dropped is a leak
 * here, also inside every kind of overlay packet, and no other packet is.
 */
#include "overlay.h"

#define WIRE_GUARD    (datapath->progs.wire_guard)
#define WIRE_GUARD_L3 (datapath->progs.wire_guard_l3)

static const struct place *const sources[] = {&world,  &unclaimed, &local_pod, &self,
					      &bridge, &peer_pod,  &node,      &contested};
static const struct place *const destinations[] = {
	&world,		&unclaimed,  &local_pod,    &moved_pod,		 &self,		  &bridge,
	&peer_pod,	&inside_pod, &unusable_pod, &unknown_pod,	 &lost_pod,	  &node,
	&unusable_node, &lost_node,  &contested,    &unusable_contested, &lost_contested, &excepted,
	&future};

/* -- the same decision as to_wire's -- */

static struct expectation judge_by_to_wire(const struct frame *frame, enum drop_reason reason)
{
	struct frame out;

	return run(datapath->progs.to_wire, frame, &out, NULL) == PASS ? passes() : drops(reason);
}

static void compare_with_to_wire(void)
{
	unsigned int drops_seen = 0, count = ARRAY_SIZE(sources) * ARRAY_SIZE(destinations);

	for (unsigned int i = 0; i < count * 2; i++) {
		const struct place *source = sources[i / 2 % ARRAY_SIZE(sources)];
		const struct place *destination = destinations[i / 2 / ARRAY_SIZE(sources)];
		struct expectation expected;
		struct frame frame;
		char name[128];

		snprintf(name, sizeof(name), "%s to %s", source->name, destination->name);
		frame_make_udp(&frame, place_text(source, i % 2), place_text(destination, i % 2));
		expected = judge_by_to_wire(&frame, DROP_CLEAR_OUT);
		drops_seen += expected.verdict == DROP;
		judge(name, WIRE_GUARD, &frame, NULL, expected);
		judge(name, WIRE_GUARD_L3, &frame, NULL, expected);
	}
	assert_in_range(drops_seen, 1, count * 2 - 1);
}

TEST(wire_guard_drops_packets_that_to_wire_would_not_pass)
{
	struct frame frame;

	frame_make_udp(&frame, local_pod.ip4, peer_pod.ip4);
	judge("pod to pod", WIRE_GUARD, &frame, NULL, drops(DROP_CLEAR_OUT));
	frame_make_udp(&frame, local_pod.ip6, node.ip6);
	judge("pod to node", WIRE_GUARD, &frame, NULL, drops(DROP_CLEAR_OUT));
	frame_make_udp(&frame, self.ip6, unclaimed.ip6);
	judge("to nobody", WIRE_GUARD, &frame, NULL, drops(DROP_CLEAR_OUT));
	frame_make_udp(&frame, self.ip4, contested.ip4);
	judge("to a contested address", WIRE_GUARD, &frame, NULL, drops(DROP_CLEAR_OUT));
	compare_with_to_wire();
}

/* It does not count the packets that it passes: to_wire has counted them. */
TEST(wire_guard_passes_in_permissive_mode_as_to_wire_does)
{
	struct frame frame;

	set_mode(MODE_PERMISSIVE);
	frame_make_udp(&frame, local_pod.ip4, unusable_pod.ip4);
	judge("never reached", WIRE_GUARD, &frame, NULL, passes());
	frame_make_udp(&frame, local_pod.ip4, lost_pod.ip4);
	judge("reached once", WIRE_GUARD, &frame, NULL, drops(DROP_CLEAR_OUT));
	compare_with_to_wire();
	set_mode(MODE_STRICT);
}

TEST(wire_guard_passes_the_tunnels_datagrams_to_an_endpoint_wherever_it_lies)
{
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		const char *endpoint = place_text(&peer_pod, is_ip6);
		struct frame frame;

		set_endpoint(endpoint, 51890);
		for (int is_ours = 0; is_ours < 2; is_ours++) {
			frame_begin(&frame);
			frame_put_ip(&frame, place_text(is_ours ? &self : &local_pod, is_ip6),
				     endpoint);
			frame_put_udp(&frame, TUNNEL_PORT, 51890, 64);
			frame_end(&frame);
			judge("to an endpoint", WIRE_GUARD, &frame, NULL,
			      is_ours ? passes() : drops(DROP_CLEAR_OUT));
		}
	}
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

TEST(wire_guard_drops_tagged_pod_packets_and_frames_with_three_tags)
{
	for (unsigned int tags = 0; tags <= 3; tags++) {
		struct frame frame;

		frame_begin(&frame);
		for (unsigned int i = 0; i < tags; i++)
			frame_put_tag(&frame, ETH_P_8021Q, 9);
		frame_put_ip(&frame, local_pod.ip4, peer_pod.ip4);
		frame_put_udp(&frame, 4000, 5000, 64);
		frame_end(&frame);
		if (tags == 3)
			frame.ip = 0;
		judge("tagged", WIRE_GUARD, &frame, NULL,
		      drops(tags == 3 ? DROP_VLAN_STUCK : DROP_CLEAR_OUT));
	}
}

TEST(wire_guard_drops_unreadable_packets)
{
	struct frame frame;

	frame_make_udp(&frame, local_pod.ip4, world.ip4);
	frame.bytes[frame.ip] = 0x4f;
	frame.len = frame.ip + 40;
	judge("header longer than the packet", WIRE_GUARD, &frame, NULL, drops(DROP_TRUNCATED));
	frame_make_udp(&frame, local_pod.ip6, world.ip6);
	frame.bytes[frame.ip] = 0x45;
	judge("wrong version", WIRE_GUARD_L3, &frame, NULL, drops(DROP_TRUNCATED));
}

TEST(wire_guard_passes_arp_neighbour_discovery_and_bypassed_ports)
{
	struct frame frame;

	frame_begin(&frame);
	frame_put_type(&frame, ETH_P_ARP);
	frame_put(&frame, 28);
	judge("ARP", WIRE_GUARD, &frame, NULL, passes());
	judge("no IP", WIRE_GUARD_L3, &frame, NULL, passes());
	frame_begin(&frame);
	frame_put_ip(&frame, local_pod.ip6, peer_pod.ip6);
	frame_put_icmp6(&frame, 135, 255);
	frame_end(&frame);
	judge("neighbour discovery", WIRE_GUARD, &frame, NULL, passes());
	set_bypass(peer_pod.ip4, 5000);
	frame_make_udp(&frame, local_pod.ip4, peer_pod.ip4);
	judge("bypassed", WIRE_GUARD, &frame, NULL, passes());
	set_mode(MODE_STRICT);
}

static void make_tcp(struct frame *frame, const char *source, const char *destination)
{
	frame_begin(frame);
	frame_put_ip(frame, source, destination);
	frame_put_tcp(frame, TCP_ACK, NULL, 0, 8);
	put_be16(frame->bytes + frame->transport + 2, 6443);
	frame_end(frame);
}

TEST(wire_guard_passes_traffic_and_probes_of_an_api_server)
{
	struct __sk_buff marked = {.mark = PROBE_MARK};
	struct frame frame;

	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		const char *pod = place_text(&local_pod, is_ip6);
		const char *own = place_text(&self, is_ip6);
		const char *server = place_text(&unclaimed, is_ip6);

		set_bypass_value(server, 6443, BYPASS_PROBE);
		make_tcp(&frame, own, server);
		judge("probe", WIRE_GUARD, &frame, &marked, passes());
		judge("without the mark", WIRE_GUARD, &frame, NULL, drops(DROP_CLEAR_OUT));
		make_tcp(&frame, pod, server);
		judge("a pod's", WIRE_GUARD, &frame, &marked, drops(DROP_CLEAR_OUT));
		set_bypass_value(server, 6443, BYPASS_TCP);
		judge("a pod's, to an API server", WIRE_GUARD, &frame, NULL, passes());
		frame_make_udp(&frame, pod, server);
		put_be16(frame.bytes + frame.transport + 2, 6443);
		judge("a pod's, over UDP", WIRE_GUARD, &frame, NULL, drops(DROP_CLEAR_OUT));
	}
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

TEST(wire_guard_counts_a_super_packet_as_its_segments)
{
	struct __sk_buff context = {.gso_size = 20, .gso_segs = 4};
	struct expectation expected = drops(DROP_CLEAR_OUT);
	struct frame frame;

	expected.packets = 4;
	frame_make_udp(&frame, local_pod.ip4, peer_pod.ip4);
	judge("super-packet", WIRE_GUARD, &frame, &context, expected);
}

/* -- overlays -- */

typedef void judge_overlay_fn(const struct overlay_kind *kind, bool is_outer_ip6, bool is_ip6);

static void for_each_overlay(judge_overlay_fn *judge_overlay)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(overlay_kinds) * 4; i++)
		judge_overlay(&overlay_kinds[i / 4], i & 1, i & 2);
}

static void judge_wrapped(const struct overlay_kind *kind, const struct frame *inner,
			  bool is_outer_ip6, struct expectation expected)
{
	struct frame outer;

	overlay_wrap(&outer, kind, inner, place_text(&self, is_outer_ip6),
		     place_text(&node, is_outer_ip6));
	judge(kind->name, WIRE_GUARD, &outer, NULL, expected);
	judge(kind->name, WIRE_GUARD_L3, &outer, NULL, expected);
}

static void judge_overlay_like_to_wire(const struct overlay_kind *kind, bool is_outer_ip6,
				       bool is_ip6)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(sources) * ARRAY_SIZE(destinations); i++) {
		const char *source = place_text(sources[i % ARRAY_SIZE(sources)], is_ip6);
		const char *destination = place_text(destinations[i / ARRAY_SIZE(sources)], is_ip6);
		struct frame inner, plain;

		frame_make_udp(&plain, source, destination);
		overlay_make_inner(&inner, kind, source, destination);
		judge_wrapped(kind, &inner, is_outer_ip6,
			      judge_by_to_wire(&plain, DROP_CLEAR_OVERLAY_OUT));
	}
}

TEST(wire_guard_drops_clear_pod_packets_inside_every_overlay)
{
	struct frame inner, outer;

	overlay_make_inner(&inner, &overlay_kinds[0], local_pod.ip4, peer_pod.ip4);
	overlay_wrap(&outer, &overlay_kinds[0], &inner, self.ip4, node.ip4);
	judge("VXLAN", WIRE_GUARD, &outer, NULL, drops(DROP_CLEAR_OVERLAY_OUT));
	for_each_overlay(judge_overlay_like_to_wire);
}

TEST(wire_guard_drops_overlays_to_the_world_too)
{
	struct frame inner, outer;

	overlay_make_inner(&inner, &overlay_kinds[0], local_pod.ip4, peer_pod.ip4);
	overlay_wrap(&outer, &overlay_kinds[0], &inner, self.ip4, world.ip4);
	judge("VXLAN", WIRE_GUARD, &outer, NULL, drops(DROP_CLEAR_OVERLAY_OUT));
}

TEST(wire_guard_judges_overlays_in_permissive_mode_by_the_ratchet)
{
	set_mode(MODE_PERMISSIVE);
	for_each_overlay(judge_overlay_like_to_wire);
	set_mode(MODE_STRICT);
}

static void judge_tagged_inner(const struct overlay_kind *kind, bool is_outer_ip6, bool is_ip6)
{
	struct frame inner;

	if (!kind->has_ethernet)
		return;
	overlay_begin_inner(&inner, kind, true);
	frame_put_ip(&inner, place_text(&local_pod, is_ip6), place_text(&peer_pod, is_ip6));
	frame_put_udp(&inner, 4000, 5000, 64);
	frame_end(&inner);
	judge_wrapped(kind, &inner, is_outer_ip6, drops(DROP_CLEAR_OVERLAY_OUT));
}

TEST(wire_guard_looks_behind_vlan_tags_inside_overlays)
{
	for_each_overlay(judge_tagged_inner);
}

static void judge_arp_inside(const struct overlay_kind *kind, bool is_outer_ip6, bool is_ip6)
{
	struct frame inner;

	if (!kind->has_ethernet)
		return;
	frame_begin(&inner);
	frame_put_type(&inner, ETH_P_ARP);
	memset(frame_put(&inner, 28), 0x45, 28);
	judge_wrapped(kind, &inner, is_outer_ip6, passes());
}

static void judge_discovery_inside(const struct overlay_kind *kind, bool is_outer_ip6, bool is_ip6)
{
	struct frame inner;

	overlay_begin_inner(&inner, kind, false);
	frame_put_ip(&inner, local_pod.ip6, peer_pod.ip6);
	frame_put_icmp6(&inner, 135, 255);
	frame_end(&inner);
	judge_wrapped(kind, &inner, is_outer_ip6, passes());
}

TEST(wire_guard_passes_arp_and_neighbour_discovery_inside_overlays)
{
	for_each_overlay(judge_arp_inside);
	for_each_overlay(judge_discovery_inside);
}

static void judge_bypassed_inside(const struct overlay_kind *kind, bool is_outer_ip6, bool is_ip6)
{
	struct frame inner;

	overlay_make_inner(&inner, kind, place_text(&local_pod, is_ip6),
			   place_text(&peer_pod, is_ip6));
	judge_wrapped(kind, &inner, is_outer_ip6, passes());
}

TEST(wire_guard_passes_bypassed_ports_inside_overlays)
{
	set_bypass(peer_pod.ip4, 5000);
	set_bypass(peer_pod.ip6, 5000);
	for_each_overlay(judge_bypassed_inside);
	datapath_unload();
	datapath_load(true, ETH_HLEN);
}

/* Cut at every length inside the overlay's payload: an unreadable packet cannot be delivered
 * either. */
static void judge_cut_inside(const struct overlay_kind *kind, bool is_outer_ip6, bool is_ip6)
{
	struct frame inner, outer;
	size_t header_len = is_ip6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);

	overlay_make_inner(&inner, kind, place_text(&local_pod, is_ip6),
			   place_text(&peer_pod, is_ip6));
	overlay_wrap(&outer, kind, &inner, place_text(&self, is_outer_ip6),
		     place_text(&node, is_outer_ip6));
	for (outer.len -= inner.len - inner.ip - header_len + 1; outer.len >= outer.transport;
	     outer.len--)
		judge(kind->name, WIRE_GUARD, &outer, NULL, passes());
}

TEST(wire_guard_passes_overlays_cut_at_every_length)
{
	for_each_overlay(judge_cut_inside);
}

TEST(wire_guard_passes_packets_that_only_look_like_an_overlay)
{
	struct frame inner, outer;

	overlay_make_inner(&inner, &overlay_kinds[0], local_pod.ip4, peer_pod.ip4);
	overlay_wrap(&outer, &overlay_kinds[0], &inner, self.ip4, node.ip4);
	put_be16(outer.bytes + outer.transport + 2, 4790);
	judge("another port", WIRE_GUARD, &outer, NULL, passes());
	put_be16(outer.bytes + outer.transport + 2, 0);
	judge("port 0, which is none", WIRE_GUARD, &outer, NULL, passes());

	frame_begin(&outer);
	frame_put_ip(&outer, self.ip4, node.ip4);
	frame_put_fragment(&outer, 100, true);
	put_vxlan(&outer, &inner);
	frame_end(&outer);
	judge("later fragment", WIRE_GUARD, &outer, NULL, passes());

	frame_begin_bare(&inner);
	frame_put_ip(&inner, local_pod.ip4, peer_pod.ip4);
	frame_put_udp(&inner, 1, 2, 8);
	frame_end(&inner);
	frame_begin(&outer);
	frame_put_ip(&outer, self.ip4, node.ip4);
	put_gre_with(&outer, &inner, 1, ETH_P_IP, 0);
	frame_end(&outer);
	judge("GRE of another version", WIRE_GUARD, &outer, NULL, passes());
}

TEST(wire_guard_looks_into_overlays_behind_options_and_extensions)
{
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		struct frame inner, outer;

		overlay_make_inner(&inner, &overlay_kinds[0], local_pod.ip4, peer_pod.ip4);
		frame_begin(&outer);
		frame_put_ip(&outer, place_text(&self, is_ip6), place_text(&node, is_ip6));
		if (is_ip6)
			frame_put_extension(&outer, IPPROTO_DSTOPTS, 2);
		else
			frame_put_ip4_options(&outer, 10);
		put_vxlan(&outer, &inner);
		frame_end(&outer);
		judge("VXLAN", WIRE_GUARD, &outer, NULL, drops(DROP_CLEAR_OVERLAY_OUT));
	}
}

TEST_GROUP(setup_datapath, teardown_datapath);
