/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manages clsact filters with libbpf, and reads their order from a dump of its own, which libbpf
 * does not offer. Never touches a filter with a foreign program, and never a foreign qdisc.
 */
#include "clsact.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "netlink.h"

#pragma GCC diagnostic ignored "-Wconversion" /* libmnl's loops are macros that convert */

#define REQUEST_MAX 64
#define DUMP_SIZE   32768 /* the kernel puts at most this into one part of a dump */

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

/* The handle of our program; 0: it is not attached. */
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

/* 1; 0: our program was not there; -errno. */
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

static uint32_t read_u32(const struct nlattr *attribute)
{
	return mnl_attr_get_payload_len(attribute) >= sizeof(uint32_t) ? mnl_attr_get_u32(attribute)
								       : 0;
}

/* The id of a BPF filter's program; 0: it is another kind of filter. */
static uint32_t find_program(const struct nlattr *options)
{
	const struct nlattr *option;

	mnl_attr_for_each_nested(option, options)
	{
		if (mnl_attr_get_type(option) == TCA_BPF_ID)
			return read_u32(option);
	}
	return 0;
}

static bool is_at_place(const struct tcmsg *filter, const struct clsact_place *place)
{
	return TC_H_MAJ(filter->tcm_info) >> 16 == place->priority &&
	       (filter->tcm_handle == place->handle ||
		filter->tcm_handle == successor_of(place->handle));
}

/* Adds one filter to the view; filters arrive in the order in which the kernel runs them. A handle
 * of 0 is the head of a list, and chains other than 0 run only after a jump. */
static void view_filter(const struct clsact_place *place, const struct nlmsghdr *message,
			struct hook_view *view)
{
	const struct tcmsg *filter = mnl_nlmsg_get_payload(message);
	const struct nlattr *attribute;
	uint32_t program = 0, chain = 0;

	mnl_attr_for_each(attribute, message, sizeof(*filter))
	{
		if (mnl_attr_get_type(attribute) == TCA_OPTIONS)
			program = find_program(attribute);
		else if (mnl_attr_get_type(attribute) == TCA_CHAIN)
			chain = read_u32(attribute);
	}
	if (!filter->tcm_handle || chain)
		return;
	if (is_at_place(filter, place) && hook_view_is_program(program, place->program)) {
		view->has_copy = view->is_there;
		view->is_there = true;
	} else if ((filter->tcm_handle & CLSACT_HANDLE_MASK) != CLSACT_HANDLE && !view->is_there &&
		   !view->is_behind_other) {
		view->is_behind_other = true;
		view->other = program;
	}
}

static int ask_for_filters(const struct mnl_socket *socket, const struct clsact_place *place)
{
	uint32_t point = place->is_egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS;
	_Alignas(struct nlmsghdr) char buffer[REQUEST_MAX];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct tcmsg *filter = mnl_nlmsg_put_extra_header(message, sizeof(*filter));

	message->nlmsg_type = RTM_GETTFILTER;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	filter->tcm_ifindex = (int)place->ifindex;
	filter->tcm_parent = TC_H_MAKE(TC_H_CLSACT, point);
	return mnl_socket_sendto(socket, message, message->nlmsg_len) < 0 ? -errno : 0;
}

/* Reads one part of the dump. 1: more follow; 0: that was all; -errno. */
static int view_part(const struct mnl_socket *socket, const struct clsact_place *place,
		     struct hook_view *view)
{
	CLEANUP_FREE char *part = malloc(DUMP_SIZE);
	ssize_t received = part ? mnl_socket_recvfrom(socket, part, DUMP_SIZE) : -1;
	const struct nlmsghdr *message = (const void *)part;
	int left = (int)received;

	if (received < 0)
		return part ? -errno : -ENOMEM;
	for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
		if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR)
			return 0; /* an error: the qdisc does not exist, so there are no filters */
		if (message->nlmsg_type == RTM_NEWTFILTER &&
		    mnl_nlmsg_get_payload_len(message) >= sizeof(struct tcmsg))
			view_filter(place, message, view);
	}
	return 1;
}

int clsact_inspect(const struct clsact_place *place, struct hook_view *ret_view)
{
	CLEANUP_NETLINK struct mnl_socket *socket = netlink_open(NETLINK_ROUTE, 0, 0);
	struct hook_view view = {.is_pinned = true};
	int err;

	if (!socket)
		return -errno;
	err = ask_for_filters(socket, place);
	if (err)
		return err;
	do
		err = view_part(socket, place, &view);
	while (err > 0);
	if (err)
		return err;
	*ret_view = view.is_there ? view : (struct hook_view){0};
	return 0;
}
