// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/registry/kube/http.c and transfer.c against a scripted HTTPS server
 * (keyd/registry/kube/http.h): the servers that the client trusts and those that it refuses despite
 * the machine and the environment, credentials that change, and descriptors that no child inherits.
 */
#include "http_client.h"

#include <arpa/inet.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>

/* -- whom it speaks to -- */

static void assert_unverified(struct heard *heard, const char *why)
{
	get(heard, "/api/v1/nodes", 1 << 20, 5);
	assert_int_equal(heard->result.error, -EPERM);
	if (!strstr(heard->result.reason, why))
		fail_msg("'%s' does not say '%s'", heard->result.reason, why);
}

HTTP_TEST(server_of_another_authority_is_refused)
{
	use_certificate("stranger");
	assert_unverified(*state, "unable to get local issuer certificate");
}

HTTP_TEST(server_with_another_name_is_refused)
{
	use_certificate("elsewhere");
	assert_unverified(*state, "127.0.0.1");
}

HTTP_TEST(expired_server_is_refused)
{
	use_certificate("expired");
	assert_unverified(*state, "certificate has expired");
}

HTTP_TEST(server_may_be_called_by_the_name_it_carries)
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

/* A mount namespace of its own, where the server's authority is one of the machine's. In a child:
 * it cannot be left. */
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
		/* The positive control: a client that uses the machine's store does trust it. */
		_exit(2);
	if (start(heard, &(struct http_request){
				 .path = "/api/v1/nodes", .body_max = 1 << 20, .timeout_s = 5}) < 0)
		_exit(3);
	for (unsigned int i = 0; !heard->ends && i < 50; i++)
		drive_for(heard->talk, 100);
	_exit(heard->result.error == -EPERM ? 0 : 4);
}

HTTP_TEST(authorities_of_the_machine_are_not_asked)
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

HTTP_TEST(proxy_of_the_environment_is_ignored)
{
	static const char *const names[] = {"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"};
	struct heard *heard = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		setenv(names[i], "http://127.0.0.1:9", 1);
	get(heard, "/api/v1/nodes/n1", 1 << 20, 5);
	assert_int_equal(heard->result.error, 0);
	assert_int_equal(heard->result.status, 200);
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
}

HTTP_TEST(redirect_is_not_followed)
{
	struct heard *heard = *state;

	fault("{\"do\": {\"kind\": \"status\", \"status\": 302, \"headers\": {\"Location\": \"/api/v1/nodes/n1\"}}}");
	get(heard, "/api/v1/nodes", 1 << 20, 5);
	assert_int_equal(heard->result.error, 0);
	assert_int_equal(heard->result.status, 302);
}

HTTP_TEST(keys_of_sessions_are_not_written)
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

HTTP_TEST(refused_token_is_read_again)
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

/* The authority changes on disk; the server has the same certificate, which the old one has
 * signed. */
HTTP_TEST(connections_made_under_another_authority_are_not_used)
{
	struct heard *heard = *state, stream = {.talk = heard->talk};

	get(heard, "/api/v1/nodes", 1 << 20, 5);
	assert_int_equal(heard->result.error, 0);
	assert_true(watch(&stream, 5) > 0);
	drive_until(heard->talk, &stream.pieces, 1);
	copy_file("other-ca.crt", "authority");
	credentials_refresh(heard->talk->account, 0, true);
	assert_unverified(heard, "certificate");
	assert_int_equal(stream.ends, 1);
	assert_int_equal(stream.result.error, -ECONNABORTED);
	use_certificate("stranger");
	get(heard, "/api/v1/nodes", 1 << 20, 5);
	assert_int_equal(heard->result.error, 0);
	free(stream.body);
}

HTTP_TEST(connection_stays_where_nothing_changed)
{
	struct heard *heard = *state;

	get(heard, "/api/v1/nodes", 1 << 20, 5);
	credentials_refresh(heard->talk->account, 0, true);
	write_token("another");
	credentials_refresh(heard->talk->account, 0, true);
	get(heard, "/api/v1/nodes", 1 << 20, 5);
	assert_int_equal(apiserver_asked(&server, 0, "connection"),
			 apiserver_asked(&server, 1, "connection"));
}

