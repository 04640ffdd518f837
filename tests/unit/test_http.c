// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/kube/http.c and transfer.c against a scripted HTTPS server: what comes whole, what is cut off, what never comes,
 * whom it speaks to and whom it never does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>

#include "kube/http.h"

#include "apiserver.h"

static struct apiserver server;

struct talk {
	struct account *account;
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

static void write_kubeconfig(const char *host, const char *ca, const char *more)
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

static void write_token(const char *token)
{
	FILE *file = fopen(apiserver_path(&server, "token"), "we");

	assert_non_null(file);
	fprintf(file, "%s\n", token);
	fclose(file);
}

static void copy_file(const char *from, const char *to)
{
	char command[320];

	snprintf(command, sizeof(command), "cp %s %s", apiserver_path(&server, from),
		 apiserver_path(&server, to));
	assert_int_equal(system(command), 0);
}

static void use_certificate(const char *name)
{
	char body[320];

	snprintf(body, sizeof(body), "{\"cert\": \"%s/%s.crt\", \"key\": \"%s/%s.key\"}",
		 server.folder, name, server.folder, name);
	apiserver_do(&server, "POST", "/tls", body);
}

static void talk_open(struct talk *talk)
{
	assert_int_equal(account_open(&talk->account, apiserver_path(&server, "config")), 0);
	assert_int_equal(http_open(&talk->http, talk->account), 0);
}

static void talk_close(struct talk *talk)
{
	http_close(talk->http);
	account_close(talk->account);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Only what http_fd says makes it go on, as in keyd. */
static void drive_for(struct talk *talk, int ms)
{
	int64_t until_ms = now_ms() + ms;

	for (int64_t left; (left = until_ms - now_ms()) > 0;)
		if (poll(&(struct pollfd){http_fd(talk->http), POLLIN, 0}, 1, (int)left) > 0)
			http_drive(talk->http);
}

static void drive_until(struct talk *talk, const unsigned int *count, unsigned int wanted)
{
	int64_t until_ms = now_ms() + APISERVER_WAIT_MS;

	for (int64_t left; *count < wanted && (left = until_ms - now_ms()) > 0;)
		if (poll(&(struct pollfd){http_fd(talk->http), POLLIN, 0}, 1, (int)left) > 0)
			http_drive(talk->http);
	assert_true(*count >= wanted);
}

static int start(struct heard *heard, const struct http_request *request);

static void on_end(void *context, const struct http_result *result)
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

static bool on_data(void *context, const char *data, size_t len)
{
	struct heard *heard = context;

	assert_non_null(data);
	heard->pieces++;
	heard->streamed += len;
	if (heard->cancels)
		http_cancel(heard->talk->http, heard->cancels);
	return heard->pieces != heard->pieces_wanted;
}

static int start(struct heard *heard, const struct http_request *request)
{
	struct http_request own = *request;

	own.on_end = on_end;
	own.context = heard;
	return http_start(heard->talk->http, &own);
}

/* Collected, and waited for. */
static void get(struct heard *heard, const char *path, size_t body_max, uint32_t timeout_s)
{
	unsigned int wanted = heard->ends + 1;

	assert_true(start(heard, &(struct http_request){.path = path,
							.body_max = body_max,
							.timeout_s = timeout_s}) > 0);
	drive_until(heard->talk, &heard->ends, wanted);
}

static int watch(struct heard *heard, uint32_t silence_s)
{
	return start(heard, &(struct http_request){
				    .path = "/api/v1/nodes?watch=1&allowWatchBookmarks=true",
				    .silence_s = silence_s,
				    .on_data = on_data});
}

static void fault(const char *text)
{
	apiserver_do(&server, "POST", "/faults", text);
}

/* -- each test: all is well with the server, and a client -- */

static int set_up(void **state)
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

static int tear_down(void **state)
{
	struct heard *heard = *state;

	talk_close(heard->talk);
	free(heard->talk);
	free(heard->body);
	free(heard);
	return 0;
}

/* -- what comes -- */

static void answer_comes_whole(void **state)
{
	struct heard *heard = *state;

	get(heard, "/api/v1/nodes/n1", 1 << 20, 5);
	assert_int_equal(heard->result.error, 0);
	assert_int_equal(heard->result.status, 200);
	assert_int_equal(heard->result.retry_after_s, -1);
	assert_int_equal(strlen(heard->body), heard->result.body_len);
	assert_non_null(strstr(heard->body, "10.244.1.0/24"));
}

static void credentials_and_accept_are_sent(void **state)
{
	struct heard *heard = *state;
	char text[128];

	assert_true(start(heard, &(struct http_request){.path = "/api/v1/nodes",
							.accept = "application/json;as=Table",
							.body_max = 1 << 20,
							.timeout_s = 5}) > 0);
	drive_until(heard->talk, &heard->ends, 1);
	apiserver_asked_text(&server, "authorization", text, sizeof(text));
	assert_string_equal(text, "Bearer good");
	apiserver_asked_text(&server, "accept", text, sizeof(text));
	assert_string_equal(text, "application/json;as=Table");
}

static void patch_is_sent_as_it_is(void **state)
{
	static const char body[] = "{\"metadata\":{\"annotations\":{\"podveil.io/tunnel\":\"x\"}}}";
	struct heard *heard = *state;

	assert_true(
		start(heard, &(struct http_request){.method = HTTP_PATCH,
						    .path = "/api/v1/nodes/n1",
						    .content_type = "application/merge-patch+json",
						    .body = body,
						    .body_len = sizeof(body) - 1,
						    .body_max = 1 << 20,
						    .timeout_s = 5}) > 0);
	drive_until(heard->talk, &heard->ends, 1);
	assert_int_equal(heard->result.status, 200);
	assert_non_null(strstr(heard->body, "\"podveil.io/tunnel\": \"x\""));
	assert_int_equal(apiserver_asked(&server, 0, "length"), sizeof(body) - 1);
}

static void connection_is_used_again(void **state)
{
	struct heard *heard = *state;

	for (unsigned int i = 0; i < 3; i++)
		get(heard, "/api/v1/nodes", 1 << 20, 5);
	assert_int_equal(apiserver_asked(&server, 0, "connection"),
			 apiserver_asked(&server, 2, "connection"));
}

static void thirty_two_at_once_and_not_one_more(void **state)
{
	struct heard *heard = *state;
	struct http_request request = {
		.path = "/api/v1/nodes", .body_max = 1 << 20, .timeout_s = 15};

	for (unsigned int i = 0; i < 32; i++)
		assert_true(start(heard, &request) > 0);
	assert_int_equal(start(heard, &request), -EAGAIN);
	drive_until(heard->talk, &heard->ends, 32);
	assert_int_equal(heard->result.error, 0);
	assert_true(start(heard, &request) > 0);
	drive_until(heard->talk, &heard->ends, 33);
}

static void stream_comes_as_it_is_sent(void **state)
{
	struct heard *heard = *state;

	assert_true(watch(heard, 5) > 0);
	drive_until(heard->talk, &heard->pieces, 3);
	assert_int_equal(heard->ends, 0);
	apiserver_do(&server, "POST", "/watches", "{\"then\": \"end\"}");
	drive_until(heard->talk, &heard->ends, 1);
	assert_int_equal(heard->result.error, 0);
	assert_int_equal(heard->result.status, 200);
}

static void counts_are_kept(void **state)
{
	struct heard *heard = *state;
	struct http_counts counts;

	get(heard, "/api/v1/nodes/n1", 1 << 20, 5);
	get(heard, "/api/v1/nodes/nobody", 1 << 20, 5);
	counts = http_counts(heard->talk->http);
	assert_int_equal(counts.requests, 2);
	assert_int_equal(counts.failures, 1);
	assert_in_range(counts.sent_bytes, 200, 2000);
	assert_in_range(counts.received_bytes, heard->result.body_len, 4000);
}

/* -- what does not -- */

static void answer_beyond_its_bound_is_refused(void **state)
{
	struct heard *heard = *state;

	for (unsigned int chunked = 0; chunked < 2; chunked++) {
		fault(chunked ? "{\"do\": {\"kind\": \"huge\", \"bytes\": 100000000, \"chunked\": true}}"
			      : "{\"do\": {\"kind\": \"huge\", \"bytes\": 100000000}}");
		get(heard, "/api/v1/nodes", 1 << 20, 15);
		assert_int_equal(heard->result.error, -EMSGSIZE);
		assert_true(heard->result.body_len <= 1 << 20);
	}
	assert_true(http_counts(heard->talk->http).received_bytes < 4 << 20);
}

static void answer_of_exactly_its_bound_is_taken(void **state)
{
	struct heard *heard = *state;

	fault("{\"do\": {\"kind\": \"huge\", \"bytes\": 200000}}");
	get(heard, "/api/v1/nodes", 200000, 5);
	assert_int_equal(heard->result.error, 0);
	fault("{\"do\": {\"kind\": \"huge\", \"bytes\": 200001}}");
	get(heard, "/api/v1/nodes", 200000, 5);
	assert_int_equal(heard->result.error, -EMSGSIZE);
}

static void error_is_told_however_much_it_says(void **state)
{
	char text[200000];
	struct heard *heard = *state;

	snprintf(
		text, sizeof(text),
		"{\"do\": {\"kind\": \"status\", \"status\": 429, \"headers\": {\"Retry-After\": \"7\"}, "
		"\"body\": \"%0150000d\"}}",
		0);
	for (size_t max = 0; max < 2 << 20; max += 1 << 20) {
		fault(text);
		get(heard, "/api/v1/nodes", max, 5);
		assert_int_equal(heard->result.error, 0);
		assert_int_equal(heard->result.status, 429);
		assert_int_equal(heard->result.retry_after_s, 7);
	}
}

static void stream_that_is_refused_tells_the_status(void **state)
{
	struct heard *heard = *state;

	fault("{\"do\": {\"kind\": \"status\", \"status\": 410, \"reason\": \"Expired\"}}");
	assert_true(watch(heard, 5) > 0);
	drive_until(heard->talk, &heard->ends, 1);
	assert_int_equal(heard->result.error, 0);
	assert_int_equal(heard->result.status, 410);
	assert_non_null(strstr(heard->body, "Expired"));
	assert_int_equal(heard->pieces, 0);
}

static void answer_that_never_comes_is_given_up(void **state)
{
	struct heard *heard = *state;
	int64_t began_ms = now_ms();

	fault("{\"do\": {\"kind\": \"hang\"}}");
	get(heard, "/api/v1/nodes", 1 << 20, 1);
	assert_int_equal(heard->result.error, -ETIMEDOUT);
	assert_in_range(now_ms() - began_ms, 900, 3000);
}

static void answer_that_drips_is_given_up(void **state)
{
	struct heard *heard = *state;

	fault("{\"do\": {\"kind\": \"drip\", \"every\": 0.1}}");
	get(heard, "/api/v1/nodes", 1 << 20, 1);
	assert_int_equal(heard->result.error, -ETIMEDOUT);
	assert_int_equal(heard->result.status, 200);
}

static void silent_stream_ends(void **state)
{
	struct heard *heard = *state;
	int64_t began_ms = now_ms();

	fault("{\"do\": {\"kind\": \"silence\"}}");
	assert_true(watch(heard, 1) > 0);
	drive_until(heard->talk, &heard->ends, 1);
	assert_int_equal(heard->result.error, -ETIMEDOUT);
	assert_string_equal(heard->result.reason, "the server was silent for 1 seconds");
	assert_in_range(now_ms() - began_ms, 900, 3000);
}

static void stream_without_an_answer_ends(void **state)
{
	struct heard *heard = *state;

	fault("{\"do\": {\"kind\": \"hang\"}}");
	assert_true(watch(heard, 1) > 0);
	drive_until(heard->talk, &heard->ends, 1);
	assert_int_equal(heard->result.error, -ETIMEDOUT);
}

static void stream_that_is_not_silent_goes_on(void **state)
{
	struct heard *heard = *state;

	assert_true(watch(heard, 1) > 0);
	drive_for(heard->talk, 2500);
	assert_int_equal(heard->ends, 0);
	assert_true(heard->pieces >= 8);
}

static void answer_that_is_cut_off_is_no_answer(void **state)
{
	static const char *const faults[] = {
		"{\"do\": {\"kind\": \"truncate\"}}",
		"{\"do\": {\"kind\": \"truncate\", \"chunked\": true}}",
		"{\"do\": {\"kind\": \"truncate\", \"after\": 0}}",
		"{\"do\": {\"kind\": \"close\"}}",
		"{\"do\": {\"kind\": \"reset\"}}",
	};
	struct heard *heard = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(faults); i++) {
		fault(faults[i]);
		get(heard, "/api/v1/nodes", 1 << 20, 5);
		assert_int_equal(heard->result.error, -EPROTO);
		assert_true(heard->result.reason[0]);
	}
}

static void stream_that_is_cut_off_says_so(void **state)
{
	static const char *const commands[] = {"{\"then\": \"cut\"}", "{\"then\": \"reset\"}"};
	struct heard *heard = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(commands); i++) {
		unsigned int pieces = heard->pieces + 1;

