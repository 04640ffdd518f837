/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Node says to us, or its metadata alone. CORE. Hostile bytes, as everything that object.h is about.
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

/* What a Node says to us beyond struct node. */
struct node_asks {
	/* Of podveil.io/tunnel and of the label podveil.io/exclude: another one, and the record is another. */
	uint8_t digest[NODE_DIGEST_LEN];
	bool is_too_long; /* the request is, and is left out */
	char requested[NODE_REQUEST_MAX + 1], served[NODE_REQUEST_MAX + 1]; /* empty: none */
};

/* Of a Node, or of its metadata alone. */
void node_object_decode_asks(const json_t *object, struct node_asks *ret_asks);

/* Of a Node, or of its metadata alone: then podCIDRs and addresses are missing, and the caller adds them. `pods` is storage as
 * for annotation_decode, and a bad annotation is no failure (NODE_GARBLED). */
MUST_CHECK bool node_object_decode(const json_t *object, struct node *ret_node,
				   struct cidr pods[static ANNOTATION_PODS_MAX],
				   struct refusal *refusal);

/* As in struct node_asks; NULL: there is no annotation. */
void node_object_digest_record(const char *text, size_t len, bool is_excluded,
			       uint8_t ret_digest[static NODE_DIGEST_LEN]);

/* Of endpoints and prefixes that the node publishes: another one, and its Node object is to be read again. */
void node_object_digest_places(const struct annotation *annotation,
			       uint8_t ret_digest[static NODE_DIGEST_LEN]);

/* Where the startup taint stands among the Node's, or -1. */
int node_object_find_startup_taint(const json_t *object);
