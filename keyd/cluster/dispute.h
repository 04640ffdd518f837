/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settles the owners of prefixes, addresses and endpoints: the third step of cluster.h's
 * resolution. CORE.
 */
#pragma once

#include "resolution.h"

/* Called after records, keys and secrets are settled. Fills and judges workspace->claims, and sets
 * each member's range of them. */
void dispute_settle(const struct cluster_self *self, struct cluster_member *const *members,
		    uint32_t count, struct cluster_workspace *workspace);
