/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of the other nodes: owns their records, and the memory in which cluster.c judges them.
 * SHELL.
 */
#pragma once

#include "backoff.h"
#include "cluster.h"
#include "tunnel_control.h"

/* Is the node at this one of its addresses? The tunnel is asked; the time is that of the boot
 * clock. */
struct member_question {
	struct address address;
	uint64_t asked_ns; /* last; 0: not yet */
};

/* One other node: the verdict on it, and the state that SHELL keeps beyond that. */
struct member {
	struct cluster_member core; /* first: the two are converted into each other */
	/* As the tunnel reported last; id 0: it does not know the peer. */
	struct control_peer_status status;
	/* The last request that the tunnel accepted: its digest, and its keys. */
	bool is_sent;
	uint8_t sent[crypto_generichash_BYTES];
	bool was_sent[KEY_SLOTS];
	struct public_key sent_keys[KEY_SLOTS];
	/* Of the record in use, which had this current key first at this epoch. */
	struct public_key current_key;
	uint64_t current_epoch;
	char logged[REFUSAL_LEN]; /* the refusal that was logged last */
	bool gains, loses;	  /* prefixes, when the maps become as they should be */
	/* For questions.c. */
	struct member_question questions[CLUSTER_QUESTIONS_MAX];
	uint32_t question_count;
	uint64_t key_asked_ns;
	uint64_t alive_ns;    /* when to ask next whether the node is alive; 0: now */
	struct backoff tries; /* of a first handshake, in permissive mode */
};

#define MEMBERS_FLOORS_MAX 8192

/* The order in which prefixes are given and taken: members that only gain, that do both, all
 * others. */
#define MEMBER_RANKS 3

static inline unsigned int member_rank(const struct member *member)
{
	return member->gains ? member->loses : 2;
}

struct members {
	struct cluster_member **items;
	uint32_t count, capacity;
	uint32_t last_id;    /* the greatest that a member was given */
	bool is_listed;	     /* the registry has reported every record that can be read once */
	bool are_all_listed; /* and every record could be read: a node that is missing has left */
	/* Entries of the registry that name no node, and the error in one of them. */
	uint32_t stray_count;
	struct refusal stray;
	struct cluster_workspace workspace;
	struct prefix_entry *entries; /* the map's content as it should be */
	uint32_t entry_count;
	/* The last records in use of nodes that left, or were created again under the same name:
	 * such a node may come back with the same record or a newer one. The oldest is forgotten
	 * first. */
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
/* The node's entry, which is added if there is none (then its id is 0). NULL: no memory. */
struct member *members_add(struct members *members, const char *name);
void members_remove(struct members *members, const char *name);

/* The newest record, which the table owns from then on; or why the newest one cannot be read. */
void members_set_record(struct member *member, struct node *node);
void members_set_error(struct member *member, const struct refusal *refusal);

/* Judges all members, frees the records that are out of use, and fills `entries`. -ENOMEM: no
 * member has a verdict. */
MUST_CHECK int members_resolve(struct members *members, const struct cluster_self *self);

/* For each member, computes whether it gains or loses prefixes when `have` is replaced by
 * `entries` (both sorted). */
void members_rank(struct members *members, const struct prefix_entry *have, uint32_t have_count);
