/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hook as the kernel reports it, for both mechanisms: is our program attached, and in which
 * position? Asks the kernel every time and remembers nothing.
 */
#pragma once

#include <bpf/bpf.h>

#include "util.h"

struct hook_view {
	bool is_there;
	bool is_pinned;	      /* if the mechanism has pins */
	bool has_copy;	      /* attached a second time as well */
	bool is_behind_other; /* a foreign program runs first, and may end the packet's way */
	uint32_t other;	      /* that program's id; 0: none, or not a BPF program */
};

/* Compares the program's name in the kernel, also followed by "_l3". */
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
