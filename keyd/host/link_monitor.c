// SPDX-License-Identifier: Apache-2.0
/*
 * Multicast groups of rtnetlink. An event is only a hint that something changed: callers read the
 * whole state (link.h), so a lost event costs nothing.
 */
#include "link_monitor.h"

#include <linux/rtnetlink.h>

#include "netlink.h"

#define GROUP_IPV4_SETTINGS (1U << (RTNLGRP_IPV4_NETCONF - 1)) /* rp_filter is among them */

static int open_monitor(uint32_t groups, int *ret_fd)
{
	int fd = netlink_open_monitor(NETLINK_ROUTE, groups);

	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

int link_monitor_open(int *ret_fd)
{
	return open_monitor(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
				    RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | GROUP_IPV4_SETTINGS,
			    ret_fd);
}

int link_monitor_open_hooks(int *ret_fd)
{
	return open_monitor(RTMGRP_TC, ret_fd);
}

/* The kernel marks all flags as changed when a device is new in this namespace. */
static enum link_news read_news(const struct nlmsghdr *header, ssize_t len)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(header);

	if (len < 0)
		return errno == ENOBUFS ? LINK_NEW_DEVICE : LINK_SILENT;
	return (size_t)len >= mnl_nlmsg_size(sizeof(*info)) && header->nlmsg_type == RTM_NEWLINK &&
			       info->ifi_change == UINT32_MAX
		       ? LINK_NEW_DEVICE
		       : LINK_CHANGED;
}

enum link_news link_monitor_drain(int fd)
{
	_Alignas(struct nlmsghdr) char buffer[NLMSG_LENGTH(sizeof(struct ifinfomsg))];
	enum link_news greatest = LINK_SILENT;
	ssize_t len;

	/* ENOBUFS: events were lost, of any kind. */
	while ((len = recv(fd, buffer, sizeof(buffer), MSG_TRUNC)) >= 0 || errno == ENOBUFS ||
	       errno == EINTR)
		greatest = MAX(greatest, read_news((const void *)buffer, len));
	return greatest;
}
