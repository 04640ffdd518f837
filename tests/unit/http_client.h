/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyd's HTTP client and tests/tools/apiserver.py, one for each test. The server works and the
 * credentials are valid until the test changes that. The client is driven as in keyd, by its
 * descriptor alone, and its answers are recorded.
 */
#pragma once

#include <errno.h>
#include <time.h>

#include "registry/kube/http.h"
#include "test.h"

#include "apiserver.h"

static struct apiserver server;

struct talk {
	struct credentials *account;
	struct http *http;
};

struct heard {
	struct talk *talk;
	unsigned int ends, pieces;
	struct http_result result;
	char *body;
	size_t streamed;
	unsigned int pieces_wanted; /* 0: all */
	int cancels;		    /* this handle, from on_data */
	unsigned int starts;	    /* so many more, each from on_end */
};

/* -- the client's side -- */

static inline void write_kubeconfig(const char *host, const char *ca, const char *more)
{
	FILE *file = fopen(apiserver_path(&server, "config.new"), "we");

	assert_non_null(file);
	fprintf(file,
		"current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
		"clusters: [{name: c, cluster: {server: 'https://%s:%u', certificate-authority: %s%s}}]\n"
		"users: [{name: u, user: {tokenFile: token}}]\n",
		host, server.port, ca, more);
	fclose(file);
	assert_int_equal(
		rename(apiserver_path(&server, "config.new"), apiserver_path(&server, "config")),
		0);
}

static inline void write_token(const char *token)
{
	FILE *file = fopen(apiserver_path(&server, "token"), "we");

	assert_non_null(file);
	fprintf(file, "%s\n", token);
	fclose(file);
}

static inline void copy_file(const char *from, const char *to)
{
	char command[320];

	snprintf(command, sizeof(command), "cp %s %s", apiserver_path(&server, from),
		 apiserver_path(&server, to));
	assert_int_equal(system(command), 0);
}

static inline void use_certificate(const char *name)
{
	char body[320];

	snprintf(body, sizeof(body), "{\"cert\": \"%s/%s.crt\", \"key\": \"%s/%s.key\"}",
		 server.folder, name, server.folder, name);
	apiserver_do(&server, "POST", "/tls", body);
}

static inline void talk_open(struct talk *talk)
{
	assert_int_equal(credentials_open(&talk->account, apiserver_path(&server, "config")), 0);
	assert_int_equal(http_open(&talk->http, talk->account), 0);
}

static inline void talk_close(struct talk *talk)
{
	http_close(talk->http);
	credentials_close(talk->account);
}

static inline int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits on the descriptor of http_fd alone, as keyd does. */
static inline void drive_for(struct talk *talk, int ms)
{
	int64_t until_ms = now_ms() + ms;

	for (int64_t left; (left = until_ms - now_ms()) > 0;)
		if (poll(&(struct pollfd){http_fd(talk->http), POLLIN, 0}, 1, (int)left) > 0)
			http_drive(talk->http);
}

static inline void drive_until(struct talk *talk, const unsigned int *count, unsigned int wanted)
{
	int64_t until_ms = now_ms() + APISERVER_WAIT_MS;

	for (int64_t left; *count < wanted && (left = until_ms - now_ms()) > 0;)
		if (poll(&(struct pollfd){http_fd(talk->http), POLLIN, 0}, 1, (int)left) > 0)
			http_drive(talk->http);
	assert_true(*count >= wanted);
}

static inline int start(struct heard *heard, const struct http_request *request);

static inline void on_end(void *context, const struct http_result *result)
{
	struct heard *heard = context;

	heard->ends++;
	free(heard->body);
	heard->result = *result;
	heard->body = strdup(result->body);
	heard->result.body = heard->body;
	if (heard->starts && heard->starts--)
		assert_true(start(heard, &(struct http_request){.path = "/api/v1/nodes",
								.body_max = 1 << 20,
								.timeout_s = 5}) > 0);
}

static inline bool on_data(void *context, const char *data, size_t len)
{
	struct heard *heard = context;

	assert_non_null(data);
	heard->pieces++;
	heard->streamed += len;
	if (heard->cancels)
		http_cancel(heard->talk->http, heard->cancels);
	return heard->pieces != heard->pieces_wanted;
}

static inline int start(struct heard *heard, const struct http_request *request)
{
	struct http_request own = *request;

	own.on_end = on_end;
	own.context = heard;
	return http_start(heard->talk->http, &own);
}

/* Collected, and waited for. */
static inline void get(struct heard *heard, const char *path, size_t body_max, uint32_t timeout_s)
{
	unsigned int wanted = heard->ends + 1;

	assert_true(start(heard, &(struct http_request){.path = path,
							.body_max = body_max,
							.timeout_s = timeout_s}) > 0);
	drive_until(heard->talk, &heard->ends, wanted);
}

static inline int watch(struct heard *heard, uint32_t silence_s)
{
	return start(heard, &(struct http_request){
				    .path = "/api/v1/nodes?watch=1&allowWatchBookmarks=true",
				    .silence_s = silence_s,
				    .on_data = on_data});
}

static inline void fault(const char *text)
{
	apiserver_do(&server, "POST", "/faults", text);
}

/* -- all tests of a file: one server -- */

static inline int begin_serving(void **state)
{
	apiserver_start(&server);
	return 0;
}

static inline int end_serving(void **state)
{
	apiserver_stop(&server);
	return 0;
}

/* -- each test: all is well with the server, and a client -- */

static inline int set_up(void **state)
{
	struct heard *heard = calloc(1, sizeof(*heard));

	heard->talk = calloc(1, sizeof(*heard->talk));
	copy_file("ca.crt", "authority");
	write_token("good");
	write_kubeconfig("127.0.0.1", "authority", "");
	use_certificate("server");
	apiserver_do(&server, "DELETE", "/faults", NULL);
	apiserver_do(&server, "POST", "/tokens", "{}");
	apiserver_do(&server, "PUT", "/objects/nodes/n1",
		     "{\"spec\": {\"podCIDRs\": [\"10.244.1.0/24\"]}}");
	talk_open(heard->talk);
	*state = heard;
	return 0;
}

static inline int tear_down(void **state)
{
	struct heard *heard = *state;

	talk_close(heard->talk);
	free(heard->talk);
	free(heard->body);
	free(heard);
	return 0;
}

#define HTTP_TEST(name) TEST(name, set_up, tear_down)
