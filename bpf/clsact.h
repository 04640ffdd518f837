/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One program on one device by a filter of the clsact qdisc, for kernels without tcx. It is found again by its place
 * (priority 1 and a handle of our own) together with the program's name. Logs nothing.
 */
#pragma once

#include "util.h"

#define CLSACT_PRIORITY 1

struct clsact_place {
	unsigned int ifindex;
	bool is_egress;
	uint32_t handle;
	const char *program; /* its name in the kernel; also with "_l3" behind it */
};

/* Puts the program there or replaces ours in one step; makes the qdisc if need be. -EBUSY: the place is taken by a
 * program that is not ours. 0 or -errno. */
MUST_CHECK int clsact_attach(const struct clsact_place *place, int program_fd);

/* The qdisc stays: whether others rely on it cannot be known, and without filters it does nothing.
 * 1; 0: there was none of ours; -errno. */
int clsact_detach(const struct clsact_place *place);

/* True where our program is there. */
bool clsact_is_attached(const struct clsact_place *place);
