/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which prefixes are this node's pods: from the flags, from what the registry says of the node, or from the node's own
 * kernel, as --pod-cidrs-from wants it. SHELL.
 */
#pragma once

#include "agent.h"

/* Once, when the registry is open. False after a logged line: none are known, or they cannot be. */
MUST_CHECK bool pod_cidrs_begin(struct agent *agent);

/* With a registry that has not said anything yet: those that an earlier agent put into the maps, so that no device of
 * theirs is taken for one that leads elsewhere. */
void pod_cidrs_inherit(struct agent *agent);

/* What the registry says of our own node, whenever it says it. A registry that is a server says nothing before. */
void pod_cidrs_learn(struct agent *agent, const struct node *node);

/* Or at least where they are known from: before, there is nothing that could be published. */
bool pod_cidrs_are_known(const struct agent *agent);

/* Of every new view: reads the kernel's word, moves from the registry's to it where the two contradict each other and
 * --pod-cidrs-from allows it, and finds what in our prefixes is reached elsewhere. */
void pod_cidrs_follow(struct agent *agent);
