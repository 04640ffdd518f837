/* SPDX-License-Identifier: Apache-2.0 */
/*
 * That something of this network namespace's devices, addresses and routes has changed. SHELL. All return 0 or -errno.
 */
#pragma once

#include "util.h"

/* A descriptor that becomes readable when something of the view may have changed. */
MUST_CHECK int link_monitor_open(int *ret_fd);

/* The same for qdiscs and filters. */
MUST_CHECK int link_monitor_open_hooks(int *ret_fd);

enum link_news {
	LINK_SILENT,
	LINK_CHANGED, /* something may have */
	LINK_NEW_DEVICE,
};

/* Empties it; the greatest news in it. */
enum link_news link_monitor_drain(int fd);
