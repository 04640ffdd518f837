/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to the API server and its answer: the types that http.h's callers, http.c and transfer.c share.
 */
#pragma once

#include "util.h"

enum http_method { HTTP_GET, HTTP_PATCH, HTTP_POST };

struct http_result {
	/* 0: an answer came, see status. -EMSGSIZE: it is longer than body_max. -ETIMEDOUT: too slow or silent. -EPROTO: cut
	 * off in the middle. -EPERM: the server's certificate is not good. -EKEYREJECTED: ours is not. -ECONNABORTED: the
	 * account has other authorities or another certificate now, or TLS failed. Other -errno: no connection. */
	int error;
	char reason[256]; /* one line for people, where error is not 0 */
	long status;	  /* 200, 410, ... */
	const char
		*body; /* collected ones; the callee's for the time of the call, zero-terminated */
	size_t body_len;
	int64_t retry_after_s; /* -1: not said */
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
	/* "10.0.0.1:6443" or "[fd00::1]:6443": a connection of its own goes there, and the server is verified as always. NULL:
	 * to the account's server. */
	const char *connect_to;
	bool is_anonymous; /* without our token and certificate: a 401 says nothing about them */
	uint32_t mark;	   /* on its packets (SO_MARK); 0: none */
	size_t body_max; /* of a collected 2xx answer. Of any other 64 KiB are kept, and that it says more is no error */
	uint32_t timeout_s; /* for the whole answer, also a stream's; 0: as long as it takes */
	uint32_t
		silence_s; /* this long without a byte, and it is over (-ETIMEDOUT); 0: however long */
	/* A stream's bytes of a 2xx answer as they come; false ends it (-ECANCELED). NULL: the body is collected. */
	bool (*on_data)(void *context, const char *data, size_t len);
	/* Exactly once for each request that http_start took, and never from within http_start or http_cancel. New requests
	 * may be started from here. */
	void (*on_end)(void *context, const struct http_result *result);
	void *context;
};

/* Counted for the figures and the metrics to come. */
struct http_counts {
	uint64_t requests, failures, sent_bytes, received_bytes; /* bytes without TLS and TCP */
};
