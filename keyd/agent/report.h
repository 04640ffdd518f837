/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's state as the JSON of include/keyd_control.h. SHELL. Public halves of keys only.
 */
#pragma once

#include "agent.h"

/* Answer to one request, from malloc; NULL: no memory. For control.h: the context is the agent. */
char *report_answer(void *agent, const char *request, size_t len);
