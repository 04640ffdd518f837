/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard: an nf_tables table that protects pod traffic on a device that has just appeared and
 * has no hooks yet. CORE: the elements of its sets, computed from the contents of the BPF maps, and
 * its rules (guard_rules.c). It must judge every packet as policy.h does, so both are made from the
 * same entries.
 *
 * A packet that leaves through a device without to_wire is dropped if
 *   its destination belongs into the tunnel: another node's pods or the cluster range (in
 *   permissive mode, only the prefixes of nodes that were reached), or
 *   its destination is another node's address and its source is a local pod's.
 * Every packet that to_wire passes, the guard passes. Packets that stay on this machine are never
 * touched.
 */
#pragma once

#include "cluster/bypass.h"
#include "cluster/prefix.h"
#include "nft_batch.h"

#define GUARD_TABLE "podveil_guard"
/* The table of deploy/podveil-boot-guard.nft: drops pod traffic until the agent protects the
 * node. */
#define BOOT_GUARD_TABLE "podveil_boot_guard"
#define GUARD_KEY_MAX	 24 /* protocol, IPv6 address and port, each padded to four bytes */

enum guard_set {
	GUARD_DEVICES, /* ifindexes of those that have to_wire, or lead to no other machine */
	GUARD_REMOTE4, /* destinations to tunnel, or to drop */
	GUARD_REMOTE6,
	GUARD_NODES4, /* the other nodes' own addresses */
	GUARD_NODES6,
	GUARD_PODS4, /* of this node, including the node's own addresses among them */
	GUARD_PODS6,
	GUARD_BYPASS4, /* protocol, address and port */
	GUARD_BYPASS6,
	GUARD_SETS
};

/* In the kernel's form: a range is its first address, then the address behind its last with
 * is_end. */
struct guard_element {
	uint8_t key[GUARD_KEY_MAX];
	uint32_t is_end;
};

struct guard_facts {
	const struct prefix_entry *entries; /* sorted, without duplicates */
	uint32_t entry_count;
	const struct bypass_entry *bypasses;
	uint32_t bypass_count;
	const unsigned int *devices;
	uint32_t device_count;
	bool is_permissive;
	const uint32_t *reached; /* ascending ids of reached peers; read in permissive mode only */
	uint32_t reached_count;
};

/* Upper bound of the elements that guard_list writes. */
size_t guard_room(const struct guard_facts *facts);

/* Writes the set's elements, ascending, ranges disjoint. Returns their number. */
uint32_t guard_list(const struct guard_facts *facts, enum guard_set set,
		    struct guard_element *ret_elements);

const char *guard_set_name(enum guard_set set);

/* -- guard_rules.c -- */

#define GUARD_RULES_LEN	  32768 /* more than the table needs without elements */
#define GUARD_ELEMENT_LEN 64	/* more than one element needs, with its share of a message */
#define GUARD_SET_LEN	  512	/* more than a set needs beside its elements */

/* Writes table, sets and rules; parts that already exist stay, including the sets' elements. With
 * `may_have_unknown_pods`, packets routed directly to a veth or bridge pass: pods may have started
 * while no agent was running. */
void guard_write_table(struct nft_batch *batch, uint16_t tunnel_port, bool may_have_unknown_pods);

/* Replaces the set's elements by these. */
void guard_write_set(struct nft_batch *batch, enum guard_set set,
		     const struct guard_element *elements, uint32_t count);