		assert_true(watch(heard, 5) > 0);
		drive_until(heard->talk, &heard->pieces, pieces);
		apiserver_do(&server, "POST", "/watches", commands[i]);
		drive_until(heard->talk, &heard->ends, i + 1);
		assert_int_equal(heard->result.error, -EPROTO);
	}
}

static void server_that_is_not_there_is_named(void **state)
{
	struct heard *heard = *state;
	struct apiserver real = server;

	talk_close(heard->talk);
	server.port = 1;
	write_kubeconfig("127.0.0.1", "authority", "");
	server = real;
	talk_open(heard->talk);
	get(heard, "/api/v1/nodes", 1 << 20, 5);
	assert_int_equal(heard->result.error, -ECONNREFUSED);
	assert_non_null(strstr(heard->result.reason, "127.0.0.1"));
}

/* -- what the caller ends -- */

static void stream_ends_where_its_reader_wants(void **state)
{
	struct heard *heard = *state;

	heard->pieces_wanted = 2;
	assert_true(watch(heard, 5) > 0);
	drive_until(heard->talk, &heard->ends, 1);
	assert_int_equal(heard->result.error, -ECANCELED);
	assert_int_equal(heard->pieces, 2);
}

static void cancelled_request_says_nothing(void **state)
{
	struct heard *heard = *state;
	int handle = watch(heard, 5);

	drive_until(heard->talk, &heard->pieces, 1);
	http_cancel(heard->talk->http, handle);
	http_cancel(heard->talk->http, handle);
	drive_for(heard->talk, 600);
	assert_int_equal(heard->pieces, 1);
	assert_int_equal(heard->ends, 0);
	handle = watch(heard, 5); /* before it was even sent */
	http_cancel(heard->talk->http, handle);
	drive_for(heard->talk, 300);
	assert_int_equal(heard->ends, 0);
}

