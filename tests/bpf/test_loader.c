/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loader and the programs at work: real devices in a network namespace of our own, real packets, pins in a folder
 * of our own. Each promise about hooks (none is ever missing, none is there twice, only ours go) is shown with packets.
 */
#include "devices.h"

#include <dirent.h>
#include <linux/virtio_net.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "loader.h"

#define REATTACHMENTS	  100
#define PACKETS_PER_ROUND 1000
#define NOBODY		  65534

static char bpffs[64];
static bool has_tcx;

static void require_tcx(void)
{
	if (has_tcx)
		return;
	print_message("# this kernel has no tcx\n");
	skip();
}

/* -- one loader on one veth -- */

static struct loader *open_loader(bool force_clsact)
{
	struct loader_options options = {
		.bpffs = bpffs, .clamp_mss = true, .force_clsact = force_clsact};
	struct loader *loader = NULL;

	assert_int_equal(loader_open(&loader, &options), 0);
	return loader;
}

static void attach(struct loader *loader, enum loader_program program, const char *device)
{
	assert_int_equal(loader_attach(loader, program, ifindex_of(device)), 0);
}

static void fill(const struct loader *loader, uint32_t tunnel_ifindex)
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

static uint64_t count_drops(const struct loader *loader, enum drop_reason reason)
{
	struct traffic drops[DROP_REASON_COUNT];

	read_drops(loader_get_maps(loader)->drops, drops);
	return drops[reason].packets;
}

static unsigned int count_attached(const struct loader *loader, enum loader_program program)
{
	unsigned int ifindexes[16];

	return loader_list_attached(loader, program, ifindexes, ARRAY_SIZE(ifindexes));
}

static bool is_pinned(const char *folder, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s/%s", bpffs, folder, name);
	return !access(path, F_OK);
}

static bool is_link_pinned(const char *program, const char *device)
{
	char name[64];

	snprintf(name, sizeof(name), "%s_%u", program, ifindex_of(device));
	return is_pinned("links", name);
}

static int setup_veth(void **state)
{
	add_veth("up0", "far0", 0);
	return 0;
}

static int teardown_all(void **state)
{
	unsigned int removed;

	assert_int_equal(loader_cleanup(bpffs, &removed), 0);
	remove_device("up0");
	remove_device("up1");
	remove_device("podveil0");
	return 0;
}

/* The verdict on one frame that to_wire should drop: is it counted, and is it on the wire? */
struct sighting {
	uint64_t counted;
	unsigned int on_wire;
};

static struct sighting look_for(const struct loader *loader, const struct frame *frame,
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

static void assert_guarded(const struct loader *loader)
{
	struct sighting sighting;
	struct frame frame;

	frame_make_udp(&frame, local_pod.ip4, unusable_pod.ip4);
	sighting = look_for(loader, &frame, DROP_PEER_UNUSABLE);
	assert_int_equal(sighting.counted, 1);
	assert_int_equal(sighting.on_wire, 0);
}

static void assert_not_guarded(const struct loader *loader)
{
	struct sighting sighting;
	struct frame frame;

	frame_make_udp(&frame, local_pod.ip4, unusable_pod.ip4);
	sighting = look_for(loader, &frame, DROP_PEER_UNUSABLE);
	assert_int_equal(sighting.counted, 0);
	assert_int_equal(sighting.on_wire, 1);
}

/* -- attach, detach, restart -- */

static void attach_guards_and_detach_unguards(bool force_clsact)
{
	struct loader *loader = open_loader(force_clsact);
	unsigned int ifindex;

	fill(loader, 0);
	assert_not_guarded(loader);
	attach(loader, LOADER_TO_WIRE, "up0");
	assert_guarded(loader);
	assert_int_equal(loader_list_attached(loader, LOADER_TO_WIRE, &ifindex, 1), 1);
	assert_int_equal(ifindex, ifindex_of("up0"));
	assert_int_equal(loader_list_attached(loader, LOADER_FROM_TUNNEL, &ifindex, 1), 0);
	assert_int_equal(is_link_pinned("to_wire", "up0"),
			 !strcmp(loader_mechanism(loader), "tcx"));

	assert_int_equal(loader_detach(loader, LOADER_TO_WIRE, ifindex_of("up0")), 0);
	assert_not_guarded(loader);
	assert_int_equal(count_attached(loader, LOADER_TO_WIRE), 0);
	assert_int_equal(loader_detach(loader, LOADER_TO_WIRE, ifindex_of("up0")), 0);
	loader_close(loader);
}

static void tcx_guards_from_attach_to_detach(void **state)
{
	require_tcx();
	attach_guards_and_detach_unguards(false);
}

static void clsact_guards_from_attach_to_detach(void **state)
{
	attach_guards_and_detach_unguards(true);
}

static void hooks_and_maps_outlive_the_agent(bool force_clsact)
{
	struct loader *loader = open_loader(force_clsact);
	struct prefix_key key = key_of_cidr("10.244.2.0/24");
	struct prefix_value value = {0};

	fill(loader, 0);
	attach(loader, LOADER_TO_WIRE, "up0");
	loader_close(loader);

	loader = open_loader(force_clsact);
	assert_int_equal(count_attached(loader, LOADER_TO_WIRE), 1);
	assert_int_equal(bpf_map_lookup_elem(loader_get_maps(loader)->prefixes, &key, &value), 0);
	assert_int_equal(value.class, PREFIX_PEER);
	assert_int_equal(value.peer_id, PEER_USABLE);
	assert_guarded(loader);
	attach(loader, LOADER_TO_WIRE, "up0");
	assert_guarded(loader);
	loader_close(loader);
}

static void tcx_hooks_and_maps_outlive_the_agent(void **state)
{
	require_tcx();
	hooks_and_maps_outlive_the_agent(false);
}

static void clsact_hooks_and_maps_outlive_the_agent(void **state)
{
	hooks_and_maps_outlive_the_agent(true);
}

/* -- replacement under a flood -- */

struct flood {
	pthread_t thread;
	int wire;
	atomic_bool is_over;
	atomic_ulong sent;
};

static void *send_flood(void *argument)
{
	struct flood *flood = argument;
	struct frame frame;

	frame_make_udp(&frame, local_pod.ip4, unusable_pod.ip4);
	while (!atomic_load(&flood->is_over)) {
		if (send(flood->wire, frame.bytes, frame.len, 0) >= 0 || errno == ENOBUFS)
			atomic_fetch_add(&flood->sent, 1);
	}
	return NULL;
}

static void start_flood(struct flood *flood)
{
	flood->wire = open_wire("up0");
	atomic_store(&flood->is_over, false);
	atomic_store(&flood->sent, 0);
	assert_int_equal(pthread_create(&flood->thread, NULL, send_flood, flood), 0);
}

static uint64_t stop_flood(struct flood *flood)
{
	atomic_store(&flood->is_over, true);
	pthread_join(flood->thread, NULL);
	close(flood->wire);
	return atomic_load(&flood->sent);
}

/* Frames at the far end since it was opened, none of which should be there. */
static unsigned int count_arrived(int far)
{
	uint8_t bytes[FRAME_MAX];
	unsigned int count = 0;

	while (receive_wire(far, bytes, sizeof(bytes)) >= 0)
		count++;
	return count;
}

static void wait_for_packets(struct flood *flood, unsigned long count)
{
	unsigned long goal = atomic_load(&flood->sent) + count;

	while (atomic_load(&flood->sent) < goal)
		sched_yield();
}

/* Two agents take the hook from each other, in the midst of the flood. */
static void replace_under_flood(bool is_first_clsact, bool is_second_clsact)
{
	struct loader *agents[2] = {open_loader(is_first_clsact), open_loader(is_second_clsact)};
	CLEANUP_CLOSE int far = open_wire("far0");
	struct flood flood;
	uint64_t before, sent;

	fill(agents[0], 0);
	attach(agents[0], LOADER_TO_WIRE, "up0");
	before = count_drops(agents[0], DROP_PEER_UNUSABLE);
	start_flood(&flood);
	for (unsigned int round = 1; round <= REATTACHMENTS; round++) {
		attach(agents[round % 2], LOADER_TO_WIRE, "up0");
		assert_int_equal(count_attached(agents[round % 2], LOADER_TO_WIRE), 1);
		wait_for_packets(&flood, PACKETS_PER_ROUND);
	}
	sent = stop_flood(&flood);
	assert_int_equal(count_drops(agents[0], DROP_PEER_UNUSABLE) - before, sent);
	assert_int_equal(count_arrived(far), 0);
	loader_close(agents[0]);
	loader_close(agents[1]);
}

static void tcx_is_replaced_without_a_packet_missing_it(void **state)
{
	require_tcx();
	replace_under_flood(false, false);
}

static void clsact_is_replaced_without_a_packet_missing_it(void **state)
{
	replace_under_flood(true, true);
}

static void change_of_mechanism_lets_no_packet_through(void **state)
{
	require_tcx();
	replace_under_flood(false, true);
	assert_string_equal(list_tcx("up0"), "to_wire ");
	assert_false(has_clsact_filter("up0", 1, 0x70760001));
}

/* -- beside others -- */

static void tcx_attaches_in_front_of_others(void **state)
{
	CLEANUP_CLOSE int program = load_passer("foreign"), link = -1;
	struct loader *loader;

	require_tcx();
	link = attach_foreign_tcx(program, "up0");
	assert_true(link >= 0);
	loader = open_loader(false);
	attach(loader, LOADER_TO_WIRE, "up0");
	assert_string_equal(list_tcx("up0"), "to_wire foreign ");
	attach(loader, LOADER_TO_WIRE, "up0");
	assert_string_equal(list_tcx("up0"), "to_wire foreign ");
	loader_close(loader);
}

static void put_foreign_pin(int program_fd)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/maps/foreign", bpffs);
	assert_int_equal(bpf_obj_pin(program_fd, path), 0);
}

