/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This node's keys, moved from step to step as rotate.c says: to the tunnel, then to the registry. SHELL.
 */
#pragma once

#include "agent.h"

/* The steps that need no other node: a key where there is none, a next key where one is wanted. */
void keys_arm(struct agent *agent);

/* Publishes what is armed, asks the tunnel what the peers have proved, and makes the steps that this allows, until
 * nothing is to be done for now; says when to look again. Cheap enough for ten times a second. */
void keys_advance(struct agent *agent);

/* In each pass, after the steps: warns of the nodes that have not followed a rotation whose overlap is over. */
void keys_warn(struct agent *agent);

/* How far the other node is with our keys; false: it does not count, as no record of it can be used, and the
 * tunnel does not go by an earlier one. */
bool keys_judge_peer(const struct member *member, struct rotate_peer *ret_peer);
