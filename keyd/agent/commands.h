/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user orders by the podveil command. SHELL. Each takes the request and gives the answer, as in report_parts.h.
 */
#pragma once

#include <jansson.h>

#include "agent.h"

json_t *command_rotate_key(struct agent *agent, const json_t *request);
json_t *command_rotate_all(struct agent *agent, const json_t *request);
json_t *command_mode(struct agent *agent, const json_t *request);