static void stream_may_cancel_itself_and_others(void **state)
{
	struct heard *heard = *state, other = {.talk = heard->talk};
	int first = watch(&other, 5);

	drive_until(heard->talk, &other.pieces, 1);
	heard->cancels = first;
	assert_true(watch(heard, 5) > 0);
	drive_until(heard->talk, &heard->pieces, 1);
	other.pieces = 0;
	drive_for(heard->talk, 600);
	assert_int_equal(other.pieces, 0);
	assert_int_equal(other.ends, 0);
	heard->pieces = 0;
	heard->cancels = watch(
		heard, 5); /* it or its elder sister cancels it: both say nothing more of it */
	drive_for(heard->talk, 600);
	assert_int_equal(heard->ends, 0);
}

static void request_may_start_another_at_its_end(void **state)
{
	struct heard *heard = *state;

	heard->starts = 3;
	get(heard, "/api/v1/nodes", 1 << 20, 5);
	drive_until(heard->talk, &heard->ends, 4);
	assert_int_equal(heard->result.status, 200);
}

/* -- whom it speaks to -- */

static void assert_unverified(struct heard *heard, const char *why)
{
	get(heard, "/api/v1/nodes", 1 << 20, 5);
	assert_int_equal(heard->result.error, -EPERM);
	if (!strstr(heard->result.reason, why))
		fail_msg("'%s' does not say '%s'", heard->result.reason, why);
}

