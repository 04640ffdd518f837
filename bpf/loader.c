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
#include "kernel_drops.h"
#include "log.h"
#include "podveil.skel.h"
#include "tcx.h"

#define PRIORITY_FIRST 1
#define PRIORITY_GUARD 2 /* behind to_wire, where both are filters */
#define PRIORITIES_END 3

static const char *const map_names[] = {"config", "prefixes", "peers",	"peer_traffic",
					"drops",  "bypass",   "ratchet"};

static const struct {
	const char *name;
	bool is_egress;
	uint32_t clsact_handle;
} programs[LOADER_PROGRAMS] = {
	[LOADER_TO_WIRE] = {"to_wire", true, CLSACT_HANDLE | 1},
	[LOADER_FROM_TUNNEL] = {"from_tunnel", false, CLSACT_HANDLE | 2},
	[LOADER_WIRE_GUARD] = {"wire_guard", true, CLSACT_HANDLE | 3},
	[LOADER_FROM_WIRE] = {"from_wire", false, CLSACT_HANDLE | 4},
};

struct loader {
	struct podveil *skeleton;
	struct loader_maps maps;
	char bpffs[PATH_MAX - 64];
	bool uses_tcx;	  /* but for wire_guard, which is a filter always */
	int kernel_drops; /* its link; -1: none */
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

static void path_of_kernel_drops(char path[static PATH_MAX], const char *bpffs)
{
	snprintf(path, PATH_MAX, "%s/links/kernel_drops", bpffs);
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

static struct clsact_place filter_at(enum loader_program program, unsigned int ifindex,
				     uint32_t priority)
{
	return (struct clsact_place){
		.ifindex = ifindex,
		.is_egress = programs[program].is_egress,
		.priority = priority,
		.handle = programs[program].clsact_handle,
		.program = programs[program].name,
	};
}

static struct tcx_place link_at(enum loader_program program, unsigned int ifindex, const char *pin)
{
	return (struct tcx_place){
		.ifindex = ifindex,
		.is_egress = programs[program].is_egress,
		.program = programs[program].name,
		.pin = pin,
	};
}

static bool is_link(const struct loader *loader, enum loader_program program)
{
	return loader->uses_tcx && program != LOADER_WIRE_GUARD;
}

/* As far in front as can be: behind to_wire only where that is a filter too. */
static uint32_t priority_of(const struct loader *loader, enum loader_program program)
{
	return program == LOADER_WIRE_GUARD && !loader->uses_tcx ? PRIORITY_GUARD : PRIORITY_FIRST;
}

static const char *device_name(char name[static IF_NAMESIZE], unsigned int ifindex)
{
	if (!if_indextoname(ifindex, name))
		snprintf(name, IF_NAMESIZE, "#%u", ifindex);
	return name;
}

typedef void take_link_fn(void *context, const char *pin, enum loader_program program,
			  unsigned int ifindex);
typedef void take_hook_fn(void *context, enum loader_program program, unsigned int ifindex);

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

/* Each program on each device of this network namespace. */
static void walk_hooks(take_hook_fn *take, void *context)
{
	struct if_nameindex *devices = if_nameindex();

	for (struct if_nameindex *device = devices; device && device->if_index; device++)
		for (unsigned int i = 0; i < LOADER_PROGRAMS; i++)
			take(context, (enum loader_program)i, device->if_index);
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
		.bypass = bpf_map__fd(skeleton->maps.bypass),
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
	loader->kernel_drops = -1;
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

/* -- the kernel's own losses -- */

bool loader_count_kernel_drops(struct loader *loader)
{
	char pin[PATH_MAX];
	int link;

	path_of_kernel_drops(pin, loader->bpffs);
	link = kernel_drops_attach(loader->skeleton->obj, pin);
	if (link < 0)
		log_warning("what the kernel itself drops cannot be counted: %s (it takes a kernel "
			    "with BTF, and CAP_PERFMON)",
			    strerror(-link));
	else
		loader->kernel_drops = link;
	return link >= 0;
}

bool loader_counts_kernel_drops(const struct loader *loader)
{
	return loader->kernel_drops >= 0;
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
	switch (program) {
	case LOADER_TO_WIRE:
		return loader->skeleton->progs.to_wire;
	case LOADER_WIRE_GUARD:
		return loader->skeleton->progs.wire_guard;
	case LOADER_FROM_WIRE:
		return loader->skeleton->progs.from_wire;
	case LOADER_FROM_TUNNEL:
	case LOADER_PROGRAMS:
		break;
	}
	return NULL;
}

static const struct bpf_program *entry_for_bare_ip(const struct loader *loader,
						   enum loader_program program)
{
	switch (program) {
	case LOADER_TO_WIRE:
		return loader->skeleton->progs.to_wire_l3;
	case LOADER_WIRE_GUARD:
		return loader->skeleton->progs.wire_guard_l3;
	case LOADER_FROM_WIRE:
		return loader->skeleton->progs.from_wire_l3;
	case LOADER_FROM_TUNNEL:
		return loader->skeleton->progs.from_tunnel;
	case LOADER_PROGRAMS:
		break;
	}
	return NULL;
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
			  program == LOADER_FROM_TUNNEL ? "bare IP" : "Ethernet or bare IP");
	else if (err == -EBUSY)
		log_error("device %s: the place of %s in its clsact (handle %#x) is taken by a "
			  "program that is not ours: remove it with `tc filter del`",
			  name, programs[program].name, programs[program].clsact_handle);
	else
		log_error("device %s: %s %s failed: %s", name, action, programs[program].name,
			  strerror(-err));
	return err;
}

/* The first failure, or the sum. */
static int add_result(int sum, int result)
{
	if (sum < 0 || result < 0)
		return sum < 0 ? sum : result;
	return sum + result;
}

static int detach_filters(enum loader_program program, unsigned int ifindex, uint32_t keep_priority)
{
	int sum = 0;

	for (uint32_t priority = PRIORITY_FIRST; priority < PRIORITIES_END; priority++) {
		struct clsact_place place = filter_at(program, ifindex, priority);

		if (priority != keep_priority)
			sum = add_result(sum, clsact_detach(&place));
	}
	return sum;
}

static int detach_links(const char *bpffs, enum loader_program program, unsigned int ifindex)
{
	char pin[PATH_MAX];
	struct tcx_place place = link_at(program, ifindex, pin);

	path_of_link(pin, bpffs, program, ifindex);
	return add_result(tcx_detach(pin), tcx_detach_unpinned(&place));
}

/* A hook that an agent left which used the other mechanism. */
static int remove_other(const struct loader *loader, enum loader_program program,
			unsigned int ifindex)
{
	if (is_link(loader, program))
		return detach_filters(program, ifindex, 0);
	return add_result(detach_filters(program, ifindex, priority_of(loader, program)),
			  detach_links(loader->bpffs, program, ifindex));
}

static bool shares_map(struct bpf_map *map, const char *name, const struct loader *loader)
{
	return !bpf_map__reuse_fd(map,
				  bpf_object__find_map_fd_by_name(loader->skeleton->obj, name));
}

/* The same program a second time, on the same maps. */
static struct podveil *load_twin(const struct loader *loader, const char *entry_name)
{
	struct podveil *twin = podveil__open();
	struct bpf_program *program;
	bool is_ready = twin;

	if (!twin)
		return NULL;
	twin->rodata->clamp_mss = loader->skeleton->rodata->clamp_mss;
	for (unsigned int i = 0; i < ARRAY_SIZE(map_names) && is_ready; i++)
		is_ready = shares_map(bpf_object__find_map_by_name(twin->obj, map_names[i]),
				      map_names[i], loader);
	bpf_object__for_each_program(program, twin->obj)
		bpf_program__set_autoload(program, !strcmp(bpf_program__name(program), entry_name));
	if (is_ready && !podveil__load(twin))
		return twin;
	podveil__destroy(twin);
	return NULL;
}

/* The kernel lets no program onto a hook twice, and the old link must stay until the new one is there: so it is a twin
 * of the program that overtakes. */
static int attach_link(const struct loader *loader, const struct tcx_place *place,
		       const struct bpf_program *entry)
{
	int err = tcx_attach(place, bpf_program__fd(entry));
	const char *name = bpf_program__name(entry);
	struct podveil *twin;

	if (err != -EEXIST)
		return err;
	twin = load_twin(loader, name);
	if (!twin)
		return -ENOMEM;
	err = tcx_attach(place, bpf_program__fd(bpf_object__find_program_by_name(twin->obj, name)));
	podveil__destroy(twin);
	return err;
}

static int attach_entry(const struct loader *loader, enum loader_program program,
			unsigned int ifindex, const struct bpf_program *entry)
{
	char pin[PATH_MAX];
	struct clsact_place filter = filter_at(program, ifindex, priority_of(loader, program));
	struct tcx_place link = link_at(program, ifindex, pin);

	path_of_link(pin, loader->bpffs, program, ifindex);
	return is_link(loader, program) ? attach_link(loader, &link, entry)
					: clsact_attach(&filter, bpf_program__fd(entry));
}

static int find_entry(const struct loader *loader, enum loader_program program,
		      unsigned int ifindex, const struct bpf_program **ret_entry)
{
	unsigned short link_type;
	int err = find_link_type(ifindex, &link_type);

	if (err)
		return err;
	*ret_entry = choose_entry(loader, program, link_type);
	return *ret_entry ? 0 : -EPROTONOSUPPORT;
}

static int attach(const struct loader *loader, enum loader_program program, unsigned int ifindex)
{
	const struct bpf_program *entry;
	int err = find_entry(loader, program, ifindex, &entry);

	return err ? err : attach_entry(loader, program, ifindex, entry);
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
	int result = add_result(detach_links(loader->bpffs, program, ifindex),
				detach_filters(program, ifindex, 0));

	return result < 0 ? log_hook_failure(result, "detaching", program, ifindex) : 0;
}

/* -- inspect and repair -- */

static int view_hook(const struct loader *loader, enum loader_program program, unsigned int ifindex,
		     struct hook_view *ret_view)
{
	char name[IF_NAMESIZE], pin[PATH_MAX];
	struct clsact_place filter = filter_at(program, ifindex, priority_of(loader, program));
	struct tcx_place link = link_at(program, ifindex, pin);

	if (!if_indextoname(ifindex, name))
		return -ENODEV;
	path_of_link(pin, loader->bpffs, program, ifindex);
	return is_link(loader, program) ? tcx_inspect(&link, ret_view)
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

/* A link is first when it was attached; a filter has to be told. */
static int overtake_filters(const struct loader *loader, enum loader_program program,
			    unsigned int ifindex)
{
	struct clsact_place filter = filter_at(program, ifindex, priority_of(loader, program));
	const struct bpf_program *entry;
	struct hook_view view;
	int err = view_hook(loader, program, ifindex, &view);

	if (err || !view.is_behind_other || is_link(loader, program))
		return err;
	err = find_entry(loader, program, ifindex, &entry);
	return err ? err : clsact_overtake(&filter, bpf_program__fd(entry));
}

static int log_cannot_overtake(const struct loader *loader, enum loader_program program,
			       unsigned int ifindex)
{
	char name[IF_NAMESIZE];

	log_error("device %s: a program that is not ours is asked before %s and cannot be "
		  "overtaken: remove it with `tc filter del`, or give it a pref above %u",
		  device_name(name, ifindex), programs[program].name, priority_of(loader, program));
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
		return log_hook_failure(err, "repairing", program, ifindex);
	if (view.is_behind_other || !view.is_there)
		return log_cannot_overtake(loader, program, ifindex);
	return 0;
}

static uint32_t map_id(int fd)
{
	struct bpf_map_info info = {0};
	uint32_t length = sizeof(info);

	return fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length) ? 0 : info.id;
}

/* 1: was pinned anew; 0: is pinned; -errno. What somebody else put in its place goes. */
static int repair_pin(const struct loader *loader, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(loader->skeleton->obj, name);
	CLEANUP_CLOSE int pinned = -1;
	char path[PATH_MAX];

	path_of_map(path, loader->bpffs, name);
	pinned = bpf_obj_get(path);
	if (map_id(pinned) == map_id(fd))
		return 0;
	unlink(path);
	if (!bpf_obj_pin(fd, path))
		return 1;
	log_error("cannot pin a map at '%s': %s", path, strerror(errno));
	return -errno;
}

/* As above, for the link of the kernel's counter: one that somebody put there instead is none of ours. */
static int repair_kernel_drops_pin(const struct loader *loader)
{
	char path[PATH_MAX];

	path_of_kernel_drops(path, loader->bpffs);
	if (loader->kernel_drops < 0 || !access(path, F_OK))
		return 0;
	return bpf_obj_pin(loader->kernel_drops, path) ? -errno : 1;
}

int loader_repair_pins(struct loader *loader, unsigned int *ret_repaired)
{
	int sum = make_folders(loader);

	for (unsigned int i = 0; i < ARRAY_SIZE(map_names) && sum >= 0; i++)
		sum = add_result(sum, repair_pin(loader, map_names[i]));
	if (sum >= 0)
		sum = add_result(sum, repair_kernel_drops_pin(loader));
	if (sum < 0)
		return sum;
	*ret_repaired = (unsigned int)sum;
	return 0;
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

static void list_filter(void *context, enum loader_program program, unsigned int ifindex)
{
	for (uint32_t priority = PRIORITY_FIRST; priority < PRIORITIES_END; priority++) {
		struct clsact_place place = filter_at(program, ifindex, priority);

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

	if (is_link(loader, program))
		walk_links(loader->bpffs, list_link, &list);
	else
		walk_hooks(list_filter, &list);
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

/* What has no pin is found by its place or its name. */
static void remove_hook(void *context, enum loader_program program, unsigned int ifindex)
{
	struct tcx_place link = link_at(program, ifindex, NULL);
	int result = add_result(detach_filters(program, ifindex, 0), tcx_detach_unpinned(&link));

	if (result < 0)
		log_hook_failure(result, "removing", program, ifindex);
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

	path_of_kernel_drops(path, bpffs);
	remove_pin(removal, path);
	for (unsigned int i = 0; i < ARRAY_SIZE(map_names); i++) {
		path_of_map(path, bpffs, map_names[i]);
		remove_pin(removal, path);
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
	if (bpffs_contains(bpffs))
		walk_links(bpffs, remove_link, &removal);
	walk_hooks(remove_hook, &removal);
	if (bpffs_contains(bpffs)) {
		remove_other_pins(&removal, bpffs);
		remove_folders(bpffs);
	}
	*ret_removed = removal.removed;
	return removal.first_error;
}
