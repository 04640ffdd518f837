// SPDX-License-Identifier: Apache-2.0
/*
 * Reads devices, addresses and routes from rtnetlink, always completely, and compares instead of
 * following events: a lost event costs nothing. A dump that was interrupted by a change is
 * repeated, never used.
 */
#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip.h>

#include "rtnetlink.h"

#pragma GCC diagnostic ignored "-Wconversion" /* libmnl's loops are macros that convert */

#define DUMP_TRIES 5

/* Makes room for one more in an array of `count`; grows in powers of two. */
static void *grow(void *array, uint32_t count, size_t item_len)
{
	if (count && (count & (count - 1)))
		return array;
	return realloc(array, (count ? 2 * (size_t)count : 1) * item_len);
}

#define APPEND(array, count, item)                                   \
	({                                                           \
		void *_grown = grow(array, count, sizeof(*(array))); \
		if (_grown) {                                        \
			(array) = _grown;                            \
			(array)[(count)++] = (item);                 \
		}                                                    \
		_grown ? MNL_CB_OK : (errno = ENOMEM, MNL_CB_ERROR); \
	})

static void read_inet_settings(struct underlay_device *device, const struct nlattr *inet)
{
	const struct nlattr *settings;

	mnl_attr_for_each_nested(settings, inet)
	{
		const int32_t *values = mnl_attr_get_payload(settings);

		if (mnl_attr_get_type(settings) == IFLA_INET_CONF &&
		    mnl_attr_get_payload_len(settings) >= IPV4_DEVCONF_RP_FILTER * sizeof(*values))
			device->rp_filter = values[IPV4_DEVCONF_RP_FILTER - 1];
	}
}

static void read_inet6_settings(struct underlay_device *device, const struct nlattr *inet6)
{
	const struct nlattr *setting;

	mnl_attr_for_each_nested(setting, inet6)
	{
		if (mnl_attr_get_type(setting) == IFLA_INET6_ADDR_GEN_MODE)
			device->addr_gen_mode = mnl_attr_get_u8(setting);
	}
}

static void read_family_settings(struct underlay_device *device, const struct nlattr *families)
{
	const struct nlattr *family;

	mnl_attr_for_each_nested(family, families)
	{
		if (mnl_attr_get_type(family) == AF_INET)
			read_inet_settings(device, family);
		else if (mnl_attr_get_type(family) == AF_INET6)
			read_inet6_settings(device, family);
	}
}

static void read_overlay(struct underlay_device *device, const char *kind,
			 const struct nlattr *data)
{
	const struct nlattr *part;

	mnl_attr_for_each_nested(part, data)
	{
		if (!strcmp(kind, "vxlan") && mnl_attr_get_type(part) == IFLA_VXLAN_PORT)
			device->vxlan_port = ntohs(mnl_attr_get_u16(part));
		else if (!strcmp(kind, "geneve") && mnl_attr_get_type(part) == IFLA_GENEVE_PORT)
			device->geneve_port = ntohs(mnl_attr_get_u16(part));
	}
}

/* Whether the device can lead to pods, and the port of an overlay's device. */
static void read_kind(struct underlay_device *device, const struct nlattr *info)
{
	const struct nlattr *part, *data = NULL;
	const char *kind = "";

	mnl_attr_for_each_nested(part, info)
	{
		if (mnl_attr_get_type(part) == IFLA_INFO_KIND)
			kind = mnl_attr_get_str(part);
		else if (mnl_attr_get_type(part) == IFLA_INFO_DATA)
			data = part;
	}
	if (!strcmp(kind, "veth"))
		device->kind = UNDERLAY_VETH;
	else if (!strcmp(kind, "bridge"))
		device->kind = UNDERLAY_BRIDGE;
	if (data)
		read_overlay(device, kind, data);
}

