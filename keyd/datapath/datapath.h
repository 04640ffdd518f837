/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyd's view of the BPF side; the only writer of the maps in user space. SHELL. The maps are read
 * once, when they are opened; from then on their content is cached here, and a write that would
 * change nothing is skipped. Every function that fails has logged the cause, in one line. `changes`
 * counts writes, so that a restart can report that it made none.
 */
#pragma once

#include "cluster/bypass.h"
#include "cluster/prefix.h"
#include "loader/loader.h"

#define DATAPATH_UPLINKS_MAX 4096

struct datapath_peer {
	uint32_t id;
	bool was_found; /* it was in the maps when they were opened */
	struct peer_value value;
};

struct datapath {
	struct loader *loader;
	const struct loader_maps *maps;
	int cpu_count;
	struct datapath_config config;
	struct prefix_entry *entries; /* content of `prefixes`, settled */
	uint32_t entry_count;
	struct datapath_peer *peers; /* content of `peers`, ascending by id */
	uint32_t peer_count, peer_capacity;
	struct bypass_entry *bypasses; /* content of `bypass` */
	uint32_t bypass_count;
	struct endpoint_key *endpoints; /* content of `endpoints`, ascending by their bytes */
	uint32_t endpoint_count;
	uint64_t changes;
};

MUST_CHECK int datapath_open(struct datapath *datapath, const char *bpffs);
/* Leaves the kernel unchanged: maps stay pinned, programs attached. */
void datapath_close(struct datapath *datapath);

MUST_CHECK int datapath_set_config(struct datapath *datapath, const struct datapath_config *config);

/* Writes the settled entries to the map, additions first. Entries of the peers in `held` are not
 * removed; without may_remove no entry is. */
MUST_CHECK int datapath_set_prefixes(struct datapath *datapath, const struct prefix_entry *wanted,
				     uint32_t wanted_count, const uint32_t *held,
				     uint32_t held_count, bool may_remove);

/* Makes the map hold exactly these, additions first. A failed change does not stop the others. */
MUST_CHECK int datapath_set_bypasses(struct datapath *datapath, const struct bypass_entry *wanted,
				     uint32_t wanted_count);

/* The node name of the peer with this id; empty if the maps do not have it. */
const char *datapath_node_name(const struct datapath *datapath, uint32_t id);

/* Adds these endpoints to the map, and with may_remove then removes all others. Sorts `wanted`. */
MUST_CHECK int datapath_set_endpoints(struct datapath *datapath, struct endpoint_key *wanted,
				      uint32_t wanted_count, bool may_remove);

/* The id of the node in the maps; 0: none. */
uint32_t datapath_find_id(const struct datapath *datapath, const char *node, bool *ret_was_found);
/* Greater than every id in the maps and than `floor`, the last one assigned: an id is never reused
 * for another node. */
uint32_t datapath_new_id(const struct datapath *datapath, uint32_t floor);

MUST_CHECK int datapath_set_peer(struct datapath *datapath, uint32_t id, const char *node,
				 bool is_usable);
MUST_CHECK int datapath_remove_peer(struct datapath *datapath, uint32_t id);

/* True if the pinned maps record a completed handshake with the node. Looks it up by name if the
 * maps do not have the id: a new node has none yet. */
bool datapath_was_reached(const struct datapath *datapath, uint32_t id, const char *node);
/* Permanent: adds the node's name to the ratchet, where it is found again whenever the node returns
 * as a new peer. */
MUST_CHECK int datapath_note_reached(struct datapath *datapath, uint32_t id);

const char *datapath_program_name(enum loader_program program);

/* Attaches the program to exactly these devices. Returns on how many of them attaching failed. */
uint32_t datapath_attach(struct datapath *datapath, enum loader_program program,
			 const unsigned int *ifindexes, uint32_t count);

/* Attaches the program to one more device. Returns 0 or -errno. */
MUST_CHECK int datapath_attach_too(struct datapath *datapath, enum loader_program program,
				   unsigned int ifindex);

static inline bool datapath_is_among(const unsigned int *ifindexes, uint32_t count,
				     unsigned int ifindex)
{
	for (uint32_t i = 0; i < count; i++)
		if (ifindexes[i] == ifindex)
			return true;
	return false;
}

/* Adds the node's traffic to *sum; id 0: traffic of addresses that no node claims. */
void datapath_add_traffic(const struct datapath *datapath, uint32_t id, struct peer_traffic *sum);
void datapath_read_drops(const struct datapath *datapath,
			 uint64_t ret_packets[static DROP_REASON_COUNT]);
