/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uses the numbers of tcx in the kernel's ABI (<linux/bpf.h> of 6.6), because the libbpf that we
 * build with is older. Never detaches in order to attach again: a link that works and is first is
 * updated in place, and any other link is removed only after its successor works.
 */
#include "tcx.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/syscall.h>

#define ATTACH_TCX_INGRESS ((enum bpf_attach_type)46)
#define ATTACH_TCX_EGRESS  ((enum bpf_attach_type)47)
#define BEFORE_ALL	   8  /* BPF_F_BEFORE without a relative */
#define PROGRAMS_MAX	   64 /* the kernel accepts no more on one hook */

/* The argument of BPF_PROG_QUERY; 6.6 added the ids of the links. */
struct chain_query {
	uint32_t ifindex, attach_type, query_flags, attach_flags;
	uint64_t programs;
	uint32_t count, unused;
	uint64_t program_flags, links, link_flags, revision;
};

/* In the order in which the kernel runs them. Link 0: attached without a link, so not by us. */
struct chain {
	uint32_t count;
	uint32_t programs[PROGRAMS_MAX], links[PROGRAMS_MAX];
};

static enum bpf_attach_type attach_type_of(const struct tcx_place *place)
{
	return place->is_egress ? ATTACH_TCX_EGRESS : ATTACH_TCX_INGRESS;
}

static int create_link(const struct tcx_place *place, int program_fd)
{
	DECLARE_LIBBPF_OPTS(bpf_link_create_opts, options, .flags = BEFORE_ALL);

	return bpf_link_create(program_fd, (int)place->ifindex, attach_type_of(place), &options);
}

/* Tries a device that cannot exist: a kernel with tcx looks for the device, one without refuses the
 * link type. */
bool tcx_is_supported(int program_fd)
{
	const struct tcx_place nowhere = {.ifindex = INT_MAX};
	CLEANUP_CLOSE int link_fd = create_link(&nowhere, program_fd);

	return link_fd >= 0 || errno == ENODEV;
}

/* -- inspect -- */

static int read_chain(const struct tcx_place *place, struct chain *ret_chain)
{
	struct chain_query query = {
		.ifindex = place->ifindex,
		.attach_type = attach_type_of(place),
		.programs = (uintptr_t)ret_chain->programs,
		.links = (uintptr_t)ret_chain->links,
		.count = PROGRAMS_MAX,
	};

	memset(ret_chain, 0, sizeof(*ret_chain));
	if (syscall(__NR_bpf, BPF_PROG_QUERY, &query, sizeof(query)))
		return errno == ENOENT ? 0 : -errno;
	ret_chain->count = query.count;
	return 0;
}

static bool is_ours(const struct chain *chain, uint32_t index, const struct tcx_place *place)
{
	return chain->links[index] && hook_view_is_program(chain->programs[index], place->program);
}

static uint32_t find_ours(const struct chain *chain, uint32_t start, const struct tcx_place *place)
{
	while (start < chain->count && !is_ours(chain, start, place))
		start++;
	return start;
}

/* False if the link does not exist. */
static bool read_link(int link_fd, struct bpf_link_info *ret_info)
{
	uint32_t length = sizeof(*ret_info);

	memset(ret_info, 0, sizeof(*ret_info));
	return link_fd >= 0 && !bpf_obj_get_info_by_fd(link_fd, ret_info, &length);
}

static bool is_pinned_at(const char *pin, uint32_t link_id)
{
	CLEANUP_CLOSE int link_fd = bpf_obj_get(pin);
	struct bpf_link_info info;

	return read_link(link_fd, &info) && info.id == link_id;
}

int tcx_inspect(const struct tcx_place *place, struct hook_view *ret_view)
{
	struct chain chain;
	uint32_t ours;
	int err = read_chain(place, &chain);

	if (err)
		return err;
	ours = find_ours(&chain, 0, place);
	*ret_view = (struct hook_view){.is_there = ours < chain.count};
	if (!ret_view->is_there)
		return 0;
	ret_view->is_pinned = is_pinned_at(place->pin, chain.links[ours]);
	ret_view->has_copy = find_ours(&chain, ours + 1, place) < chain.count;
	ret_view->is_behind_other = ours > 0;
	ret_view->other = ours ? chain.programs[0] : 0;
	return 0;
}

