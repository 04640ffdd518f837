/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clsact filters by libbpf's netlink. Never touches a filter whose program is not ours, and never the qdisc of others.
 */
#include "clsact.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>

enum occupant { OCCUPANT_NONE, OCCUPANT_OURS, OCCUPANT_FOREIGN };

static struct bpf_tc_hook hook_of(const struct clsact_place *place)
{
	return (struct bpf_tc_hook){
		.sz = sizeof(struct bpf_tc_hook),
		.ifindex = (int)place->ifindex,
		.attach_point = place->is_egress ? BPF_TC_EGRESS : BPF_TC_INGRESS,
	};
}

static struct bpf_tc_opts filter_of(const struct clsact_place *place)
{
	return (struct bpf_tc_opts){
		.sz = sizeof(struct bpf_tc_opts),
		.handle = place->handle,
		.priority = CLSACT_PRIORITY,
	};
}

static bool has_name(__u32 program_id, const char *name)
{
	CLEANUP_CLOSE int fd = bpf_prog_get_fd_by_id(program_id);
	struct bpf_prog_info info = {0};
	__u32 length = sizeof(info);
	size_t name_len = strlen(name);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length) ||
	    strncmp(info.name, name, name_len))
		return false;
	return !info.name[name_len] || !strcmp(info.name + name_len, "_l3");
}

static enum occupant find_occupant(const struct clsact_place *place)
{
	struct bpf_tc_hook hook = hook_of(place);
	struct bpf_tc_opts filter = filter_of(place);

	if (bpf_tc_query(&hook, &filter))
		return OCCUPANT_NONE;
	return has_name(filter.prog_id, place->program) ? OCCUPANT_OURS : OCCUPANT_FOREIGN;
}

int clsact_attach(const struct clsact_place *place, int program_fd)
{
	struct bpf_tc_hook hook = hook_of(place);
	struct bpf_tc_opts filter = filter_of(place);
	int err = bpf_tc_hook_create(&hook);

	if (err && err != -EEXIST)
		return err;
	if (find_occupant(place) == OCCUPANT_FOREIGN)
		return -EBUSY;
	filter.prog_fd = program_fd;
	filter.flags = BPF_TC_F_REPLACE;
	return bpf_tc_attach(&hook, &filter);
}

int clsact_detach(const struct clsact_place *place)
{
	struct bpf_tc_hook hook = hook_of(place);
	struct bpf_tc_opts filter = filter_of(place);
	int err;

	if (find_occupant(place) != OCCUPANT_OURS)
		return 0;
	err = bpf_tc_detach(&hook, &filter);
	return err ? err : 1;
}

bool clsact_is_attached(const struct clsact_place *place)
{
	return find_occupant(place) == OCCUPANT_OURS;
}
