/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The places of things: the pins of maps and links below the bpffs directory, and the hooks of
 * devices. Writes nothing, and uses no loaded program.
 */
#pragma once

#include <limits.h>
#include <net/if.h>

#include "bpf_abi.h"
#include "clsact.h"
#include "loader_types.h"
#include "tcx.h"

#define PLACE_MAPS     8

#define PRIORITY_FIRST 1
#define PRIORITY_GUARD 2 /* after to_wire, if both are filters */
#define PRIORITIES_END 3

extern const char *const place_maps[PLACE_MAPS];

const char *place_program_name(enum loader_program program);

void place_format_map(char path[static PATH_MAX], const char *bpffs, const char *map);
void place_format_link(char path[static PATH_MAX], const char *bpffs, enum loader_program program,
		       unsigned int ifindex);
void place_format_kernel_drops(char path[static PATH_MAX], const char *bpffs);

struct clsact_place place_of_filter(enum loader_program program, unsigned int ifindex,
				    uint32_t priority);
struct tcx_place place_of_link(enum loader_program program, unsigned int ifindex, const char *pin);

/* "#7" if the device no longer exists. */
const char *place_device_name(char name[static IF_NAMESIZE], unsigned int ifindex);

typedef void place_link_fn(void *context, const char *pin, enum loader_program program,
			   unsigned int ifindex);
typedef void place_hook_fn(void *context, enum loader_program program, unsigned int ifindex);

/* Calls `take` for each pin of our links, even if the device no longer exists. */
void place_walk_links(const char *bpffs, place_link_fn *take, void *context);

/* Calls `take` for each program on each device of this network namespace, attached or not. */
void place_walk_hooks(place_hook_fn *take, void *context);
