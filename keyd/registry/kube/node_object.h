/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Node's information for us, from the whole object or from its metadata alone. CORE. Hostile
 * bytes, as for everything in object.h.
 */
#pragma once

#include "object.h"

#define NODE_DIGEST_LEN	      16
#define NODE_REQUEST_MAX      253 /* characters in the value of podveil.io/rotate-requested */

#define ROTATE_REQUESTED_NAME "podveil.io/rotate-requested"
#define ROTATE_SERVED_NAME    "podveil.io/rotate-served"
#define SELF_TEST_NAME	      "podveil.io/self-test"
#define EXCLUDE_LABEL	      "podveil.io/exclude"
#define STARTUP_TAINT	      "podveil.io/agent-not-ready"

/* A Node's information for us beyond struct node. */
struct node_asks {
	/* Of podveil.io/tunnel and of the label podveil.io/exclude: a different digest means a
	 * different record. */
	uint8_t digest[NODE_DIGEST_LEN];
	bool is_too_long; /* the request is longer than NODE_REQUEST_MAX, and was left out */
	char requested[NODE_REQUEST_MAX + 1], served[NODE_REQUEST_MAX + 1]; /* empty: none */
};

/* From a Node, or from its metadata alone. */
void node_object_decode_asks(const json_t *object, struct node_asks *ret_asks);

/* From a Node, or from its metadata alone: then podCIDRs and addresses are missing, and the caller
 * adds them. `pods` is storage as for annotation_decode, and a bad annotation is no failure
 * (RECORD_INVALID). */
MUST_CHECK bool node_object_decode(const json_t *object, struct node *ret_node,
				   struct cidr pods[static ANNOTATION_PODS_MAX],
				   struct refusal *refusal);

/* As in struct node_asks; `text` NULL: there is no annotation. */
void node_object_digest_record(const char *text, size_t len, bool is_excluded,
			       uint8_t ret_digest[static NODE_DIGEST_LEN]);

/* Of the endpoints and prefixes that the node publishes: if the digest differs, its Node object
 * must be read again. */
void node_object_digest_places(const struct annotation *annotation,
			       uint8_t ret_digest[static NODE_DIGEST_LEN]);

/* The index of the startup taint in the Node's taints, or -1. */
int node_object_find_startup_taint(const json_t *object);
