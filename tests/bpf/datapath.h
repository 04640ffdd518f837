/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs in the kernel with maps of their own, a small cluster in those maps, and a judge: it
 * runs a program on a frame and compares the verdict, all counters and the frame that comes out
 * with the expected ones. No other counter may have changed.
 */
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>

#include "bpf_abi.h"
#include "frame.h"
#include "podveil.skel.h"
#include "test.h"

#define TUNNEL_IFINDEX	 4711
#define TUNNEL_MTU	 1440
#define TUNNEL_PORT	 51890

#define VXLAN_PORT	 8472
#define VXLAN_PORT_OTHER 4789
#define GENEVE_PORT	 6081

#define PASS		 ((uint32_t)-1) /* TC_ACT_UNSPEC: continue to the next program */
#define DROP		 2U		/* TC_ACT_SHOT */
#define REDIRECT	 7U		/* TC_ACT_REDIRECT */

#define NO_REASON	 DROP_REASON_COUNT
#define CPUS_MAX	 1024

/* Peers of the cluster below. */
enum { PEER_NONE, PEER_USABLE, PEER_UNUSABLE, PEER_UNKNOWN, PEER_INSIDE, PEER_LOST, PEERS_END };

struct place {
	const char *name, *ip4, *ip6;
};

/* One address for each class and combination that the map can give an address. */
static const struct place world = {"world", "203.0.113.9", "2001:db8::9"};
static const struct place unclaimed = {"unclaimed", "10.244.77.9", "fd00:244:0:77::9"};
static const struct place local_pod = {"local pod", "10.244.1.9", "fd00:244:0:1::9"};
static const struct place self = {"self", "192.168.50.1", "fd00:50::1"};
static const struct place bridge = {"own address among local pods", "10.244.1.1",
				    "fd00:244:0:1::1"};
static const struct place peer_pod = {"peer's pod", "10.244.2.9", "fd00:244:0:2::9"};
static const struct place unusable_pod = {"unusable peer's pod", "10.244.3.9", "fd00:244:0:3::9"};
static const struct place unknown_pod = {"unknown peer's pod", "10.244.4.9", "fd00:244:0:4::9"};
static const struct place inside_pod = {"pod in a longer prefix", "10.244.2.130",
					"fd00:244:0:2:8000::9"};
static const struct place moved_pod = {"local pod among a peer's", "10.244.2.200",
				       "fd00:244:0:2:8000::200"};
static const struct place node = {"node", "192.168.50.2", "fd00:50::2"};
static const struct place unusable_node = {"unusable node", "192.168.50.3", "fd00:50::3"};
static const struct place lost_pod = {"pod of a peer reached once", "10.244.5.9",
				      "fd00:244:0:5::9"};
static const struct place lost_node = {"node reached once", "192.168.50.5", "fd00:50::5"};
static const struct place contested = {"contested address", "10.244.2.77", "fd00:244:0:2::77"};
static const struct place unusable_contested = {"contested address of an unusable peer",
						"10.244.3.77", "fd00:244:0:3::77"};
static const struct place lost_contested = {"contested address of a peer reached once",
					    "10.244.5.77", "fd00:244:0:5::77"};
static const struct place excepted = {"excepted", "10.244.99.9", "fd00:244:0:99::9"};
static const struct place future = {"class of a later version", "198.51.100.1", "2001:db8:ffff::1"};

