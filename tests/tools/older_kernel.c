// SPDX-License-Identifier: Apache-2.0
/*
 * A library for LD_PRELOAD that makes this kernel look older to one program. OLDER_KERNEL lists the
 * features to refuse, separated by spaces. Each is refused with the error that an old kernel gives,
 * and reported on stderr once, so that a test sees that it was requested. Everything else goes to
 * the kernel unchanged.
 *
 *   uso       TUNSETOFFLOAD with a USO bit, and writing a UDP super-packet to the TUN: EINVAL
 *             (before Linux 6.2)
 *   tso       TUNSETOFFLOAD with a TSO bit: EINVAL
 *   csum      TUNSETOFFLOAD with any bit: EINVAL
 *   segment   setsockopt UDP_SEGMENT: ENOPROTOOPT (before Linux 4.18)
 *   route     sending with UDP_SEGMENT although the option was accepted: EIO (a route that cannot
 *             compute checksums)
 *   gro       setsockopt UDP_GRO: ENOPROTOOPT (before Linux 5.0)
 */
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "util.h"

#ifndef TUN_F_USO4 /* Linux 6.2 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

static int tun_fd = -1; /* the last one that was asked for offloads; a fork keeps it */

static bool is_older(const char *word)
{
	const char *words = getenv("OLDER_KERNEL");
	size_t len = strlen(word);

	for (const char *at = words; at && (at = strstr(at, word)); at += len)
		if ((at == words || at[-1] == ' ') && (!at[len] || at[len] == ' '))
			return true;
	return false;
}

/* Always -1. A line goes out in one write: parent and engine share stderr. */
static int refuse(const char *what, bool *is_said, int error)
{
	char line[128];
	int len = snprintf(line, sizeof(line), "older_kernel: refused %s\n", what);

	if (!*is_said && write(STDERR_FILENO, line, (size_t)len) == len)
		*is_said = true;
	errno = error;
	return -1;
}

static int set_offload(int fd, unsigned long offloads)
{
	static bool is_uso_said, is_tso_said, is_csum_said;

	tun_fd = fd;
	if (is_older("uso") && offloads & (TUN_F_USO4 | TUN_F_USO6))
		return refuse("uso", &is_uso_said, EINVAL);
	if (is_older("tso") && offloads & (TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN))
		return refuse("tso", &is_tso_said, EINVAL);
	if (is_older("csum") && offloads)
		return refuse("csum", &is_csum_said, EINVAL);
	return (int)syscall(SYS_ioctl, fd, TUNSETOFFLOAD, offloads);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	unsigned long argument;

	va_start(arguments, request);
	argument = va_arg(arguments, unsigned long);
	va_end(arguments);
	if (request == TUNSETOFFLOAD)
		return set_offload(fd, argument);
	return (int)syscall(SYS_ioctl, fd, request, argument);
}

static bool is_udp_super_packet(const struct iovec *vector, int count)
{
	const struct virtio_net_hdr *vnet = count > 0 ? vector->iov_base : NULL;

	return vnet && vector->iov_len >= sizeof(*vnet) &&
	       vnet->gso_type == VIRTIO_NET_HDR_GSO_UDP_L4;
}

ssize_t writev(int fd, const struct iovec *vector, int count)
{
	static bool is_said;

	if (fd == tun_fd && is_older("uso") && is_udp_super_packet(vector, count))
		return refuse("a written UDP super-packet", &is_said, EINVAL);
	return syscall(SYS_writev, fd, vector, count);
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	static bool is_segment_said, is_gro_said;

	if (level == IPPROTO_UDP && option == UDP_SEGMENT && is_older("segment"))
		return refuse("segment", &is_segment_said, ENOPROTOOPT);
	if (level == IPPROTO_UDP && option == UDP_GRO && is_older("gro"))
		return refuse("gro", &is_gro_said, ENOPROTOOPT);
	return (int)syscall(SYS_setsockopt, fd, level, option, value, len);
}

static bool asks_for_segmentation(const struct msghdr *message)
{
	struct msghdr copy = *message;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(&copy); part; part = CMSG_NXTHDR(&copy, part))
		if (part->cmsg_level == IPPROTO_UDP && part->cmsg_type == UDP_SEGMENT)
			return true;
	return false;
}

static int refuse_to_segment(void)
{
	static bool is_said;

	return refuse("route", &is_said, EIO);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (is_older("route") && asks_for_segmentation(message))
		return refuse_to_segment();
	return syscall(SYS_sendmsg, fd, message, flags);
}

/* Like the kernel: messages before the refused one are sent, and the error comes with the next
 * call. */
int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
	unsigned int good = 0;

	if (!is_older("route"))
		return (int)syscall(SYS_sendmmsg, fd, messages, count, flags);
	while (good < count && !asks_for_segmentation(&messages[good].msg_hdr))
		good++;
	if (!good && count)
		return refuse_to_segment();
	return (int)syscall(SYS_sendmmsg, fd, messages, good, flags);
}
