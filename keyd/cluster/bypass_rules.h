/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decides which endpoints stay outside the tunnel and from which source, and why an endpoint does
 * not. CORE: flags, account, registry, members and the previous table go in; the new table comes
 * out.
 */
#pragma once

#include "bypass.h"
#include "prefix.h"

#define BYPASS_ITEMS_MAX 256 /* a table and its predecessor fit into the map together */

enum bypass_source {
	BYPASS_BY_FLAG,	    /* --bypass: TCP and UDP, regardless of other sources */
	BYPASS_BY_ACCOUNT,  /* the server of keyd's own account: configuration too, but TCP only */
	BYPASS_BY_REGISTRY, /* the registry lists it as one of its servers */
	/* an earlier agent on this node left it, and this one has no proof of its own */
	BYPASS_BY_EARLIER,
};

enum bypass_state {
	BYPASS_IN_FORCE,
	/* in force, but no longer listed: kept until every listed endpoint has been reached */
	BYPASS_KEPT,
	BYPASS_UNREACHED, /* listed, but unproved: not in force */
	BYPASS_CLAIMED,	  /* listed, but claimed by a member as a pod's address */
};

struct bypass_item {
	struct bypass_key key;
	enum bypass_source source;
	enum bypass_state state;
	bool is_listed;	   /* currently listed by the registry */
	bool is_proved;	   /* keyd has completed TLS there, and no member has claimed it since */
	bool wants_proof;  /* keyd must try to prove it */
	uint32_t claimant; /* of a claimed one: the peer's id; 0: this node */
};

struct bypass_table {
	uint32_t count;
	struct bypass_item items[BYPASS_ITEMS_MAX];
};

struct bypass_facts {
	const struct bypass_key *flags;
	uint32_t flag_count;
	const struct bypass_key *account; /* NULL: there is no account, or it names no address */
	const struct bypass_key *listed;
	uint32_t listed_count;
	bool is_list_known; /* the registry has listed its servers */
	/* every member has been judged; before that, no address counts as unclaimed */
	bool are_members_known;
	/* The claims, settled: as the members are judged now, and as the maps hold them until that
	 * verdict is written. An address that is a pod's in either of the two is claimed. */
	const struct prefix_entry *judged, *mapped;
	uint32_t judged_count, mapped_count;
};

/* Starts from the maps' content: those bypasses count as proved by an earlier agent. */
void bypass_inherit(struct bypass_table *ret_table, const struct bypass_entry *entries,
		    uint32_t count);

/* `before` is the previous table; ret_table must be a different one. */
void bypass_select(struct bypass_table *ret_table, const struct bypass_table *before,
		   const struct bypass_facts *facts);

/* TLS was completed there. No effect if this table asks for no proof of it. */
void bypass_note_proof(struct bypass_table *table, const struct bypass_key *key);

/* Lists the endpoints that need a proof. ret_keys has room for BYPASS_ITEMS_MAX. Returns the
 * number. */
uint32_t bypass_list_unproved(const struct bypass_table *table, struct bypass_key *ret_keys);

/* Lists the map's content. ret_entries has room for BYPASS_ITEMS_MAX. Returns the number. */
uint32_t bypass_list_entries(const struct bypass_table *table, struct bypass_entry *ret_entries);

/* NULL: it is not in the table. */
const struct bypass_item *bypass_find(const struct bypass_table *table,
				      const struct bypass_key *key);

static inline bool bypass_is_in_force(const struct bypass_item *item)
{
	return item->state == BYPASS_IN_FORCE || item->state == BYPASS_KEPT;
}