static const struct {
	const char *cidr4, *cidr6;
	uint32_t class, peer_id;
} cluster[] = {
	{"10.244.0.0/16", "fd00:244::/48", PREFIX_CLUSTER, 0},
	{"10.244.1.0/24", "fd00:244:0:1::/64", PREFIX_LOCAL, 0},
	{"10.244.1.1/32", "fd00:244:0:1::1/128", PREFIX_SELF, 0},
	{"192.168.50.1/32", "fd00:50::1/128", PREFIX_SELF, 0},
	{"10.244.2.0/24", "fd00:244:0:2::/64", PREFIX_PEER, PEER_USABLE},
	{"10.244.2.128/25", "fd00:244:0:2:8000::/65", PREFIX_PEER, PEER_INSIDE},
	{"10.244.2.200/32", "fd00:244:0:2:8000::200/128", PREFIX_LOCAL, 0},
	{"10.244.3.0/24", "fd00:244:0:3::/64", PREFIX_PEER, PEER_UNUSABLE},
	{"10.244.4.0/24", "fd00:244:0:4::/64", PREFIX_PEER, PEER_UNKNOWN},
	{"10.244.5.0/24", "fd00:244:0:5::/64", PREFIX_PEER, PEER_LOST},
	{"10.244.2.77/32", "fd00:244:0:2::77/128", PREFIX_CONTESTED, PEER_USABLE},
	{"10.244.3.77/32", "fd00:244:0:3::77/128", PREFIX_CONTESTED, PEER_UNUSABLE},
	{"10.244.5.77/32", "fd00:244:0:5::77/128", PREFIX_CONTESTED, PEER_LOST},
	{"10.244.99.0/24", "fd00:244:0:99::/64", PREFIX_EXCEPT, 0},
	{"192.168.50.2/32", "fd00:50::2/128", PREFIX_NODE, PEER_USABLE},
	{"192.168.50.3/32", "fd00:50::3/128", PREFIX_NODE, PEER_UNUSABLE},
	{"192.168.50.5/32", "fd00:50::5/128", PREFIX_NODE, PEER_LOST},
	{"198.51.100.1/32", "2001:db8:ffff::1/128", 99, PEER_USABLE},
};

/* The counter of the peer that changes; if an expectation gives none, the one of its verdict. */
enum way { WAY_TUNNEL, WAY_CLEAR_OUT, WAY_CLEAR_IN };

struct expectation {
	uint32_t verdict;
	enum drop_reason reason; /* with DROP */
	/* The peer that is counted. PEER_NONE: no peer, or in cleartext the unclaimed addresses. */
	uint32_t peer;
	enum way way;
	uint32_t packets;	 /* 0 stands for 1 */
	const struct frame *out; /* NULL: the frame is unchanged */
};

struct counters {
	struct traffic drops[DROP_REASON_COUNT];
	struct peer_traffic peers[PEERS_END];
};

static struct podveil *datapath;
static unsigned int frames_judged;

/* Without usable BPF on this machine the tests can only skip; a program that the verifier rejects
 * is a failure. */
static inline bool datapath_is_possible(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "probe", 4, 4, 1, NULL);

	if (fd < 0 || geteuid()) {
		printf("1..0 # SKIP BPF cannot be used here: %s\n",
		       fd < 0 ? strerror(errno) : "not root");
		return false;
	}
	close(fd);
	return true;
}
TESTS_NEED(datapath_is_possible);

static inline struct prefix_key key_of_cidr(const char *text)
{
	struct prefix_key key = {0};
	struct cidr cidr = {0};

	assert_true(cidr_parse(&cidr, text));
	key.prefix_len = cidr.prefix_len;
	if (cidr.address.family == AF_INET6) {
		memcpy(key.address, cidr.address.bytes, 16);
		return key;
	}
	key.prefix_len += 96;
	key.address[10] = key.address[11] = 0xff;
	memcpy(key.address + 12, cidr.address.bytes, 4);
	return key;
}

static inline void set_prefix(int map, const char *cidr, uint32_t class, uint32_t peer_id)
{
	struct prefix_key key = key_of_cidr(cidr);
	struct prefix_value value = {.class = class, .peer_id = peer_id};

	assert_int_equal(bpf_map_update_elem(map, &key, &value, BPF_ANY), 0);
}

static inline void set_peer(int map, uint32_t id, bool is_usable, bool was_reached)
{
	struct peer_value value = {
		.is_usable = is_usable, .was_reached = was_reached, .node = "a-node"};

	assert_int_equal(bpf_map_update_elem(map, &id, &value, BPF_ANY), 0);
}

