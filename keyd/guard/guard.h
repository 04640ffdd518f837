/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard: a table of nf_tables that holds the promise for a device that has just appeared and has no hooks yet. CORE:
 * what is in its sets, from what the BPF maps hold, and its rules (guard_rules.c). It is to say of every packet what policy.h
 * says of it, so that both are made of the same entries:
 *   a packet that leaves by a device without to_wire, whose destination belongs into the tunnel (another node's pods, the cluster
 *   range; in permissive mode only what is a node's that was reached), or is another node's address while its source is a
 *   local pod's, is dropped. Whatever passes to_wire passes here. What stays on this machine is never touched.
 */
#pragma once

#include "cluster/bypass.h"
#include "cluster/prefix.h"
#include "nft_batch.h"

#define GUARD_TABLE "podveil_guard"
/* The table of deploy/podveil-boot-guard.nft: drops pod traffic until the agent protects the node. */
#define BOOT_GUARD_TABLE "podveil_boot_guard"
#define GUARD_KEY_MAX	 24 /* protocol, IPv6 address and port, each padded to four bytes */

enum guard_set {
	GUARD_DEVICES, /* that have to_wire, or lead to no other machine: their numbers */
	GUARD_REMOTE4, /* destinations for the tunnel, or for nobody */
	GUARD_REMOTE6,
	GUARD_NODES4, /* the other nodes' own addresses */
	GUARD_NODES6,
	GUARD_PODS4, /* of this node, and its own addresses among them */
	GUARD_PODS6,
	GUARD_BYPASS4, /* protocol, address and port */
	GUARD_BYPASS6,
	GUARD_SETS
};

/* As the kernel takes them: a range is its first address, and the one behind its last with is_end. */
struct guard_element {
	uint8_t key[GUARD_KEY_MAX];
	uint32_t is_end;
};

struct guard_facts {
	const struct prefix_entry *entries; /* settled */
	uint32_t entry_count;
	const struct bypass_entry *bypasses;
	uint32_t bypass_count;
	const unsigned int *devices;
	uint32_t device_count;
	bool is_permissive;
	const uint32_t
		*reached; /* ascending ids of the peers that were; only asked in permissive mode */
	uint32_t reached_count;
};

/* How many elements guard_list may write. */
size_t guard_room(const struct guard_facts *facts);

/* The set's elements, ascending, ranges apart from each other. Returns their number. */
uint32_t guard_list(const struct guard_facts *facts, enum guard_set set,
		    struct guard_element *ret_elements);

const char *guard_set_name(enum guard_set set);

/* -- guard_rules.c -- */

#define GUARD_RULES_LEN	  32768 /* more than the table without elements takes */
#define GUARD_ELEMENT_LEN 64	/* more than one takes, its share of a message included */
#define GUARD_SET_LEN	  512	/* more than a set takes beside its elements */

/* Table, sets and rules, as they should be; what is right already stays, and so do the sets' elements. With
 * `may_have_unknown_pods` what is routed straight to a device of a pod's kind passes: a pod that came while nobody looked. */
void guard_write_table(struct nft_batch *batch, uint16_t tunnel_port, bool may_have_unknown_pods);

/* Exactly these elements. */
void guard_write_set(struct nft_batch *batch, enum guard_set set,
		     const struct guard_element *elements, uint32_t count);
