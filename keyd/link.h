/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices, addresses and routes of this network namespace, by rtnetlink. SHELL; libmnl lives here only. Needs nothing
 * else of keyd, so that the command line can use it. All return 0 or -errno.
 */
#pragma once

#include "underlay.h"

/* Everything underlay.h judges by, as it is now. Free it with link_view_clear. */
MUST_CHECK int link_read(struct underlay_view *ret_view);
void link_view_clear(struct underlay_view *view);

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

/* Makes podveil0 fit for decrypted packets: loose rp_filter, an IPv4 address without which loose mode drops all, no
 * address of its own making, MTU, up. What is right already is left alone; *ret_changed says whether anything was not. */
MUST_CHECK int link_prepare_tunnel(const struct underlay_view *view, const char *interface,
				   uint32_t mtu, bool *ret_changed);

/* Removes the device. -ENODEV: there is none. */
int link_delete(const char *interface);
