// SPDX-License-Identifier: Apache-2.0
/*
 * The settings of one request for libcurl, and its answer. Never: a proxy, a redirect, an
 * unverified server, a resumed TLS session, an answer that takes more memory than the caller
 * allows.
 */
#include "transfer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>

#include "host/clock.h"
#include "keyd_control.h"

#define CONNECT_TIMEOUT_MS 10000L
#define ERROR_BODY_MAX \
	65536 /* of an answer that is not 2xx: enough for a Status, and never a reason to fail */

/* A server that disappears silently is detected after 30 seconds; on an idle connection at the
 * first probe after them, which is after 45 seconds at most. */
#define PROBE_EVERY_S 15
#define DEAD_AFTER_MS 30000

/* -- receiving the answer -- */

static bool collect(struct transfer *transfer, const char *data, size_t len)
{
	size_t wanted = transfer->body_len + len + 1;

	if (wanted > transfer->body_size) {
		size_t size = MAX(wanted, 2 * transfer->body_size);
		char *grown = realloc(transfer->body, size);

		if (!grown) {
			transfer->error = -ENOMEM;
			return false;
		}
		transfer->body = grown;
		transfer->body_size = size;
	}
	memcpy(transfer->body + transfer->body_len, data, len);
	transfer->body_len += len;
	transfer->body[transfer->body_len] = '\0';
	return true;
}

static size_t max_left(const struct transfer *transfer, size_t max)
{
	return max > transfer->body_len ? max - transfer->body_len : 0;
}

/* The rest of an error's answer is left unread. */
static bool collect_error_body(struct transfer *transfer, const char *data, size_t len)
{
	size_t left = max_left(transfer, ERROR_BODY_MAX);

	transfer->is_enough = len > left;
	return collect(transfer, data, MIN(len, left)) && !transfer->is_enough;
}

static bool collect_body(struct transfer *transfer, const char *data, size_t len)
{
	transfer->is_too_long = len > max_left(transfer, transfer->request.body_max);
	return !transfer->is_too_long && collect(transfer, data, len);
}

static bool stream(struct transfer *transfer, const char *data, size_t len)
{
	if (!transfer->request.on_data(transfer->request.context, data, len))
		transfer->error = -ECANCELED;
	return !transfer->error && !transfer->is_cancelled;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
	struct transfer *transfer = context;
	size_t len = size * count;
	bool wants_more;
	long status = 0;

	transfer->heard_ns = boot_ns();
	transfer->counts->received_bytes += len;
	if (transfer->is_cancelled)
		return CURL_WRITEFUNC_ERROR;
	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	if (!http_is_success(status))
		wants_more = collect_error_body(transfer, data, len);
	else if (transfer->request.on_data)
		wants_more = stream(transfer, data, len);
	else
		wants_more = collect_body(transfer, data, len);
	return wants_more ? len : CURL_WRITEFUNC_ERROR;
}

static size_t on_header(char *data, size_t size, size_t count, void *context)
{
	struct transfer *transfer = context;

	(void)data;
	transfer->heard_ns = boot_ns();
	transfer->counts->received_bytes += size * count;
	return size * count;
}

/* -- the request's settings -- */

static bool add_header(struct transfer *transfer, const char *begin, const char *value)
{
	CLEANUP_FREE char *line = NULL;
	struct curl_slist *longer;

	if (!value)
		return true;
	if (asprintf(&line, "%s%s", begin, value) < 0) {
		line = NULL;
		return false;
	}
	longer = curl_slist_append(transfer->headers, line);
	if (longer)
		transfer->headers = longer;
	explicit_bzero(line, strlen(line));
	return longer;
}

static bool set_headers(struct transfer *transfer, const struct http_request *request,
			const struct credentials_view *view)
{
	return (request->is_anonymous ||
		add_header(transfer, "Authorization: Bearer ", view->token)) &&
	       add_header(transfer,
			  "Accept: ", request->accept ? request->accept : "application/json") &&
	       add_header(transfer, "Content-Type: ", request->content_type) &&
	       curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers) == CURLE_OK;
}

/* "HOST:PORT" of the account's server. The caller frees it; NULL: no memory. */
static char *find_way(CURLU *url)
{
	char *host = NULL, *port = NULL, *way = NULL;

	if (curl_url_get(url, CURLUPART_HOST, &host, 0) ||
	    curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) ||
	    asprintf(&way, "%s:%s", host, port) < 0)
		way = NULL;
	curl_free(host);
	curl_free(port);
	return way;
}

