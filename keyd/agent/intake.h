/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the registry reports, put into the agent's state. SHELL.
 */
#pragma once

#include "agent.h"

/* Takes everything that the registry has to report now; each change asks for a pass. */
void intake_take_changes(struct agent *agent);
