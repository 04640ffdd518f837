/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One program on one device by a tcx link (Linux 6.6), kept by its pin: it survives us, `tc qdisc del` and a change of
 * network namespace, and dies with the device. Logs nothing.
 */
#pragma once

#include "util.h"

/* Found by trying with any program of type sched_cls. */
bool tcx_is_supported(int program_fd);

/* In front of every other program; or, where the pin still works, in the place of the program that is there, so that
 * every packet meets exactly one of the two. 0 or -errno. */
MUST_CHECK int tcx_attach(const char *pin, int program_fd, bool is_egress, unsigned int ifindex);

/* Takes the program off, also if another process holds the link, and removes the pin. 1; 0: there was none; -errno. */
int tcx_detach(const char *pin);

/* The device that the pinned link is attached to; 0: none, or the device is gone. */
unsigned int tcx_find_device(const char *pin);
