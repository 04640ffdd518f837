/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of the other nodes: owns their records, and the memory in which cluster.c judges them. SHELL.
 */
#pragma once

#include "cluster.h"
#include "tunnel_control.h"

/* Is the node at this address of its? Asked of the tunnel, by the boot clock. */
struct member_question {
	struct address address;
	uint64_t asked_ns; /* last; 0: not yet */
};

/* One other node, with what SHELL knows of it beyond the verdict. */
struct member {
	struct cluster_member core; /* first: the two are converted into each other */
	struct control_peer_status
		status; /* as the tunnel said last; id 0: it does not know the peer */
	uint8_t sent
		[crypto_generichash_BYTES]; /* digest of the last request that the tunnel took */
	bool is_sent;
	bool was_told[KEY_SLOTS]; /* the keys in that request */
	struct public_key told_keys[KEY_SLOTS];
	struct public_key current_key; /* of the record in use, which had it first at this epoch */
	uint64_t current_epoch;
	char logged[REFUSAL_LEN]; /* the refusal that was logged last */
	bool gains, loses;	  /* prefixes, by what the maps hold and what they should */
	struct member_question questions[CLUSTER_QUESTIONS_MAX]; /* questions.c's */
	uint32_t question_count;
	uint64_t key_asked_ns;
	uint64_t alive_ns; /* the next time to ask whether the node is there at all; 0: now */
	uint64_t try_ns;   /* permissive: the next handshake is begun then; 0: none was yet */
	uint32_t try_delay_ms;
};

#define MEMBERS_FLOORS_MAX 8192

/* In this order prefixes are given and taken: who only gains, who does both, all others. */
#define MEMBER_RANKS 3

static inline unsigned int member_rank(const struct member *member)
{
	return member->gains ? member->loses : 2;
}

struct members {
	struct cluster_member **items;
	uint32_t count, capacity;
	struct cluster_workspace workspace;
	struct prefix_entry *entries; /* the map's content as it should be */
	uint32_t entry_count;
	/* What was in use of nodes that left, or were made anew: they may come back with what they had then, or newer.
	 * The oldest is forgotten first. */
	struct annotation *floors;
	uint32_t floor_count, floor_next;
};

static inline struct member *member_of(struct cluster_member *core)
{
	return (struct member *)core;
}

void members_clear(struct members *members);

struct member *members_find(const struct members *members, const char *name);
struct member *members_find_id(const struct members *members, uint32_t id);
/* The node's entry, made where there is none (then its id is 0). NULL: no memory. */
struct member *members_add(struct members *members, const char *name);
void members_remove(struct members *members, const char *name);

/* The newest record, which the table takes; or why there is none that can be read. */
void members_see(struct member *member, struct node *node);
void members_refuse(struct member *member, const struct refusal *refusal);

/* Judges all, lets go of records that are out of use, and makes `entries`. -ENOMEM: there is
 * no verdict on anybody. */
MUST_CHECK int members_resolve(struct members *members, const struct cluster_self *self);

/* Says of each who gains and who loses, where `entries` shall take the place of `have` (both settled). */
void members_rank(struct members *members, const struct prefix_entry *have, uint32_t have_count);
