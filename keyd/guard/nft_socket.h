/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nf_tables in this network namespace: sends the batches of nft_batch.h, and reports changes made
 * by other programs. SHELL. Uses nothing else of keyd, so that the command line can use it. All
 * return 0 or -errno.
 */
#pragma once

#include "netlink.h"
#include "nft_batch.h"

/* The caller closes it with mnl_socket_close. Its port id marks the changes made through it. */
MUST_CHECK int nft_socket_open(struct mnl_socket **ret_socket);

/* Applies all of the batch, or nothing. */
MUST_CHECK int nft_socket_commit(const struct mnl_socket *socket, const struct nft_batch *batch);

/* 0: the table exists. -ENOENT: it does not. */
MUST_CHECK int nft_socket_find(const struct mnl_socket *socket, const char *table);

/* Removes the table. -ENOENT: it does not exist (or this kernel has no nf_tables). */
MUST_CHECK int nft_remove_table(const char *table);

/* A descriptor that becomes readable when any program changes something in nf_tables. */
MUST_CHECK int nft_monitor_open(int *ret_fd);

enum nft_news {
	NFT_SILENT,
	NFT_LOST,    /* changes were lost, perhaps some of our table */
	NFT_TOUCHED, /* another port than `own_port` changed the table */
};

/* Reads all pending messages; returns the greatest news among them. */
enum nft_news nft_monitor_drain(int fd, const char *table, uint32_t own_port);
