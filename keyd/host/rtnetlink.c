// SPDX-License-Identifier: Apache-2.0
/*
 * One request at a time, each answered completely before the next one.
 */
#include "rtnetlink.h"

struct mnl_socket *rtnetlink_open(void)
{
	struct mnl_socket *socket = netlink_open(NETLINK_ROUTE, 0, 0);
	int one = 1;

	/* Lets the kernel filter dumps by table. Without it we filter, as we do in any case. */
	if (socket)
		(void)mnl_socket_setsockopt(socket, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	return socket;
}

int rtnetlink_talk(const struct mnl_socket *socket, struct nlmsghdr *message, mnl_cb_t take,
		   void *context)
{
	static char buffer[65536];
	ssize_t len;
	int more = 1;

	message->nlmsg_seq = 1;
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	while (more > 0) {
		len = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
		more = len < 0 ? -1
			       : mnl_cb_run(buffer, (size_t)len, 1, mnl_socket_get_portid(socket),
					    take, context);
	}
	return more < 0 ? -errno : 0;
}
