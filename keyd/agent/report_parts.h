/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answers to single verbs, and the objects that they have in common. SHELL. Only for report*.c
 * and commands.c. An answer is a new JSON object of include/keyd_control.h; NULL: no memory.
 */
#pragma once

#include <jansson.h>

#include "agent.h"

json_t *report_status(struct agent *agent, const json_t *request);
json_t *report_peers(struct agent *agent, const json_t *request);
json_t *report_key_status(struct agent *agent, const json_t *request);

/* Reads the status of the peers from the tunnel, so that the answer is current, and notes the
 * nodes that were reached. */
void report_refresh(struct agent *agent);

json_t *report_refusal(const char *text);
json_t *report_traffic(const struct traffic *sum);

/* The first characters of the key in base64; empty if `key` is NULL. */
json_t *report_fingerprint(const struct public_key *key);

/* The id of the secret that is used with the node; NULL: there is no common one. */
const char *report_secret(const struct agent *agent, const struct cluster_member *member);
