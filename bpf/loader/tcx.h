/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One program on one device by a tcx link (Linux 6.6), kept by its pin: it survives us, `tc qdisc del` and a change of
 * network namespace, and dies with the device. Logs nothing.
 */
#pragma once

#include "hook_view.h"

struct tcx_place {
	unsigned int ifindex;
	bool is_egress;
	const char *program; /* its name in the kernel; also with "_l3" behind it */
	const char *pin;
};

/* Found by trying with any program of type sched_cls. */
bool tcx_is_supported(int program_fd);

/* In front of every other program, pinned, and there once: where ours is the first already, in the place of the program
 * that is there, so that every packet meets exactly one of the two; else before it, and then the old one goes, so that
 * meanwhile a packet meets both. A link of ours that lost its pin is found by its program's name. 0 or -errno.
 * -EEXIST: it has to go before others, and the kernel wants another program for that than the one that is there. */
MUST_CHECK int tcx_attach(const struct tcx_place *place, int program_fd);

/* 0 or -errno. */
MUST_CHECK int tcx_inspect(const struct tcx_place *place, struct hook_view *ret_view);

/* Takes the program off, also if another process holds the link, and removes the pin. 1; 0: there was none; -errno. */
int tcx_detach(const char *pin);

/* The same for links of ours on this device that have no pin. Returns their number, or -errno. */
int tcx_detach_unpinned(const struct tcx_place *place);

/* The device that the pinned link is attached to; 0: none, or the device is gone. */
unsigned int tcx_find_device(const char *pin);
