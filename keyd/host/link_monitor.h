/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports that devices, addresses or routes of this network namespace changed. SHELL. All return 0
 * or -errno.
 */
#pragma once

#include "util.h"

/* A descriptor that becomes readable when the view of link.h may have changed. */
MUST_CHECK int link_monitor_open(int *ret_fd);

/* The same for qdiscs and filters. */
MUST_CHECK int link_monitor_open_hooks(int *ret_fd);

enum link_news {
	LINK_SILENT,
	LINK_CHANGED, /* perhaps: the view has to be read again */
	LINK_NEW_DEVICE,
};

/* Reads all pending messages; returns the greatest news among them. */
enum link_news link_monitor_drain(int fd);
