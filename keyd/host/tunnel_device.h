/* SPDX-License-Identifier: Apache-2.0 */
/*
 * podveil0, which podveil-tunnel makes, as the kernel has it. SHELL. Needs nothing else of keyd, so that the command line can
 * use it. All return 0 or -errno.
 */
#pragma once

#include "underlay.h"

/* Makes podveil0 fit for decrypted packets: loose rp_filter, an IPv4 address without which loose mode drops all, no
 * address of its own making, MTU, up. What is right already is left alone; *ret_changed says whether anything was not. */
MUST_CHECK int tunnel_device_prepare(const struct underlay_view *view, const char *interface,
				     uint32_t mtu, bool *ret_changed);

/* Removes the device. -ENODEV: there is none. */
int tunnel_device_delete(const char *interface);