static inline void add_peer_traffic(int map, uint32_t id)
{
	struct peer_traffic none[CPUS_MAX] = {0};

	assert_true(libbpf_num_possible_cpus() <= CPUS_MAX);
	assert_int_equal(bpf_map_update_elem(map, &id, none, BPF_ANY), 0);
}

static inline struct datapath_config config_of(uint32_t tunnel_ifindex)
{
	return (struct datapath_config){
		.abi_version = MAP_ABI_VERSION,
		.tunnel_ifindex = tunnel_ifindex,
		.tunnel_mtu = TUNNEL_MTU,
		.tunnel_port = TUNNEL_PORT,
		.vxlan_ports = {VXLAN_PORT, 0, 0, VXLAN_PORT_OTHER},
		.geneve_ports = {GENEVE_PORT},
	};
}

static inline void write_config(int map, const struct datapath_config *config)
{
	uint32_t key = 0;

	assert_int_equal(bpf_map_update_elem(map, &key, config, BPF_ANY), 0);
}

static inline void set_config(int map, uint32_t tunnel_ifindex)
{
	struct datapath_config config = config_of(tunnel_ifindex);

	write_config(map, &config);
}

static inline void set_mode(enum datapath_mode mode)
{
	struct datapath_config config = config_of(TUNNEL_IFINDEX);

	config.mode = mode;
	write_config(bpf_map__fd(datapath->maps.config), &config);
}

static inline void datapath_fill(void)
{
	int prefixes = bpf_map__fd(datapath->maps.prefixes);

	for (unsigned int i = 0; i < ARRAY_SIZE(cluster); i++) {
		set_prefix(prefixes, cluster[i].cidr4, cluster[i].class, cluster[i].peer_id);
		set_prefix(prefixes, cluster[i].cidr6, cluster[i].class, cluster[i].peer_id);
	}
	set_peer(bpf_map__fd(datapath->maps.peers), PEER_USABLE, true, true);
	set_peer(bpf_map__fd(datapath->maps.peers), PEER_UNUSABLE, false, false);
	set_peer(bpf_map__fd(datapath->maps.peers), PEER_INSIDE, true, false);
	set_peer(bpf_map__fd(datapath->maps.peers), PEER_LOST, false, true);
	for (uint32_t id = PEER_NONE; id < PEERS_END; id++)
		add_peer_traffic(bpf_map__fd(datapath->maps.peer_traffic), id);
	set_config(bpf_map__fd(datapath->maps.config), TUNNEL_IFINDEX);
}

/* bare_header_len: the offset of IP for the programs of devices without an Ethernet header. */
static inline void datapath_load(bool clamp_mss, uint32_t bare_header_len)
{
	datapath = podveil__open();
	assert_non_null(datapath);
	datapath->rodata->clamp_mss = clamp_mss;
	datapath->rodata->bare_header_len = bare_header_len;
	assert_int_equal(podveil__load(datapath), 0);
	datapath_fill();
}

static inline void datapath_unload(void)
{
	podveil__destroy(datapath);
	datapath = NULL;
}

static inline int setup_datapath(void **state)
{
	(void)state;
	datapath_load(true, ETH_HLEN);
	return 0;
}

static inline int teardown_datapath(void **state)
{
	(void)state;
	printf("# %u frames judged\n", frames_judged);
	datapath_unload();
	return 0;
}

static inline void add_traffic(struct traffic *sum, const struct traffic *more)
{
	sum->packets += more->packets;
	sum->bytes += more->bytes;
}

/* All in one call, because it is made twice for each frame. */
static inline void read_drops(int map, struct traffic ret_drops[DROP_REASON_COUNT])
{
	static struct traffic each[DROP_REASON_COUNT * CPUS_MAX];
	uint32_t reasons[DROP_REASON_COUNT], next, count = DROP_REASON_COUNT;
	int cpus = libbpf_num_possible_cpus();

	assert_int_equal(bpf_map_lookup_batch(map, NULL, &next, reasons, each, &count, NULL), 0);
	assert_int_equal(count, DROP_REASON_COUNT);
	memset(ret_drops, 0, sizeof(*ret_drops) * DROP_REASON_COUNT);
	for (uint32_t i = 0; i < count; i++)
		for (int cpu = 0; cpu < cpus; cpu++)
			add_traffic(&ret_drops[reasons[i]],
				    &each[i * (uint32_t)cpus + (uint32_t)cpu]);
}

