/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One program on one device by a filter of the clsact qdisc: for kernels without tcx, and for the
 * program that must not depend on tcx. It is recognized by its place (a priority and a handle of
 * our own) together with the program's name. All filters of a device are in the one qdisc: deleting
 * it deletes all of them. Logs nothing.
 */
#pragma once

#include "hook_view.h"

struct clsact_place {
	unsigned int ifindex;
	bool is_egress;
	uint32_t priority;   /* smaller runs first; the smallest is 1 */
	uint32_t handle;     /* CLSACT_HANDLE plus a number */
	const char *program; /* its name in the kernel, also followed by "_l3" */
};

#define CLSACT_HANDLE	   0x70760000U /* "pv": our handles begin with it */
#define CLSACT_HANDLE_MASK 0xffff0000U
#define CLSACT_SUCCESSOR   0x00000100U /* the other of our two handles, to overtake */

/* Attaches the program or replaces ours in one step; creates the qdisc if necessary. -EBUSY: a
 * foreign filter occupies the place. 0 or -errno. */
MUST_CHECK int clsact_attach(const struct clsact_place *place, int program_fd);

/* Moves the program to the head of its priority, where the kernel runs the youngest filter first:
 * attaches it under the other handle, then removes the old one. A filter with a smaller priority
 * cannot be overtaken. 0 or -errno. */
MUST_CHECK int clsact_overtake(const struct clsact_place *place, int program_fd);

/* The qdisc stays: other programs may rely on it, and without filters it does nothing. Returns the
 * number of removed filters, or -errno. */
int clsact_detach(const struct clsact_place *place);

/* True if our program is attached. */
bool clsact_is_attached(const struct clsact_place *place);

/* Filters have no pins, so the view reports them as pinned. 0 or -errno. */
MUST_CHECK int clsact_inspect(const struct clsact_place *place, struct hook_view *ret_view);
