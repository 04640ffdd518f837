/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's nf_tables, in this network namespace: batches of nft_batch.h go to it, and it tells who changes what.
 * SHELL. Needs nothing else of keyd, so that the command line can use it. All return 0 or -errno.
 */
#pragma once

#include "netlink.h"
#include "nft_batch.h"

/* To be closed with mnl_socket_close; the kernel marks what is changed through it with its port id. */
MUST_CHECK int nft_socket_open(struct mnl_socket **ret_socket);

/* All of the batch, or nothing. */
MUST_CHECK int nft_socket_commit(const struct mnl_socket *socket, const struct nft_batch *batch);

/* Is the table there? -ENOENT: no. */
MUST_CHECK int nft_socket_find(const struct mnl_socket *socket, const char *table);

/* Removes the table. -ENOENT: there is none (or no nf_tables in this kernel). */
MUST_CHECK int nft_remove_table(const char *table);

/* A descriptor that becomes readable when somebody changes something in nf_tables. */
MUST_CHECK int nft_monitor_open(int *ret_fd);

enum nft_news {
	NFT_SILENT,
	NFT_LOST,    /* more was changed than the socket could hold: ours perhaps among it */
	NFT_TOUCHED, /* the table, by another than `own_port` */
};

/* Empties it; the greatest news in it. */
enum nft_news nft_monitor_drain(int fd, const char *table, uint32_t own_port);