/* Connects to this address regardless of the URL's host: libcurl verifies the name in the URL. */
static bool connect_to(struct transfer *transfer, const char *way)
{
	CLEANUP_FREE char *rule = NULL;

	if (asprintf(&rule, "::%s", way) < 0) {
		rule = NULL;
		return false;
	}
	transfer->connect_to = curl_slist_append(NULL, rule);
	return transfer->connect_to && curl_easy_setopt(transfer->easy, CURLOPT_CONNECT_TO,
							transfer->connect_to) == CURLE_OK;
}

/* If the certificate must carry a name other than the host's, that name replaces the host in the
 * URL. */
static bool set_server(struct transfer *transfer, const struct http_request *request,
		       const struct credentials_view *view, CURLU *url)
{
	CLEANUP_FREE char *account_way = NULL;
	const char *way = request->connect_to;

	if (view->tls_name && !way) {
		way = account_way = find_way(url);
		if (!way)
			return false;
	}
	return (!view->tls_name || !curl_url_set(url, CURLUPART_HOST, view->tls_name, 0)) &&
	       (!way || connect_to(transfer, way));
}

static bool set_url(struct transfer *transfer, const struct http_request *request,
		    const struct credentials_view *view)
{
	CLEANUP_FREE char *text = NULL;
	CURLU *url = curl_url();
	char *whole = NULL;
	bool is_set;

	if (asprintf(&text, "%s%s", view->server, request->path) < 0)
		text = NULL;
	is_set = url && text && !curl_url_set(url, CURLUPART_URL, text, CURLU_DISALLOW_USER) &&
		 set_server(transfer, request, view, url) &&
		 !curl_url_get(url, CURLUPART_URL, &whole, 0) &&
		 curl_easy_setopt(transfer->easy, CURLOPT_URL, whole) == CURLE_OK;
	curl_free(whole);
	curl_url_cleanup(url);
	return is_set;
}

static bool set_blob(CURL *easy, CURLoption option, const char *pem)
{
	struct curl_blob blob = {(void *)pem, pem ? strlen(pem) : 0, CURL_BLOB_COPY};

	return !pem || curl_easy_setopt(easy, option, &blob) == CURLE_OK;
}

/* If the account provides authorities, the machine's are not used: CAPATH has a default of its own.
 * Sessions are not resumed, because a resumed session is not verified again. */
static bool set_tls(CURL *easy, const struct http_request *request,
		    const struct credentials_view *view)
{
	const char *cert_pem = request->is_anonymous ? NULL : view->cert_pem;
	const char *key_pem = request->is_anonymous ? NULL : view->key_pem;

	if (view->ca_pem && (curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) ||
			     curl_easy_setopt(easy, CURLOPT_CAINFO, NULL)))
		return false;
	return set_blob(easy, CURLOPT_CAINFO_BLOB, view->ca_pem) &&
	       set_blob(easy, CURLOPT_SSLCERT_BLOB, cert_pem) &&
	       set_blob(easy, CURLOPT_SSLKEY_BLOB, key_pem) &&
	       !curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) &&
	       !curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) &&
	       !curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
	       !curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
}

/* We open the socket ourselves, so that children never inherit it and a dead server is detected. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	static const int on = 1, probe_s = PROBE_EVERY_S, dead_ms = DEAD_AFTER_MS;
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	const struct transfer *transfer = context;
	const uint32_t *mark = &transfer->request.mark;

	(void)purpose;
	if (fd < 0)
		return CURL_SOCKET_BAD;
	if (*mark && setsockopt(fd, SOL_SOCKET, SO_MARK, mark, sizeof(*mark))) {
		close(fd);
		return CURL_SOCKET_BAD;
	}
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &probe_s, sizeof(probe_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &probe_s, sizeof(probe_s));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof(dead_ms));
	return fd;
}

/* Sets the allowed destinations. A connection to another address is not shared with other
 * requests. */
static bool set_way(struct transfer *transfer, const struct http_request *request)
{
	CURL *easy = transfer->easy;
	long is_alone = request->connect_to != NULL;

	return !curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, is_alone) &&
	       !curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, is_alone) &&
	       !curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https") &&
	       !curl_easy_setopt(easy, CURLOPT_PROXY, "") &&
	       !curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") &&
	       !curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) &&
	       !curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) &&
	       !curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket) &&
	       !curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer) &&
	       !curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS) &&
	       !curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
}

/* QUICK_EXIT: do not wait for a thread that is still resolving a name. */
static bool set_limits(CURL *easy, const struct http_request *request)
{
	curl_off_t max =
		request->on_data ? 0 : (curl_off_t)MAX(request->body_max, (size_t)ERROR_BODY_MAX);

	return !curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) &&
	       !curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) &&
	       !curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, max) &&
	       !curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS) &&
	       !curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_s * 1000);
}

