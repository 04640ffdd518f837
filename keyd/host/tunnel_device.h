/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side of podveil0, the device that podveil-tunnel creates. SHELL. Uses nothing else
 * of keyd, so that the command line can use it. All return 0 or -errno.
 */
#pragma once

#include "underlay.h"

/* Prepares podveil0 for decrypted packets: loose rp_filter, an IPv4 address (without one, loose
 * mode drops everything), no generated address, the MTU, and up. Settings that are already right
 * are left alone; *ret_changed reports whether any was not. */
MUST_CHECK int tunnel_device_prepare(const struct underlay_view *view, const char *interface,
				     uint32_t mtu, bool *ret_changed);

/* Removes the device. -ENODEV: it does not exist. */
int tunnel_device_delete(const char *interface);
