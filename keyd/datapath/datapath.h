/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BPF side as keyd wants it: the one writer of the maps in user space. SHELL. What the maps hold is read once, when
 * they are opened, and known from then on; a write that would change nothing is not made. Every function that fails has
 * logged why, in one line. `changes` counts what was written, so that a restart can say that nothing was.
 */
#pragma once

#include "loader/loader.h"
#include "cluster/bypass.h"
#include "cluster/prefix.h"

#define DATAPATH_UPLINKS_MAX 4096

struct datapath_peer {
	uint32_t id;
	bool was_found; /* in the maps when they were opened */
	struct peer_value value;
};

struct datapath {
	struct loader *loader;
	const struct loader_maps *maps;
	int cpu_count;
	struct datapath_config config;
	struct prefix_entry *entries; /* what `prefixes` holds, settled */
	uint32_t entry_count;
	struct datapath_peer *peers; /* what `peers` holds, ascending by id */
	uint32_t peer_count, peer_capacity;
	struct bypass_entry *bypasses; /* what `bypass` holds */
	uint32_t bypass_count;
	struct endpoint_key *endpoints; /* what `endpoints` holds, ascending by their bytes */
	uint32_t endpoint_count;
	uint64_t changes;
};

MUST_CHECK int datapath_open(struct datapath *datapath, const char *bpffs);
/* Leaves everything in the kernel as it is. */
void datapath_close(struct datapath *datapath);

MUST_CHECK int datapath_set_config(struct datapath *datapath, const struct datapath_config *config);

/* Puts the settled entries into the map: additions first. Those of the peers in `held` are not removed, nor is any
 * without may_remove. */
MUST_CHECK int datapath_set_prefixes(struct datapath *datapath, const struct prefix_entry *wanted,
				     uint32_t wanted_count, const uint32_t *held,
				     uint32_t held_count, bool may_remove);

/* Exactly these are in the map: additions first. A change that fails does not stop the others. */
MUST_CHECK int datapath_set_bypasses(struct datapath *datapath, const struct bypass_entry *wanted,
				     uint32_t wanted_count);

/* Of the peer with this id; empty: the maps do not know it. */
const char *datapath_node_name(const struct datapath *datapath, uint32_t id);

/* These endpoints are in the map, and with may_remove no others; additions first. Sorts `wanted`. */
MUST_CHECK int datapath_set_endpoints(struct datapath *datapath, struct endpoint_key *wanted,
				      uint32_t wanted_count, bool may_remove);

/* The id under which the maps know the node; 0: they do not. */
uint32_t datapath_find_id(const struct datapath *datapath, const char *node, bool *ret_was_found);
/* Greater than every id in the maps and than `floor`, the last one given: ids are not used again for another node. */
uint32_t datapath_new_id(const struct datapath *datapath, uint32_t floor);

MUST_CHECK int datapath_set_peer(struct datapath *datapath, uint32_t id, const char *node,
				 bool is_usable);
MUST_CHECK int datapath_remove_peer(struct datapath *datapath, uint32_t id);

/* Was a handshake with it ever completed, as far as the pinned maps tell? Goes by the name where the maps do not know the
 * id: a node that has just become known has none yet. */
bool datapath_was_reached(const struct datapath *datapath, uint32_t id, const char *node);
/* For good: its name goes into the ratchet, from where it is taken again whenever the node is a peer anew. */
MUST_CHECK int datapath_note_reached(struct datapath *datapath, uint32_t id);

const char *datapath_program_name(enum loader_program program);

/* Exactly these devices have the program. Returns how many of them have not, because attaching failed. */
uint32_t datapath_attach(struct datapath *datapath, enum loader_program program,
			 const unsigned int *ifindexes, uint32_t count);

/* This device too. 0 or -errno. */
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

/* Of the node with this id; 0: what is of no node. Added to what *sum has already. */
void datapath_add_traffic(const struct datapath *datapath, uint32_t id, struct peer_traffic *sum);
void datapath_read_drops(const struct datapath *datapath,
			 uint64_t ret_packets[static DROP_REASON_COUNT]);
