/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the changes that the registry reports into the agent's state. SHELL.
 */
#pragma once

#include "agent.h"

/* Takes everything that the registry has to report now; each change asks for a pass. */
void intake_handle_changes(struct agent *agent);
