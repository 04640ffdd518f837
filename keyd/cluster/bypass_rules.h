/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which endpoints stay outside the tunnel, by which source, and why another one does not. CORE: flags, account, registry,
 * members and the table so far go in; the new table comes out.
 */
#pragma once

#include "bypass.h"
#include "prefix.h"

#define BYPASS_ITEMS_MAX 256 /* a table and the one before it fit into the map together */

enum bypass_source {
	BYPASS_BY_FLAG,	    /* --bypass: TCP and UDP, whatever else is known of it */
	BYPASS_BY_ACCOUNT,  /* where keyd's own account leads: configuration too, but TCP only */
	BYPASS_BY_REGISTRY, /* the registry says that it is served from there */
	BYPASS_BY_EARLIER, /* an earlier agent on this node left it, and this one has no proof of its own */
};

enum bypass_state {
	BYPASS_IN_FORCE,
	BYPASS_KEPT, /* in force, and listed no more: until all that are listed have been reached */
	BYPASS_UNREACHED, /* listed, without proof: not in force */
	BYPASS_CLAIMED,	  /* listed, and a pod's as the members are judged */
};

struct bypass_item {
	struct bypass_key key;
	enum bypass_source source;
	enum bypass_state state;
	bool is_listed;	   /* by the registry, now */
	bool is_proved;	   /* keyd has completed TLS there, and no member has claimed it since */
	bool wants_proof;  /* keyd is to try */
	uint32_t claimant; /* of a claimed one: the peer's id; 0: this node */
};

struct bypass_table {
	uint32_t count;
	struct bypass_item items[BYPASS_ITEMS_MAX];
};

struct bypass_facts {
	const struct bypass_key *flags;
	uint32_t flag_count;
	const struct bypass_key *account; /* NULL: there is none, or it has no address */
	const struct bypass_key *listed;
	uint32_t listed_count;
	bool is_list_known; /* the registry has said where it is served from */
	bool are_members_known; /* every one of them is judged; before, no address can be called unclaimed */
	/* The claims, settled: as the members are judged now, and as the maps hold them until that is written. An address that
	 * is a pod's in one of the two is claimed. */
	const struct prefix_entry *judged, *mapped;
	uint32_t judged_count, mapped_count;
};

/* From the maps' content at the start: those bypasses count as proved by an earlier agent. */
void bypass_inherit(struct bypass_table *ret_table, const struct bypass_entry *entries,
		    uint32_t count);

/* `before` is the table so far; ret_table is another one. */
void bypass_select(struct bypass_table *ret_table, const struct bypass_table *before,
		   const struct bypass_facts *facts);

/* TLS was completed there. Without effect where this table asks for no proof of it. */
void bypass_note_proof(struct bypass_table *table, const struct bypass_key *key);

/* The endpoints of which a proof is wanted. ret_keys has room for BYPASS_ITEMS_MAX. Returns their number. */
uint32_t bypass_list_unproved(const struct bypass_table *table, struct bypass_key *ret_keys);

/* The map's content. ret_entries has room for BYPASS_ITEMS_MAX. Returns their number. */
uint32_t bypass_list_entries(const struct bypass_table *table, struct bypass_entry *ret_entries);

/* NULL: it is not in the table. */
const struct bypass_item *bypass_find(const struct bypass_table *table,
				      const struct bypass_key *key);

static inline bool bypass_is_in_force(const struct bypass_item *item)
{
	return item->state == BYPASS_IN_FORCE || item->state == BYPASS_KEPT;
}
