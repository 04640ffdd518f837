/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings the programs into the kernel and onto devices, and finds again what an earlier agent left there. Between two
 * versions of a program a packet always meets exactly one of them; between two mechanisms, at least one: the new hook
 * works before the old one goes. RLIMIT_MEMLOCK is not needed: since 5.11 maps are charged to the memory cgroup.
 *
 * What libbpf prints goes to debug: what the user needs is said here, in one line.
 */
#include "loader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/if_arp.h>

#include "bpf_abi.h"
#include "bpffs.h"
#include "clsact.h"
#include "log.h"
#include "podveil.skel.h"
#include "tcx.h"

static const char *const map_names[] = {"config", "prefixes", "peers", "peer_traffic", "drops"};

static const struct {
	const char *name;
	bool is_egress;
	uint32_t clsact_handle; /* "pv" and a number */
} programs[LOADER_PROGRAMS] = {
	[LOADER_TO_WIRE] = {"to_wire", true, 0x70760001},
	[LOADER_FROM_TUNNEL] = {"from_tunnel", false, 0x70760002},
};

struct loader {
	struct podveil *skeleton;
	struct loader_maps maps;
	char bpffs[PATH_MAX - 64];
	bool uses_tcx;
};

/* -- where things are -- */

static void path_of_map(char path[static PATH_MAX], const char *bpffs, const char *map)
{
	snprintf(path, PATH_MAX, "%s/maps/%s", bpffs, map);
}

static void path_of_link(char path[static PATH_MAX], const char *bpffs, enum loader_program program,
			 unsigned int ifindex)
{
	snprintf(path, PATH_MAX, "%s/links/%s_%u", bpffs, programs[program].name, ifindex);
}

/* The inverse, for the last part of the path. */
static bool parse_link_name(const char *name, enum loader_program *ret_program,
			    unsigned int *ret_ifindex)
{
	for (unsigned int i = 0; i < LOADER_PROGRAMS; i++) {
		char expected[NAME_MAX];
		unsigned int ifindex;

		if (sscanf(name + strnlen(name, strlen(programs[i].name)), "_%u", &ifindex) != 1)
			continue;
		snprintf(expected, sizeof(expected), "%s_%u", programs[i].name, ifindex);
		if (strcmp(name, expected))
			continue;
		*ret_program = (enum loader_program)i;
		*ret_ifindex = ifindex;
		return true;
	}
	return false;
}

static struct clsact_place place_of(enum loader_program program, unsigned int ifindex)
{
	return (struct clsact_place){
		.ifindex = ifindex,
		.is_egress = programs[program].is_egress,
		.handle = programs[program].clsact_handle,
		.program = programs[program].name,
	};
}

static const char *device_name(char name[static IF_NAMESIZE], unsigned int ifindex)
{
	if (!if_indextoname(ifindex, name))
		snprintf(name, IF_NAMESIZE, "#%u", ifindex);
	return name;
}

typedef void take_link_fn(void *context, const char *pin, enum loader_program program,
			  unsigned int ifindex);
typedef void take_filter_fn(void *context, const struct clsact_place *place,
			    enum loader_program program);

static void walk_links(const char *bpffs, take_link_fn *take, void *context)
{
	char folder[PATH_MAX], pin[PATH_MAX];
	struct dirent *entry;
	DIR *links;

	snprintf(folder, sizeof(folder), "%s/links", bpffs);
	links = opendir(folder);
	if (!links)
		return;
	while ((entry = readdir(links))) {
		enum loader_program program;
		unsigned int ifindex;

		if (!parse_link_name(entry->d_name, &program, &ifindex))
			continue;
		path_of_link(pin, bpffs, program, ifindex);
		take(context, pin, program, ifindex);
	}
	closedir(links);
}

/* The filters of ours on all devices of this network namespace. */
static void walk_filters(take_filter_fn *take, void *context)
{
	struct if_nameindex *devices = if_nameindex();

	for (struct if_nameindex *device = devices; device && device->if_index; device++)
		for (unsigned int i = 0; i < LOADER_PROGRAMS; i++) {
			struct clsact_place place =
				place_of((enum loader_program)i, device->if_index);

			if (clsact_is_attached(&place))
				take(context, &place, (enum loader_program)i);
		}
	if_freenameindex(devices);
}

/* -- libbpf -- */

static int PRINTF(2, 0)
	print_libbpf(enum libbpf_print_level level, const char *format, va_list arguments)
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

