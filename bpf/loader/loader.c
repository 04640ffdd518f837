/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads the programs and maps into the kernel, or finds those that an earlier agent left there.
 * RLIMIT_MEMLOCK does not matter: since 5.11, maps are charged to the memory cgroup.
 *
 * Messages of libbpf go to the debug log; our own one-line messages tell the user how to help.
 */
#include "loader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "bpffs.h"
#include "kernel_drops.h"
#include "loader_parts.h"
#include "log.h"
#include "podveil.skel.h"

/* -- libbpf -- */

int loader_print_libbpf(enum libbpf_print_level level, const char *format, va_list arguments)
{
	CLEANUP_FREE char *text = NULL;
	char *rest = NULL;

	if (level != LIBBPF_WARN || log_settings.level < LOG_DEBUG ||
	    vasprintf(&text, format, arguments) < 0)
		return 0;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		log_debug("%s", line);
	return 0;
}

/* -- maps -- */

static bool has_shape_of(int fd, const struct bpf_map *map)
{
	struct bpf_map_info info = {0};
	__u32 length = sizeof(info);

	return !bpf_obj_get_info_by_fd(fd, &info, &length) && info.type == bpf_map__type(map) &&
	       info.key_size == bpf_map__key_size(map) &&
	       info.value_size == bpf_map__value_size(map) &&
	       info.max_entries == bpf_map__max_entries(map) &&
	       info.map_flags == bpf_map__map_flags(map);
}

/* libbpf reuses a pinned map or pins a new one. A map that it would refuse is reported here. */
static int claim_map_pin(const struct loader *loader, const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(loader->object, name);
	CLEANUP_CLOSE int fd = -1;
	char path[PATH_MAX];

	place_format_map(path, loader->bpffs, name);
	fd = bpf_obj_get(path);
	if (fd >= 0 && !has_shape_of(fd, map)) {
		log_error("the map pinned at '%s' was made by another version: "
			  "run `podveil cleanup`, then start again",
			  path);
		return -EPROTO;
	}
	return bpf_map__set_pin_path(map, path);
}

/* Version 0: keyd has not written the map yet. */
static int check_abi_version(const struct loader *loader)
{
	struct datapath_config config;
	__u32 key = 0;

	if (bpf_map_lookup_elem(loader->maps.config, &key, &config)) {
		log_error("cannot read the map pinned at '%s/maps/config': %s", loader->bpffs,
			  strerror(errno));
		return -EIO;
	}
	if (!config.abi_version || config.abi_version == MAP_ABI_VERSION)
		return 0;
	log_error("the maps pinned at '%s/maps' have version %u, expected %u: "
		  "run `podveil cleanup`, then start again",
		  loader->bpffs, config.abi_version, MAP_ABI_VERSION);
	return -EPROTO;
}

static void find_maps(struct loader *loader)
{
	const struct podveil *skeleton = loader->skeleton;

	loader->maps = (struct loader_maps){
		.config = bpf_map__fd(skeleton->maps.config),
		.prefixes = bpf_map__fd(skeleton->maps.prefixes),
		.peers = bpf_map__fd(skeleton->maps.peers),
		.peer_traffic = bpf_map__fd(skeleton->maps.peer_traffic),
		.drops = bpf_map__fd(skeleton->maps.drops),
		.bypass = bpf_map__fd(skeleton->maps.bypass),
		.endpoints = bpf_map__fd(skeleton->maps.endpoints),
		.ratchet = bpf_map__fd(skeleton->maps.ratchet),
	};
}

/* -- open and close -- */

static int log_load_failure(int err)
{
	if (err == -ENOSYS)
		log_error("this kernel has no BPF: "
			  "Linux 6.1 or newer with CONFIG_BPF_SYSCALL is needed");
	else if (err == -EPERM)
		log_error("the kernel refuses BPF to this process: run as root, "
			  "or with CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN");
	else
		log_error("loading the BPF programs failed: %s; "
			  "--log-level debug shows the kernel's messages",
			  strerror(-err));
	return err;
}

/* The smallest possible use of BPF, before anything is mounted or created. */
static int check_kernel(void)
{
	CLEANUP_CLOSE int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "probe", 4, 4, 1, NULL);

	return fd < 0 ? log_load_failure(-errno) : 0;
}

int loader_make_directories(const struct loader *loader)
{
	static const char *const names[] = {"maps", "links"};
	char path[PATH_MAX];
	int err = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(names) && !err; i++) {
		snprintf(path, sizeof(path), "%s/%s", loader->bpffs, names[i]);
		err = bpffs_make_directory(path);
	}
	return err;
}

