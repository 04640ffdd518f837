/* SPDX-License-Identifier: Apache-2.0 */
/*
 * podveil0 as it should be, and our programs on it and on every device that leads to other nodes. SHELL.
 */
#pragma once

#include "agent.h"

/* The tunnel's device, its program, and the maps' config that names it. */
void attachment_settle_device(struct agent *agent);

/* Returns on how many of the devices that lead to other nodes to_wire is not. */
uint32_t attachment_settle_hooks(struct agent *agent);

/* What somebody took away is put back and counted before it could pass for never attached. */
void attachment_mend_hooks(struct agent *agent);

/* Hooks that others keep touching. */
void attachment_blame_hooks(struct agent *agent);
