// SPDX-License-Identifier: Apache-2.0
/*
 * nfnetlink. Starts no program, and touches only the tables that it is given by name. Of other
 * programs' changes only the table's name is read: rewriting ours is cheaper than finding out
 * whether a change damaged it.
 */
#include "nft_socket.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#pragma GCC diagnostic ignored "-Wconversion" /* libmnl's loops are macros that convert */

#define ANSWER_MAX   8192
#define REMOVAL_MAX  512 /* bytes; about 100 are used */
#define FIND_MAX     256
#define MONITOR_ROOM (8 << 20) /* the kernel reports a transaction element by element */
#define NFTA_TABLE   1	       /* in every message of nf_tables except those about its generation */

int nft_socket_open(struct mnl_socket **ret_socket)
{
	struct mnl_socket *socket = netlink_open(NETLINK_NETFILTER, 0, 0);
	int one = 1;

	if (!socket)
		return -errno;
	/* Without it, an error repeats the failed message, which can be longer than ANSWER_MAX. */
	(void)mnl_socket_setsockopt(socket, NETLINK_CAP_ACK, &one, sizeof(one));
	*ret_socket = socket;
	return 0;
}

/* An answer to an earlier request must not pass for the answer to the next one. */
static void forget_answers(const struct mnl_socket *socket)
{
	char byte;

	while (recv(mnl_socket_get_fd(socket), &byte, sizeof(byte), MSG_DONTWAIT | MSG_TRUNC) >=
		       0 ||
	       errno == ENOBUFS || errno == EINTR)
		;
}

/* An acknowledgement or the requested table is 0. */
static int read_answer(const struct mnl_socket *socket)
{
	_Alignas(struct nlmsghdr) char answer[ANSWER_MAX];
	ssize_t len;

	do
		len = mnl_socket_recvfrom(socket, answer, sizeof(answer));
	while (len < 0 && errno == EINTR);
	if (len >= 0 && !mnl_nlmsg_ok((const void *)answer, (int)len))
		return -EBADMSG;
	if (len < 0 || mnl_cb_run(answer, (size_t)len, NFT_SEQUENCE, mnl_socket_get_portid(socket),
				  NULL, NULL) < 0)
		return -errno;
	return 0;
}

static int ask(const struct mnl_socket *socket, const void *bytes, size_t len)
{
	int room = (int)(2 * len), error;

	forget_answers(socket);
	(void)setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_SNDBUFFORCE, &room,
			 sizeof(room));
	if (mnl_socket_sendto(socket, bytes, len) < 0)
		return -errno;
	error = read_answer(socket);
	forget_answers(socket);
	return error;
}

int nft_socket_commit(const struct mnl_socket *socket, const struct nft_batch *batch)
{
	return ask(socket, batch->bytes, batch->len);
}

int nft_socket_find(const struct mnl_socket *socket, const char *table)
{
	_Alignas(struct nlmsghdr) uint8_t bytes[FIND_MAX];
	struct nft_batch request = {.bytes = bytes, .size = sizeof(bytes)};

	nft_begin_message(&request, NFT_MSG_GETTABLE, 0);
	nft_put_text(&request, NFTA_TABLE_NAME, table);
	if (request.is_cut)
		return -ENAMETOOLONG;
	return ask(socket, bytes, request.message->nlmsg_len);
}

/* A kernel without nf_tables does not have the table either. */
static int failure_of(int error)
{
	return error == -EOPNOTSUPP || error == -EPROTONOSUPPORT ? -ENOENT : error;
}

int nft_remove_table(const char *table)
{
	_Alignas(struct nlmsghdr) uint8_t bytes[REMOVAL_MAX];
	struct nft_batch batch;
	CLEANUP_NETLINK struct mnl_socket *socket = NULL;
	int error = nft_socket_open(&socket);

	nft_begin(&batch, bytes, sizeof(bytes));
	if (!error)
		error = nft_write_removal(&batch, table) ? nft_socket_commit(socket, &batch)
							 : -ENAMETOOLONG;
	return failure_of(error);
}

/* -- other programs' changes -- */

int nft_monitor_open(int *ret_fd)
{
	const int room = MONITOR_ROOM;
	int fd = netlink_open_monitor(NETLINK_NETFILTER, 1U << (NFNLGRP_NFTABLES - 1));

	if (fd < 0)
		return fd;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	*ret_fd = fd;
	return 0;
}

static bool is_about(const struct nlmsghdr *message, const char *table)
{
	const struct nlattr *attribute;

	if (message->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN))
		return false;
	mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attribute) == NFTA_TABLE)
			return mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0 &&
			       !strcmp(mnl_attr_get_str(attribute), table);
	}
	return false;
}

static bool is_touched(const char *bytes, ssize_t len, const char *table, uint32_t own_port)
{
	const struct nlmsghdr *message = (const void *)bytes;
	int left = (int)len;

	for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
		if (message->nlmsg_pid != own_port && is_about(message, table))
			return true;
	return false;
}

enum nft_news nft_monitor_drain(int fd, const char *table, uint32_t own_port)
{
	_Alignas(struct nlmsghdr) char bytes[ANSWER_MAX];
	enum nft_news greatest = NFT_SILENT;
	ssize_t len;

	while ((len = recv(fd, bytes, sizeof(bytes), 0)) >= 0 || errno == ENOBUFS ||
	       errno == EINTR) {
		if (len < 0)
			greatest = errno == ENOBUFS ? MAX(greatest, NFT_LOST) : greatest;
		else if (is_touched(bytes, len, table, own_port))
			greatest = NFT_TOUCHED;
	}
	return greatest;
}
