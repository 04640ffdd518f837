/* SPDX-License-Identifier: Apache-2.0 */
/*
 * to_wire, packet by packet: the MSS that a SYN offers is lowered to fit into the tunnel
 * (docs/mtu.md), at any position among the options, and never raised; nothing else of any
 * packet changes.
 */
#include "datapath.h"

#define TO_WIRE (datapath->progs.to_wire)

TEST(to_wire_clamps_behind_a_vlan_tag)
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

struct mss_case {
	const char *name;
	uint8_t flags;
	uint8_t options[40];
	uint8_t options_len;
	uint8_t place; /* offset of the lowered value in the options; 0: nothing changes */
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

/* The expected frame is built again with the lowered value, so its checksum is computed, not
 * updated. */
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

TEST(to_wire_lowers_mss_of_syn_and_keeps_the_checksum_right)
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

TEST(to_wire_lowers_mss_behind_options_extensions_and_in_first_fragments)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(mss_cases); i++) {
		judge_mss(&mss_cases[i], false, put_ip4_options);
		judge_mss(&mss_cases[i], true, put_extensions);
		judge_mss(&mss_cases[i], false, put_first_fragment);
		judge_mss(&mss_cases[i], true, put_first_fragment);
	}
}

TEST(to_wire_never_raises_an_mss)
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

TEST(to_wire_lowers_every_mss_option)
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

TEST(to_wire_changes_nothing_that_only_looks_like_a_syn)
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

TEST(to_wire_keeps_the_mss_if_configured_so_or_without_an_mtu)
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

TEST_GROUP(setup_datapath, teardown_datapath);
