/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers the requests of the podveil command, with the agent's state as the JSON of
 * include/keyd_control.h. SHELL. Of keys, only public halves are shown.
 */
#pragma once

#include "agent.h"

/* The answer to one request, from malloc; NULL: no memory. A control_answer; its context is the
 * agent. */
char *report_answer(void *agent, const char *request, size_t len);
