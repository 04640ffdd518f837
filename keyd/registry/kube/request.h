/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the API server: their bodies, and escaped text for URLs. CORE. The encoders return
 * the length of the text (terminated, not counting the zero), or -ENOSPC, -ENOMEM.
 */
#pragma once

#include "object.h"

#define REQUEST_BODY_MAX (ANNOTATION_TEXT_MAX * 2)

/* Merge patch of one annotation. `meta` holds the preconditions; NULL: none. */
MUST_CHECK ssize_t request_encode_annotation_patch(char *ret_text, size_t size,
						   const struct object_meta *meta,
						   const char *annotation, const char *value);
/* JSON patch that removes the startup taint, if it is still at that index on the Node with this
 * uid. */
MUST_CHECK ssize_t request_encode_taint_patch(char *ret_text, size_t size, const char *uid,
					      int taint);

struct request_event {
	const char *node, *uid, *reason, *text;
	int64_t unix_s;
};
MUST_CHECK ssize_t request_encode_event(char *ret_text, size_t size,
					const struct request_event *event);

/* Encodes everything but letters, digits, '-', '.', '_' and '~' as %XX. False: it does not fit. */
MUST_CHECK bool request_escape(char *ret_text, size_t size, const char *text);