static void drop_foreign_pin(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/maps/foreign", bpffs);
	assert_int_equal(unlink(path), 0);
}

static void cleanup_removes_ours_and_nothing_else(void **state)
{
	CLEANUP_CLOSE int program = load_passer("to_wire_foreign"), link = -1;
	struct loader *loader, *other;
	unsigned int removed;

	add_veth("up1", "far1", 0);
	attach_foreign_clsact(program, "up0", 1, 7);
	attach_foreign_clsact(program, "up0", 5, 0x70760001);
	if (has_tcx)
		link = attach_foreign_tcx(program, "up0");
	loader = open_loader(false);
	fill(loader, 0);
	attach(loader, LOADER_TO_WIRE, "up0");
	other = open_loader(true);
	attach(other, LOADER_TO_WIRE, "up1");
	put_foreign_pin(program);

	assert_int_equal(loader_cleanup(bpffs, &removed), 0);
	assert_int_equal(removed, 2 + 7);
	assert_int_equal(
		count_attached(loader, LOADER_TO_WIRE) + count_attached(other, LOADER_TO_WIRE), 0);
	assert_not_guarded(loader);
	assert_true(has_clsact_filter("up0", 1, 7));
	assert_true(has_clsact_filter("up0", 5, 0x70760001));
	if (has_tcx)
		assert_string_equal(list_tcx("up0"), "to_wire_foreign ");
	assert_true(is_pinned("maps", "foreign"));
	assert_false(is_pinned("maps", "prefixes"));
	assert_false(is_pinned("links", ""));
	drop_foreign_pin();

	assert_int_equal(loader_cleanup(bpffs, &removed), 0);
	assert_int_equal(removed, 0);
	assert_int_equal(access(bpffs, F_OK), -1);
	loader_close(loader);
	loader_close(other);
}

static void cleanup_without_anything_is_no_error(void **state)
{
	unsigned int removed = 1;

	assert_int_equal(loader_cleanup("/nonexistent/podveil", &removed), 0);
	assert_int_equal(removed, 0);
}

/* -- devices come and go -- */

static void attach_works_on_a_device_made_again_under_its_number(bool force_clsact)
{
	struct loader *loader = open_loader(force_clsact);
	unsigned int ifindex = ifindex_of("up0");

	fill(loader, 0);
	attach(loader, LOADER_TO_WIRE, "up0");
	remove_device("up0");
	assert_int_equal(count_attached(loader, LOADER_TO_WIRE), 0);
	assert_int_equal(loader_attach(loader, LOADER_TO_WIRE, ifindex), -ENODEV);

	add_veth("up0", "far0", ifindex);
	assert_int_equal(count_attached(loader, LOADER_TO_WIRE), 0);
	assert_not_guarded(loader);
	attach(loader, LOADER_TO_WIRE, "up0");
	assert_int_equal(count_attached(loader, LOADER_TO_WIRE), 1);
	assert_guarded(loader);
	loader_close(loader);
}

static void tcx_returns_to_a_device_made_again_under_its_number(void **state)
{
	require_tcx();
	attach_works_on_a_device_made_again_under_its_number(false);
}

static void clsact_returns_to_a_device_made_again_under_its_number(void **state)
{
	attach_works_on_a_device_made_again_under_its_number(true);
}

static void open_sweeps_pins_of_devices_that_are_gone(void **state)
{
	struct loader *loader;
	char name[64];

	require_tcx();
	loader = open_loader(false);
	attach(loader, LOADER_TO_WIRE, "up0");
	snprintf(name, sizeof(name), "to_wire_%u", ifindex_of("up0"));
	remove_device("up0");
	assert_true(is_pinned("links", name));
	loader_close(loader);
	loader_close(open_loader(false));
	assert_false(is_pinned("links", name));
}

/* -- the second look: wire_guard beside to_wire, from_wire on the way in -- */

#define FILTER_TO_WIRE	  0x70760001
#define FILTER_WIRE_GUARD 0x70760003

static void detach_link_as_somebody_else(const char *program, const char *device)
{
	CLEANUP_CLOSE int link = -1;
	char path[256];

	snprintf(path, sizeof(path), "%s/links/%s_%u", bpffs, program, ifindex_of(device));
	link = bpf_obj_get(path);
	assert_true(link >= 0);
	assert_int_equal(bpf_link_detach(link), 0);
}

