/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removes everything that podveil put into the kernel, without loading anything and without a
 * running agent. Continues after a failure, because it is the way out in an emergency.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>

#include "bpffs.h"
#include "loader.h"
#include "loader_parts.h"
#include "log.h"

struct removal {
	unsigned int removed;
	int first_error;
};

static void note_removal(struct removal *removal, int result)
{
	if (result > 0)
		removal->removed += (unsigned int)result;
	else if (result < 0 && !removal->first_error)
		removal->first_error = result;
}

static void remove_link(void *context, const char *pin, enum loader_program program,
			unsigned int ifindex)
{
	int result = tcx_detach(pin);

	if (result < 0)
		loader_log_failure(result, "removing", program, ifindex);
	note_removal(context, result);
}

/* Hooks without a pin are found by their place or their program's name. */
static void remove_hook(void *context, enum loader_program program, unsigned int ifindex)
{
	struct tcx_place link = place_of_link(program, ifindex, NULL);
	int result = loader_add_result(loader_detach_filters(program, ifindex, 0),
				       tcx_detach_unpinned(&link));

	if (result < 0)
		loader_log_failure(result, "removing", program, ifindex);
	note_removal(context, result);
}

static void remove_pin(struct removal *removal, const char *path)
{
	int error = unlink(path) ? errno : 0;

	if (error == ENOENT || error == ENOTDIR)
		return;
	if (error)
		log_error("cannot remove '%s': %s", path, strerror(error));
	note_removal(removal, error ? -error : 1);
}

static void remove_other_pins(struct removal *removal, const char *bpffs)
{
	char path[PATH_MAX];

	place_format_kernel_drops(path, bpffs);
	remove_pin(removal, path);
	for (unsigned int i = 0; i < PLACE_MAPS; i++) {
		place_format_map(path, bpffs, place_maps[i]);
		remove_pin(removal, path);
	}
}

/* Only if they are empty: other programs may have put files there. */
static void remove_directories(const char *bpffs)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/maps", bpffs);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/links", bpffs);
	rmdir(path);
	rmdir(bpffs);
}

int loader_cleanup(const char *bpffs, unsigned int *ret_removed)
{
	struct removal removal = {0};

	libbpf_set_print(loader_print_libbpf);
	if (bpffs_contains(bpffs))
		place_walk_links(bpffs, remove_link, &removal);
	place_walk_hooks(remove_hook, &removal);
	if (bpffs_contains(bpffs)) {
		remove_other_pins(&removal, bpffs);
		remove_directories(bpffs);
	}
	*ret_removed = removal.removed;
	return removal.first_error;
}
