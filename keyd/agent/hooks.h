/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps podveil0 set up, and our programs attached to it and to every device that leads to other
 * nodes. SHELL.
 */
#pragma once

#include "cluster/members.h"
#include "connection.h"
#include "datapath/datapath.h"
#include "datapath/watch.h"
#include "facts.h"
#include "guard/guard_table.h"
#include "mode.h"

#define HOOKS_DEVICES_MAX (DATAPATH_UPLINKS_MAX + UNDERLAY_DEVICES_MAX + 2)

struct hooks {
	struct watch watch;
	struct guard_table guard_table;
	uint32_t inner_mtu; /* of podveil0 */
	uint64_t changes;   /* made to podveil0 */
	/* For one call at a time; large, and only used during it. */
	struct underlay underlay;
	unsigned int devices[HOOKS_DEVICES_MAX];
};

/* The parts of the agent that these steps read and write. */
struct hooks_parts {
	const struct settings *settings;
	const struct facts *facts;
	const struct pod_cidrs *pod_cidrs;
	const struct mode *mode;
	const struct members *members;
	const struct connection *connection;
	struct datapath *datapath;
	struct hooks *hooks;
	struct verdict *verdict;
};

void hooks_init(struct hooks *hooks);
void hooks_close(struct hooks *hooks);

/* The tunnel's device, its program, and the maps' config that names it. */
void hooks_settle_device(const struct hooks_parts *parts);

/* Attaches the programs to the devices that lead to other nodes. Returns how many of them lack
 * to_wire. */
uint32_t hooks_settle(const struct hooks_parts *parts);

/* Brings the guard's table in line with the maps and the hooks: before a device gets its hooks
 * for the first time, and after. */
void hooks_settle_guard(const struct hooks_parts *parts);

/* Between two phases of a pass, after link_monitor reported a new device: attaches the programs
 * to devices that appeared since the pass began, after hooks_repair. Everything else that
 * changed waits for the next pass. */
void hooks_attach_new(const struct hooks_parts *parts);

/* Reattaches and counts the programs that another program detached, before they could be
 * mistaken for never attached. */
void hooks_repair(struct hooks *hooks, const struct datapath *datapath);

/* Adds a reason for each hook that another program keeps changing. */
void hooks_report(const struct hooks *hooks, struct verdict *verdict);
