/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This node's keys: makes the steps that rotate.c asks for, first in the tunnel, then in the
 * registry. SHELL.
 */
#pragma once

#include "cluster/rotate.h"
#include "facts.h"
#include "peers.h"
#include "schedule.h"

struct keys {
	struct rotate rotate;
	uint64_t published_epoch; /* of the last record that was published */
	uint64_t publish_ns;	  /* the leaky bucket for the same record again */
	bool is_asked;		  /* the registry's request to rotate is not settled yet */
	bool was_overdue; /* in the last pass the overlap was over, and previous still existed */
	uint64_t changes; /* steps made, records published */
};

/* The parts of the agent that these steps read and write. */
struct keys_parts {
	struct peers_parts peers;
	const struct pod_cidrs *pod_cidrs;
	struct facts *facts;
	struct registry *registry;
	struct keys *keys;
	struct schedule *schedule;
};

/* Begins with no keys known under this uid. `found` is the node's record in the registry; NULL:
 * none. */
void keys_begin(struct keys *keys, const struct settings *settings, const char *uid,
		const struct node *found);

/* Makes the steps that need no other node: a key if there is none, a next key if one is wanted. */
void keys_arm(const struct keys_parts *parts);

/* Publishes the armed keys, asks the tunnel which proofs the peers have given, and makes the
 * steps that those allow, until no step is left; plans the next look. Cheap enough for ten times
 * a second. */
void keys_advance(const struct keys_parts *parts);

/* In each pass, after the steps: warns of the nodes that have not followed a rotation by the end
 * of its overlap. */
void keys_warn(const struct keys_parts *parts);

/* How far the other node has followed our keys. False: it does not count, because no record of
 * it is usable, and the tunnel does not use an earlier one. */
bool keys_judge_peer(const struct member *member, struct rotate_peer *ret_peer);