static int load(struct loader *loader, const struct loader_options *options)
{
	int err = 0;

	loader->skeleton = podveil__open();
	if (!loader->skeleton)
		return log_load_failure(-errno);
	loader->object = loader->skeleton->obj;
	loader->skeleton->rodata->clamp_mss = options->clamp_mss;
	for (unsigned int i = 0; i < PLACE_MAPS && !err; i++)
		err = claim_map_pin(loader, place_maps[i]);
	if (err)
		return err;
	err = podveil__load(loader->skeleton);
	if (err)
		return log_load_failure(err);
	find_maps(loader);
	return check_abi_version(loader);
}

/* Removes the pins of devices that disappeared while no agent was running. */
static void sweep_dead_link(void *context, const char *pin, enum loader_program program,
			    unsigned int ifindex)
{
	(void)context;
	(void)program;
	(void)ifindex;
	if (!tcx_find_device(pin))
		tcx_detach(pin);
}

int loader_open(struct loader **ret_loader, const struct loader_options *options)
{
	struct loader *loader = calloc(1, sizeof(*loader));
	int err = -ENOMEM;

	libbpf_set_print(loader_print_libbpf);
	if (!loader) {
		log_error("out of memory");
		goto out;
	}
	loader->kernel_drops = -1;
	err = -ENAMETOOLONG;
	if (!copy_text(loader->bpffs, sizeof(loader->bpffs), options->bpffs)) {
		log_error("'%s': expected a shorter path", options->bpffs);
		goto out;
	}
	err = check_kernel();
	if (!err)
		err = loader_make_directories(loader);
	if (!err)
		err = load(loader, options);
	if (err)
		goto out;
	loader->uses_tcx = !options->force_clsact &&
			   tcx_is_supported(bpf_program__fd(loader->skeleton->progs.from_tunnel));
	place_walk_links(loader->bpffs, sweep_dead_link, NULL);
	*ret_loader = TAKE_PTR(loader);
out:
	loader_close(loader);
	return err;
}

void loader_close(struct loader *loader)
{
	if (!loader)
		return;
	podveil__destroy(loader->skeleton);
	fd_close(&loader->kernel_drops);
	free(loader);
}

const struct loader_maps *loader_get_maps(const struct loader *loader)
{
	return &loader->maps;
}

const char *loader_mechanism(const struct loader *loader)
{
	return loader->uses_tcx ? "tcx" : "clsact";
}

/* -- a second copy of a program -- */

static bool shares_map(struct bpf_map *map, const char *name, const struct loader *loader)
{
	return !bpf_map__reuse_fd(map, bpf_object__find_map_fd_by_name(loader->object, name));
}

static int load_alone(struct podveil *twin, const struct loader *loader, const char *entry_name)
{
	struct bpf_program *program;
	bool is_ready = true;

	twin->rodata->clamp_mss = loader->skeleton->rodata->clamp_mss;
	for (unsigned int i = 0; i < PLACE_MAPS && is_ready; i++)
		is_ready = shares_map(bpf_object__find_map_by_name(twin->obj, place_maps[i]),
				      place_maps[i], loader);
	bpf_object__for_each_program(program, twin->obj)
		bpf_program__set_autoload(program, !strcmp(bpf_program__name(program), entry_name));
	return is_ready ? podveil__load(twin) : -EINVAL;
}

/* A descriptor that outlives the skeleton. */
static int own_fd(const struct bpf_program *program)
{
	int fd = fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

int loader_load_twin(const struct loader *loader, const char *entry_name)
{
	struct podveil *twin = podveil__open();
	int fd;

	if (!twin)
		return -errno;
	fd = load_alone(twin, loader, entry_name);
	if (!fd)
		fd = own_fd(bpf_object__find_program_by_name(twin->obj, entry_name));
	podveil__destroy(twin);
	return fd;
}

/* -- packets that the kernel drops -- */

bool loader_count_kernel_drops(struct loader *loader)
{
	char pin[PATH_MAX];
	int link;

	place_format_kernel_drops(pin, loader->bpffs);
	link = kernel_drops_attach(loader->object, pin);
	if (link < 0)
		log_warning("cannot count the packets that the kernel itself drops: %s (this needs "
			    "a kernel with BTF, and CAP_PERFMON)",
			    strerror(-link));
	else
		loader->kernel_drops = link;
	return link >= 0;
}

bool loader_counts_kernel_drops(const struct loader *loader)
{
	return loader->kernel_drops >= 0;
}
