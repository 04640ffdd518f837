/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device below a tunnel that is being configured. It opens any port except the even ones above
 * 60000, so that a request can also fail halfway.
 */
#pragma once

#include <errno.h>

#include "manage.h"
#include "stand.h"

static struct stand stand;

static inline int fuzz_set_device(void *context, uint16_t port, uint32_t fwmark)
{
	(void)context;
	if (port > 60000 && port % 2 == 0)
		return -EADDRINUSE;
	stand.tunnel.state->port = port ? port : 40000;
	stand.tunnel.state->fwmark = fwmark;
	return 0;
}

static inline void fuzz_persist(void *context)
{
	(void)context;
}

static inline uint32_t fuzz_find_interface(void *context, const char *name)
{
	(void)context;
	return strcmp(name, "eth7") ? 0 : 7;
}

static const struct device_upcalls device = {
	.set_device = fuzz_set_device,
	.persist = fuzz_persist,
	.find_interface = fuzz_find_interface,
	.interface = "podveil0",
	.ifindex = 5,
	.pid = 4321,
};

/* Lookups find every prefix of every peer, and there are no other prefixes. */
static inline void check_allowed_ips(void)
{
	const struct tunnel_state *state = stand.tunnel.state;
	uint32_t count = 0;

	for (uint32_t slot = 0; slot < state->peers_used_end; slot++) {
		uint32_t position = 0;
		struct cidr cidr;

		while ((position = allowedips_next(&state->allowedips, state->allowedips_heads,
						   slot, position, &cidr))) {
			MUST(state->peers[slot].is_used);
			MUST(allowedips_owner(&state->allowedips, &cidr) == slot);
			count++;
		}
	}
	MUST(count == state->allowedips.count);
}
