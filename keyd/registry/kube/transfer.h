/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request in libcurl's terms: its destination, credentials and limits; the answer as it
 * arrives, and its outcome. SHELL; used only between http.c and transfer.c: http.c decides when a
 * transfer runs and for how long.
 */
#pragma once

#include <curl/curl.h>

#include "credentials.h"
#include "http_message.h"

enum transfer_state { TRANSFER_QUEUED, TRANSFER_RUNNING, TRANSFER_ENDED };

struct transfer {
	/* owned by http.c */
	struct transfer *next;
	int handle;
	enum transfer_state state;
	bool is_cancelled; /* its owner cancelled it */
	CURLcode code;	   /* libcurl's result, if libcurl ended it */

	/* owned by transfer.c */
	struct http_request request; /* its texts are invalid by now: libcurl has copies */
	struct http_counts *counts;  /* counts the bytes of the answer */
	bool is_enough, is_too_long;
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	char *body;
	size_t body_len, body_size;
	uint64_t heard_ns; /* time of the answer's last byte, or of the start, which http.c sets */
	int error;	   /* our own error, if libcurl did not end it */
	char words[CURL_ERROR_SIZE]; /* libcurl's error text */
	char reason[sizeof((struct http_result){0}.reason)];
};

/* NULL: no memory. `counts` outlives the transfer. */
MUST_CHECK struct transfer *transfer_new(const struct http_request *request,
					 const struct credentials_view *view,
					 struct http_counts *counts);
void transfer_free(struct transfer *transfer); /* no multi handle may still contain it */

/* Ends it with our own error and reason. */
void PRINTF(3, 4) transfer_fail(struct transfer *transfer, int error, const char *format, ...);

/* Describes the outcome. The body remains the transfer's. */
void transfer_judge(const struct transfer *transfer, struct http_result *ret_result);

uint64_t transfer_sent_bytes(const struct transfer *transfer); /* so far, without TLS and TCP */