static void delete_filter(const char *device, uint32_t priority, uint32_t handle)
{
	struct bpf_tc_hook hook = egress_hook(device);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, filter, .priority = priority, .handle = handle);

	assert_int_equal(bpf_tc_detach(&hook, &filter), 0);
}

static void delete_qdisc(const char *device)
{
	COMMAND("tc qdisc del dev %s clsact", device);
}

static void assert_leak_is_stopped(const struct loader *loader)
{
	struct sighting sighting;
	struct frame frame;

	frame_make_udp(&frame, local_pod.ip4, unusable_pod.ip4);
	sighting = look_for(loader, &frame, DROP_CLEAR_OUT);
	assert_int_equal(sighting.counted, 1);
	assert_int_equal(sighting.on_wire, 0);
}

static void attach_both_looks(struct loader *loader)
{
	fill(loader, 0);
	attach(loader, LOADER_TO_WIRE, "up0");
	attach(loader, LOADER_WIRE_GUARD, "up0");
	assert_guarded(loader);
	assert_int_equal(count_drops(loader, DROP_CLEAR_OUT), 0);
}

static void wire_guard_stops_and_counts_the_leak_when_to_wire_is_gone(void **state)
{
	struct loader *loader;

	require_tcx();
	loader = open_loader(false);
	attach_both_looks(loader);
	assert_string_equal(list_tcx("up0"), "to_wire ");
	assert_true(has_clsact_filter("up0", 1, FILTER_WIRE_GUARD));
	detach_link_as_somebody_else("to_wire", "up0");
	assert_leak_is_stopped(loader);
	attach(loader, LOADER_TO_WIRE, "up0");
	delete_qdisc("up0");
	assert_guarded(loader);
	loader_close(loader);
}

/* Both are filters here: each can go alone. */
static void clsact_guard_stops_the_leak_when_the_filter_of_to_wire_is_gone(void **state)
{
	struct loader *loader = open_loader(true);

	attach_both_looks(loader);
	assert_true(has_clsact_filter("up0", 1, FILTER_TO_WIRE));
	assert_true(has_clsact_filter("up0", 2, FILTER_WIRE_GUARD));
	delete_filter("up0", 1, FILTER_TO_WIRE);
	assert_leak_is_stopped(loader);
	attach(loader, LOADER_TO_WIRE, "up0");
	assert_guarded(loader);
	assert_int_equal(count_drops(loader, DROP_CLEAR_OUT), 1);
	delete_filter("up0", 2, FILTER_WIRE_GUARD);
	assert_guarded(loader);
	loader_close(loader);
}

static void guard_changes_its_priority_with_the_mechanism(void **state)
{
	struct loader *tcx, *clsact;

	require_tcx();
	tcx = open_loader(false);
	clsact = open_loader(true);
	attach_both_looks(tcx);
	attach_both_looks(clsact);
	assert_string_equal(list_tcx("up0"), "");
	assert_false(has_clsact_filter("up0", 1, FILTER_WIRE_GUARD));
	assert_int_equal(count_attached(clsact, LOADER_WIRE_GUARD), 1);
	attach_both_looks(tcx);
	assert_string_equal(list_tcx("up0"), "to_wire ");
	assert_false(has_clsact_filter("up0", 1, FILTER_TO_WIRE));
	assert_true(has_clsact_filter("up0", 1, FILTER_WIRE_GUARD));
	assert_int_equal(count_attached(tcx, LOADER_WIRE_GUARD), 1);
	loader_close(tcx);
	loader_close(clsact);
}

static void from_wire_stops_spoofed_pods_before_the_stack(bool force_clsact)
{
	struct loader *loader = open_loader(force_clsact);
	CLEANUP_CLOSE int receiver = -1, far = open_wire("far0");
	struct frame spoofed, honest;
	uint8_t bytes[128];
	struct pollfd ready;

	fill(loader, 0);
	COMMAND("ip addr add 192.168.50.1/24 dev up0");
	COMMAND("ip route add default dev up0 && ip link set up0 address 02:00:00:00:00:02");
	receiver = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ready = (struct pollfd){.fd = receiver, .events = POLLIN};
	assert_int_equal(bind(receiver,
			      (struct sockaddr *)&(struct sockaddr_in){.sin_family = AF_INET,
								       .sin_port = htobe16(5000)},
			      sizeof(struct sockaddr_in)),
			 0);
	frame_make_udp(&spoofed, peer_pod.ip4, self.ip4);
	frame_make_udp(&honest, world.ip4, self.ip4);
	send_frame(far, &spoofed);
	assert_int_equal(poll(&ready, 1, ARRIVAL_MS), 1); /* positive control */
	assert_int_equal(recv(receiver, bytes, sizeof(bytes), 0), 64);

	attach(loader, LOADER_FROM_WIRE, "up0");
	assert_int_equal(count_attached(loader, LOADER_FROM_WIRE), 1);
	send_frame(far, &spoofed);
	send_frame(far, &honest);
	assert_int_equal(poll(&ready, 1, ARRIVAL_MS), 1);
	assert_int_equal(recv(receiver, bytes, sizeof(bytes), 0), 64);
	assert_int_equal(recv(receiver, bytes, sizeof(bytes), 0), -1);
	assert_int_equal(count_drops(loader, DROP_CLEAR_IN), 1);
	loader_close(loader);
}

static void tcx_from_wire_stops_spoofed_pods_before_the_stack(void **state)
{
	require_tcx();
	from_wire_stops_spoofed_pods_before_the_stack(false);
}

static void clsact_from_wire_stops_spoofed_pods_before_the_stack(void **state)
{
	from_wire_stops_spoofed_pods_before_the_stack(true);
}

/* -- what is said on stderr -- */

struct capture {
	int saved, file;
};

static struct capture capture_stderr(void)
{
	struct capture capture = {.saved = dup(STDERR_FILENO), .file = memfd_create("stderr", 0)};

	assert_true(capture.saved >= 0 && capture.file >= 0);
	dup2(capture.file, STDERR_FILENO);
	return capture;
}

/* The text is valid until the next call. */
static const char *end_capture(struct capture *capture)
{
	static char text[4096];
	ssize_t length = pread(capture->file, text, sizeof(text) - 1, 0);

	dup2(capture->saved, STDERR_FILENO);
	close(capture->saved);
	close(capture->file);
	text[length > 0 ? length : 0] = '\0';
	return text;
}

static void assert_one_line_with(const char *text, const char *part)
{
	const char *newline = strchr(text, '\n');

	if (!newline || newline[1] || !strstr(text, part))
		fail_msg("expected one line with '%s', got: '%s'", part, text);
}

/* -- hooks are watched -- */

static void assert_finding(const struct loader *loader, enum loader_program program,
			   enum loader_finding expected, uint32_t expected_other)
{
	enum loader_finding finding;
	uint32_t other = 4711;

	assert_int_equal(loader_inspect(loader, program, ifindex_of("up0"), &finding, &other), 0);
	assert_int_equal(finding, expected);
	assert_int_equal(other, expected_other);
}

static void repair(struct loader *loader, enum loader_program program)
{
	assert_int_equal(loader_repair(loader, program, ifindex_of("up0")), 0);
	assert_finding(loader, program, LOADER_IN_PLACE, 0);
}

