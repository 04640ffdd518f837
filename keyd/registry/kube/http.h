/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the API server, none of which ever makes the caller wait: libcurl's multi interface behind one descriptor.
 * SHELL; libcurl is used in http.c and transfer.c alone. TLS always verifies the server, proxies of the environment are
 * ignored, redirects are not followed, and an answer never takes more memory than the caller said.
 */
#pragma once

#include "credentials.h"
#include "http_message.h"

struct http; /* of one API server */

MUST_CHECK int http_open(struct http **ret_http,
			 struct credentials *account); /* the account stays the caller's */
void http_close(struct http *http);		       /* running requests end without a word */

/* Readable: call http_drive. It is one epoll descriptor, timers included. */
int http_fd(const struct http *http);
void http_drive(struct http *http);

/* A handle above 0 for http_cancel, or -errno (-ENOMEM, -EAGAIN: more than 32 at once). A 401 makes the account be read
 * again before the next request; it is told all the same. */
MUST_CHECK int http_start(struct http *http, const struct http_request *request);
void http_cancel(struct http *http, int handle); /* on_end is not called any more */

/* The connections are of no use any more, because this machine has left the address that they were made from: what runs
 * ends with -ECONNABORTED, and what comes next connects anew. */
void http_renew(struct http *http);

struct http_counts http_counts(const struct http *http);