static int take_device(const struct nlmsghdr *message, void *context)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	struct underlay_view *view = context;
	struct underlay_device device = {
		.ifindex = (unsigned int)info->ifi_index,
		.is_loopback = info->ifi_flags & IFF_LOOPBACK,
		.is_up = info->ifi_flags & IFF_UP,
		.rp_filter = -1,
		.addr_gen_mode = -1,
	};
	const struct nlattr *attribute;

	mnl_attr_for_each(attribute, message, sizeof(*info))
	{
		switch (mnl_attr_get_type(attribute)) {
		case IFLA_IFNAME:
			copy_text(device.name, sizeof(device.name), mnl_attr_get_str(attribute));
			break;
		case IFLA_MTU:
			device.mtu = mnl_attr_get_u32(attribute);
			break;
		case IFLA_MASTER:
			device.master = mnl_attr_get_u32(attribute);
			break;
		case IFLA_LINK_NETNSID:
			device.has_far_peer = true;
			break;
		case IFLA_LINKINFO:
			read_kind(&device, attribute);
			break;
		case IFLA_AF_SPEC:
			read_family_settings(&device, attribute);
			break;
		}
	}
	return APPEND(view->devices, view->device_count, device);
}

/* False if the attribute has another length than addresses of the family. */
static bool read_address(struct address *ret_address, uint8_t family,
			 const struct nlattr *attribute)
{
	size_t len = family == AF_INET ? 4 : 16;

	if (mnl_attr_get_payload_len(attribute) != len)
		return false;
	*ret_address = (struct address){.family = family};
	memcpy(ret_address->bytes, mnl_attr_get_payload(attribute), len);
	return true;
}

static int take_address(const struct nlmsghdr *message, void *context)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
	struct underlay_view *view = context;
	struct underlay_address address = {.ifindex = info->ifa_index};
	uint32_t flags = info->ifa_flags;
	const struct nlattr *attribute;
	bool has_local = false, has_any = false;

	if (info->ifa_family != AF_INET && info->ifa_family != AF_INET6)
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, message, sizeof(*info))
	{
		uint16_t type = mnl_attr_get_type(attribute);

		/* On a point-to-point device IFA_ADDRESS is the address of the other end. */
		if (type == IFA_LOCAL)
			has_any = has_local =
				read_address(&address.address, info->ifa_family, attribute);
		else if (type == IFA_ADDRESS && !has_local)
			has_any = read_address(&address.address, info->ifa_family, attribute);
		else if (type == IFA_FLAGS)
			flags = mnl_attr_get_u32(attribute);
	}
	if (!has_any)
		return MNL_CB_OK;
	address.prefix =
		(struct cidr){.address = address.address, .prefix_len = info->ifa_prefixlen};
	cidr_clear_host_bits(&address.prefix);
	address.is_global = info->ifa_scope < RT_SCOPE_LINK;
	address.is_settled = !(flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED |
					IFA_F_TEMPORARY)) ||
			     info->ifa_family == AF_INET;
	return APPEND(view->addresses, view->address_count, address);
}

/* A route of one family may have a gateway of the other. */
static void read_via(struct address *ret_gateway, const struct nlattr *attribute)
{
	const struct rtvia *via = mnl_attr_get_payload(attribute);
	size_t len = mnl_attr_get_payload_len(attribute);

	if (len == sizeof(*via) + 4 && via->rtvia_family == AF_INET)
		*ret_gateway = (struct address){.family = AF_INET};
	else if (len == sizeof(*via) + 16 && via->rtvia_family == AF_INET6)
		*ret_gateway = (struct address){.family = AF_INET6};
	else
		return;
	memcpy(ret_gateway->bytes, via->rtvia_addr, len - sizeof(*via));
}

/* The attributes that a route and each hop of a multipath route share. */
static void read_gateway(struct route *route, const struct nlattr *attribute)
{
	uint16_t type = mnl_attr_get_type(attribute);

	if (type == RTA_GATEWAY)
		read_address(&route->gateway, route->destination.address.family, attribute);
	else if (type == RTA_VIA)
		read_via(&route->gateway, attribute);
	route->has_gateway |= type == RTA_GATEWAY || type == RTA_VIA;
}

static int take_hops(struct underlay_view *view, struct route route, const struct nlattr *hops)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(hops);
	int left = mnl_attr_get_payload_len(hops);

	route.has_gateway = true; /* several hops lead to other machines, not to a pod */
	for (; RTNH_OK(hop, left); left -= RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
		const struct nlattr *attr; /* the macro uses this name */
		const char *attributes = (const char *)hop + sizeof(*hop);

		route.ifindex = (unsigned int)hop->rtnh_ifindex;
		route.gateway = (struct address){0};
		mnl_attr_for_each_payload((const void *)attributes, hop->rtnh_len - sizeof(*hop))
			read_gateway(&route, attr);
		if (APPEND(view->routes, view->route_count, route) != MNL_CB_OK)
			return MNL_CB_ERROR;
	}
	return MNL_CB_OK;
}

