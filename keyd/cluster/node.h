/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node as the registry shows it: what its Node object says, and what it publishes of itself. CORE.
 * The registry `file:DIR` holds one such record per file; a Kubernetes Node carries the same facts.
 */
#pragma once

#include <jansson.h>

#include "annotation.h"
#include "bpf_abi.h"

#define NODE_TEXT_MAX	   (1024 * 1024)
#define NODE_POD_CIDRS_MAX 64
#define NODE_ADDRESSES_MAX 64
#define NODE_TIME_LEN	   21 /* "2026-11-22T12:00:00Z" and the zero */

enum node_voice {
	NODE_SILENT,	/* no annotation */
	NODE_PUBLISHED, /* `annotation` holds */
	NODE_GARBLED, /* `refusal` says what is wrong with the annotation; everything else holds */
};

struct node {
	char name[NODE_NAME_LEN];
	char uid[NODE_UID_LEN];
	int64_t created_s; /* Unix time: the older node wins where two claim the same prefix */
	uint32_t pod_cidr_count, address_count;
	struct cidr pod_cidrs[NODE_POD_CIDRS_MAX];
	struct address addresses[NODE_ADDRESSES_MAX];
	bool is_excluded; /* whoever looks after it says that it cannot run the agent */
	enum node_voice voice;
	struct annotation annotation;
	struct refusal refusal;
};

/* Whole file to values; `pods` is storage as for annotation_decode. A bad annotation in a good record is no failure
 * (NODE_GARBLED): what the Node object itself says still protects its pods. On false *ret_node is untouched. */
MUST_CHECK bool node_decode(struct node *ret_node, struct cidr pods[static ANNOTATION_PODS_MAX],
			    const char *text, size_t len, struct refusal *refusal);

/* The same of the annotation's value alone; NULL: there is none, and the node stays silent. */
void node_decode_voice(struct node *node, struct cidr pods[static ANNOTATION_PODS_MAX],
		       const json_t *value);

/* Length of the text (terminated, not counting the zero), or -ENOSPC, -ENOMEM. The annotation must be NODE_PUBLISHED
 * or is left out. */
MUST_CHECK ssize_t node_encode(char *ret_text, size_t size, const struct node *node);

/* 1 to 253 of [a-z0-9.-], and neither '.' nor '-' first: safe as a file name. */
bool node_is_name(const char *text);

/* RFC 3339 in UTC ("...Z"; a fraction of a second is dropped), from 1970 on, to Unix time and back. */
MUST_CHECK bool node_parse_time(int64_t *ret_s, const char *text);
const char *node_format_time(char text[static NODE_TIME_LEN], int64_t unix_s);