static void every_program_is_found_missing_and_put_back(bool force_clsact)
{
	static const enum loader_program on_wires[] = {LOADER_TO_WIRE, LOADER_WIRE_GUARD,
						       LOADER_FROM_WIRE};
	struct loader *loader = open_loader(force_clsact);

	fill(loader, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(on_wires); i++) {
		assert_finding(loader, on_wires[i], LOADER_MISSING, 0);
		repair(loader, on_wires[i]);
		repair(loader, on_wires[i]);
		assert_int_equal(loader_detach(loader, on_wires[i], ifindex_of("up0")), 0);
		assert_finding(loader, on_wires[i], LOADER_MISSING, 0);
		repair(loader, on_wires[i]);
	}
	assert_guarded(loader);
	for (unsigned int i = 0; i < ARRAY_SIZE(on_wires); i++)
		assert_finding(loader, on_wires[i], LOADER_IN_PLACE, 0);
	loader_close(loader);
}

static void tcx_every_program_is_found_missing_and_put_back(void **state)
{
	require_tcx();
	every_program_is_found_missing_and_put_back(false);
}

static void clsact_every_program_is_found_missing_and_put_back(void **state)
{
	every_program_is_found_missing_and_put_back(true);
}

static void inspect_names_a_device_that_is_gone(void **state)
{
	struct loader *loader = open_loader(false);
	enum loader_finding finding;
	uint32_t other;

	assert_int_equal(loader_inspect(loader, LOADER_TO_WIRE, 999999, &finding, &other), -ENODEV);
	assert_int_equal(loader_inspect(loader, LOADER_WIRE_GUARD, 999999, &finding, &other),
			 -ENODEV);
	loader_close(loader);
}

static void link_that_somebody_detached_is_replaced(void **state)
{
	struct loader *loader;

	require_tcx();
	loader = open_loader(false);
	fill(loader, 0);
	attach(loader, LOADER_TO_WIRE, "up0");
	attach(loader, LOADER_FROM_WIRE, "up0");
	detach_link_as_somebody_else("to_wire", "up0");
	detach_link_as_somebody_else("from_wire", "up0");
	assert_finding(loader, LOADER_TO_WIRE, LOADER_MISSING, 0);
	assert_finding(loader, LOADER_FROM_WIRE, LOADER_MISSING, 0);
	repair(loader, LOADER_TO_WIRE);
	repair(loader, LOADER_FROM_WIRE);
	assert_guarded(loader);
	assert_string_equal(list_tcx("up0"), "to_wire ");
	assert_string_equal(list_tcx_at("up0", ATTACH_TCX_INGRESS), "from_wire ");
	loader_close(loader);
}

/* The foreign program hides everything from those after it, as long as it is first. */
static void program_put_before_ours_is_found_and_overtaken(void **state)
{
	CLEANUP_CLOSE int program = load_accepter("foreign"), link = -1;
	struct loader *loader;

	require_tcx();
	loader = open_loader(false);
	fill(loader, 0);
	attach(loader, LOADER_TO_WIRE, "up0");
	link = attach_foreign_tcx(program, "up0");
	assert_string_equal(list_tcx("up0"), "foreign to_wire ");
	assert_not_guarded(loader);
	assert_finding(loader, LOADER_TO_WIRE, LOADER_NOT_FIRST, program_id_of(program));
	repair(loader, LOADER_TO_WIRE);
	assert_string_equal(list_tcx("up0"), "to_wire foreign ");
	assert_guarded(loader);
	assert_true(is_link_pinned("to_wire", "up0"));
	assert_int_equal(count_attached(loader, LOADER_TO_WIRE), 1);
	loader_close(loader);
}

/* The foreign program passes everything on, so that each packet must still meet to_wire: once, and twice never. */
static void overtaking_lets_no_packet_through_and_counts_none_twice(void **state)
{
	CLEANUP_CLOSE int program = load_passer("foreign"), far = open_wire("far0");
	struct loader *loader;
	struct flood flood;
	uint64_t before, sent;

	require_tcx();
	loader = open_loader(false);
	fill(loader, 0);
	attach(loader, LOADER_TO_WIRE, "up0");
	before = count_drops(loader, DROP_PEER_UNUSABLE);
	start_flood(&flood);
	for (unsigned int round = 0; round < REATTACHMENTS; round++) {
		CLEANUP_CLOSE int link = attach_foreign_tcx(program, "up0");

		assert_finding(loader, LOADER_TO_WIRE, LOADER_NOT_FIRST, program_id_of(program));
		repair(loader, LOADER_TO_WIRE);
		assert_string_equal(list_tcx("up0"), "to_wire foreign ");
		wait_for_packets(&flood, PACKETS_PER_ROUND);
	}
	sent = stop_flood(&flood);
	assert_int_equal(count_drops(loader, DROP_PEER_UNUSABLE) - before, sent);
	assert_int_equal(count_arrived(far), 0);
	loader_close(loader);
}

static void unpin(const char *folder, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s/%s", bpffs, folder, name);
	assert_int_equal(unlink(path), 0);
}

static void unpin_link(const char *program, const char *device)
{
	char name[64];

	snprintf(name, sizeof(name), "%s_%u", program, ifindex_of(device));
	unpin("links", name);
}

/* A pin of somebody else that holds nothing of ours but keeps the program in place, as another process would. */
static int hold_link(const char *program, const char *device)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/links/%s_%u", bpffs, program, ifindex_of(device));
	return bpf_obj_get(path);
}

static void link_whose_pin_is_gone_is_pinned_again(void **state)
{
	CLEANUP_CLOSE int held = -1;
	struct loader *loader;

	require_tcx();
	loader = open_loader(false);
	fill(loader, 0);
	attach(loader, LOADER_TO_WIRE, "up0");
	held = hold_link("to_wire", "up0");
	unpin_link("to_wire", "up0");
	assert_finding(loader, LOADER_TO_WIRE, LOADER_UNPINNED, 0);
	repair(loader, LOADER_TO_WIRE);
	assert_true(is_link_pinned("to_wire", "up0"));
	assert_string_equal(list_tcx("up0"), "to_wire ");
	assert_guarded(loader);
	unpin_link("to_wire", "up0");
	fd_close(&held);
	assert_finding(loader, LOADER_TO_WIRE, LOADER_MISSING, 0);
	repair(loader, LOADER_TO_WIRE);
	assert_guarded(loader);
	loader_close(loader);
}

/* By name it is ours: what an agent of another version left, whose pin was lost. */
static void stale_copies_are_taken_over_or_removed(void **state)
{
	CLEANUP_CLOSE int old = load_passer("to_wire"), older = load_passer("to_wire");
	CLEANUP_CLOSE int before = -1, behind = -1, again = -1;
	struct loader *loader;

	require_tcx();
	loader = open_loader(false);
	fill(loader, 0);
	attach(loader, LOADER_TO_WIRE, "up0");
	before = attach_foreign_tcx(old, "up0");
	behind = attach_tcx_at(older, "up0", ATTACH_TCX_EGRESS, AFTER_ALL);
	assert_string_equal(list_tcx("up0"), "to_wire to_wire to_wire ");
	assert_finding(loader, LOADER_TO_WIRE, LOADER_UNPINNED, 0);
	repair(loader, LOADER_TO_WIRE);
	assert_string_equal(list_tcx("up0"), "to_wire ");
	assert_guarded(loader);
	again = attach_tcx_at(old, "up0", ATTACH_TCX_EGRESS, AFTER_ALL);
	assert_finding(loader, LOADER_TO_WIRE, LOADER_UNPINNED, 0);
	repair(loader, LOADER_TO_WIRE);
	assert_string_equal(list_tcx("up0"), "to_wire ");
	assert_guarded(loader);
	loader_close(loader);
}

