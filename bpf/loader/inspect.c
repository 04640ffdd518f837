/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks programs and pins by asking the kernel, never from memory, and repairs them. During a
 * repair the program is always attached.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>

#include "loader.h"
#include "loader_parts.h"
#include "log.h"

/* -- hooks -- */

static int view_hook(const struct loader *loader, enum loader_program program, unsigned int ifindex,
		     struct hook_view *ret_view)
{
	char name[IF_NAMESIZE], pin[PATH_MAX];
	struct clsact_place filter =
		place_of_filter(program, ifindex, loader_priority(loader, program));
	struct tcx_place link;

	if (!if_indextoname(ifindex, name))
		return -ENODEV;
	place_format_link(pin, loader->bpffs, program, ifindex);
	link = place_of_link(program, ifindex, pin);
	return loader_wants_link(loader, program) ? tcx_inspect(&link, ret_view)
						  : clsact_inspect(&filter, ret_view);
}

int loader_inspect(const struct loader *loader, enum loader_program program, unsigned int ifindex,
		   enum loader_finding *ret_finding, uint32_t *ret_other)
{
	struct hook_view view;
	int err = view_hook(loader, program, ifindex, &view);

	if (err)
		return err;
	*ret_other = 0;
	if (!view.is_there) {
		*ret_finding = LOADER_MISSING;
	} else if (view.is_behind_other) {
		*ret_finding = LOADER_NOT_FIRST;
		*ret_other = view.other;
	} else {
		*ret_finding = view.is_pinned && !view.has_copy ? LOADER_IN_PLACE : LOADER_UNPINNED;
	}
	return 0;
}

/* A new link is first. A filter has to be moved to the front. */
static int overtake_filters(const struct loader *loader, enum loader_program program,
			    unsigned int ifindex)
{
	struct clsact_place filter =
		place_of_filter(program, ifindex, loader_priority(loader, program));
	const struct bpf_program *entry;
	struct hook_view view;
	int err = view_hook(loader, program, ifindex, &view);

	if (err || !view.is_behind_other || loader_wants_link(loader, program))
		return err;
	err = loader_find_entry(loader, program, ifindex, &entry);
	return err ? err : clsact_overtake(&filter, bpf_program__fd(entry));
}

static int log_cannot_overtake(const struct loader *loader, enum loader_program program,
			       unsigned int ifindex)
{
	char name[IF_NAMESIZE];

	log_error("device %s: a foreign program runs before %s and cannot be overtaken: remove it "
		  "with `tc filter del`, or give it a pref above %u",
		  place_device_name(name, ifindex), place_program_name(program),
		  loader_priority(loader, program));
	return -EBUSY;
}

int loader_repair(struct loader *loader, enum loader_program program, unsigned int ifindex)
{
	struct hook_view view = {0};
	int err = loader_attach(loader, program, ifindex);

	if (err)
		return err;
	err = overtake_filters(loader, program, ifindex);
	if (!err)
		err = view_hook(loader, program, ifindex, &view);
	if (err)
		return loader_log_failure(err, "repairing", program, ifindex);
	if (view.is_behind_other || !view.is_there)
		return log_cannot_overtake(loader, program, ifindex);
	return 0;
}

/* -- pins -- */

static uint32_t map_id(int fd)
{
	struct bpf_map_info info = {0};
	uint32_t length = sizeof(info);

	return fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length) ? 0 : info.id;
}

/* 1: pinned again; 0: was pinned; -errno. Another object in its place is removed. */
static int repair_pin(const struct loader *loader, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(loader->object, name);
	CLEANUP_CLOSE int pinned = -1;
	char path[PATH_MAX];

	place_format_map(path, loader->bpffs, name);
	pinned = bpf_obj_get(path);
	if (map_id(pinned) == map_id(fd))
		return 0;
	unlink(path);
	if (!bpf_obj_pin(fd, path))
		return 1;
	log_error("cannot pin a map at '%s': %s", path, strerror(errno));
	return -errno;
}

/* The same for the link of the kernel drop counter. Another object at its path stays: it is not
 * ours. */
static int repair_kernel_drops_pin(const struct loader *loader)
{
	char path[PATH_MAX];

	place_format_kernel_drops(path, loader->bpffs);
	if (loader->kernel_drops < 0 || !access(path, F_OK))
		return 0;
	return bpf_obj_pin(loader->kernel_drops, path) ? -errno : 1;
}

int loader_repair_pins(struct loader *loader, unsigned int *ret_repaired)
{
	int sum = loader_make_directories(loader);

	for (unsigned int i = 0; i < PLACE_MAPS && sum >= 0; i++)
		sum = loader_add_result(sum, repair_pin(loader, place_maps[i]));
	if (sum >= 0)
		sum = loader_add_result(sum, repair_kernel_drops_pin(loader));
	if (sum < 0)
		return sum;
	*ret_repaired = (unsigned int)sum;
	return 0;
}

/* -- list of attached devices -- */

struct device_list {
	enum loader_program program;
	unsigned int *ifindexes, size, count;
};

static void list_add(struct device_list *list, enum loader_program program, unsigned int ifindex)
{
	if (program == list->program && list->count < list->size)
		list->ifindexes[list->count++] = ifindex;
}

static void list_link(void *context, const char *pin, enum loader_program program,
		      unsigned int ifindex)
{
	if (tcx_find_device(pin) == ifindex)
		list_add(context, program, ifindex);
}

static void list_filter(void *context, enum loader_program program, unsigned int ifindex)
{
	for (uint32_t priority = PRIORITY_FIRST; priority < PRIORITIES_END; priority++) {
		struct clsact_place place = place_of_filter(program, ifindex, priority);

		if (clsact_is_attached(&place)) {
			list_add(context, program, ifindex);
			return;
		}
	}
}

unsigned int loader_list_attached(const struct loader *loader, enum loader_program program,
				  unsigned int *ret_ifindexes, unsigned int size)
{
	struct device_list list = {.program = program, .ifindexes = ret_ifindexes, .size = size};

	if (loader_wants_link(loader, program))
		place_walk_links(loader->bpffs, list_link, &list);
	else
		place_walk_hooks(list_filter, &list);
	return list.count;
}