static bool is_of_interest(const struct rtmsg *info)
{
	switch (info->rtm_type) {
	case RTN_UNICAST:
	case RTN_BLACKHOLE:
	case RTN_UNREACHABLE:
	case RTN_PROHIBIT:
		return (info->rtm_family == AF_INET || info->rtm_family == AF_INET6) &&
		       !(info->rtm_flags & RTM_F_CLONED);
	}
	return false;
}

static int take_route(const struct nlmsghdr *message, void *context)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	struct underlay_view *view = context;
	struct route route = {.destination = {.address.family = info->rtm_family,
					      .prefix_len = info->rtm_dst_len},
			      .is_block = info->rtm_type != RTN_UNICAST};
	const struct nlattr *attribute, *hops = NULL;
	uint32_t table = info->rtm_table;

	if (!is_of_interest(info))
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, message, sizeof(*info))
	{
		switch (mnl_attr_get_type(attribute)) {
		case RTA_TABLE:
			table = mnl_attr_get_u32(attribute);
			break;
		case RTA_DST:
			read_address(&route.destination.address, info->rtm_family, attribute);
			break;
		case RTA_OIF:
			route.ifindex = mnl_attr_get_u32(attribute);
			break;
		case RTA_MULTIPATH:
			hops = attribute;
			break;
		default:
			read_gateway(&route, attribute);
		}
	}
	if (table == RT_TABLE_LOCAL)
		return MNL_CB_OK;
	route.is_main = table == RT_TABLE_MAIN;
	if (hops)
		return take_hops(view, route, hops);
	return route.ifindex || route.is_block ? APPEND(view->routes, view->route_count, route)
					       : MNL_CB_OK;
}

/* Requests the whole list; `header` is the header of this kind of request. */
static int dump(const struct mnl_socket *socket, uint16_t type, const void *header,
		size_t header_len, mnl_cb_t take, struct underlay_view *view)
{
	char buffer[RTNETLINK_REQUEST_MAX] = {0};
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	memcpy(mnl_nlmsg_put_extra_header(message, header_len), header, header_len);
	return rtnetlink_talk(socket, message, take, view);
}

static int dump_devices(const struct mnl_socket *socket, struct underlay_view *view)
{
	const struct ifinfomsg all = {0};

	return dump(socket, RTM_GETLINK, &all, sizeof(all), take_device, view);
}

static int dump_addresses(const struct mnl_socket *socket, struct underlay_view *view)
{
	const struct ifaddrmsg all = {0};

	return dump(socket, RTM_GETADDR, &all, sizeof(all), take_address, view);
}

/* From all tables: some CNIs give each pod a table of its own. */
static int dump_routes(const struct mnl_socket *socket, struct underlay_view *view, uint8_t family)
{
	const struct rtmsg all = {.rtm_family = family, .rtm_table = RT_TABLE_UNSPEC};
	int error = dump(socket, RTM_GETROUTE, &all, sizeof(all), take_route, view);

	/* A kernel without the family, or one that has not created a table yet. */
	return error == -EOPNOTSUPP || error == -EAFNOSUPPORT || error == -ENOENT ? 0 : error;
}

/* Each try uses a new socket: the rest of an interrupted dump still arrives, and on the same socket
 * it would pass for the answer to the next request. */
static int read_once(struct underlay_view *view)
{
	CLEANUP_NETLINK struct mnl_socket *socket = rtnetlink_open();
	int error = socket ? dump_devices(socket, view) : -errno;

	if (!error)
		error = dump_addresses(socket, view);
	if (!error)
		error = dump_routes(socket, view, AF_INET);
	return error ? error : dump_routes(socket, view, AF_INET6);
}

void link_view_clear(struct underlay_view *view)
{
	free(view->devices);
	free(view->addresses);
	free(view->routes);
	*view = (struct underlay_view){0};
}

int link_read(struct underlay_view *ret_view)
{
	struct underlay_view view = {0};
	int error = -EINTR;

	/* -EINTR: the list changed during the dump. */
	for (unsigned int tries = 0; tries < DUMP_TRIES && error == -EINTR; tries++) {
		link_view_clear(&view);
		error = read_once(&view);
	}
	if (error) {
		link_view_clear(&view);
		return error;
	}
	*ret_view = view;
	return 0;
}