/* After overtaking and after any number of restarts: whose program is there changes nothing. */
static void overtaking_works_again_and_again_and_after_a_restart(void **state)
{
	CLEANUP_CLOSE int program = load_accepter("foreign");
	struct loader *loader;

	require_tcx();
	loader = open_loader(false);
	fill(loader, 0);
	for (unsigned int round = 0; round < 4; round++) {
		CLEANUP_CLOSE int link = -1;

		repair(loader, LOADER_TO_WIRE);
		link = attach_foreign_tcx(program, "up0");
		repair(loader, LOADER_TO_WIRE);
		assert_string_equal(list_tcx("up0"), "to_wire foreign ");
		loader_close(loader);
		loader = open_loader(false);
		assert_finding(loader, LOADER_TO_WIRE, LOADER_IN_PLACE, 0);
		attach(loader, LOADER_TO_WIRE, "up0");
		assert_string_equal(list_tcx("up0"), "to_wire foreign ");
		assert_guarded(loader);
	}
	loader_close(loader);
}

static void filters_are_found_missing_however_they_went(void **state)
{
	struct loader *loader = open_loader(true);

	attach_both_looks(loader);
	delete_qdisc("up0");
	assert_not_guarded(loader);
	assert_finding(loader, LOADER_TO_WIRE, LOADER_MISSING, 0);
	assert_finding(loader, LOADER_WIRE_GUARD, LOADER_MISSING, 0);
	repair(loader, LOADER_TO_WIRE);
	repair(loader, LOADER_WIRE_GUARD);
	assert_guarded(loader);
	delete_filter("up0", 2, FILTER_WIRE_GUARD);
	assert_finding(loader, LOADER_TO_WIRE, LOADER_IN_PLACE, 0);
	assert_finding(loader, LOADER_WIRE_GUARD, LOADER_MISSING, 0);
	repair(loader, LOADER_WIRE_GUARD);
	loader_close(loader);
}

static void assert_repair_refused(struct loader *loader, enum loader_program program,
				  const char *part)
{
	struct capture capture = capture_stderr();
	int err = loader_repair(loader, program, ifindex_of("up0"));
	const char *text = end_capture(&capture);

	assert_int_equal(err, -EBUSY);
	assert_one_line_with(text, part);
}

/* Of the same priority the youngest filter is asked first: ours has to become the youngest again. */
static void filter_put_before_ours_is_found_and_overtaken(void **state)
{
	CLEANUP_CLOSE int program = load_accepter("foreign");
	struct loader *loader = open_loader(true);

	attach_both_looks(loader);
	for (unsigned int round = 0; round < 3; round++) {
		attach_foreign_clsact(program, "up0", 1, 7 + round);
		assert_not_guarded(loader);
		assert_finding(loader, LOADER_TO_WIRE, LOADER_NOT_FIRST, program_id_of(program));
		repair(loader, LOADER_TO_WIRE);
		assert_guarded(loader);
		assert_int_equal(has_clsact_filter("up0", 1, FILTER_TO_WIRE) +
					 has_clsact_filter("up0", 1, FILTER_TO_WIRE | 0x100),
				 1);
		attach(loader, LOADER_TO_WIRE, "up0");
		assert_finding(loader, LOADER_TO_WIRE, LOADER_IN_PLACE, 0);
		assert_int_equal(count_attached(loader, LOADER_TO_WIRE), 1);
	}
	assert_int_equal(loader_detach(loader, LOADER_TO_WIRE, ifindex_of("up0")), 0);
	assert_finding(loader, LOADER_TO_WIRE, LOADER_MISSING, 0);
	loader_close(loader);
}

/* Whoever dies while overtaking leaves two of them. */
static void second_filter_of_ours_is_found_and_removed(void **state)
{
	CLEANUP_CLOSE int old = load_passer("to_wire");
	struct loader *loader = open_loader(true);

	attach_both_looks(loader);
	attach_foreign_clsact(old, "up0", 1, FILTER_TO_WIRE | 0x100);
	assert_finding(loader, LOADER_TO_WIRE, LOADER_UNPINNED, 0);
	repair(loader, LOADER_TO_WIRE);
	assert_false(has_clsact_filter("up0", 1, FILTER_TO_WIRE | 0x100));
	assert_guarded(loader);
	loader_close(loader);
}

/* One with a smaller priority can be overtaken by none: it is named, and nothing of it is touched. */
static void filter_with_a_smaller_priority_is_found_and_named(void **state)
{
	CLEANUP_CLOSE int program = load_passer("foreign");
	struct loader *loader = open_loader(true);

	attach_foreign_clsact(program, "up0", 5, 8);
	attach_both_looks(loader);
	assert_finding(loader, LOADER_WIRE_GUARD, LOADER_IN_PLACE, 0);
	attach_foreign_clsact(program, "up0", 1, 7);
	assert_finding(loader, LOADER_WIRE_GUARD, LOADER_NOT_FIRST, program_id_of(program));
	assert_repair_refused(loader, LOADER_WIRE_GUARD, "tc filter del");
	assert_true(has_clsact_filter("up0", 1, 7));
	delete_filter("up0", 1, 7);
	assert_finding(loader, LOADER_WIRE_GUARD, LOADER_IN_PLACE, 0);
	assert_int_equal(count_attached(loader, LOADER_WIRE_GUARD), 1);
	loader_close(loader);
}

static void filters_of_other_kinds_before_ours_are_found_too(void **state)
{
	struct loader *loader = open_loader(true);

	attach(loader, LOADER_WIRE_GUARD, "up0");
	if (!system("tc filter add dev up0 egress pref 1 protocol 802.1q u32 match u32 0 0 2>&1 | "
		    "grep -q 'classifier not found'")) {
		loader_close(loader);
		print_message("# this kernel has no u32 filters\n");
		skip();
	}
	COMMAND("tc filter show dev up0 egress | grep -q u32");
	assert_finding(loader, LOADER_WIRE_GUARD, LOADER_NOT_FIRST, 0);
	loader_close(loader);
}

static void filter_in_the_place_of_ours_is_found_missing(void **state)
{
	CLEANUP_CLOSE int program = load_passer("foreign");
	struct loader *loader = open_loader(true);

	attach_foreign_clsact(program, "up0", 1, FILTER_TO_WIRE);
	assert_finding(loader, LOADER_TO_WIRE, LOADER_MISSING, 0);
	assert_repair_refused(loader, LOADER_TO_WIRE, "not ours");
	loader_close(loader);
}

