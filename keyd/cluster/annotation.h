/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's published record: the annotation podveil.io/tunnel, as text and as values. CORE. The
 * text is hostile: any client that can write a Node object can write anything here.
 */
#pragma once

#include "address.h"
#include "key.h"
#include "refusal.h"
#include "secret.h"

#define ANNOTATION_NAME		 "podveil.io/tunnel"
#define ANNOTATION_VERSION	 1
#define ANNOTATION_TEXT_MAX	 65536
#define ANNOTATION_ENDPOINTS_MAX 8
/* together with the node's addresses they fit into one request to the tunnel */
#define ANNOTATION_PODS_MAX 4032
#define NODE_UID_LEN	    64 /* including the terminating zero */

struct annotation {
	uint64_t epoch; /* at least 1 */
	char uid[NODE_UID_LEN];
	bool has_key[KEY_SLOTS]; /* KEY_CURRENT is always present */
	struct public_key keys[KEY_SLOTS];
	uint16_t port; /* not 0 */
	uint32_t endpoint_count;
	struct address endpoints[ANNOTATION_ENDPOINTS_MAX]; /* best first */
	uint32_t pod_count;
	const struct cidr *pods;   /* the caller's storage */
	struct secret_ids secrets; /* the node requires one of them */
};

/* `pods` is the storage for *ret_annotation's prefixes. On false *ret_annotation is untouched and
 * *refusal says why. */
MUST_CHECK bool annotation_decode(struct annotation *ret_annotation,
				  struct cidr pods[static ANNOTATION_PODS_MAX], const char *text,
				  size_t len, struct refusal *refusal);

/* Length of the text (terminated, not counting the zero), or -ENOSPC, -ENOMEM. */
MUST_CHECK ssize_t annotation_encode(char *ret_text, size_t size,
				     const struct annotation *annotation);

/* 1 to 63 of [A-Za-z0-9._-]. */
bool annotation_is_uid(const char *text);
