/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions and requests to the kernel's routing subsystem. SHELL. For link.c and tunnel_device.c alone:
 * libmnl lives in these three.
 */
#pragma once

#include <linux/rtnetlink.h>

#include "netlink.h"

#define RTNETLINK_REQUEST_MAX 512 /* bytes; the longest here has some 100 */

/* NULL, and errno says why. */
struct mnl_socket *rtnetlink_open(void);

/* Sends and takes all answers; 0 or -errno. */
MUST_CHECK int rtnetlink_talk(const struct mnl_socket *socket, struct nlmsghdr *message,
			      mnl_cb_t take, void *context);
