/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the kernel's routing subsystem, for link.c and tunnel_device.c alone. SHELL.
 */
#pragma once

#include <linux/rtnetlink.h>

#include "netlink.h"

#define RTNETLINK_REQUEST_MAX 512 /* bytes; the longest has some 100 */

/* NULL: errno has the reason. */
struct mnl_socket *rtnetlink_open(void);

/* Sends the request and passes each answer to `take`; 0 or -errno. */
MUST_CHECK int rtnetlink_talk(const struct mnl_socket *socket, struct nlmsghdr *message,
			      mnl_cb_t take, void *context);
