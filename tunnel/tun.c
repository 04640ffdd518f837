// SPDX-License-Identifier: Apache-2.0
/*
 * The TUN device. Offloads are probed by trying, never derived from the kernel's version: a kernel
 * without USO or TSO segments super-packets itself. Device properties are read by ioctl through the
 * event socket, so that nothing is opened after start. A device created here emits no packets of
 * its own (addr_gen_mode none, no multicast).
 */
#include "tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "log.h"

#define TUN_DEVICE "/dev/net/tun"

/* Room for the packets that arrive while the engine gets no CPU: 400 ms at 10,000 a second, where
 * the kernel's own 500 last 50 ms. TCP does not fill it: its windows are much smaller. */
#define QUEUE_LEN 4096
/* the kernel's default for a TUN; an administrator set any other length */
#define OLD_QUEUE_LEN 500

#ifndef TUN_F_USO4 /* Linux 6.2 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define OFFLOAD_TCP (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
#define OFFLOAD_UDP (TUN_F_USO4 | TUN_F_USO6)

static bool open_device(struct tun *tun)
{
	tun->fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tun->fd >= 0)
		return true;
	if (errno == EACCES || errno == EPERM)
		log_error("cannot open %s: %s: the container needs the device", TUN_DEVICE,
			  strerror(errno));
	else
		log_error(
			"cannot open %s: %s: load the module 'tun', or pass the device into the container",
			TUN_DEVICE, strerror(errno));
	return false;
}

static bool attach(struct tun *tun)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};

	memcpy(request.ifr_name, tun->name, sizeof(request.ifr_name));
	if (!ioctl(tun->fd, TUNSETIFF, &request))
		return true;
	switch (errno) {
	case EBUSY:
		log_error(
			"interface '%s' is in use by another process: stop it, or choose another --interface",
			tun->name);
		break;
	case EPERM:
		log_error("cannot create interface '%s': CAP_NET_ADMIN is missing: run as root",
			  tun->name);
		break;
	case EINVAL:
		log_error(
			"interface '%s' exists and is not a single-queue TUN device: remove it, or choose another "
			"--interface",
			tun->name);
		break;
	default:
		log_error("cannot create interface '%s': %s", tun->name, strerror(errno));
	}
	return false;
}

static void probe_offloads(struct tun *tun)
{
	tun->takes_udp_super = !ioctl(tun->fd, TUNSETOFFLOAD, OFFLOAD_TCP | OFFLOAD_UDP);
	tun->takes_tcp_super = tun->takes_udp_super || !ioctl(tun->fd, TUNSETOFFLOAD, OFFLOAD_TCP);
	if (!tun->takes_tcp_super && ioctl(tun->fd, TUNSETOFFLOAD, TUN_F_CSUM))
		log_debug("interface '%s' supports no offload", tun->name);
}

static bool open_events(struct tun *tun)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};

	tun->events = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	tun->stats = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (tun->events >= 0 && tun->stats >= 0 &&
	    !bind(tun->events, (const struct sockaddr *)&address, sizeof(address)))
		return true;
	log_error("cannot listen for link changes (rtnetlink): %s", strerror(errno));
	return false;
}

static void add_attribute(struct nlmsghdr *message, uint16_t type, const void *value, size_t len)
{
	struct rtattr *attribute =
		(struct rtattr *)((uint8_t *)message + NLMSG_ALIGN(message->nlmsg_len));

	attribute->rta_type = type;
	attribute->rta_len = (uint16_t)RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(attribute), value, len);
	message->nlmsg_len = (uint32_t)(NLMSG_ALIGN(message->nlmsg_len) + RTA_SPACE(len));
}

/* With a link-local address the kernel would send router solicitations into the tunnel, and with
 * multicast, membership reports: WireGuard's own devices have neither. If a kernel refuses, that
 * costs only those few packets, so the answer is not awaited. */
static void stop_own_packets(const struct tun *tun)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg link;
		uint8_t attributes[64];
	} message = {
		.header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
			   .nlmsg_type = RTM_SETLINK,
			   .nlmsg_flags = NLM_F_REQUEST},
		.link = {.ifi_family = AF_UNSPEC,
			 .ifi_index = (int)tun->ifindex,
			 .ifi_change = IFF_MULTICAST}, /* not set in ifi_flags: off */
	};
	struct {
		struct rtattr family;
		struct rtattr mode;
		uint8_t value[RTA_ALIGN(1)];
	} inside = {
		.family = {.rta_type = AF_INET6, .rta_len = sizeof(inside)},
		.mode = {.rta_type = IFLA_INET6_ADDR_GEN_MODE, .rta_len = RTA_LENGTH(1)},
		.value = {IN6_ADDR_GEN_MODE_NONE},
	};

	add_attribute(&message.header, IFLA_AF_SPEC, &inside, sizeof(inside));
	if (send(tun->events, &message, message.header.nlmsg_len, 0) < 0)
		log_debug("interface '%s': addr_gen_mode: %s", tun->name, strerror(errno));
}

static bool set_first_mtu(const struct tun *tun)
{
	struct ifreq request = {.ifr_mtu = TUN_DEFAULT_MTU};

	memcpy(request.ifr_name, tun->name, sizeof(request.ifr_name));
	if (!ioctl(tun->events, SIOCSIFMTU, &request))
		return true;
	log_error("cannot set the MTU of interface '%s': %s", tun->name, strerror(errno));
	return false;
}