static void map_pins_that_are_gone_come_back_with_the_same_maps(void **state)
{
	struct loader *loader = open_loader(false), *next;
	struct prefix_key key = key_of_cidr("10.244.2.0/24");
	struct prefix_value value = {0};
	unsigned int repaired = 4711;

	fill(loader, 0);
	assert_int_equal(loader_repair_pins(loader, &repaired), 0);
	assert_int_equal(repaired, 0);
	COMMAND("rm -r %s/maps", bpffs);
	assert_int_equal(loader_repair_pins(loader, &repaired), 0);
	assert_int_equal(repaired, 7);
	unpin("maps", "prefixes");
	assert_int_equal(loader_repair_pins(loader, &repaired), 0);
	assert_int_equal(repaired, 1);
	next = open_loader(false);
	assert_int_equal(bpf_map_lookup_elem(loader_get_maps(next)->prefixes, &key, &value), 0);
	assert_int_equal(value.class, PREFIX_PEER);
	loader_close(next);
	loader_close(loader);
}

static void map_pin_of_somebody_else_in_the_place_of_ours_goes(void **state)
{
	struct loader *loader = open_loader(false);
	CLEANUP_CLOSE int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "config", 4, 4, 1, NULL);
	unsigned int repaired = 0;
	char path[256];

	unpin("maps", "config");
	snprintf(path, sizeof(path), "%s/maps/config", bpffs);
	assert_int_equal(bpf_obj_pin(map, path), 0);
	assert_int_equal(loader_repair_pins(loader, &repaired), 0);
	assert_int_equal(repaired, 1);
	loader_close(loader);
	loader_close(open_loader(false));
}

static void cleanup_removes_all_programs_also_without_a_pin(bool force_clsact)
{
	struct loader *loader = open_loader(force_clsact);
	CLEANUP_CLOSE int held = -1;
	unsigned int removed, hooks = 4;
	int tun = open_tun("podveil0", 0);

	attach_both_looks(loader);
	attach(loader, LOADER_FROM_WIRE, "up0");
	attach(loader, LOADER_FROM_TUNNEL, "podveil0");
	if (!force_clsact) {
		held = hold_link("from_wire", "up0");
		unpin_link("from_wire", "up0");
	}
	assert_int_equal(loader_cleanup(bpffs, &removed), 0);
	assert_int_equal(removed, hooks + 7);
	assert_not_guarded(loader);
	assert_string_equal(list_tcx("up0"), "");
	assert_string_equal(list_tcx_at("up0", ATTACH_TCX_INGRESS), "");
	assert_finding(loader, LOADER_WIRE_GUARD, LOADER_MISSING, 0);
	assert_int_equal(access(bpffs, F_OK), -1);
	close(tun);
	loader_close(loader);
}

static void tcx_cleanup_removes_all_programs_also_without_a_pin(void **state)
{
	require_tcx();
	cleanup_removes_all_programs_also_without_a_pin(false);
}

static void clsact_cleanup_removes_all_programs(void **state)
{
	cleanup_removes_all_programs_also_without_a_pin(true);
}

/* -- refusals: one clear line each -- */

static void assert_open_refused(const char *folder, int expected, const char *part)
{
	struct loader_options options = {.bpffs = folder, .clamp_mss = true};
	struct capture capture = capture_stderr();
	struct loader *loader = NULL;
	int err = loader_open(&loader, &options);
	const char *text = end_capture(&capture);

	assert_int_equal(err, expected);
	assert_null(loader);
	assert_one_line_with(text, part);
}

static void open_refuses_a_pinned_map_of_another_shape(void **state)
{
	CLEANUP_CLOSE int map = -1;
	char path[256];

	loader_close(open_loader(false));
	snprintf(path, sizeof(path), "%s/maps/config", bpffs);
	assert_int_equal(unlink(path), 0);
	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "config", 4, 12, 1, NULL);
	assert_int_equal(bpf_obj_pin(map, path), 0);
	assert_open_refused(bpffs, -EPROTO, "podveil cleanup");
	assert_open_refused(bpffs, -EPROTO, path);
}

static void open_refuses_maps_of_another_version(void **state)
{
	struct datapath_config config = {.abi_version = MAP_ABI_VERSION + 1};
	struct loader *loader = open_loader(false);
	uint32_t key = 0;

	assert_int_equal(
		bpf_map_update_elem(loader_get_maps(loader)->config, &key, &config, BPF_ANY), 0);
	loader_close(loader);
	assert_open_refused(bpffs, -EPROTO, "podveil cleanup");
}

static void open_refuses_a_folder_that_is_on_no_bpffs(void **state)
{
	char folder[64], expected[128];

	snprintf(folder, sizeof(folder), "/tmp/podveil-test-%d", (int)getpid());
	snprintf(expected, sizeof(expected), "'%s/maps' is on no BPF file system", folder);
	assert_open_refused(folder, -EMEDIUMTYPE, expected);
	assert_int_equal(access(folder, F_OK), -1);
	assert_open_refused("relative", -EMEDIUMTYPE, "'relative/maps' is on no BPF file system");
}

static void open_says_what_an_unprivileged_user_lacks(void **state)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		struct loader_options options = {.bpffs = bpffs};
		struct capture capture = capture_stderr();
		struct loader *loader = NULL;
		int err = setresuid(NOBODY, NOBODY, NOBODY) ? 0 : loader_open(&loader, &options);
		const char *text = end_capture(&capture), *newline = strchr(text, '\n');

		_exit(err == -EPERM && strstr(text, "run as root") && newline && !newline[1] ? 0
											     : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void assert_attach_refused(struct loader *loader, enum loader_program program,
				  unsigned int ifindex, int expected, const char *part)
{
	struct capture capture = capture_stderr();
	int err = loader_attach(loader, program, ifindex);
	const char *text = end_capture(&capture);

	assert_int_equal(err, expected);
	assert_one_line_with(text, part);
}

static void attach_refuses_what_it_cannot_read(void **state)
{
	struct loader *loader = open_loader(false);

	assert_attach_refused(loader, LOADER_FROM_TUNNEL, ifindex_of("up0"), -EPROTONOSUPPORT,
			      "device up0: from_tunnel cannot read this kind of device");
	assert_attach_refused(loader, LOADER_TO_WIRE, 999999, -ENODEV, "device #999999");
	loader_close(loader);
}

static void attach_leaves_a_foreign_filter_in_its_place(void **state)
{
	struct loader *loader = open_loader(true);
	CLEANUP_CLOSE int program = load_passer("foreign");

	attach_foreign_clsact(program, "up0", 1, 0x70760001);
	assert_attach_refused(loader, LOADER_TO_WIRE, ifindex_of("up0"), -EBUSY, "not ours");
	assert_int_equal(loader_detach(loader, LOADER_TO_WIRE, ifindex_of("up0")), 0);
	assert_true(has_clsact_filter("up0", 1, 0x70760001));
	loader_close(loader);
}

/* -- the programs on real devices -- */

struct path {
	struct loader *loader;
	int tun, near, far;
};

static void open_path(struct path *path, bool force_clsact)
{
	path->loader = open_loader(force_clsact);
	path->tun = open_tun("podveil0", 0);
	path->near = open_wire("up0");
	path->far = open_wire("far0");
	fill(path->loader, ifindex_of("podveil0"));
	attach(path->loader, LOADER_TO_WIRE, "up0");
}

static void close_path(struct path *path)
{
	close(path->tun);
	close(path->near);
	close(path->far);
	loader_close(path->loader);
}

static void assert_read_from_tun(int tun, const struct frame *frame)
{
	uint8_t bytes[FRAME_MAX];
	size_t len = read_tun(tun, bytes, sizeof(bytes));

	assert_int_equal(len, frame->len - frame->ip);
	assert_memory_equal(bytes, frame->bytes + frame->ip, len);
}

/* With its positive control: the same frame to the world is seen on the wire, where a pod's is not. */
static void redirect_takes_packets_off_the_wire(bool force_clsact)
{
	struct frame pod, marker;
	struct path path;

	open_path(&path, force_clsact);
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		frame_make_udp(&pod, place_text(&local_pod, is_ip6), place_text(&peer_pod, is_ip6));
		frame_make_udp(&marker, place_text(&local_pod, is_ip6), place_text(&world, is_ip6));
		send_frame(path.near, &pod);
		send_frame(path.near, &marker);
		assert_int_equal(count_before_marker(path.far, &pod, &marker), 0);
		assert_read_from_tun(path.tun, &pod);
		assert_true(tun_is_silent(path.tun));
	}
	assert_int_equal(read_peer_traffic(loader_get_maps(path.loader)->peer_traffic, PEER_USABLE)
				 .to_tunnel.packets,
			 2);
	close_path(&path);
}

