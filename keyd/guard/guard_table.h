/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the guard's table (guard.h) in the kernel: derives it from the BPF maps, writes it only
 * when something changed, and restores it when another program removes it. SHELL. The table stays
 * when the agent exits. A kernel without nf_tables has no guard; that is a warning, not a failure,
 * because the hooks protect every device that has them.
 */
#pragma once

#include "datapath/datapath.h"
#include "datapath/repairs.h"
#include "guard.h"
#include "nft_socket.h"

struct guard_table_set {
	struct guard_element *elements;
	uint32_t count;
};

struct guard_table_wish {
	const unsigned int *devices; /* the guard passes every packet that leaves through these */
	uint32_t device_count;
	uint16_t tunnel_port;
	bool may_have_unknown_pods;
};

struct guard_table {
	struct mnl_socket *socket; /* for requests; NULL: not open */
	int fd; /* readable when another program changed something in nf_tables */
	struct guard_table_set sets[GUARD_SETS]; /* in the kernel, while `stands` */
	bool stands;				 /* in the kernel as we wrote it */
	bool was_touched;
	bool may_have_unknown_pods;
	uint64_t datapath_changes; /* of the maps from which it was made */
	struct repairs repairs;
	int error; /* why it is not in place, as -errno; 0 while it is */
};

void guard_table_init(struct guard_table *guard_table);
void guard_table_close(struct guard_table *guard_table);

/* Reads the changes made by other programs; true if the table needs a check. */
bool guard_table_drain(struct guard_table *guard_table);

/* Makes the table as wished; logs each repair, and once why the table cannot be created. */
void guard_table_settle(struct guard_table *guard_table, const struct datapath *datapath,
			const struct guard_table_wish *wish, uint64_t now_ns);

bool guard_table_has_device(const struct guard_table *guard_table, unsigned int ifindex);