static void lengthen_queue(const struct tun *tun)
{
	struct ifreq request = {0};

	memcpy(request.ifr_name, tun->name, sizeof(request.ifr_name));
	if (ioctl(tun->events, SIOCGIFTXQLEN, &request) || request.ifr_qlen != OLD_QUEUE_LEN)
		return;
	request.ifr_qlen = QUEUE_LEN;
	if (ioctl(tun->events, SIOCSIFTXQLEN, &request))
		log_debug("interface '%s': cannot lengthen its queue: %s", tun->name,
			  strerror(errno));
}

bool tun_open(struct tun *tun, const char *name)
{
	bool is_new = !if_nametoindex(name);

	if (!copy_text(tun->name, sizeof(tun->name), name) || !open_device(tun) || !attach(tun) ||
	    !open_events(tun))
		return false;
	probe_offloads(tun);
	tun->ifindex = if_nametoindex(name);
	if (is_new) {
		if (!set_first_mtu(tun))
			return false;
		stop_own_packets(tun);
	}
	lengthen_queue(tun);
	if (!tun_follow(tun))
		return true;
	log_error("interface '%s' disappeared while it was opened", name);
	return false;
}

bool tun_recreate(struct tun *tun)
{
	fd_close(&tun->fd);
	if (!open_device(tun) || !attach(tun))
		return false;
	probe_offloads(tun);
	tun->ifindex = if_nametoindex(tun->name);
	if (!set_first_mtu(tun))
		return false;
	stop_own_packets(tun);
	return true;
}

void tun_close(struct tun *tun)
{
	fd_close(&tun->fd);
	fd_close(&tun->events);
	fd_close(&tun->stats);
}

static void drain_events(const struct tun *tun)
{
	uint8_t message[8192];

	/* ENOBUFS: events were lost. Their contents are read again anyway. */
	while (recv(tun->events, message, sizeof(message), MSG_TRUNC) > 0 || errno == ENOBUFS)
		errno = 0;
}

int tun_follow(struct tun *tun)
{
	struct ifreq request = {0};

	drain_events(tun);
	if (ioctl(tun->fd, TUNGETIFF, &request))
		return -EBADFD;
	memcpy(tun->name, request.ifr_name, sizeof(tun->name));
	if (ioctl(tun->events, SIOCGIFMTU, &request)) {
		tun->is_up = true;
		return -ENODEV;
	}
	tun->mtu = (uint32_t)request.ifr_mtu;
	if (!ioctl(tun->events, SIOCGIFFLAGS, &request))
		tun->is_up = request.ifr_flags & IFF_UP;
	return 0;
}

/* The only attribute of the answer. */
static int take_overflows(const uint8_t *message, size_t len, uint64_t *ret_packets)
{
	const size_t header_len = NLMSG_SPACE(sizeof(struct if_stats_msg));
	const size_t offset = offsetof(struct rtnl_link_stats64, tx_dropped);

	for (size_t at = header_len; at + sizeof(struct rtattr) <= len;) {
		const struct rtattr *part = (const struct rtattr *)(message + at);

		if (part->rta_len < sizeof(*part) || part->rta_len > len - at)
			break;
		if (part->rta_type == IFLA_STATS_LINK_64 &&
		    RTA_PAYLOAD(part) >= offset + sizeof(*ret_packets)) {
			memcpy(ret_packets, (const uint8_t *)RTA_DATA(part) + offset,
			       sizeof(*ret_packets));
			return 0;
		}
		at += RTA_ALIGN(part->rta_len);
	}
	return -ENODEV; /* or an error message, which has no such attribute */
}

/* The kernel answers before the request returns. */
int tun_read_overflows(const struct tun *tun, uint64_t *ret_packets)
{
	struct {
		struct nlmsghdr header;
		struct if_stats_msg stats;
	} request = {
		.header = {.nlmsg_len = sizeof(request),
			   .nlmsg_type = RTM_GETSTATS,
			   .nlmsg_flags = NLM_F_REQUEST},
		.stats = {.ifindex = tun->ifindex,
			  .filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64)},
	};
	_Alignas(struct nlmsghdr) uint8_t message[1024];
	ssize_t len;

	if (send(tun->stats, &request, sizeof(request), 0) < 0)
		return -errno;
	len = recv(tun->stats, message, sizeof(message), 0);
	return len < 0 ? -errno : take_overflows(message, (size_t)len, ret_packets);
}

uint32_t tun_find_interface(const struct tun *tun, const char *name)
{
	struct ifreq request = {0};

	if (!copy_text(request.ifr_name, sizeof(request.ifr_name), name) ||
	    ioctl(tun->events, SIOCGIFINDEX, &request))
		return 0;
	return (uint32_t)request.ifr_ifindex;
}

ssize_t tun_read(const struct tun *tun, struct virtio_net_hdr *ret_vnet,
		 uint8_t ret_packet[static TUN_PACKET_MAX])
{
	struct iovec vector[] = {
		{.iov_base = ret_vnet, .iov_len = sizeof(*ret_vnet)},
		{.iov_base = ret_packet, .iov_len = TUN_PACKET_MAX},
	};
	ssize_t len = readv(tun->fd, vector, ARRAY_SIZE(vector));

	if (len < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return len < (ssize_t)sizeof(*ret_vnet) ? 0 : len - (ssize_t)sizeof(*ret_vnet);
}

bool tun_write(const struct tun *tun, const struct iovec *vector, unsigned int count)
{
	return writev(tun->fd, vector, (int)count) >= 0;
}

int tun_persist(const struct tun *tun)
{
	return ioctl(tun->fd, TUNSETPERSIST, 1) ? -errno : 0;
}
