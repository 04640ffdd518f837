// SPDX-License-Identifier: Apache-2.0
/*
 * One message of nf_tables, in the batch without which the kernel takes none: delete the table of that name and family,
 * with all that is in it. Never touches another table, and starts no program to do it.
 */
#include "boot_guard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#define TABLE	  "podveil_boot_guard"
#define BATCH_MAX 512 /* bytes; it has some 100 */
#define SEQUENCE  1   /* of the one message that is answered */

static void cleanup_socket(struct mnl_socket **socket)
{
	if (*socket)
		mnl_socket_close(*socket);
}

static struct nlmsghdr *put_message(char *at, uint16_t type, uint16_t flags, uint8_t family,
				    uint16_t subsystem)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(at);
	struct nfgenmsg *generic = mnl_nlmsg_put_extra_header(message, sizeof(*generic));

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	message->nlmsg_seq = SEQUENCE;
	*generic = (struct nfgenmsg){
		.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(subsystem)};
	return message;
}

static size_t write_batch(char ret_batch[static BATCH_MAX])
{
	char *at = ret_batch;
	struct nlmsghdr *message;

	message = put_message(at, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	at += message->nlmsg_len;
	message = put_message(at, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE, NLM_F_ACK,
			      NFPROTO_INET, 0);
	mnl_attr_put_strz(message, NFTA_TABLE_NAME, TABLE);
	at += message->nlmsg_len;
	message = put_message(at, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	return (size_t)(at + message->nlmsg_len - ret_batch);
}

/* A kernel without nf_tables has no guard either. */
static int failure_of(int error)
{
	return error == ENOENT || error == EOPNOTSUPP || error == EPROTONOSUPPORT ? -ENOENT
										  : -error;
}

int boot_guard_remove(void)
{
	CLEANUP(cleanup_socket)
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	_Alignas(struct nlmsghdr) char batch[BATCH_MAX] = {0}, answer[4096];
	ssize_t len;

	if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(socket, batch, write_batch(batch)) < 0)
		return failure_of(errno);
	len = mnl_socket_recvfrom(socket, answer, sizeof(answer));
	if (len < 0 || mnl_cb_run(answer, (size_t)len, SEQUENCE, mnl_socket_get_portid(socket),
				  NULL, NULL) < 0)
		return failure_of(errno);
	return 0;
}
