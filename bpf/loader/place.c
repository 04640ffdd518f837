/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only list of program and map names, with everything that is found by it.
 */
#include "place.h"

#include <dirent.h>
#include <net/if.h>
#include <stdio.h>

const char *const place_maps[PLACE_MAPS] = {"config", "prefixes", "peers",   "peer_traffic",
					    "drops",  "bypass",	  "ratchet", "endpoints"};

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

const char *place_program_name(enum loader_program program)
{
	return programs[program].name;
}

/* -- pins -- */

void place_format_map(char path[static PATH_MAX], const char *bpffs, const char *map)
{
	snprintf(path, PATH_MAX, "%s/maps/%s", bpffs, map);
}

void place_format_link(char path[static PATH_MAX], const char *bpffs, enum loader_program program,
		       unsigned int ifindex)
{
	snprintf(path, PATH_MAX, "%s/links/%s_%u", bpffs, programs[program].name, ifindex);
}

void place_format_kernel_drops(char path[static PATH_MAX], const char *bpffs)
{
	snprintf(path, PATH_MAX, "%s/links/kernel_drops", bpffs);
}

/* The inverse of place_format_link, for the last part of the path. */
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

/* -- hooks -- */

struct clsact_place place_of_filter(enum loader_program program, unsigned int ifindex,
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

struct tcx_place place_of_link(enum loader_program program, unsigned int ifindex, const char *pin)
{
	return (struct tcx_place){
		.ifindex = ifindex,
		.is_egress = programs[program].is_egress,
		.program = programs[program].name,
		.pin = pin,
	};
}

const char *place_device_name(char name[static IF_NAMESIZE], unsigned int ifindex)
{
	if (!if_indextoname(ifindex, name))
		snprintf(name, IF_NAMESIZE, "#%u", ifindex);
	return name;
}

void place_walk_links(const char *bpffs, place_link_fn *take, void *context)
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
		place_format_link(pin, bpffs, program, ifindex);
		take(context, pin, program, ifindex);
	}
	closedir(links);
}

/* Each program on each device of this network namespace. */
void place_walk_hooks(place_hook_fn *take, void *context)
{
	struct if_nameindex *devices = if_nameindex();

	for (struct if_nameindex *device = devices; device && device->if_index; device++)
		for (unsigned int i = 0; i < LOADER_PROGRAMS; i++)
			take(context, (enum loader_program)i, device->if_index);
	if_freenameindex(devices);
}
