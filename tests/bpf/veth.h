/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the loader's tests: the loader at work on a veth, in a network namespace and with a
 * directory of pins of the test's own. Only packets show whether a device is guarded.
 */
#pragma once

#include "devices.h"

#include <dirent.h>
#include <sys/stat.h>

#include "loader/loader.h"

#define FILTER_TO_WIRE	  0x70760001
#define FILTER_WIRE_GUARD 0x70760003

static char bpffs[64];
static bool has_tcx;

static inline void require_tcx(void)
{
	if (has_tcx)
		return;
	print_message("# this kernel has no tcx\n");
	skip();
}

#define PINNED_MAPS 8 /* config, prefixes, peers, peer_traffic, drops, bypass, ratchet, endpoints */

static inline struct loader *open_loader(bool force_clsact)
{
	struct loader_options options = {
		.bpffs = bpffs, .clamp_mss = true, .force_clsact = force_clsact};
	struct loader *loader = NULL;

	assert_int_equal(loader_open(&loader, &options), 0);
	return loader;
}

static inline void attach(struct loader *loader, enum loader_program program, const char *device)
{
	assert_int_equal(loader_attach(loader, program, ifindex_of(device)), 0);
}

static inline void fill(const struct loader *loader, uint32_t tunnel_ifindex)
{
	const struct loader_maps *maps = loader_get_maps(loader);

	for (unsigned int i = 0; i < ARRAY_SIZE(cluster); i++) {
		set_prefix(maps->prefixes, cluster[i].cidr4, cluster[i].class, cluster[i].peer_id);
		set_prefix(maps->prefixes, cluster[i].cidr6, cluster[i].class, cluster[i].peer_id);
	}
	set_peer(maps->peers, PEER_USABLE, true, true);
	set_peer(maps->peers, PEER_UNUSABLE, false, false);
	add_peer_traffic(maps->peer_traffic, PEER_USABLE);
	set_config(maps->config, tunnel_ifindex);
}

static inline uint64_t count_drops(const struct loader *loader, enum drop_reason reason)
{
	struct traffic drops[DROP_REASON_COUNT];

	read_drops(loader_get_maps(loader)->drops, drops);
	return drops[reason].packets;
}

static inline unsigned int count_attached(const struct loader *loader, enum loader_program program)
{
	unsigned int ifindexes[16];

	return loader_list_attached(loader, program, ifindexes, ARRAY_SIZE(ifindexes));
}

static inline bool is_pinned(const char *folder, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s/%s", bpffs, folder, name);
	return !access(path, F_OK);
}

static inline bool is_link_pinned(const char *program, const char *device)
{
	char name[64];

	snprintf(name, sizeof(name), "%s_%u", program, ifindex_of(device));
	return is_pinned("links", name);
}

static inline void detach_link_as_another_program(const char *program, const char *device)
{
	CLEANUP_CLOSE int link = -1;
	char path[256];

	snprintf(path, sizeof(path), "%s/links/%s_%u", bpffs, program, ifindex_of(device));
	link = bpf_obj_get(path);
	assert_true(link >= 0);
	assert_int_equal(bpf_link_detach(link), 0);
}

static inline void delete_filter(const char *device, uint32_t priority, uint32_t handle)
{
	struct bpf_tc_hook hook = egress_hook(device);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, filter, .priority = priority, .handle = handle);

	assert_int_equal(bpf_tc_detach(&hook, &filter), 0);
}

static inline void delete_qdisc(const char *device)
{
	COMMAND("tc qdisc del dev %s clsact", device);
}

static inline void unpin(const char *folder, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s/%s", bpffs, folder, name);
	assert_int_equal(unlink(path), 0);
}

static inline void unpin_link(const char *program, const char *device)
{
	char name[64];

	snprintf(name, sizeof(name), "%s_%u", program, ifindex_of(device));
	unpin("links", name);
}

/* A reference that keeps the program attached without our pin, as another process might hold it. */
static inline int hold_link(const char *program, const char *device)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/links/%s_%u", bpffs, program, ifindex_of(device));
	return bpf_obj_get(path);
}

static inline void assert_finding(const struct loader *loader, enum loader_program program,
				  enum loader_finding expected, uint32_t expected_other)
{
	enum loader_finding finding;
	uint32_t other = 4711;

	assert_int_equal(loader_inspect(loader, program, ifindex_of("up0"), &finding, &other), 0);
	assert_int_equal(finding, expected);
	assert_int_equal(other, expected_other);
}

/* Counts frames that arrived at the far end since it was opened. None should. */
static inline unsigned int count_arrived(int far)
{
	uint8_t bytes[FRAME_MAX];
	unsigned int count = 0;

	while (receive_wire(far, bytes, sizeof(bytes)) >= 0)
		count++;
	return count;
}

static inline int setup_veth(void **state)
{
	add_veth("up0", "far0", 0);
	return 0;
}

static inline int teardown_all(void **state)
{
	unsigned int removed;

	assert_int_equal(loader_cleanup(bpffs, &removed), 0);
	remove_device("up0");
	remove_device("up1");
	remove_device("podveil0");
	return 0;
}

static inline int setup_namespace(void **state)
{
	struct loader *loader;

	if (unshare(CLONE_NEWNET))
		return -1;
	snprintf(bpffs, sizeof(bpffs), "/sys/fs/bpf/podveil-test-%d", (int)getpid());
	loader = open_loader(false);
	has_tcx = !strcmp(loader_mechanism(loader), "tcx");
	loader_close(loader);
	COMMAND("ip link set lo up");
	return teardown_all(state);
}

#define VETH_TEST(name) TEST(name, setup_veth, teardown_all)

/* -- is it guarded? -- */

/* The fate of one frame that to_wire should drop: was it counted, and was it on the wire? */
struct sighting {
	uint64_t counted;
	unsigned int on_wire;
};

static inline struct sighting look_for(const struct loader *loader, const struct frame *frame,
				       enum drop_reason reason)
{
	CLEANUP_CLOSE int near = open_wire("up0");
	CLEANUP_CLOSE int far = open_wire("far0");
	uint64_t before = count_drops(loader, reason);
	struct sighting sighting;
	struct frame marker;

	frame_make_udp(&marker, self.ip4, world.ip4);
	send_frame(near, frame);
	send_frame(near, &marker);
	sighting.on_wire = count_before_marker(far, frame, &marker);
	sighting.counted = count_drops(loader, reason) - before;
	return sighting;
}

static inline void assert_sees(const struct loader *loader, enum drop_reason reason,
			       uint64_t counted, unsigned int on_wire)
{
	struct sighting sighting;
	struct frame frame;

	frame_make_udp(&frame, local_pod.ip4, unusable_pod.ip4);
	sighting = look_for(loader, &frame, reason);
	assert_int_equal(sighting.counted, counted);
	assert_int_equal(sighting.on_wire, on_wire);
}

static inline void assert_guarded(const struct loader *loader)
{
	assert_sees(loader, DROP_PEER_UNUSABLE, 1, 0);
}

static inline void assert_not_guarded(const struct loader *loader)
{
	assert_sees(loader, DROP_PEER_UNUSABLE, 0, 1);
}

static inline void attach_both_looks(struct loader *loader)
{
	fill(loader, 0);
	attach(loader, LOADER_TO_WIRE, "up0");
	attach(loader, LOADER_WIRE_GUARD, "up0");
	assert_guarded(loader);
	assert_int_equal(count_drops(loader, DROP_CLEAR_OUT), 0);
}

static inline void assert_leak_is_stopped(const struct loader *loader)
{
	assert_sees(loader, DROP_CLEAR_OUT, 1, 0);
}
