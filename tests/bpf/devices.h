/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices in the test's own network namespace, sockets that see the frames on their wire, and
 * foreign BPF programs. A test shows that nothing arrived by sending a marker afterwards that does
 * arrive: it never waits for a fixed time.
 */
#pragma once

#include "datapath.h"

#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>

#define ATTACH_TCX_INGRESS ((enum bpf_attach_type)46)
#define ATTACH_TCX_EGRESS  ((enum bpf_attach_type)47)
#define BEFORE_ALL	   8
#define AFTER_ALL	   16
#define ARRIVAL_MS	   5000

#define COMMAND(...)                                               \
	do {                                                       \
		char _command[512];                                \
		snprintf(_command, sizeof(_command), __VA_ARGS__); \
		if (system(_command))                              \
			fail_msg("failed: %s", _command);          \
	} while (0)

static inline unsigned int ifindex_of(const char *name)
{
	unsigned int ifindex = if_nametoindex(name);

	assert_int_not_equal(ifindex, 0);
	return ifindex;
}

/* In two steps: in a single one the kernel brings the device up first, and then it sends its own
 * neighbour discovery. */
static inline void bring_up(const char *device)
{
	COMMAND("ip link set %s addrgenmode none && ip link set %s up", device, device);
}

static inline void remove_device(const char *name)
{
	COMMAND("ip link del %s 2>/dev/null || true", name);
}

/* A TUN without packet information and, on request, with the virtio header; up, silent, with an
 * IPv4 address. */
static inline int open_tun(const char *name, short extra_flags)
{
	struct ifreq request = {.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | extra_flags)};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	assert_true(fd >= 0);
	copy_text(request.ifr_name, sizeof(request.ifr_name), name);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	bring_up(name);
	COMMAND("ip addr add 169.254.77.1/32 dev %s", name);
	return fd;
}

/* Sees frames that arrive at the device, and sends as the stack above it would. */
static inline int open_wire(const char *name)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htobe16(ETH_P_ALL),
		.sll_ifindex = (int)ifindex_of(name),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htobe16(ETH_P_ALL));

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* A packet socket also shows frames that the device itself sends; this skips them. */
static inline ssize_t receive_wire(int fd, uint8_t *bytes, size_t size)
{
	struct sockaddr_ll from;
	socklen_t from_len;
	ssize_t len;

	do {
		from_len = sizeof(from);
		len = recvfrom(fd, bytes, size, 0, (struct sockaddr *)&from, &from_len);
	} while (len >= 0 && from.sll_pkttype == PACKET_OUTGOING);
	return len;
}

static inline bool contains(const uint8_t *bytes, size_t len, const struct frame *frame)
{
	size_t ip_len = frame->len - frame->ip;

	return memmem(bytes, len, frame->bytes + frame->ip, ip_len) != NULL;
}

/* Counts how often `frame` arrived before `marker`, which must arrive. */
static inline unsigned int count_before_marker(int wire, const struct frame *frame,
					       const struct frame *marker)
{
	struct pollfd ready = {.fd = wire, .events = POLLIN};
	uint8_t bytes[FRAME_MAX];
	unsigned int seen = 0;
	ssize_t len;

	for (;;) {
		len = receive_wire(wire, bytes, sizeof(bytes));
		if (len < 0 && poll(&ready, 1, ARRIVAL_MS) != 1)
			fail_msg("the marker did not arrive");
		if (len < 0)
			continue;
		if (contains(bytes, (size_t)len, marker))
			return seen;
		seen += contains(bytes, (size_t)len, frame);
	}
}

/* The next packet that the reader of a TUN gets, unchanged. */
static inline size_t read_tun(int tun, uint8_t *bytes, size_t size)
{
	struct pollfd ready = {.fd = tun, .events = POLLIN};
	ssize_t len;

	if (poll(&ready, 1, ARRIVAL_MS) != 1)
		fail_msg("nothing arrived at the TUN");
	len = read(tun, bytes, size);
	assert_true(len > 0);
	return (size_t)len;
}

static inline bool tun_is_silent(int tun)
{
	struct pollfd ready = {.fd = tun, .events = POLLIN};

	return poll(&ready, 1, 0) == 0;
}

/* A drop at the hook makes send() fail, which is no failure here. */
static inline void send_frame(int wire, const struct frame *frame)
{
	if (send(wire, frame->bytes, frame->len, 0) < 0 && errno != ENOBUFS)
		fail_msg("sending %zu bytes: %s", frame->len, strerror(errno));
}

/* Like a driver that sets skb->protocol to another type than the frame has. */
static inline void send_frame_as(int wire, const struct frame *frame, const char *device,
				 uint16_t ethertype)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_protocol = htobe16(ethertype),
		.sll_ifindex = (int)ifindex_of(device),
	};

	if (sendto(wire, frame->bytes, frame->len, 0, (struct sockaddr *)&to, sizeof(to)) < 0 &&
	    errno != ENOBUFS)
		fail_msg("sending %zu bytes: %s", frame->len, strerror(errno));
}

