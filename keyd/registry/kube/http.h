/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the API server that never block the caller: libcurl's multi interface behind one
 * descriptor. SHELL; only http.c and transfer.c use libcurl. TLS always verifies the server,
 * proxies from the environment are ignored, redirects are not followed, and an answer never takes
 * more memory than the caller allows.
 */
#pragma once

#include "credentials.h"
#include "http_message.h"

struct http; /* of one API server */

/* The account remains the caller's. */
MUST_CHECK int http_open(struct http **ret_http, struct credentials *account);
void http_close(struct http *http); /* running requests end without a call of on_end */

/* If readable, call http_drive. It is one epoll descriptor, timers included. */
int http_fd(const struct http *http);
void http_drive(struct http *http);

/* Returns a handle above 0 for http_cancel, or -errno (-ENOMEM, -EAGAIN: more than 32 at once). A
 * 401 makes the next request read the account again; it is reported to the caller as usual. */
MUST_CHECK int http_start(struct http *http, const struct http_request *request);
void http_cancel(struct http *http, int handle); /* on_end is not called for it */

/* The connections are useless because this machine has lost the address from which they were made:
 * running requests end with -ECONNABORTED, and later ones connect again. */
void http_renew(struct http *http);

struct http_counts http_counts(const struct http *http);
