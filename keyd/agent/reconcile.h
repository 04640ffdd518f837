/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass of the agent, as a table of phases: facts in, differences applied. SHELL.
 */
#pragma once

#include "agent.h"

/* The start, before the tunnel is connected or any other node is known: puts our own prefixes
 * and the cluster range into the maps, and attaches the hooks to the devices. From then on no
 * traffic for the cluster range leaves in cleartext. The state that an earlier agent left is
 * only added to. */
MUST_CHECK int reconcile_shut(struct agent *agent);

/* Runs one phase; number 0 begins a pass. A failure becomes a reason and is retried in the next
 * pass. False: the pass is over; otherwise the caller serves the events of new devices, and then
 * runs the next phase. */
MUST_CHECK bool reconcile_run_phase(struct agent *agent, unsigned int number);
