/* SPDX-License-Identifier: Apache-2.0 */
/* One question to podveil-keyd and its answer (include/keyd_control.h), and how to read fields of the answer. */
#pragma once

#include <jansson.h>

#include "util.h"

/* Asks and waits at most ten seconds. NULL where there is no answer or the answer is an error: then one line saying
 * why and what to do has been logged. The caller frees the object with json_decref. */
MUST_CHECK json_t *client_ask(const char *control, const char *verb);

/* The same with a request of more than its verb; it stays the caller's. */
MUST_CHECK json_t *client_request(const char *control, const json_t *request);

/* True where something accepts connections on the socket. */
bool client_is_daemon_running(const char *control);

static inline void cleanup_json(json_t **json)
{
	json_decref(*json);
}

#define CLEANUP_JSON CLEANUP(cleanup_json)

/* Fields of an answer. One that is missing or of another type reads as empty: a daemon of another version never
 * crashes the command. */
static inline const char *answer_text(const json_t *object, const char *field)
{
	const char *text = json_string_value(json_object_get(object, field));

	return text ? text : "";
}

static inline uint64_t answer_count(const json_t *object, const char *field)
{
	json_int_t count = json_integer_value(json_object_get(object, field));

	return count < 0 ? 0 : (uint64_t)count;
}
