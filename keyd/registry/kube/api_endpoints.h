/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the API server says that it is served from: the EndpointSlice `kubernetes` of default/kubernetes, which the API
 * server itself writes. And the address that we go to ourselves. SHELL.
 */
#pragma once

#include "reflector.h"

#define SERVERS_STRANGERS_MAX 8

struct api_endpoints {
	struct kube *kube;
	struct reflector reflector;
	bool has_own;
	struct bypass_key own; /* of the URL, where it is an address */
	uint32_t count;
	struct bypass_key keys[REGISTRY_SERVERS_MAX]; /* of the last slice that had any */
	uint32_t stranger_count;		      /* other slices that were named in the log */
	char strangers[SERVERS_STRANGERS_MAX][NODE_NAME_LEN];
};

/* `url` of the API server. */
void api_endpoints_init(struct api_endpoints *servers, struct kube *kube, const char *url);
uint64_t api_endpoints_drive(struct api_endpoints *servers);
void api_endpoints_clear(struct api_endpoints *servers);
