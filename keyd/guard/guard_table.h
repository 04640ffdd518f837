/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the guard's table (guard.h) in the kernel as it should be: made of what the BPF maps hold, written only when
 * something changed, put back when somebody took it away. SHELL. It stays when the agent ends. A kernel without nf_tables
 * has no guard, which is a warning and no failure: the hooks hold the promise for every device that has them.
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
	const unsigned int *devices; /* the guard lets pass by these whatever wants to leave */
	uint32_t device_count;
	uint16_t tunnel_port;
	bool may_have_unknown_pods;
};

struct guard_table {
	struct mnl_socket *socket; /* for requests; NULL: not open */
	int fd;			   /* readable when somebody changed something in nf_tables */
	struct guard_table_set sets[GUARD_SETS]; /* as they are in the kernel, while it stands */
	bool stands, was_touched;
	bool may_have_unknown_pods;
	uint64_t datapath_changes; /* of the maps that it was made from */
	struct repairs repairs;
	int error; /* why it does not stand, as -errno; 0 while it does */
};

void guard_table_init(struct guard_table *guard_table);
void guard_table_close(struct guard_table *guard_table);

/* Takes note of what others did; true where the table needs a look. */
bool guard_table_drain(struct guard_table *guard_table);

/* The table as it should be; says in the log what was repaired, and once why it cannot be made. */
void guard_table_settle(struct guard_table *guard_table, const struct datapath *datapath,
			const struct guard_table_wish *wish, uint64_t now_ns);

bool guard_table_has_device(const struct guard_table *guard_table, unsigned int ifindex);
