/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the API server says that it is served from: the EndpointSlice `kubernetes` of default/kubernetes, which the API
 * server itself writes. And the address that we go to ourselves. SHELL.
 */
#pragma once

#include "reflector.h"

#define SERVERS_STRANGERS_MAX 8

struct servers {
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
void servers_init(struct servers *servers, struct kube *kube, const char *url);
uint64_t servers_drive(struct servers *servers);
void servers_clear(struct servers *servers);
