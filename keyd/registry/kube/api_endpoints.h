/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The addresses that the API server lists for itself, in the EndpointSlice `kubernetes` of
 * default/kubernetes, which it writes itself; and the address to which we connect. SHELL.
 */
#pragma once

#include "reflector.h"

#define SERVERS_STRANGERS_MAX 8

struct api_endpoints {
	struct kube *kube;
	struct reflector reflector;
	bool has_own;
	struct bypass_key own; /* from the URL, if it contains an address */
	uint32_t count;
	struct bypass_key keys[REGISTRY_SERVERS_MAX]; /* from the last slice that had any */
	uint32_t stranger_count;		      /* other slices, named in the log */
	char strangers[SERVERS_STRANGERS_MAX][NODE_NAME_LEN];
};

/* `url`: of the API server. */
void api_endpoints_init(struct api_endpoints *servers, struct kube *kube, const char *url);
uint64_t api_endpoints_drive(struct api_endpoints *servers);
void api_endpoints_clear(struct api_endpoints *servers);