static void server_of_another_authority_is_refused(void **state)
{
	use_certificate("stranger");
	assert_unverified(*state, "unable to get local issuer certificate");
}

static void server_with_another_name_is_refused(void **state)
{
	use_certificate("elsewhere");
	assert_unverified(*state, "127.0.0.1");
}

static void expired_server_is_refused(void **state)
{
	use_certificate("expired");
	assert_unverified(*state, "certificate has expired");
}

static void server_may_be_called_by_the_name_it_carries(void **state)
{
	struct heard *heard = *state;

	use_certificate("elsewhere");
	talk_close(heard->talk);
	write_kubeconfig("127.0.0.1", "authority", ", tls-server-name: elsewhere.test");
	talk_open(heard->talk);
	get(heard, "/api/v1/nodes", 1 << 20, 5);
	assert_int_equal(heard->result.error, 0);
	talk_close(heard->talk);
	write_kubeconfig("127.0.0.1", "authority", ", tls-server-name: nobody.test");
	talk_open(heard->talk);
	assert_unverified(heard, "nobody.test");
}

/* A mount namespace of its own, where the server's authority is one of the machine's. In a child: it cannot be left. */
static void machine_trusts_the_server_and_we_do_not(struct heard *heard)
{
	char command[512];

	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/etc/ssl/certs", "tmpfs", 0, NULL))
		_exit(77);
	snprintf(command, sizeof(command),
		 "cp %s/other-ca.crt /etc/ssl/certs/ && ln -s other-ca.crt "
		 "/etc/ssl/certs/$(openssl x509 -noout -hash -in %s/other-ca.crt).0 && "
		 "cp %s/other-ca.crt /etc/ssl/certs/ca-certificates.crt && "
		 "NO_PROXY='*' curl -sf https://127.0.0.1:%u/api/v1/nodes >%s/trusted",
		 server.folder, server.folder, server.folder, server.port, server.folder);
	if (system(command))
		_exit(2); /* the positive control: those who ask the machine do trust it */
	if (start(heard, &(struct http_request){
				 .path = "/api/v1/nodes", .body_max = 1 << 20, .timeout_s = 5}) < 0)
		_exit(3);
	for (unsigned int i = 0; !heard->ends && i < 50; i++)
		drive_for(heard->talk, 100);
	_exit(heard->result.error == -EPERM ? 0 : 4);
}

