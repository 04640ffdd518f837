/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to podveil-keyd and its answer (include/keyd_control.h), and access to fields of the
 * answer.
 */
#pragma once

#include <jansson.h>

#include "util.h"

/*
 * Sends a request and waits at most ten seconds for the answer. Returns NULL if there is none, or
 * if it is an error, after logging the reason and the remedy as one line. The caller frees the
 * object with json_decref.
 */
MUST_CHECK json_t *client_ask(const char *control, const char *verb);

/* The same for a request with more fields than its verb. The caller keeps the request. */
MUST_CHECK json_t *client_request(const char *control, const json_t *request);

/* True if a process accepts connections on the socket. */
bool client_is_daemon_running(const char *control);

static inline void cleanup_json(json_t **json)
{
	json_decref(*json);
}

#define CLEANUP_JSON CLEANUP(cleanup_json)

/*
 * Fields of an answer. A field that is missing or of another type reads as empty, so that a daemon
 * of another version never crashes the command.
 */
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
