/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to the API server and its answer: the types that http.h's callers, http.c and
 * transfer.c share.
 */
#pragma once

#include "util.h"

enum http_method { HTTP_GET, HTTP_PATCH, HTTP_POST };

struct http_result {
	/* 0: there is an answer, see status. -EMSGSIZE: it is longer than body_max. -ETIMEDOUT: too
	 * slow or silent. -EPROTO: truncated. -EPERM: the server's certificate is not valid.
	 * -EKEYREJECTED: ours is not. -ECONNABORTED: the account's authorities or certificate have
	 * changed, or TLS failed. Other -errno: no connection. */
	int error;
	char reason[256]; /* one line for people if error is not 0 */
	long status;	  /* 200, 410, ... */
	/* of a collected answer; zero-terminated, the callee's, valid during the call */
	const char *body;
	size_t body_len;
	int64_t retry_after_s; /* -1: the server did not set it */
};

static inline bool http_is_success(long status)
{
	return status >= 200 && status <= 299;
}

struct http_request {
	enum http_method method;
	const char *path;	  /* "/api/v1/nodes?limit=100", escaped */
	const char *content_type; /* of `body`; NULL: none */
	const char *accept;	  /* NULL: application/json */
	const char *body;	  /* copied */
	size_t body_len;
	/* "10.0.0.1:6443" or "[fd00::1]:6443": use a separate connection to there, and verify the
	 * server as always. NULL: the account's server. */
	const char *connect_to;
	bool is_anonymous; /* without our token and certificate: a 401 proves nothing about them */
	uint32_t mark;	   /* on its packets (SO_MARK); 0: none */
	/* of a collected 2xx answer. Of any other answer 64 KiB are kept, and a longer one is no
	 * error. */
	size_t body_max;
	uint32_t timeout_s; /* for the whole answer, including a stream's; 0: no limit */
	/* without any byte, then the request ends with -ETIMEDOUT; 0: no limit */
	uint32_t silence_s;
	/* Receives a 2xx stream's bytes as they arrive; false ends it (-ECANCELED). NULL: the body
	 * is collected. */
	bool (*on_data)(void *context, const char *data, size_t len);
	/* Called exactly once for each request that http_start accepted, and never from within
	 * http_start or http_cancel. It may start new requests. */
	void (*on_end)(void *context, const struct http_result *result);
	void *context;
};

/* For status reports. */
struct http_counts {
	uint64_t requests, failures, sent_bytes, received_bytes; /* bytes without TLS and TCP */
};
