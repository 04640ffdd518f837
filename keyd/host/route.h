/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A route of this machine's kernel. CORE; link.c reads routes, underlay.c and cluster.c judge by
 * them.
 */
#pragma once

#include "address.h"

struct route {
	struct cidr destination;
	unsigned int ifindex;	/* 0: none */
	struct address gateway; /* family 0: none */
	bool has_gateway;	/* leads to another machine: through a gateway or several hops */
	bool is_block;		/* blackhole, unreachable or prohibit: leads nowhere */
	bool is_main;		/* of the main table */
};
