/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to podveil-tunnel: made, checked, lost, tried again. SHELL.
 */
#pragma once

#include "agent.h"

/* Where there is none: connects, greets, has the port opened, and takes over the keys that the tunnel holds. What fails
 * is a reason, and the next attempt comes later than this one did. */
void connection_reach(struct agent *agent);

/* The keys that it holds, when this node has learnt who it is. */
void connection_take_keys(struct agent *agent);

/* The next attempt, twice as late as the last one. */
void connection_retry(struct agent *agent);

/* The tunnel makes its device anew when somebody deletes it, under another index: this asks for it. */
void connection_follow_device(struct agent *agent);
