/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcx through its numbers in the kernel's ABI (<linux/bpf.h> of 6.6), because the libbpf that we build with is older.
 * Never detaches to attach again: a link that works is updated in place, and only a dead one is replaced.
 */
#include "tcx.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>

#define ATTACH_TCX_INGRESS ((enum bpf_attach_type)46)
#define ATTACH_TCX_EGRESS  ((enum bpf_attach_type)47)
#define BEFORE_ALL	   8 /* BPF_F_BEFORE without a relative */

static int create_link(int program_fd, bool is_egress, int ifindex)
{
	DECLARE_LIBBPF_OPTS(bpf_link_create_opts, options, .flags = BEFORE_ALL);

	return bpf_link_create(program_fd, ifindex,
			       is_egress ? ATTACH_TCX_EGRESS : ATTACH_TCX_INGRESS, &options);
}

/* For a device that cannot exist: a kernel with tcx looks for the device, one without refuses the kind. */
bool tcx_is_supported(int program_fd)
{
	CLEANUP_CLOSE int link_fd = create_link(program_fd, false, INT_MAX);

	return link_fd >= 0 || errno == ENODEV;
}

/* -ENOENT: nothing to replace. A link whose device is gone stays dead even if a new device gets its number. */
static int replace_program(const char *pin, int program_fd)
{
	CLEANUP_CLOSE int link_fd = bpf_obj_get(pin);

	if (link_fd < 0)
		return -errno;
	if (!bpf_link_update(link_fd, program_fd, NULL))
		return 0;
	if (errno != ENOLINK)
		return -errno;
	return unlink(pin) ? -errno : -ENOENT;
}

static int attach_new(const char *pin, int program_fd, bool is_egress, unsigned int ifindex)
{
	CLEANUP_CLOSE int link_fd = create_link(program_fd, is_egress, (int)ifindex);

	if (link_fd < 0 || bpf_obj_pin(link_fd, pin))
		return -errno;
	return 0;
}

int tcx_attach(const char *pin, int program_fd, bool is_egress, unsigned int ifindex)
{
	int err = replace_program(pin, program_fd);

	return err == -ENOENT ? attach_new(pin, program_fd, is_egress, ifindex) : err;
}

int tcx_detach(const char *pin)
{
	CLEANUP_CLOSE int link_fd = bpf_obj_get(pin);

	if (link_fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (bpf_link_detach(link_fd) && errno != ENOLINK)
		return -errno;
	return unlink(pin) ? -errno : 1;
}

unsigned int tcx_find_device(const char *pin)
{
	CLEANUP_CLOSE int link_fd = bpf_obj_get(pin);
	struct bpf_link_info info = {0};
	__u32 length = sizeof(info);

	if (link_fd < 0 || bpf_obj_get_info_by_fd(link_fd, &info, &length))
		return 0;
	/* Every kind of link to a device has its number first in the union; xdp is the name that old headers know. */
	return info.xdp.ifindex;
}
