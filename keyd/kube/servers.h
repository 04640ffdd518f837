/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the API server is served from: the EndpointSlices of default/kubernetes, and the address that we go to ourselves.
 * SHELL.
 */
#pragma once

#include "reflector.h"

#define SERVERS_SLICES_MAX 8

struct servers_slice {
	char name[NODE_NAME_LEN];
	bool is_listed; /* by the list that is being read */
	uint32_t count;
	struct bypass_key keys[REGISTRY_SERVERS_MAX];
};

struct servers {
	struct kube *kube;
	struct reflector reflector;
	bool has_own;
	struct bypass_key own; /* of the URL, where it is an address */
	uint32_t slice_count;
	struct servers_slice slices[SERVERS_SLICES_MAX];
};

/* `url` of the API server. */
void servers_init(struct servers *servers, struct kube *kube, const char *url);
uint64_t servers_drive(struct servers *servers);
void servers_clear(struct servers *servers);