static void tcx_redirects_bare_ip_into_the_tunnel_and_off_the_wire(void **state)
{
	require_tcx();
	redirect_takes_packets_off_the_wire(false);
}

static void clsact_redirects_bare_ip_into_the_tunnel_and_off_the_wire(void **state)
{
	redirect_takes_packets_off_the_wire(true);
}

/* The same through the node's own routing: here the kernel, not we, has made the frame. */
static void routed_packets_are_redirected(void **state)
{
	CLEANUP_CLOSE int sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htobe16(5000)};
	uint8_t bytes[FRAME_MAX];
	struct path path;
	size_t len;

	open_path(&path, false);
	COMMAND("ip addr add 192.168.50.1/24 dev up0 && ip route add 10.244.2.0/24 via 192.168.50.2 dev up0 && "
		"ip neigh add 192.168.50.2 lladdr 02:00:00:00:00:02 dev up0 nud permanent");
	inet_pton(AF_INET, peer_pod.ip4, &to.sin_addr);
	assert_int_equal(sendto(sender, "in the tunnel", 13, 0, (struct sockaddr *)&to, sizeof(to)),
			 13);
	len = read_tun(path.tun, bytes, sizeof(bytes));
	assert_int_equal(len, sizeof(struct iphdr) + sizeof(struct udphdr) + 13);
	assert_int_equal(bytes[0], 0x45);
	assert_memory_equal(bytes + 28, "in the tunnel", 13);
	assert_int_equal(count_arrived(path.far), 0);
	close_path(&path);
}

static void vlan_tags_never_reach_the_tunnel(void **state)
{
	CLEANUP_CLOSE int program = load_tagger(), link = -1;
	struct frame plain, tagged;
	struct path path;

	open_path(&path, false);
	frame_make_udp(&plain, local_pod.ip4, peer_pod.ip4);
	frame_begin(&tagged);
	frame_put_tag(&tagged, ETH_P_8021AD, 9);
	frame_put_tag(&tagged, ETH_P_8021Q, 10);
	frame_put_ip(&tagged, local_pod.ip4, peer_pod.ip4);
	frame_put_udp(&tagged, 4000, 5000, 64);
	frame_end(&tagged);

	send_frame(path.near, &tagged); /* both in the frame */
	assert_read_from_tun(path.tun, &plain);
	if (has_tcx) {
		link = attach_foreign_tcx(program, "up0");
		assert_string_equal(list_tcx("up0"), "tagger to_wire ");
		send_frame(path.near, &plain); /* one beside it */
		assert_read_from_tun(path.tun, &plain);
		send_frame(path.near, &tagged); /* one beside it, two in it */
		assert_read_from_tun(path.tun, &plain);
	}
	assert_int_equal(count_arrived(path.far), 0);
	close_path(&path);
}

static void vlan_tag_that_the_kernel_does_not_see_is_dropped(void **state)
{
	struct frame tagged;
	struct path path;

	open_path(&path, false);
	frame_begin(&tagged);
	frame_put_tag(&tagged, ETH_P_8021Q, 9);
	frame_put_ip(&tagged, local_pod.ip4, peer_pod.ip4);
	frame_put_udp(&tagged, 4000, 5000, 64);
	frame_end(&tagged);
	send_frame_as(path.near, &tagged, "up0", ETH_P_IP);
	assert_int_equal(count_drops(path.loader, DROP_VLAN_STUCK), 1);
	assert_true(tun_is_silent(path.tun));
	assert_int_equal(count_arrived(path.far), 0);
	close_path(&path);
}

static void frames_cut_in_the_ip_header_never_reach_the_wire(void **state)
{
	struct frame frame;
	struct path path;
	uint64_t sent = 0;

	open_path(&path, false);
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		frame_make_udp(&frame, place_text(&local_pod, is_ip6),
			       place_text(&peer_pod, is_ip6));
		/* The kernel sends no frame that is a header alone. */
		for (frame.len = ETH_HLEN + 1; frame.len < (size_t)(ETH_HLEN + (is_ip6 ? 40 : 20));
		     frame.len++, sent++)
			send_frame(path.near, &frame);
	}
	assert_int_equal(count_drops(path.loader, DROP_TRUNCATED), sent);
	assert_true(tun_is_silent(path.tun));
	assert_int_equal(count_arrived(path.far), 0);
	close_path(&path);
}

/* A tunnel device stands for ipip, gre and the like: all hand over bare IP. */
static void devices_without_ethernet_are_guarded_too(void **state)
{
	struct frame pod, other;
	struct path path;
	int uplink, near;

	open_path(&path, false);
	uplink = open_tun("up1", 0);
	near = open_wire("up1");
	attach(path.loader, LOADER_TO_WIRE, "up1");
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		uint16_t type = is_ip6 ? ETH_P_IPV6 : ETH_P_IP;

		frame_begin_bare(&pod);
		frame_put_ip(&pod, place_text(&local_pod, is_ip6), place_text(&peer_pod, is_ip6));
		frame_put_udp(&pod, 4000, 5000, 64);
		frame_end(&pod);
		frame_begin_bare(&other);
		frame_put_ip(&other, place_text(&local_pod, is_ip6), place_text(&world, is_ip6));
		frame_put_udp(&other, 4000, 5000, 64);
		frame_end(&other);
		send_frame_as(near, &pod, "up1", type);
		assert_read_from_tun(path.tun, &pod);
		assert_true(tun_is_silent(uplink));
		send_frame_as(near, &other, "up1", type);
		assert_read_from_tun(uplink, &other);
		assert_true(tun_is_silent(path.tun));
	}
	close(near);
	close(uplink);
	close_path(&path);
}

/* -- from_tunnel on a real TUN -- */

