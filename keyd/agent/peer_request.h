/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tunnel is told of one peer: its keys, the preshared keys that belong to them and to ours, endpoints and allowed
 * addresses. SHELL.
 */
#pragma once

#include "agent.h"

/* Of a usable member, while the tunnel is connected; nothing is sent that it knows already. 0 or -errno. */
MUST_CHECK int peer_request_send(struct agent *agent, struct member *member);