unsigned int tcx_find_device(const char *pin)
{
	CLEANUP_CLOSE int link_fd = bpf_obj_get(pin);
	struct bpf_link_info info;

	/* Every kind of device link has the ifindex first in the union; old headers know only the
	 * member xdp. */
	return read_link(link_fd, &info) ? info.xdp.ifindex : 0;
}

/* -- attach -- */

/* Updates our link with the new program if it is first, and returns it; -1: there is none that
 * still works. */
static int update_first(const struct tcx_place *place, const struct chain *chain, int program_fd)
{
	CLEANUP_CLOSE int link_fd = -1;

	if (!chain->count || !is_ours(chain, 0, place))
		return -1;
	link_fd = bpf_link_get_fd_by_id(chain->links[0]);
	if (link_fd < 0 || bpf_link_update(link_fd, program_fd, NULL))
		return -1;
	return TAKE_FD(link_fd);
}

static void name_successor(char successor[static PATH_MAX], const char *pin)
{
	snprintf(successor, PATH_MAX, "%s_new", pin);
}

/* Atomic even if an older link has the name: a crash in between leaves one of the two pinned. */
static int pin_link(const char *pin, int link_fd, uint32_t link_id)
{
	char successor[PATH_MAX];

	if (is_pinned_at(pin, link_id))
		return 0;
	if (access(pin, F_OK))
		return bpf_obj_pin(link_fd, pin) ? -errno : 0;
	name_successor(successor, pin);
	unlink(successor);
	if (bpf_obj_pin(link_fd, successor) || rename(successor, pin))
		return -errno;
	return 0;
}

struct held_links {
	int count, fds[PROGRAMS_MAX];
};

/* Holds descriptors of our links in the chain, except the link to keep. */
static void hold_ours(const struct tcx_place *place, const struct chain *chain, uint32_t keep,
		      struct held_links *ret_held)
{
	ret_held->count = 0;
	for (uint32_t i = find_ours(chain, 0, place); i < chain->count;
	     i = find_ours(chain, i + 1, place)) {
		int link_fd = chain->links[i] == keep ? -1 : bpf_link_get_fd_by_id(chain->links[i]);

		if (link_fd >= 0)
			ret_held->fds[ret_held->count++] = link_fd;
	}
}

static void release_held(struct held_links *held)
{
	for (int i = 0; i < held->count; i++)
		fd_close(&held->fds[i]);
}

/* Detaches and releases them. Returns their number, or -errno. */
static int detach_held(struct held_links *held)
{
	int result = held->count;

	for (int i = 0; i < held->count; i++)
		if (bpf_link_detach(held->fds[i]) && errno != ENOLINK)
			result = -errno;
	release_held(held);
	return result;
}

/* A link keeps working for a while after its last pin is gone. So the old links are held before the
 * new one takes over their pin's name, and detached afterwards. */
int tcx_attach(const struct tcx_place *place, int program_fd)
{
	CLEANUP_CLOSE int link_fd = -1;
	struct held_links held;
	struct bpf_link_info info;
	struct chain chain;
	int err = read_chain(place, &chain), detached;

	if (err)
		return err;
	link_fd = update_first(place, &chain, program_fd);
	if (link_fd < 0)
		link_fd = create_link(place, program_fd);
	if (link_fd < 0 || !read_link(link_fd, &info))
		return -errno;
	hold_ours(place, &chain, info.id, &held);
	err = pin_link(place->pin, link_fd, info.id);
	if (err) {
		release_held(&held);
		return err;
	}
	detached = detach_held(&held);
	return detached < 0 ? detached : 0;
}

/* -- detach -- */

int tcx_detach(const char *pin)
{
	CLEANUP_CLOSE int link_fd = bpf_obj_get(pin);
	char successor[PATH_MAX];

	if (link_fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (bpf_link_detach(link_fd) && errno != ENOLINK)
		return -errno;
	name_successor(successor, pin);
	unlink(successor);
	return unlink(pin) ? -errno : 1;
}

int tcx_detach_unpinned(const struct tcx_place *place)
{
	struct held_links held;
	struct chain chain;

	if (read_chain(place, &chain))
		return 0;
	hold_ours(place, &chain, 0, &held);
	return detach_held(&held);
}
