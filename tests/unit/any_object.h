/* SPDX-License-Identifier: Apache-2.0 */
/* Objects in the form of the API server's answers, for the tests of their readers. */
#pragma once

#include "registry/kube/object.h"
#include "test.h"

#define META \
	"\"name\":\"n2\",\"uid\":\"u-2\",\"resourceVersion\":\"7\",\"creationTimestamp\":\"2026-11-22T12:00:00Z\""
#define NODE(m, s) "{\"metadata\":{" META m "}" s "}"

static struct refusal refusal;

static inline json_t *load(const char *text)
{
	json_t *object;

	refusal = (struct refusal){0};
	object = object_load(text, strlen(text), &refusal);
	if (!object)
		fail_msg("%s for: %.200s", refusal.text, text);
	return object;
}
