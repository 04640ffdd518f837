/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node as the registry shows it: the facts of its Node object, and the record that it publishes.
 * CORE. The registry `file:DIR` holds one such record per file; a Kubernetes Node carries the same
 * facts.
 */
#pragma once

#include <jansson.h>

#include "annotation.h"
#include "bpf_abi.h"

#define NODE_TEXT_MAX	   (1024 * 1024)
#define NODE_POD_CIDRS_MAX 64
#define NODE_ADDRESSES_MAX 64
#define NODE_TIME_LEN	   21 /* "2026-11-22T12:00:00Z" with its terminating zero */

enum node_record {
	RECORD_MISSING, /* no annotation */
	RECORD_VALID,	/* `annotation` is set */
	RECORD_INVALID, /* the annotation is bad, see `refusal`; the other fields are set */
};

struct node {
	char name[NODE_NAME_LEN];
	char uid[NODE_UID_LEN];
	int64_t created_s; /* Unix time: the older node wins if two claim the same prefix */
	uint32_t pod_cidr_count, address_count;
	struct cidr pod_cidrs[NODE_POD_CIDRS_MAX];
	struct address addresses[NODE_ADDRESSES_MAX];
	bool is_excluded; /* the administrator declares that it cannot run the agent */
	enum node_record record;
	struct annotation annotation;
	struct refusal refusal;
};

/* Decodes a whole file; `pods` is storage as for annotation_decode. A bad annotation in a good
 * record is no failure (RECORD_INVALID): the Node object's own facts still protect its pods. On
 * false *ret_node is untouched. */
MUST_CHECK bool node_decode(struct node *ret_node, struct cidr pods[static ANNOTATION_PODS_MAX],
			    const char *text, size_t len, struct refusal *refusal);

/* Decodes only the annotation's value; NULL: there is none, and the record stays RECORD_MISSING. */
void node_decode_record(struct node *node, struct cidr pods[static ANNOTATION_PODS_MAX],
			const json_t *value);

/* Length of the text (terminated, not counting the zero), or -ENOSPC, -ENOMEM. The annotation is
 * included only if it is RECORD_VALID. */
MUST_CHECK ssize_t node_encode(char *ret_text, size_t size, const struct node *node);

/* 1 to 253 of [a-z0-9.-], starting with neither '.' nor '-': safe as a file name. */
bool node_is_name(const char *text);

/* Converts RFC 3339 in UTC ("...Z"; a fraction of a second is dropped), from 1970 on, to Unix time
 * and back. */
MUST_CHECK bool node_parse_time(int64_t *ret_s, const char *text);
const char *node_format_time(char text[static NODE_TIME_LEN], int64_t unix_s);
