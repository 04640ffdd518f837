// SPDX-License-Identifier: Apache-2.0
/*
 * Configures podveil0 with RTM_SETLINK alone: /proc/sys, which also has rp_filter and
 * addr_gen_mode, is read-only in an unprivileged container.
 */
#include "tunnel_device.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <net/if.h>

#include "rtnetlink.h"

#define RP_FILTER_LOOSE 2
/* 169.254.77.1/32: the same on every node, because it never leaves a node. */
#define TUNNEL_ADDRESS 0xa9fe4d01

static int set_link(const struct mnl_socket *socket, unsigned int ifindex, uint32_t mtu,
		    bool wants_ipv6)
{
	char buffer[RTNETLINK_REQUEST_MAX] = {0};
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nlattr *families, *family, *settings;
	struct ifinfomsg *info;

	message->nlmsg_type = RTM_NEWLINK;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ifi_index = (int)ifindex;
	info->ifi_flags = info->ifi_change = IFF_UP;
	mnl_attr_put_u32(message, IFLA_MTU, mtu);
	families = mnl_attr_nest_start(message, IFLA_AF_SPEC);
	family = mnl_attr_nest_start(message, AF_INET);
	settings = mnl_attr_nest_start(message, IFLA_INET_CONF);
	mnl_attr_put_u32(message, IPV4_DEVCONF_RP_FILTER, RP_FILTER_LOOSE);
	mnl_attr_nest_end(message, settings);
	mnl_attr_nest_end(message, family);
	if (wants_ipv6) {
		family = mnl_attr_nest_start(message, AF_INET6);
		mnl_attr_put_u8(message, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
		mnl_attr_nest_end(message, family);
	}
	mnl_attr_nest_end(message, families);
	return rtnetlink_talk(socket, message, NULL, NULL);
}

static int add_tunnel_address(const struct mnl_socket *socket, unsigned int ifindex)
{
	char buffer[RTNETLINK_REQUEST_MAX] = {0};
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifaddrmsg *info;
	int error;

	message->nlmsg_type = RTM_NEWADDR;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ifa_family = AF_INET;
	info->ifa_prefixlen = 32;
	info->ifa_scope = RT_SCOPE_LINK;
	info->ifa_index = ifindex;
	mnl_attr_put_u32(message, IFA_LOCAL, htonl(TUNNEL_ADDRESS));
	mnl_attr_put_u32(message, IFA_ADDRESS, htonl(TUNNEL_ADDRESS));
	error = rtnetlink_talk(socket, message, NULL, NULL);
	return error == -EEXIST ? 0 : error;
}

static bool has_ipv4_address(const struct underlay_view *view, unsigned int ifindex)
{
	for (uint32_t i = 0; i < view->address_count; i++)
		if (view->addresses[i].ifindex == ifindex &&
		    view->addresses[i].address.family == AF_INET)
			return true;
	return false;
}

/* The kernel reports no mode where it has no IPv6. */
static bool has_ipv6(const struct underlay_device *device)
{
	return device->addr_gen_mode >= 0;
}

static bool is_prepared(const struct underlay_device *device, uint32_t mtu)
{
	return device->is_up && device->mtu == mtu && device->rp_filter == RP_FILTER_LOOSE &&
	       (device->addr_gen_mode == IN6_ADDR_GEN_MODE_NONE || !has_ipv6(device));
}

int tunnel_device_prepare(const struct underlay_view *view, const char *interface, uint32_t mtu,
			  bool *ret_changed)
{
	const struct underlay_device *device = underlay_find_device(view, interface);
	CLEANUP_NETLINK struct mnl_socket *socket = NULL;
	bool is_addressed, changed;
	int error = 0;

	if (!device)
		return -ENODEV;
	is_addressed = has_ipv4_address(view, device->ifindex);
	changed = !is_prepared(device, mtu) || !is_addressed;
	if (changed) {
		socket = rtnetlink_open();
		if (!socket)
			return -errno;
	}
	if (changed && !is_prepared(device, mtu))
		error = set_link(socket, device->ifindex, mtu, has_ipv6(device));
	if (!error && !is_addressed)
		error = add_tunnel_address(socket, device->ifindex);
	if (!error)
		*ret_changed = changed;
	return error;
}

int tunnel_device_delete(const char *interface)
{
	CLEANUP_NETLINK struct mnl_socket *socket = rtnetlink_open();
	char buffer[RTNETLINK_REQUEST_MAX] = {0};
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	unsigned int ifindex = if_nametoindex(interface);
	struct ifinfomsg *info;

	if (!socket)
		return -errno;
	if (!ifindex)
		return -ENODEV;
	message->nlmsg_type = RTM_DELLINK;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ifi_index = (int)ifindex;
	return rtnetlink_talk(socket, message, NULL, NULL);
}
