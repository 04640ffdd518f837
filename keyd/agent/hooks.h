/* SPDX-License-Identifier: Apache-2.0 */
/*
 * podveil0 as it should be, and our programs on it and on every device that leads to other nodes. SHELL.
 */
#pragma once

#include "agent.h"

/* The tunnel's device, its program, and the maps' config that names it. */
void hooks_settle_device(struct agent *agent);

/* Returns on how many of the devices that lead to other nodes to_wire is not. */
uint32_t hooks_settle(struct agent *agent);

/* The guard's table as the maps and the hooks are: before a device has its hooks for the first time, and after. */
void hooks_settle_guard(struct agent *agent);

/* In the middle of a pass: hooks for devices that came since it began. What else changed waits for the next one. */
void hooks_attach_new(struct agent *agent);

/* What somebody took away is put back and counted before it could pass for never attached. */
void hooks_repair(struct agent *agent);

/* Hooks that others keep touching. */
void hooks_report(struct agent *agent);