static inline struct peer_traffic read_peer_traffic(int map, uint32_t id)
{
	struct peer_traffic each[CPUS_MAX], sum = {0};
	int cpus = libbpf_num_possible_cpus();

	assert_int_equal(bpf_map_lookup_elem(map, &id, each), 0);
	for (int cpu = 0; cpu < cpus; cpu++) {
		add_traffic(&sum.to_tunnel, &each[cpu].to_tunnel);
		add_traffic(&sum.from_tunnel, &each[cpu].from_tunnel);
		add_traffic(&sum.clear_out, &each[cpu].clear_out);
		add_traffic(&sum.clear_in, &each[cpu].clear_in);
	}
	return sum;
}

static inline void read_counters(struct counters *ret_counters)
{
	memset(ret_counters, 0, sizeof(*ret_counters));
	read_drops(bpf_map__fd(datapath->maps.drops), ret_counters->drops);
	for (uint32_t id = PEER_NONE; id < PEERS_END; id++)
		ret_counters->peers[id] =
			read_peer_traffic(bpf_map__fd(datapath->maps.peer_traffic), id);
}

static inline uint32_t run(struct bpf_program *program, const struct frame *frame,
			   struct frame *ret_out, struct __sk_buff *context)
{
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame->bytes,
			    .data_size_in = (__u32)frame->len, .data_out = ret_out->bytes,
			    .data_size_out = FRAME_MAX, .ctx_in = context,
			    .ctx_size_in = context ? sizeof(*context) : 0);

	if (bpf_prog_test_run_opts(bpf_program__fd(program), &options))
		fail_msg("test run of %zu bytes: %s", frame->len, strerror(errno));
	ret_out->len = options.data_size_out;
	return options.retval;
}

static inline void expect_more(struct traffic *sum, uint64_t packets, uint64_t bytes)
{
	sum->packets += packets;
	sum->bytes += bytes;
}

static inline void judge_counters(const char *name, const struct counters *expected,
				  const struct counters *seen)
{
	for (unsigned int i = 0; i < DROP_REASON_COUNT; i++)
		if (memcmp(&expected->drops[i], &seen->drops[i], sizeof(struct traffic)))
			fail_msg("%s: drops of %s: expected %llu, saw %llu", name,
				 drop_reason_label(i), expected->drops[i].packets,
				 seen->drops[i].packets);
	for (unsigned int i = 0; i < PEERS_END; i++) {
		const struct peer_traffic *should = &expected->peers[i], *is = &seen->peers[i];

		if (memcmp(should, is, sizeof(*is)))
			fail_msg(
				"%s: traffic of peer %u: expected %llu/%llu packets in the tunnel and "
				"%llu/%llu in cleartext, saw %llu/%llu and %llu/%llu (or other bytes)",
				name, i, should->to_tunnel.packets, should->from_tunnel.packets,
				should->clear_out.packets, should->clear_in.packets,
				is->to_tunnel.packets, is->from_tunnel.packets,
				is->clear_out.packets, is->clear_in.packets);
	}
}

static inline void expect_traffic(struct counters *counters, const struct expectation *expected,
				  uint64_t packets, uint64_t bytes)
{
	struct peer_traffic *peer = &counters->peers[expected->peer];

	if (expected->way == WAY_CLEAR_OUT)
		expect_more(&peer->clear_out, packets, bytes);
	else if (expected->way == WAY_CLEAR_IN)
		expect_more(&peer->clear_in, packets, bytes);
	else if (expected->peer && expected->verdict == REDIRECT)
		expect_more(&peer->to_tunnel, packets, bytes);
	else if (expected->peer && expected->verdict == PASS)
		expect_more(&peer->from_tunnel, packets, bytes);
}