HTTP_TEST(new_connections_are_made_on_request)
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

HTTP_TEST(connections_are_not_inherited)
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

/* -- at another address than the account's -- */

/* Of the account's server nothing is there but its name. */
static void go_elsewhere(struct heard *heard, const char *more)
{
	talk_close(heard->talk);
	write_kubeconfig("kubernetes.test", "authority", more);
	talk_open(heard->talk);
}

static void ask_there(struct heard *heard)
{
	unsigned int wanted = heard->ends + 1;
	char there[32];

	snprintf(there, sizeof(there), "127.0.0.1:%u", server.port);
	assert_true(start(heard, &(struct http_request){.path = "/version",
							.connect_to = there,
							.is_anonymous = true,
							.body_max = 1 << 16,
							.timeout_s = 5}) > 0);
	drive_until(heard->talk, &heard->ends, wanted);
}

HTTP_TEST(server_at_another_address_is_verified_by_the_accounts_name)
{
	struct heard *heard = *state;

	go_elsewhere(heard, "");
	ask_there(heard);
	assert_int_equal(heard->result.error, 0);
	assert_int_equal(heard->result.status,
			 404); /* any answer comes by TLS that was completed */
	use_certificate("elsewhere");
	ask_there(heard);
	assert_int_equal(heard->result.error, -EPERM);
	assert_int_equal(heard->result.status, 0);
	use_certificate("stranger");
	ask_there(heard);
	assert_int_equal(heard->result.error, -EPERM);
	assert_int_equal(heard->result.status, 0);
}

HTTP_TEST(server_at_another_address_is_verified_by_the_name_for_tls)
{
	struct heard *heard = *state;

	use_certificate("elsewhere");
	go_elsewhere(heard, ", tls-server-name: elsewhere.test");
	ask_there(heard);
	assert_int_equal(heard->result.status, 404);
	go_elsewhere(heard, ", tls-server-name: nobody.test");
	ask_there(heard);
	assert_int_equal(heard->result.error, -EPERM);
	assert_int_equal(heard->result.status, 0);
}

HTTP_TEST(anonymous_request_sends_no_token_and_counts_no_failure)
{
	struct heard *heard = *state;
	uint64_t failures = http_counts(heard->talk->http).failures;
	char text[64];

	apiserver_do(&server, "POST", "/tokens", "{\"good\": \"n1\"}");
	ask_there(heard);
	apiserver_asked_text(&server, "authorization", text, sizeof(text));
	assert_string_equal(text, "");
	assert_int_equal(heard->result.status, 401);
	assert_int_equal(http_counts(heard->talk->http).failures, failures);
	write_token("bad"); /* read only after one of our requests is refused */
	get(heard, "/api/v1/nodes", 1 << 20, 5);
	assert_int_equal(heard->result.status, 200);
}

HTTP_TEST(connection_to_another_address_is_used_for_nothing_else)
{
	struct heard *heard = *state;
	json_int_t first, there;

	get(heard, "/api/v1/nodes", 1 << 20, 5);
	first = apiserver_asked(&server, 0, "connection");
	ask_there(heard);
	there = apiserver_asked(&server, 0, "connection");
	assert_int_not_equal(there, first);
	ask_there(heard);
	assert_int_not_equal(apiserver_asked(&server, 0, "connection"), there);
	get(heard, "/api/v1/nodes", 1 << 20, 5);
	assert_int_equal(apiserver_asked(&server, 0, "connection"), first);
}

HTTP_TEST(redirect_of_another_address_is_not_followed)
{
	struct heard *heard = *state;

	go_elsewhere(heard, "");
	fault("{\"do\": {\"kind\": \"status\", \"status\": 302, \"headers\": {\"Location\": \"https://127.0.0.1:1/\"}}}");
	ask_there(heard);
	assert_int_equal(heard->result.error, 0);
	assert_int_equal(heard->result.status, 302);
}

TEST_GROUP(begin_serving, end_serving);
