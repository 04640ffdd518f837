/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clsact filters by libbpf's netlink, and their order by a dump of our own, which libbpf does not have. Never touches a
 * filter whose program is not ours, and never the qdisc of others.
 */
#include "clsact.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#define DUMP_SIZE 32768 /* what the kernel puts into one part of a dump at most */

enum occupant { OCCUPANT_NONE, OCCUPANT_OURS, OCCUPANT_FOREIGN };

static struct bpf_tc_hook hook_of(const struct clsact_place *place)
{
	return (struct bpf_tc_hook){
		.sz = sizeof(struct bpf_tc_hook),
		.ifindex = (int)place->ifindex,
		.attach_point = place->is_egress ? BPF_TC_EGRESS : BPF_TC_INGRESS,
	};
}

static struct bpf_tc_opts filter_of(const struct clsact_place *place, uint32_t handle)
{
	return (struct bpf_tc_opts){
		.sz = sizeof(struct bpf_tc_opts),
		.handle = handle,
		.priority = place->priority,
	};
}

static enum occupant find_occupant(const struct clsact_place *place, uint32_t handle)
{
	struct bpf_tc_hook hook = hook_of(place);
	struct bpf_tc_opts filter = filter_of(place, handle);

	if (bpf_tc_query(&hook, &filter))
		return OCCUPANT_NONE;
	return hook_view_is_program(filter.prog_id, place->program) ? OCCUPANT_OURS
								    : OCCUPANT_FOREIGN;
}

static uint32_t successor_of(uint32_t handle)
{
	return handle ^ CLSACT_SUCCESSOR;
}

/* The handle under which our program is there; 0: it is not. */
static uint32_t find_handle(const struct clsact_place *place)
{
	if (find_occupant(place, place->handle) == OCCUPANT_OURS)
		return place->handle;
	if (find_occupant(place, successor_of(place->handle)) == OCCUPANT_OURS)
		return successor_of(place->handle);
	return 0;
}

static int attach_at(const struct clsact_place *place, uint32_t handle, int program_fd)
{
	struct bpf_tc_hook hook = hook_of(place);
	struct bpf_tc_opts filter = filter_of(place, handle);

	if (find_occupant(place, handle) == OCCUPANT_FOREIGN)
		return -EBUSY;
	filter.prog_fd = program_fd;
	filter.flags = BPF_TC_F_REPLACE;
	return bpf_tc_attach(&hook, &filter);
}

/* 1; 0: there was none of ours; -errno. */
static int detach_at(const struct clsact_place *place, uint32_t handle)
{
	struct bpf_tc_hook hook = hook_of(place);
	struct bpf_tc_opts filter = filter_of(place, handle);
	int err;

	if (find_occupant(place, handle) != OCCUPANT_OURS)
		return 0;
	err = bpf_tc_detach(&hook, &filter);
	return err ? err : 1;
}

int clsact_attach(const struct clsact_place *place, int program_fd)
{
	struct bpf_tc_hook hook = hook_of(place);
	uint32_t handle = find_handle(place);
	int err = bpf_tc_hook_create(&hook);

	if (err && err != -EEXIST)
		return err;
	if (!handle)
		handle = place->handle;
	err = attach_at(place, handle, program_fd);
	if (!err)
		err = detach_at(place, successor_of(handle));
	return err < 0 ? err : 0;
}

int clsact_overtake(const struct clsact_place *place, int program_fd)
{
	uint32_t handle = find_handle(place);
	int err = attach_at(place, successor_of(handle ? handle : place->handle), program_fd);

	if (!err && handle)
		err = detach_at(place, handle);
	return err < 0 ? err : 0;
}

int clsact_detach(const struct clsact_place *place)
{
	int first = detach_at(place, place->handle),
	    second = detach_at(place, successor_of(place->handle));

	if (first < 0 || second < 0)
		return first < 0 ? first : second;
	return first + second;
}

bool clsact_is_attached(const struct clsact_place *place)
{
	return find_handle(place);
}

/* -- the order of filters -- */

