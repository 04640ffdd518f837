/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that an API server is where the registry says: TLS is completed there, verified by the account's authorities and
 * server name like every request of ours. The answer itself does not count. SHELL.
 */
#pragma once

#include "kube.h"

struct probe {
	struct probes *probes;
	struct bypass_key server;
	int handle; /* of the request that runs; 0: none */
	uint32_t failures;
	uint64_t due_ns;
	bool is_wanted, is_named; /* the failure was logged */
};

struct probes {
	struct kube *kube;
	uint32_t count;
	struct probe items[REGISTRY_SERVERS_MAX];
};

void probes_init(struct probes *probes, struct kube *kube);
/* Exactly these are asked; success is told as REGISTRY_PROVED. Requests to others end without a word. */
void probes_want(struct probes *probes, const struct bypass_key *servers, uint32_t count);
/* Makes the requests that are due. Returns when to call again, in boot_ns. */
uint64_t probes_drive(struct probes *probes);
void probes_clear(struct probes *probes);