static inline void judge(const char *name, struct bpf_program *program, const struct frame *frame,
			 struct __sk_buff *context, struct expectation expected)
{
	const struct frame *wanted = expected.out ? expected.out : frame;
	uint64_t packets = expected.packets ? expected.packets : 1;
	struct counters before, after;
	struct frame out;
	uint32_t verdict;

	read_counters(&before);
	verdict = run(program, frame, &out, context);
	read_counters(&after);
	frames_judged++;
	if (verdict != expected.verdict)
		fail_msg("%s: verdict: expected %d, got %d", name, (int)expected.verdict,
			 (int)verdict);
	if (out.len != wanted->len || memcmp(out.bytes, wanted->bytes, out.len))
		fail_msg("%s: the frame came out otherwise than expected (%zu bytes, expected %zu)",
			 name, out.len, wanted->len);
	if (expected.verdict == DROP)
		expect_more(&before.drops[expected.reason], packets, frame->len - frame->ip);
	expect_traffic(&before, &expected, packets, wanted->len - wanted->ip);
	judge_counters(name, &before, &after);
}

static inline struct expectation passes(void)
{
	return (struct expectation){.verdict = PASS};
}

static inline struct expectation drops(enum drop_reason reason)
{
	return (struct expectation){.verdict = DROP, .reason = reason};
}

static inline struct expectation tunnelled(uint32_t peer)
{
	return (struct expectation){.verdict = REDIRECT, .peer = peer};
}

/* Permissive mode: passes in cleartext, and is counted. */
static inline struct expectation clear_out(uint32_t peer)
{
	return (struct expectation){.verdict = PASS, .peer = peer, .way = WAY_CLEAR_OUT};
}

static inline struct expectation clear_in(uint32_t peer)
{
	return (struct expectation){.verdict = PASS, .peer = peer, .way = WAY_CLEAR_IN};
}

/* Makes this address (`text`) and port a bypass of the given kind. */
static inline void set_bypass_value(const char *text, uint16_t port, uint8_t value)
{
	struct datapath_config config = config_of(TUNNEL_IFINDEX);
	struct prefix_key address = key_of_cidr(text);
	struct bypass_key key = {.port = htobe16(port)};

	memcpy(key.address, address.address, sizeof(key.address));
	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(datapath->maps.bypass), &key, &value, BPF_ANY), 0);
	config.bypass_count = 1;
	write_config(bpf_map__fd(datapath->maps.config), &config);
}

static inline void set_bypass(const char *text, uint16_t port)
{
	set_bypass_value(text, port, BYPASS_TCP_UDP);
}

/* Makes this a peer's endpoint. */
static inline void set_endpoint(const char *text, uint16_t port)
{
	struct prefix_key address = key_of_cidr(text);
	struct endpoint_key key = {.port = htobe16(port)};
	uint8_t one = 1;

	memcpy(key.address, address.address, sizeof(key.address));
	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(datapath->maps.endpoints), &key, &one, BPF_ANY), 0);
}

static inline const char *place_text(const struct place *place, bool is_ip6)
{
	return is_ip6 ? place->ip6 : place->ip4;
}

/* So many bytes precede the IP header that the kernel runs the test with any length behind them. */
static inline void judge_bare_ip_at_every_length(struct bpf_program *program,
						 const struct place *from, const struct place *to,
						 struct expectation cut, struct expectation whole)
{
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		size_t header_len = is_ip6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
		struct frame frame;

		frame_begin(&frame);
		frame_put(&frame, sizeof(struct ipv6hdr));
		frame_put_ip(&frame, place_text(from, is_ip6), place_text(to, is_ip6));
		for (frame.len = frame.ip; frame.len < frame.ip + header_len; frame.len++)
			judge("cut", program, &frame, NULL, cut);
		judge("whole", program, &frame, NULL, whole);
	}
}
