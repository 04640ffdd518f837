/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This node as it is now: its devices and addresses, and what the others' records are judged against. SHELL.
 */
#pragma once

#include "agent.h"

/* Which devices of the view lead where, by what this node knew of its pods at the last facts_read. */
void facts_judge(const struct agent *agent, struct underlay *ret_underlay,
		 struct underlay_view *view);

/* Devices, addresses and own pods from the kernel; where they cannot be read, the last ones stay. */
void facts_read(struct agent *agent);

/* agent->self, from what was read, our keys and the cluster secret. */
void facts_describe(struct agent *agent);

/* What the node has not, but needs in order to be reached. */
void facts_report_devices(struct agent *agent);
