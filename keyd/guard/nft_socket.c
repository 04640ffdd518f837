// SPDX-License-Identifier: Apache-2.0
/*
 * nfnetlink. Starts no program, and never touches a table that it was not told the name of. What others do is only looked at
 * for its table's name: whether it hurt ours is not worth the finding out, since to write it again costs less.
 */
#include "nft_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#define ANSWER_MAX   8192
#define REMOVAL_MAX  512 /* bytes; it has some 100 */
#define FIND_MAX     256
#define MONITOR_ROOM (8 << 20) /* a transaction is told element by element */
#define NFTA_TABLE   1	       /* in every message of nf_tables but those on its generation */
#define HEADER_LEN   sizeof(struct nlattr)

static int open_netlink(uint32_t groups, int flags, int *ret_fd)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
	CLEANUP_CLOSE int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_NETFILTER);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int nft_socket_open(struct nft_socket *ret_socket)
{
	struct sockaddr_nl own;
	socklen_t len = sizeof(own);
	CLEANUP_CLOSE int fd = -1;
	int error = open_netlink(0, 0, &fd);

	if (error)
		return error;
	if (getsockname(fd, (struct sockaddr *)&own, &len))
		return -errno;
	*ret_socket = (struct nft_socket){.fd = TAKE_FD(fd), .port = own.nl_pid};
	return 0;
}

/* An answer to an earlier question must not pass for that to the next. */
static void forget_answers(int fd)
{
	char byte;

	while (recv(fd, &byte, sizeof(byte), MSG_DONTWAIT | MSG_TRUNC) >= 0 || errno == ENOBUFS ||
	       errno == EINTR)
		;
}

/* 0 for what is no error: an acknowledgement, or what was asked for. */
static int read_answer(int fd)
{
	_Alignas(struct nlmsghdr) char answer[ANSWER_MAX];
	const struct nlmsghdr *header = (const void *)answer;
	const struct nlmsgerr *error = NLMSG_DATA(header);
	ssize_t len;

	do
		len = recv(fd, answer, sizeof(answer), 0);
	while (len < 0 && errno == EINTR);
	if (len < 0)
		return -errno;
	if (!NLMSG_OK(header, (size_t)len))
		return -EBADMSG;
	return header->nlmsg_type == NLMSG_ERROR ? error->error : 0;
}

static int ask(int fd, const void *bytes, size_t len)
{
	int room = (int)(2 * len), error;

	forget_answers(fd);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	if (send(fd, bytes, len, 0) < 0)
		return -errno;
	error = read_answer(fd);
	forget_answers(fd);
	return error;
}

int nft_socket_commit(const struct nft_socket *socket, const struct nft_batch *batch)
{
	return ask(socket->fd, batch->bytes, batch->len);
}

int nft_socket_find(const struct nft_socket *socket, const char *table)
{
	_Alignas(struct nlmsghdr) uint8_t bytes[FIND_MAX];
	struct nft_batch request = {.bytes = bytes, .size = sizeof(bytes)};

	nft_begin_message(&request, NFT_MSG_GETTABLE, 0);
	nft_put_text(&request, NFTA_TABLE_NAME, table);
	if (request.is_cut)
		return -ENAMETOOLONG;
	return ask(socket->fd, bytes, request.message->nlmsg_len);
}

/* A kernel without nf_tables has no such table either. */
static int failure_of(int error)
{
	return error == -EOPNOTSUPP || error == -EPROTONOSUPPORT ? -ENOENT : error;
}

int nft_remove_table(const char *table)
{
	_Alignas(struct nlmsghdr) uint8_t bytes[REMOVAL_MAX];
	struct nft_batch batch;
	struct nft_socket socket = {.fd = -1};
	int error = nft_socket_open(&socket);

	nft_begin(&batch, bytes, sizeof(bytes));
	if (!error)
		error = nft_write_removal(&batch, table) ? nft_socket_commit(&socket, &batch)
							 : -ENAMETOOLONG;
	fd_close(&socket.fd);
	return failure_of(error);
}

/* -- what others do -- */

int nft_monitor_open(int *ret_fd)
{
	const int room = MONITOR_ROOM;
	CLEANUP_CLOSE int fd = -1;
	int error = open_netlink(1U << (NFNLGRP_NFTABLES - 1), SOCK_NONBLOCK, &fd);

	if (error)
		return error;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static bool is_about(const struct nlmsghdr *header, const char *table)
{
	const struct nlattr *attribute = (const void *)((const char *)NLMSG_DATA(header) +
							NLMSG_ALIGN(sizeof(struct nfgenmsg)));
	size_t len = strlen(table) + 1;

	return header->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN) &&
	       header->nlmsg_len >= NLMSG_SPACE(sizeof(struct nfgenmsg)) + HEADER_LEN + len &&
	       (attribute->nla_type & NLA_TYPE_MASK) == NFTA_TABLE &&
	       attribute->nla_len == HEADER_LEN + len &&
	       !memcmp((const char *)attribute + HEADER_LEN, table, len);
}

static bool is_touched(const char *bytes, size_t len, const char *table, uint32_t own_port)
{
	const struct nlmsghdr *header = (const void *)bytes;
	unsigned int left = (unsigned int)len;

	for (; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left))
		if (header->nlmsg_pid != own_port && is_about(header, table))
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
		else if (is_touched(bytes, (size_t)len, table, own_port))
			greatest = NFT_TOUCHED;
	}
	return greatest;
}
