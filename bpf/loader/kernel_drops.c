// SPDX-License-Identifier: Apache-2.0
/*
 * A tracing link cannot be replaced in place. A link of the same program stays, so that a restart
 * of the agent neither misses a loss nor counts one twice. A link of another version is removed
 * before the new one is attached, so that no loss is counted twice.
 */
#include "kernel_drops.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <sys/stat.h>

#include "kernel_drops.skel.h"

#define OWN_NAMESPACE "/proc/thread-self/ns/net"

struct identity {
	__u8 tag[BPF_TAG_SIZE];
};

static int identify_program(int program, struct identity *ret_identity)
{
	struct bpf_prog_info info = {0};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(program, &info, &length))
		return -errno;
	memcpy(ret_identity->tag, info.tag, sizeof(info.tag));
	return 0;
}

static int identify_link(int link, struct identity *ret_identity)
{
	struct bpf_link_info info = {0};
	__u32 length = sizeof(info);
	CLEANUP_CLOSE int program = -1;

	if (bpf_obj_get_info_by_fd(link, &info, &length))
		return -errno;
	program = bpf_prog_get_fd_by_id(info.prog_id);
	return program < 0 ? -errno : identify_program(program, ret_identity);
}

static bool is_link_of(int link, int program)
{
	struct identity ours, theirs;

	return link >= 0 && !identify_program(program, &ours) && !identify_link(link, &theirs) &&
	       !memcmp(&ours, &theirs, sizeof(ours));
}

/* Makes the skeleton use the maps of `object`; maps that it does not use are not created a second
 * time either. */
static int share_maps(const struct kernel_drops *skeleton, const struct bpf_object *object)
{
	struct bpf_map *map;
	int err = 0;

	bpf_object__for_each_map(map, skeleton->obj)
	{
		int fd = bpf_object__find_map_fd_by_name(object, bpf_map__name(map));

		if (!bpf_map__is_internal(map) && !err)
			err = fd < 0 ? fd : bpf_map__reuse_fd(map, fd);
	}
	return err;
}

static int load(struct kernel_drops *skeleton, const struct bpf_object *object)
{
	struct stat own;
	int err;

	if (stat(OWN_NAMESPACE, &own))
		return -errno;
	skeleton->rodata->own_namespace = (__u32)own.st_ino;
	err = share_maps(skeleton, object);
	return err ? err : kernel_drops__load(skeleton);
}

static int attach_new(const struct kernel_drops *skeleton, const char *pin)
{
	CLEANUP_CLOSE int link =
		bpf_raw_tracepoint_open(NULL, bpf_program__fd(skeleton->progs.kernel_drops));

	if (link < 0)
		return -errno;
	return bpf_obj_pin(link, pin) ? -errno : TAKE_FD(link);
}

int kernel_drops_attach(struct bpf_object *object, const char *pin)
{
	struct kernel_drops *skeleton = kernel_drops__open();
	CLEANUP_CLOSE int link = bpf_obj_get(pin);
	int err;

	if (!skeleton)
		return -errno;
	err = load(skeleton, object);
	if (!err && !is_link_of(link, bpf_program__fd(skeleton->progs.kernel_drops))) {
		fd_close(&link);
		unlink(pin);
		err = attach_new(skeleton, pin);
		link = err < 0 ? -1 : err;
	}
	kernel_drops__destroy(skeleton);
	return err < 0 ? err : TAKE_FD(link);
}