/* libbpf takes over what is pinned there, or pins what it makes; what it would refuse is named here. */
static int claim_map_pin(const struct loader *loader, const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(loader->skeleton->obj, name);
	CLEANUP_CLOSE int fd = -1;
	char path[PATH_MAX];

	path_of_map(path, loader->bpffs, name);
	fd = bpf_obj_get(path);
	if (fd >= 0 && !has_shape_of(fd, map)) {
		log_error("the map pinned at '%s' was made by another version: "
			  "run `podveil cleanup`, then start again",
			  path);
		return -EPROTO;
	}
	return bpf_map__set_pin_path(map, path);
}

/* 0 is a map that keyd has not written yet. */
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
	};
}

/* -- open and close -- */

static int log_load_failure(int err)
{
	if (err == -ENOSYS)
		log_error("this kernel has no BPF: "
			  "Linux 6.1 or newer with CONFIG_BPF_SYSCALL is needed");
	else if (err == -EPERM)
		log_error("the kernel does not let us use BPF: run as root, or with CAP_BPF, "
			  "CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN");
	else
		log_error("loading the BPF programs failed: %s; "
			  "--log-level debug shows what the kernel said",
			  strerror(-err));
	return err;
}

/* The smallest thing there is in BPF, before anything is mounted or made. */
static int check_kernel(void)
{
	CLEANUP_CLOSE int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "probe", 4, 4, 1, NULL);

	return fd < 0 ? log_load_failure(-errno) : 0;
}

static int make_folders(const struct loader *loader)
{
	static const char *const names[] = {"maps", "links"};
	char path[PATH_MAX];
	int err = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(names) && !err; i++) {
		snprintf(path, sizeof(path), "%s/%s", loader->bpffs, names[i]);
		err = bpffs_make_folder(path);
	}
	return err;
}

static int load(struct loader *loader, const struct loader_options *options)
{
	int err = 0;

	loader->skeleton = podveil__open();
	if (!loader->skeleton)
		return log_load_failure(-errno);
	loader->skeleton->rodata->clamp_mss = options->clamp_mss;
	for (unsigned int i = 0; i < ARRAY_SIZE(map_names) && !err; i++)
		err = claim_map_pin(loader, map_names[i]);
	if (err)
		return err;
	err = podveil__load(loader->skeleton);
	if (err)
		return log_load_failure(err);
	find_maps(loader);
	return check_abi_version(loader);
}

/* Pins of devices that went away while nobody was there. */
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

	libbpf_set_print(print_libbpf);
	if (!loader) {
		log_error("out of memory");
		goto out;
	}
	err = -ENAMETOOLONG;
	if (!copy_text(loader->bpffs, sizeof(loader->bpffs), options->bpffs)) {
		log_error("'%s': expected a shorter path", options->bpffs);
		goto out;
	}
	err = check_kernel();
	if (!err)
		err = make_folders(loader);
	if (!err)
		err = load(loader, options);
	if (err)
		goto out;
	loader->uses_tcx = !options->force_clsact &&
			   tcx_is_supported(bpf_program__fd(loader->skeleton->progs.from_tunnel));
	walk_links(loader->bpffs, sweep_dead_link, NULL);
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

/* -- attach and detach -- */

static int find_link_type(unsigned int ifindex, unsigned short *ret_type)
{
	CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {0};

	if (fd < 0)
		return -errno;
	if (!if_indextoname(ifindex, request.ifr_name))
		return -ENODEV;
	if (ioctl(fd, SIOCGIFHWADDR, &request))
		return -errno;
	*ret_type = request.ifr_hwaddr.sa_family;
	return 0;
}

static const struct bpf_program *entry_for_ethernet(const struct loader *loader,
						    enum loader_program program)
{
	return program == LOADER_TO_WIRE ? loader->skeleton->progs.to_wire : NULL;
}

static const struct bpf_program *entry_for_bare_ip(const struct loader *loader,
						   enum loader_program program)
{
	return program == LOADER_TO_WIRE ? loader->skeleton->progs.to_wire_l3
					 : loader->skeleton->progs.from_tunnel;
}

/* The entry that knows where the device's IP headers start. NULL: a kind of device that we cannot read. */
static const struct bpf_program *choose_entry(const struct loader *loader,
					      enum loader_program program, unsigned short link_type)
{
	switch (link_type) {
	case ARPHRD_ETHER:
	case ARPHRD_LOOPBACK:
		return entry_for_ethernet(loader, program);
	case ARPHRD_NONE:
	case ARPHRD_RAWIP:
	case ARPHRD_PPP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		return entry_for_bare_ip(loader, program);
	default:
		return NULL;
	}
}

