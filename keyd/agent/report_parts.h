/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the report, and the words that they have in common. SHELL. For report*.c and commands.c alone. An answer is a
 * new JSON object of include/keyd_control.h; NULL: no memory.
 */
#pragma once

#include <jansson.h>

#include "agent.h"

json_t *report_status(struct agent *agent, const json_t *request);
json_t *report_peers(struct agent *agent, const json_t *request);
json_t *report_key_status(struct agent *agent, const json_t *request);

/* Asks the tunnel, so that what is told is as it is now, who was reached included. */
void report_refresh(struct agent *agent);

json_t *report_refusal(const char *text);
json_t *report_traffic(const struct traffic *sum);

/* The first characters of the key in base64; NULL: of none, empty. */
json_t *report_fingerprint(const struct public_key *key);

/* By which secret the node is talked to, NULL where it is not. */
const char *report_secret(const struct agent *agent, const struct cluster_member *member);