/* The kernel drops frames of a new device until some time after it is up. */
static inline void wait_until_it_carries(const char *near, const char *far)
{
	CLEANUP_CLOSE int from = open_wire(near);
	CLEANUP_CLOSE int to = open_wire(far);
	struct pollfd ready = {.fd = to, .events = POLLIN};
	struct frame probe;

	frame_make_udp(&probe, self.ip4, world.ip4);
	for (int waited_ms = 0; waited_ms < ARRIVAL_MS; waited_ms += 10) {
		send_frame(from, &probe);
		if (poll(&ready, 1, 10) == 1)
			return;
	}
	fail_msg("%s never carried a frame to %s", near, far);
}

/* `near` is the node's uplink, `far` the other end of the wire; index 0: any index. */
static inline void add_veth(const char *near, const char *far, unsigned int index)
{
	char number[32] = "";

	if (index)
		snprintf(number, sizeof(number), "index %u", index);
	COMMAND("ip link add %s %s type veth peer name %s", near, number, far);
	bring_up(near);
	bring_up(far);
	wait_until_it_carries(near, far);
}

/* -- foreign programs -- */

#define INSN(opcode, dst, source, offset, immediate) \
	((struct bpf_insn){.code = (opcode),         \
			   .dst_reg = (dst),         \
			   .src_reg = (source),      \
			   .off = (offset),          \
			   .imm = (immediate)})

static inline int load_foreign(const char *name, const struct bpf_insn *instructions, size_t count)
{
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, name, "GPL", instructions, count, NULL);

	if (fd < 0)
		fail_msg("loading the foreign program: %s", strerror(errno));
	return fd;
}

/* A program that passes every packet on. */
static inline int load_passer(const char *name)
{
	const struct bpf_insn instructions[] = {
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, -1),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return load_foreign(name, instructions, ARRAY_SIZE(instructions));
}

/* A program that hides every packet from those after it: TC_ACT_OK. */
static inline int load_accepter(const char *name)
{
	const struct bpf_insn instructions[] = {
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return load_foreign(name, instructions, ARRAY_SIZE(instructions));
}

/* A program that puts a VLAN tag beside each frame, as a bridge or a VLAN device does, and passes
 * it on. */
static inline int load_tagger(void)
{
	const struct bpf_insn instructions[] = {
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, htobe16(ETH_P_8021Q)),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, 5),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_skb_vlan_push),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, -1),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return load_foreign("tagger", instructions, ARRAY_SIZE(instructions));
}

/* Returns the link; closing it detaches the program. -1: no tcx here. */
static inline int attach_tcx_at(int program_fd, const char *device, enum bpf_attach_type hook,
				uint32_t place)
{
	DECLARE_LIBBPF_OPTS(bpf_link_create_opts, options, .flags = place);

	return bpf_link_create(program_fd, (int)ifindex_of(device), hook, &options);
}

static inline int attach_foreign_tcx(int program_fd, const char *device)
{
	return attach_tcx_at(program_fd, device, ATTACH_TCX_EGRESS, BEFORE_ALL);
}

static inline struct bpf_tc_hook egress_hook(const char *device)
{
	return (struct bpf_tc_hook){
		.sz = sizeof(struct bpf_tc_hook),
		.ifindex = (int)ifindex_of(device),
		.attach_point = BPF_TC_EGRESS,
	};
}

static inline void attach_foreign_clsact(int program_fd, const char *device, uint32_t priority,
					 uint32_t handle)
{
	struct bpf_tc_hook hook = egress_hook(device);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, filter, .prog_fd = program_fd, .priority = priority,
			    .handle = handle);
	int err = bpf_tc_hook_create(&hook);

	assert_true(!err || err == -EEXIST);
	assert_int_equal(bpf_tc_attach(&hook, &filter), 0);
}

static inline bool has_clsact_filter(const char *device, uint32_t priority, uint32_t handle)
{
	struct bpf_tc_hook hook = egress_hook(device);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, filter, .priority = priority, .handle = handle);

	return !bpf_tc_query(&hook, &filter);
}

static inline uint32_t program_id_of(int program_fd)
{
	struct bpf_prog_info info = {0};
	__u32 length = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(program_fd, &info, &length), 0);
	return info.id;
}

/* The names of the programs on the device's tcx hook, in order, each followed by a space. */
static inline const char *list_tcx_at(const char *device, enum bpf_attach_type hook)
{
	static char names[512];
	__u32 ids[16] = {0}, attach_flags = 0, count = ARRAY_SIZE(ids);

	names[0] = '\0';
	if (bpf_prog_query((int)ifindex_of(device), hook, 0, &attach_flags, ids, &count))
		return names;
	for (__u32 i = 0; i < count; i++) {
		CLEANUP_CLOSE int fd = bpf_prog_get_fd_by_id(ids[i]);
		struct bpf_prog_info info = {0};
		__u32 length = sizeof(info);

		assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &length), 0);
		strncat(names, info.name, sizeof(names) - strlen(names) - 1);
		strncat(names, " ", sizeof(names) - strlen(names) - 1);
	}
	return names;
}

static inline const char *list_tcx(const char *device)
{
	return list_tcx_at(device, ATTACH_TCX_EGRESS);
}