static int log_hook_failure(int err, const char *action, enum loader_program program,
			    unsigned int ifindex)
{
	char name[IF_NAMESIZE];

	device_name(name, ifindex);
	if (err == -EPROTONOSUPPORT)
		log_error("device %s: %s cannot read this kind of device: "
			  "expected one that carries %s",
			  name, programs[program].name,
			  program == LOADER_TO_WIRE ? "Ethernet or bare IP" : "bare IP");
	else if (err == -EBUSY)
		log_error("device %s: priority %d, handle %#x of its clsact is taken by a program "
			  "that is not ours: remove it with `tc filter del`",
			  name, CLSACT_PRIORITY, programs[program].clsact_handle);
	else
		log_error("device %s: %s %s failed: %s", name, action, programs[program].name,
			  strerror(-err));
	return err;
}

/* A hook that an agent left which used the other mechanism. */
static int remove_other(const struct loader *loader, enum loader_program program,
			unsigned int ifindex)
{
	struct clsact_place place = place_of(program, ifindex);
	char pin[PATH_MAX];

	path_of_link(pin, loader->bpffs, program, ifindex);
	return loader->uses_tcx ? clsact_detach(&place) : tcx_detach(pin);
}

static int attach(const struct loader *loader, enum loader_program program, unsigned int ifindex)
{
	struct clsact_place place = place_of(program, ifindex);
	const struct bpf_program *entry;
	unsigned short link_type;
	char pin[PATH_MAX];
	int err;

	err = find_link_type(ifindex, &link_type);
	if (err)
		return err;
	entry = choose_entry(loader, program, link_type);
	if (!entry)
		return -EPROTONOSUPPORT;
	path_of_link(pin, loader->bpffs, program, ifindex);
	return loader->uses_tcx ? tcx_attach(pin, bpf_program__fd(entry),
					     programs[program].is_egress, ifindex)
				: clsact_attach(&place, bpf_program__fd(entry));
}

int loader_attach(struct loader *loader, enum loader_program program, unsigned int ifindex)
{
	int err = attach(loader, program, ifindex);

	if (!err)
		err = remove_other(loader, program, ifindex);
	return err < 0 ? log_hook_failure(err, "attaching", program, ifindex) : 0;
}

int loader_detach(struct loader *loader, enum loader_program program, unsigned int ifindex)
{
	struct clsact_place place = place_of(program, ifindex);
	char pin[PATH_MAX];
	int tcx, clsact;

	path_of_link(pin, loader->bpffs, program, ifindex);
	tcx = tcx_detach(pin);
	clsact = clsact_detach(&place);
	if (tcx >= 0 && clsact >= 0)
		return 0;
	return log_hook_failure(tcx < 0 ? tcx : clsact, "detaching", program, ifindex);
}

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

static void list_filter(void *context, const struct clsact_place *place,
			enum loader_program program)
{
	list_add(context, program, place->ifindex);
}

unsigned int loader_list_attached(const struct loader *loader, enum loader_program program,
				  unsigned int *ret_ifindexes, unsigned int size)
{
	struct device_list list = {.program = program, .ifindexes = ret_ifindexes, .size = size};

	if (loader->uses_tcx)
		walk_links(loader->bpffs, list_link, &list);
	else
		walk_filters(list_filter, &list);
	return list.count;
}

/* -- cleanup: goes on after a failure, because it is the way out in an emergency -- */

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
		log_hook_failure(result, "removing", program, ifindex);
	note_removal(context, result);
}

static void remove_filter(void *context, const struct clsact_place *place,
			  enum loader_program program)
{
	int result = clsact_detach(place);

	if (result < 0)
		log_hook_failure(result, "removing", program, place->ifindex);
	note_removal(context, result);
}

static void remove_map_pins(struct removal *removal, const char *bpffs)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(map_names); i++) {
		char path[PATH_MAX];
		int error;

		path_of_map(path, bpffs, map_names[i]);
		error = unlink(path) ? errno : 0;
		if (error == ENOENT || error == ENOTDIR)
			continue;
		if (error)
			log_error("cannot remove '%s': %s", path, strerror(error));
		note_removal(removal, error ? -error : 1);
	}
}

/* Only where they are empty: what others put there is not ours. */
static void remove_folders(const char *bpffs)
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

	libbpf_set_print(print_libbpf);
	walk_filters(remove_filter, &removal);
	if (bpffs_contains(bpffs)) {
		walk_links(bpffs, remove_link, &removal);
		remove_map_pins(&removal, bpffs);
		remove_folders(bpffs);
	}
	*ret_removed = removal.removed;
	return removal.first_error;
}
