/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One program on one device by a tcx link (Linux 6.6), kept alive by its pin: it survives our exit,
 * `tc qdisc del` and a move to another network namespace, and ends with the device. Logs nothing.
 */
#pragma once

#include "hook_view.h"

struct tcx_place {
	unsigned int ifindex;
	bool is_egress;
	const char *program; /* its name in the kernel, also followed by "_l3" */
	const char *pin;
};

/* Finds out by trying, with any program of type sched_cls. */
bool tcx_is_supported(int program_fd);

/* Attaches the program in front of all others, once, and pins it. If our link is already first, its
 * program is replaced and every packet meets exactly one of the two. Otherwise the new link goes
 * first and the old one is removed afterwards; in between a packet meets both. One of our links
 * that lost its pin is recognized by its program's name. 0 or -errno. -EEXIST: the program has to
 * overtake others, and for that the kernel requires a copy of it. */
MUST_CHECK int tcx_attach(const struct tcx_place *place, int program_fd);

/* 0 or -errno. */
MUST_CHECK int tcx_inspect(const struct tcx_place *place, struct hook_view *ret_view);

/* Detaches the program, even if another process holds the link, and removes the pin. 1; 0: there
 * was none; -errno. */
int tcx_detach(const char *pin);

/* The same for our links on this device that have no pin. Returns their number, or -errno. */
int tcx_detach_unpinned(const struct tcx_place *place);

/* The device that the pinned link is attached to; 0: none, or the device is gone. */
unsigned int tcx_find_device(const char *pin);
