/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass of the agent: facts in, differences made. SHELL.
 */
#pragma once

#include "agent.h"

/* Before there is a tunnel or any other node is known: our own prefixes and the cluster range into the maps, the hooks
 * onto the devices. From then on nothing for the cluster range leaves in clear. What an earlier agent left is only
 * added to. */
MUST_CHECK int reconcile_shut(struct agent *agent);

/* Everything. What fails becomes a reason and is tried again at the next pass. */
void reconcile(struct agent *agent, int monitor_fd);