static void authorities_of_the_machine_are_not_asked(void **state)
{
	int status = -1;
	pid_t pid;

	if (geteuid())
		skip();
	use_certificate("stranger");
	pid = fork();
	if (!pid)
		machine_trusts_the_server_and_we_do_not(*state);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void proxy_of_the_environment_is_ignored(void **state)
{
	static const char *const names[] = {"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"};

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		setenv(names[i], "http://127.0.0.1:9", 1);
	answer_comes_whole(state);
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
}

static void redirect_is_not_followed(void **state)
{
	struct heard *heard = *state;

	fault("{\"do\": {\"kind\": \"status\", \"status\": 302, \"headers\": {\"Location\": \"/api/v1/nodes/n1\"}}}");
	get(heard, "/api/v1/nodes", 1 << 20, 5);
	assert_int_equal(heard->result.error, 0);
	assert_int_equal(heard->result.status, 302);
}

static void keys_of_sessions_are_not_written(void **state)
{
	struct heard *heard = *state;
	const char *path = apiserver_path(&server, "keylog");

	talk_close(heard->talk);
	curl_global_cleanup(); /* of the test's own use: the variable is read when libcurl starts */
	setenv("SSLKEYLOGFILE", path, 1);
	talk_open(heard->talk);
	get(heard, "/api/v1/nodes", 1 << 20, 5);
	assert_int_equal(heard->result.error, 0);
	assert_int_equal(access(path, F_OK), -1);
}

/* -- credentials that change -- */

static void refused_token_is_read_again(void **state)
{
	struct heard *heard = *state;

	apiserver_do(&server, "POST", "/tokens", "{\"better\": \"n1\"}");
	get(heard, "/api/v1/nodes", 1 << 20, 5);
	assert_int_equal(heard->result.status, 401);
	write_token("better");
	get(heard, "/api/v1/nodes", 1 << 20, 5);
	assert_int_equal(heard->result.status, 200);
	assert_int_equal(apiserver_asked(&server, 0, "connection"),
			 apiserver_asked(&server, 1, "connection"));
}

/* The authority changes on disk; the server has the same certificate, which the old one has signed. */
static void connections_made_under_another_authority_are_not_used(void **state)
{
	struct heard *heard = *state, stream = {.talk = heard->talk};

	get(heard, "/api/v1/nodes", 1 << 20, 5);
	assert_int_equal(heard->result.error, 0);
	assert_true(watch(&stream, 5) > 0);
	drive_until(heard->talk, &stream.pieces, 1);
	copy_file("other-ca.crt", "authority");
	account_refresh(heard->talk->account, 0, true);
	assert_unverified(heard, "certificate");
	assert_int_equal(stream.ends, 1);
	assert_int_equal(stream.result.error, -ECONNABORTED);
	use_certificate("stranger");
	get(heard, "/api/v1/nodes", 1 << 20, 5);
	assert_int_equal(heard->result.error, 0);
	free(stream.body);
}

static void connection_stays_where_nothing_changed(void **state)
{
	struct heard *heard = *state;

	get(heard, "/api/v1/nodes", 1 << 20, 5);
	account_refresh(heard->talk->account, 0, true);
	write_token("another");
	account_refresh(heard->talk->account, 0, true);
	get(heard, "/api/v1/nodes", 1 << 20, 5);
	assert_int_equal(apiserver_asked(&server, 0, "connection"),
			 apiserver_asked(&server, 1, "connection"));
}

static void connections_are_made_anew_where_that_is_asked_for(void **state)
{
	struct heard *heard = *state, stream = {.talk = heard->talk};
	json_int_t before;

	get(heard, "/api/v1/nodes", 1 << 20, 5);
	before = apiserver_asked(&server, 0, "connection");
	assert_true(watch(&stream, 5) > 0);
	drive_until(heard->talk, &stream.pieces, 1);
	http_renew(heard->talk->http);
	drive_until(heard->talk, &stream.ends, 1);
	assert_int_equal(stream.result.error, -ECONNABORTED);
	get(heard, "/api/v1/nodes", 1 << 20, 5);
	assert_int_equal(heard->result.error, 0);
	assert_true(apiserver_asked(&server, 0, "connection") > before);
	free(stream.body);
}

/* -- descriptors -- */

/* libcurl keeps a pair of Unix sockets for itself: those that lead anywhere are ours. */
static bool is_connection(int fd)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	return !getpeername(fd, (struct sockaddr *)&peer, &len) && peer.ss_family == AF_INET;
}