static int open_receiver(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htobe16(port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void write_udp(int tun, const char *source, const char *destination, uint16_t port)
{
	struct frame frame;

	frame_begin_bare(&frame);
	frame_put_ip(&frame, source, destination);
	frame_put_udp(&frame, 4000, port, 32);
	frame_end(&frame);
	assert_int_equal(write(tun, frame.bytes, frame.len), (ssize_t)frame.len);
}

static bool has_received(int fd)
{
	uint8_t bytes[64];

	return recv(fd, bytes, sizeof(bytes), 0) == 32;
}

static void decrypted_packets_reach_this_node_and_nothing_else(void **state)
{
	CLEANUP_CLOSE int receiver = open_receiver(5000), own_port = open_receiver(TUNNEL_PORT);
	struct path path;

	open_path(&path, false);
	COMMAND("ip addr add 192.168.50.1/24 dev up0 && ip route add 10.244.2.0/24 dev podveil0");
	write_udp(path.tun, peer_pod.ip4, self.ip4, TUNNEL_PORT);
	assert_true(has_received(own_port)); /* positive control: no program yet */
	attach(path.loader, LOADER_FROM_TUNNEL, "podveil0");
	assert_int_equal(count_attached(path.loader, LOADER_FROM_TUNNEL), 1);

	write_udp(path.tun, peer_pod.ip4, self.ip4, 5000);
	assert_true(has_received(receiver));
	write_udp(path.tun, peer_pod.ip4, self.ip4, TUNNEL_PORT);
	assert_false(has_received(own_port));
	assert_int_equal(count_drops(path.loader, DROP_TUNNEL_PORT), 1);
	write_udp(path.tun, peer_pod.ip4, "127.0.0.1", 5000);
	write_udp(path.tun, peer_pod.ip4, "169.254.77.1", 5000);
	write_udp(path.tun, peer_pod.ip4, "224.0.0.1", 5000);
	write_udp(path.tun, peer_pod.ip4, world.ip4, 5000);
	write_udp(path.tun, peer_pod.ip6, "fe80::1", 5000);
	assert_false(has_received(receiver));
	assert_int_equal(count_drops(path.loader, DROP_NOT_LOCAL), 5);
	assert_int_equal(read_peer_traffic(loader_get_maps(path.loader)->peer_traffic, PEER_USABLE)
				 .from_tunnel.packets,
			 1);
	close_path(&path);
}

static void decrypted_super_packets_count_their_segments(void **state)
{
	struct virtio_net_hdr header = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = 40,
		.gso_size = 400,
		.csum_start = 20,
		.csum_offset = 16,
	};
	uint8_t bytes[sizeof(header) + FRAME_MAX];
	struct loader *loader = open_loader(false);
	int tun = open_tun("podveil0", IFF_VNET_HDR);
	struct frame frame;

	fill(loader, ifindex_of("podveil0"));
	attach(loader, LOADER_FROM_TUNNEL, "podveil0");
	frame_begin_bare(&frame);
	frame_put_ip(&frame, peer_pod.ip4, local_pod.ip4);
	frame_put_tcp(&frame, TCP_ACK, NULL, 0, 1000);
	frame_end(&frame);
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), frame.bytes, frame.len);
	assert_int_equal(write(tun, bytes, sizeof(header) + frame.len),
			 (ssize_t)(sizeof(header) + frame.len));
	assert_int_equal(read_peer_traffic(loader_get_maps(loader)->peer_traffic, PEER_USABLE)
				 .from_tunnel.packets,
			 3);
	close(tun);
	loader_close(loader);
}

static int setup_namespace(void **state)
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_veth, teardown_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tcx_guards_from_attach_to_detach),
		TEST(clsact_guards_from_attach_to_detach),
		TEST(tcx_hooks_and_maps_outlive_the_agent),
		TEST(clsact_hooks_and_maps_outlive_the_agent),
		TEST(tcx_is_replaced_without_a_packet_missing_it),
		TEST(clsact_is_replaced_without_a_packet_missing_it),
		TEST(change_of_mechanism_lets_no_packet_through),
		TEST(tcx_attaches_in_front_of_others),
		TEST(cleanup_removes_ours_and_nothing_else),
		TEST(cleanup_without_anything_is_no_error),
		TEST(tcx_returns_to_a_device_made_again_under_its_number),
		TEST(clsact_returns_to_a_device_made_again_under_its_number),
		TEST(open_sweeps_pins_of_devices_that_are_gone),
		TEST(wire_guard_stops_and_counts_the_leak_when_to_wire_is_gone),
		TEST(clsact_guard_stops_the_leak_when_the_filter_of_to_wire_is_gone),
		TEST(guard_changes_its_priority_with_the_mechanism),
		TEST(tcx_from_wire_stops_spoofed_pods_before_the_stack),
		TEST(clsact_from_wire_stops_spoofed_pods_before_the_stack),
		TEST(tcx_every_program_is_found_missing_and_put_back),
		TEST(clsact_every_program_is_found_missing_and_put_back),
		TEST(inspect_names_a_device_that_is_gone),
		TEST(link_that_somebody_detached_is_replaced),
		TEST(program_put_before_ours_is_found_and_overtaken),
		TEST(overtaking_lets_no_packet_through_and_counts_none_twice),
		TEST(link_whose_pin_is_gone_is_pinned_again),
		TEST(stale_copies_are_taken_over_or_removed),
		TEST(overtaking_works_again_and_again_and_after_a_restart),
		TEST(filters_are_found_missing_however_they_went),
		TEST(filter_put_before_ours_is_found_and_overtaken),
		TEST(second_filter_of_ours_is_found_and_removed),
		TEST(filter_with_a_smaller_priority_is_found_and_named),
		TEST(filters_of_other_kinds_before_ours_are_found_too),
		TEST(filter_in_the_place_of_ours_is_found_missing),
		TEST(map_pins_that_are_gone_come_back_with_the_same_maps),
		TEST(map_pin_of_somebody_else_in_the_place_of_ours_goes),
		TEST(tcx_cleanup_removes_all_programs_also_without_a_pin),
		TEST(clsact_cleanup_removes_all_programs),
		TEST(open_refuses_a_pinned_map_of_another_shape),
		TEST(open_refuses_maps_of_another_version),
		TEST(open_refuses_a_folder_that_is_on_no_bpffs),
		TEST(open_says_what_an_unprivileged_user_lacks),
		TEST(attach_refuses_what_it_cannot_read),
		TEST(attach_leaves_a_foreign_filter_in_its_place),
		TEST(tcx_redirects_bare_ip_into_the_tunnel_and_off_the_wire),
		TEST(clsact_redirects_bare_ip_into_the_tunnel_and_off_the_wire),
		TEST(routed_packets_are_redirected),
		TEST(vlan_tags_never_reach_the_tunnel),
		TEST(vlan_tag_that_the_kernel_does_not_see_is_dropped),
		TEST(frames_cut_in_the_ip_header_never_reach_the_wire),
		TEST(devices_without_ethernet_are_guarded_too),
		TEST(decrypted_packets_reach_this_node_and_nothing_else),
		TEST(decrypted_super_packets_count_their_segments),
	};

	if (!datapath_is_possible())
		return 0;
	return cmocka_run_group_tests(tests, setup_namespace, NULL);
}