static bool set_method(CURL *easy, const struct http_request *request)
{
	static const char *const names[] = {"GET", "PATCH", "POST"};

	if (request->method == HTTP_GET)
		return !curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	return !curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)request->body_len) &&
	       !curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS,
				 request->body ? request->body : "") &&
	       !curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, names[request->method]);
}

static bool set_callbacks(struct transfer *transfer)
{
	CURL *easy = transfer->easy;

	return !curl_easy_setopt(easy, CURLOPT_USERAGENT, "podveil-keyd/" PODVEIL_VERSION) &&
	       !curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->words) &&
	       !curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer) &&
	       !curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) &&
	       !curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) &&
	       !curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) &&
	       !curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
}

static bool prepare(struct transfer *transfer, const struct http_request *request,
		    const struct credentials_view *view)
{
	CURL *easy = transfer->easy = curl_easy_init();

	return easy && set_url(transfer, request, view) && set_headers(transfer, request, view) &&
	       set_tls(easy, request, view) && set_way(transfer, request) &&
	       set_limits(easy, request) && set_method(easy, request) && set_callbacks(transfer);
}

struct transfer *transfer_new(const struct http_request *request,
			      const struct credentials_view *view, struct http_counts *counts)
{
	struct transfer *transfer = calloc(1, sizeof(*transfer));

	if (!transfer)
		return NULL;
	transfer->request = *request;
	transfer->counts = counts;
	if (prepare(transfer, request, view))
		return transfer;
	transfer_free(transfer);
	return NULL;
}

void transfer_free(struct transfer *transfer)
{
	curl_easy_cleanup(transfer->easy);
	curl_slist_free_all(transfer->headers);
	curl_slist_free_all(transfer->connect_to);
	free(transfer->body);
	free(transfer);
}

/* -- the outcome -- */

uint64_t transfer_sent_bytes(const struct transfer *transfer)
{
	curl_off_t uploaded = 0;
	long head = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &head);
	curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
	return (uint64_t)(head + uploaded);
}

void transfer_fail(struct transfer *transfer, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(transfer->reason, sizeof(transfer->reason), format, arguments);
	va_end(arguments);
	transfer->error = error;
}

static int connect_error(CURL *easy)
{
	long error = 0;

	curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &error);
	return error > 0 ? -(int)error : -ECONNREFUSED;
}

static int error_of(CURL *easy, CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
		return -EPERM;
	case CURLE_SSL_CERTPROBLEM:
		return -EKEYREJECTED;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_COULDNT_RESOLVE_HOST:
		return -EHOSTUNREACH;
	case CURLE_COULDNT_CONNECT:
		return connect_error(easy);
	case CURLE_SSL_CONNECT_ERROR:
		return -ECONNABORTED;
	default: /* libcurl's list grows; the other codes occur after the connection was made */
		return -EPROTO;
	}
}

/* If the status is not 2xx, it alone matters, however long the rest of the answer is. */
static int find_error(const struct transfer *transfer, long status)
{
	bool is_too_long = transfer->is_too_long || transfer->code == CURLE_FILESIZE_EXCEEDED;

	if (transfer->error)
		return transfer->error;
	if (transfer->is_enough || (is_too_long && !http_is_success(status)))
		return 0;
	return is_too_long ? -EMSGSIZE : error_of(transfer->easy, transfer->code);
}

/* Makes one line of any text that the server or libcurl wrote. */
static void write_reason(const struct transfer *transfer, struct http_result *result)
{
	const char *words =
		transfer->words[0] ? transfer->words : curl_easy_strerror(transfer->code);

	if (transfer->reason[0])
		words = transfer->reason;
	else if (result->error == -EMSGSIZE)
		words = "the answer is longer than expected";
	else if (transfer->error)
		words = strerror(-transfer->error);
	copy_text(result->reason, sizeof(result->reason), words);
	for (char *c = result->reason; *c; c++)
		if (*c < 0x20 || *c == 0x7f)
			*c = ' ';
}

void transfer_judge(const struct transfer *transfer, struct http_result *ret_result)
{
	struct http_result result = {.body = transfer->body ? transfer->body : "",
				     .body_len = transfer->body_len,
				     .retry_after_s = -1};
	curl_off_t retry_after_s = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &result.status);
	if (!curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after_s) &&
	    retry_after_s > 0)
		result.retry_after_s = retry_after_s;
	result.error = find_error(transfer, result.status);
	if (result.error)
		write_reason(transfer, &result);
	*ret_result = result;
}
