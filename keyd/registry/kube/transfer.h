/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request as libcurl wants it: where it goes, as whom, under which limits; its answer as it comes, and how it ended.
 * SHELL; between http.c and transfer.c alone: when a transfer runs and for how long is http.c's matter.
 */
#pragma once

#include <curl/curl.h>

#include "credentials.h"
#include "http_message.h"

enum transfer_state { TRANSFER_QUEUED, TRANSFER_RUNNING, TRANSFER_ENDED };

struct transfer {
	/* http.c's */
	struct transfer *next;
	int handle;
	enum transfer_state state;
	bool is_cancelled; /* nobody wants to hear of it any more */
	CURLcode code;	   /* as which it ended, where it is libcurl that ended it */

	/* transfer.c's */
	struct http_request request; /* its texts are libcurl's copies by now */
	struct http_counts *counts;  /* where the bytes of the answer are counted */
	bool is_enough, is_too_long;
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	char *body;
	size_t body_len, body_size;
	uint64_t heard_ns; /* the last byte of the answer, or the beginning, which http.c writes */
	int error;	   /* ours, where it is not libcurl's */
	char words[CURL_ERROR_SIZE]; /* libcurl's */
	char reason[sizeof((struct http_result){0}.reason)];
};

/* NULL: no memory. `counts` outlives the transfer. */
MUST_CHECK struct transfer *transfer_new(const struct http_request *request,
					 const struct credentials_view *view,
					 struct http_counts *counts);
void transfer_free(struct transfer *transfer); /* which no multi handle has any more */

/* It is we who end it, for this reason. */
void PRINTF(3, 4) transfer_fail(struct transfer *transfer, int error, const char *format, ...);

/* How it ended. The body stays the transfer's. */
void transfer_judge(const struct transfer *transfer, struct http_result *ret_result);

uint64_t transfer_sent_bytes(const struct transfer *transfer); /* so far, without TLS and TCP */