static void connections_are_not_inherited(void **state)
{
	struct heard *heard = *state;
	unsigned int connections = 0;

	assert_true(watch(heard, 5) > 0);
	drive_until(heard->talk, &heard->pieces, 1);
	for (int fd = STDERR_FILENO + 1; fd < 64; fd++) {
		if (!is_connection(fd))
			continue;
		connections++;
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	assert_int_equal(connections, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answer_comes_whole),
		TEST(credentials_and_accept_are_sent),
		TEST(patch_is_sent_as_it_is),
		TEST(connection_is_used_again),
		TEST(thirty_two_at_once_and_not_one_more),
		TEST(stream_comes_as_it_is_sent),
		TEST(counts_are_kept),
		TEST(answer_beyond_its_bound_is_refused),
		TEST(answer_of_exactly_its_bound_is_taken),
		TEST(error_is_told_however_much_it_says),
		TEST(stream_that_is_refused_tells_the_status),
		TEST(answer_that_never_comes_is_given_up),
		TEST(answer_that_drips_is_given_up),
		TEST(silent_stream_ends),
		TEST(stream_without_an_answer_ends),
		TEST(stream_that_is_not_silent_goes_on),
		TEST(answer_that_is_cut_off_is_no_answer),
		TEST(stream_that_is_cut_off_says_so),
		TEST(server_that_is_not_there_is_named),
		TEST(stream_ends_where_its_reader_wants),
		TEST(cancelled_request_says_nothing),
		TEST(stream_may_cancel_itself_and_others),
		TEST(request_may_start_another_at_its_end),
		TEST(server_of_another_authority_is_refused),
		TEST(server_with_another_name_is_refused),
		TEST(expired_server_is_refused),
		TEST(server_may_be_called_by_the_name_it_carries),
		TEST(authorities_of_the_machine_are_not_asked),
		TEST(proxy_of_the_environment_is_ignored),
		TEST(redirect_is_not_followed),
		TEST(keys_of_sessions_are_not_written),
		TEST(refused_token_is_read_again),
		TEST(connections_made_under_another_authority_are_not_used),
		TEST(connection_stays_where_nothing_changed),
		TEST(connections_are_made_anew_where_that_is_asked_for),
		TEST(connections_are_not_inherited),
	};
	int failed;

	apiserver_start(&server);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	apiserver_stop(&server);
	return failed;
}
