/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that an API server is at the address that the registry lists: TLS is completed there,
 * verified against the account's authorities and server name like each of our requests. The answer
 * itself does not matter. SHELL.
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
/* Asks exactly these servers; a success is reported as REGISTRY_PROVED. Requests to other servers
 * are cancelled. */
void probes_want(struct probes *probes, const struct bypass_key *servers, uint32_t count);
/* Starts the requests that are due. Returns the time of the next call, in boot_ns. */
uint64_t probes_drive(struct probes *probes);
void probes_clear(struct probes *probes);
