/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One program on one device by a filter of the clsact qdisc: for kernels without tcx, and for the program that shall
 * stand beside tcx. It is found again by its place (a priority and a handle of our own) together with the program's
 * name. All filters of a device live in the one qdisc: who deletes it takes all of them. Logs nothing.
 */
#pragma once

#include "hook_view.h"

struct clsact_place {
	unsigned int ifindex;
	bool is_egress;
	uint32_t priority;   /* smaller is asked first; the smallest is 1 */
	uint32_t handle;     /* CLSACT_HANDLE and a number */
	const char *program; /* its name in the kernel; also with "_l3" behind it */
};

#define CLSACT_HANDLE	   0x70760000U /* "pv": the handles of ours begin with it */
#define CLSACT_HANDLE_MASK 0xffff0000U
#define CLSACT_SUCCESSOR   0x00000100U /* ours when it had to overtake: the other of two handles */

/* Puts the program there or replaces ours in one step; makes the qdisc if need be. -EBUSY: the place is taken by a
 * program that is not ours. 0 or -errno. */
MUST_CHECK int clsact_attach(const struct clsact_place *place, int program_fd);

/* To the head of its priority, where the kernel asks the youngest filter first: under the other handle, and then the
 * old one goes. A filter with a smaller priority cannot be overtaken. 0 or -errno. */
MUST_CHECK int clsact_overtake(const struct clsact_place *place, int program_fd);

/* The qdisc stays: whether others rely on it cannot be known, and without filters it does nothing.
 * The number of filters that went, or -errno. */
int clsact_detach(const struct clsact_place *place);

/* True where our program is there. */
bool clsact_is_attached(const struct clsact_place *place);

/* Filters have no pins: the view says pinned. 0 or -errno. */
MUST_CHECK int clsact_inspect(const struct clsact_place *place, struct hook_view *ret_view);
