/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two mechanisms have in common: whose program is it, and how does it stand on its hook. Asks the kernel, never
 * a memory of our own.
 */
#pragma once

#include <bpf/bpf.h>

#include "util.h"

struct hook_view {
	bool is_there;
	bool is_pinned;	      /* where the mechanism has pins */
	bool has_copy;	      /* there a second time, too */
	bool is_behind_other; /* what is not ours is asked first, and may end the packet's way */
	uint32_t other;	      /* that program's id; 0: it is no BPF program, or there is none */
};

/* By the program's name in the kernel; also with "_l3" behind it. */
static inline bool hook_view_is_program(uint32_t program_id, const char *name)
{
	CLEANUP_CLOSE int fd = bpf_prog_get_fd_by_id(program_id);
	struct bpf_prog_info info = {0};
	uint32_t length = sizeof(info);
	size_t name_len = strlen(name);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length) ||
	    strncmp(info.name, name, name_len))
		return false;
	return !info.name[name_len] || !strcmp(info.name + name_len, "_l3");
}
