/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests of the podveil command that change something. SHELL. Each takes the request and
 * returns the answer, as in report_parts.h.
 */
#pragma once

#include <jansson.h>

#include "agent.h"

json_t *command_rotate_key(struct agent *agent, const json_t *request);
json_t *command_rotate_all(struct agent *agent, const json_t *request);
json_t *command_mode(struct agent *agent, const json_t *request);
