/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What whoever looks after the cluster is told through the registry, beside this node's own log and status. SHELL.
 */
#pragma once

#include "agent.h"

PRINTF(3, 4)
void event_tell(const struct agent *agent, enum registry_event event, const char *format, ...);

/* Clear packets and repaired hooks since the last call; what there was before the first one is not news. */
void event_look(struct agent *agent);