static const struct rtattr *find_attribute(const struct rtattr *attributes, size_t len,
					   unsigned short type)
{
	for (const struct rtattr *a = attributes; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
	return NULL;
}

static uint32_t read_u32(const struct rtattr *attribute)
{
	uint32_t value = 0;

	if (attribute && RTA_PAYLOAD(attribute) >= sizeof(value))
		memcpy(&value, RTA_DATA(attribute), sizeof(value));
	return value;
}

static uint32_t find_program(const struct rtattr *attributes, size_t len)
{
	const struct rtattr *options = find_attribute(attributes, len, TCA_OPTIONS);

	if (!options)
		return 0;
	return read_u32(find_attribute(RTA_DATA(options), RTA_PAYLOAD(options), TCA_BPF_ID));
}

static bool is_at_place(const struct tcmsg *filter, const struct clsact_place *place)
{
	return TC_H_MAJ(filter->tcm_info) >> 16 == place->priority &&
	       (filter->tcm_handle == place->handle ||
		filter->tcm_handle == successor_of(place->handle));
}

/* One filter, in the order of asking. A handle of 0 is the head of a list, another chain than 0 is asked only by jumps. */
static void view_filter(const struct clsact_place *place, const struct nlmsghdr *message,
			struct hook_view *view)
{
	const struct tcmsg *filter = NLMSG_DATA(message);
	const struct rtattr *attributes = TCA_RTA(filter);
	size_t len = message->nlmsg_len - NLMSG_LENGTH(sizeof(*filter));
	uint32_t program;

	if (!filter->tcm_handle || read_u32(find_attribute(attributes, len, TCA_CHAIN)))
		return;
	program = find_program(attributes, len);
	if (is_at_place(filter, place) && hook_view_is_program(program, place->program)) {
		view->has_copy = view->is_there;
		view->is_there = true;
	} else if ((filter->tcm_handle & CLSACT_HANDLE_MASK) != CLSACT_HANDLE && !view->is_there &&
		   !view->is_behind_other) {
		view->is_behind_other = true;
		view->other = program;
	}
}

static int ask_for_filters(int fd, const struct clsact_place *place)
{
	struct {
		struct nlmsghdr header;
		struct tcmsg filter;
	} request = {
		.header = {.nlmsg_len = sizeof(request),
			   .nlmsg_type = RTM_GETTFILTER,
			   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.filter = {.tcm_ifindex = (int)place->ifindex,
			   .tcm_parent =
				   TC_H_MAKE(TC_H_CLSACT, place->is_egress ? TC_H_MIN_EGRESS
									   : TC_H_MIN_INGRESS)},
	};

	return send(fd, &request, sizeof(request), 0) < 0 ? -errno : 0;
}

/* One part of the dump. 1: more will come; 0: that was all; -errno. */
static int view_part(int fd, const struct clsact_place *place, struct hook_view *view)
{
	CLEANUP_FREE char *part = malloc(DUMP_SIZE);
	ssize_t received = part ? recv(fd, part, DUMP_SIZE, 0) : -1;
	size_t len = (size_t)received;

	if (received < 0)
		return part ? -errno : -ENOMEM;
	for (const struct nlmsghdr *m = (void *)part; NLMSG_OK(m, len); m = NLMSG_NEXT(m, len)) {
		if (m->nlmsg_type == NLMSG_DONE || m->nlmsg_type == NLMSG_ERROR)
			return 0; /* an error: there is no such qdisc, so no filter */
		if (m->nlmsg_type == RTM_NEWTFILTER &&
		    m->nlmsg_len >= NLMSG_LENGTH(sizeof(struct tcmsg)))
			view_filter(place, m, view);
	}
	return 1;
}

int clsact_inspect(const struct clsact_place *place, struct hook_view *ret_view)
{
	CLEANUP_CLOSE int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct hook_view view = {.is_pinned = true};
	int err;

	if (fd < 0)
		return -errno;
	err = ask_for_filters(fd, place);
	if (err)
		return err;
	do
		err = view_part(fd, place, &view);
	while (err > 0);
	if (err)
		return err;
	*ret_view = view.is_there ? view : (struct hook_view){0};
	return 0;
}
