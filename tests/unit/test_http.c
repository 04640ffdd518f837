// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/registry/kube/http.c and transfer.c against a scripted HTTPS server
 * (keyd/registry/kube/http.h): complete answers, truncated ones, missing ones, and requests that
 * the caller cancels. The verification of the server is in test_http_trust.c.
 */
#include "http_client.h"

/* -- what comes -- */

HTTP_TEST(answer_comes_whole)
{
	struct heard *heard = *state;

	get(heard, "/api/v1/nodes/n1", 1 << 20, 5);
	assert_int_equal(heard->result.error, 0);
	assert_int_equal(heard->result.status, 200);
	assert_int_equal(heard->result.retry_after_s, -1);
	assert_int_equal(strlen(heard->body), heard->result.body_len);
	assert_non_null(strstr(heard->body, "10.244.1.0/24"));
}

HTTP_TEST(credentials_and_accept_are_sent)
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

HTTP_TEST(patch_is_sent_as_it_is)
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

HTTP_TEST(connection_is_used_again)
{
	struct heard *heard = *state;

	for (unsigned int i = 0; i < 3; i++)
		get(heard, "/api/v1/nodes", 1 << 20, 5);
	assert_int_equal(apiserver_asked(&server, 0, "connection"),
			 apiserver_asked(&server, 2, "connection"));
}

HTTP_TEST(thirty_two_at_once_and_not_one_more)
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

HTTP_TEST(stream_comes_as_it_is_sent)
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

HTTP_TEST(counts_are_kept)
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

HTTP_TEST(answer_beyond_its_bound_is_refused)
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

HTTP_TEST(answer_of_exactly_its_bound_is_taken)
{
	struct heard *heard = *state;

	fault("{\"do\": {\"kind\": \"huge\", \"bytes\": 200000}}");
	get(heard, "/api/v1/nodes", 200000, 5);
	assert_int_equal(heard->result.error, 0);
	fault("{\"do\": {\"kind\": \"huge\", \"bytes\": 200001}}");
	get(heard, "/api/v1/nodes", 200000, 5);
	assert_int_equal(heard->result.error, -EMSGSIZE);
}

HTTP_TEST(error_of_any_length_is_reported)
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

HTTP_TEST(refused_stream_reports_the_status)
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

HTTP_TEST(answer_that_never_comes_is_given_up)
{
	struct heard *heard = *state;
	int64_t began_ms = now_ms();

	fault("{\"do\": {\"kind\": \"hang\"}}");
	get(heard, "/api/v1/nodes", 1 << 20, 1);
	assert_int_equal(heard->result.error, -ETIMEDOUT);
	assert_in_range(now_ms() - began_ms, 900, 3000);
}

HTTP_TEST(answer_that_drips_is_given_up)
{
	struct heard *heard = *state;

	fault("{\"do\": {\"kind\": \"drip\", \"every\": 0.1}}");
	get(heard, "/api/v1/nodes", 1 << 20, 1);
	assert_int_equal(heard->result.error, -ETIMEDOUT);
	assert_int_equal(heard->result.status, 200);
}

HTTP_TEST(silent_stream_ends)
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

HTTP_TEST(stream_without_an_answer_ends)
{
	struct heard *heard = *state;

	fault("{\"do\": {\"kind\": \"hang\"}}");
	assert_true(watch(heard, 1) > 0);
	drive_until(heard->talk, &heard->ends, 1);
	assert_int_equal(heard->result.error, -ETIMEDOUT);
}

HTTP_TEST(stream_that_is_not_silent_goes_on)
{
	struct heard *heard = *state;

	assert_true(watch(heard, 1) > 0);
	drive_for(heard->talk, 2500);
	assert_int_equal(heard->ends, 0);
	assert_true(heard->pieces >= 8);
}

HTTP_TEST(answer_that_is_cut_off_is_no_answer)
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

HTTP_TEST(truncated_stream_is_reported)
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

HTTP_TEST(server_that_is_not_there_is_named)
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

HTTP_TEST(stream_ends_where_its_reader_wants)
{
	struct heard *heard = *state;

	heard->pieces_wanted = 2;
	assert_true(watch(heard, 5) > 0);
	drive_until(heard->talk, &heard->ends, 1);
	assert_int_equal(heard->result.error, -ECANCELED);
	assert_int_equal(heard->pieces, 2);
}

HTTP_TEST(cancelled_request_reports_nothing)
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

HTTP_TEST(stream_may_cancel_itself_and_others)
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

HTTP_TEST(request_may_start_another_at_its_end)
{
	struct heard *heard = *state;

	heard->starts = 3;
	get(heard, "/api/v1/nodes", 1 << 20, 5);
	drive_until(heard->talk, &heard->ends, 4);
	assert_int_equal(heard->result.status, 200);
}

TEST_GROUP(begin_serving, end_serving);
