/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose prefixes, addresses and endpoints: the third step of cluster.h's resolution. CORE.
 */
#pragma once

#include "resolution.h"

/* After records, keys and secrets are settled: fills workspace->claims, judged, and each member's range of them. */
void dispute_settle(const struct cluster_self *self, struct cluster_member *const *members,
		    uint32_t count, struct cluster_workspace *workspace);
