/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are: the pins of maps and links below the bpffs folder, and the hooks of devices. Writes nothing, and knows
 * no loaded program.
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
#define PRIORITY_GUARD 2 /* behind to_wire, where both are filters */
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

/* "#7" where there is no such device any more. */
const char *place_device_name(char name[static IF_NAMESIZE], unsigned int ifindex);

typedef void place_link_fn(void *context, const char *pin, enum loader_program program,
			   unsigned int ifindex);
typedef void place_hook_fn(void *context, enum loader_program program, unsigned int ifindex);

/* Each pin of a link of ours, whether its device is still there or not. */
void place_walk_links(const char *bpffs, place_link_fn *take, void *context);

/* Each program on each device of this network namespace, whether it is attached or not. */
void place_walk_hooks(place_hook_fn *take, void *context);
