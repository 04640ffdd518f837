// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/registry/kube/credentials.c, kubeconfig.c, yaml_text.c: the credentials read from a
 * kubeconfig and from a pod's service account, the refusals and their messages, and files that
 * change while in use.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "outputs.h"
#include "registry/kube/credentials.h"
#include "registry/kube/kubeconfig.h"

#define CERTIFICATE(mark) "-----BEGIN CERTIFICATE-----\n" mark "\n-----END CERTIFICATE-----\n"
#define PRIVATE_KEY(mark) "-----BEGIN PRIVATE KEY-----\n" mark "\n-----END PRIVATE KEY-----\n"
#define CONTEXT		  "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
#define CLUSTER \
	"clusters: [{name: k, cluster: {server: 'https://192.0.2.1:6443', certificate-authority: ca}}]\n"
#define USER	  "users: [{name: u, user: {tokenFile: token}}]\n"
#define MINUTE_NS (60 * NS_PER_S)

static char folder[] = "/tmp/podveil-account-XXXXXX";

static int make_folder(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void put(const char *name, const char *text)
{
	write_file(path_of(name), text);
}

static int set_up(void **state)
{
	put("config", CONTEXT CLUSTER USER);
	put("ca", CERTIFICATE("first"));
	put("token", "one\n");
	put("cert", CERTIFICATE("client"));
	put("key", PRIVATE_KEY("client"));
	return 0;
}

static unsigned int count_lines(const char *text)
{
	unsigned int lines = 0;

	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

/* -- opening -- */

static struct credentials *open_config(void)
{
	struct credentials *account = NULL;

	assert_int_equal(credentials_open(&account, path_of("config")), 0);
	assert_non_null(account);
	return account;
}

static void refused(const char *config, const char *expected)
{
	struct credentials *account = NULL;
	const char *said;
	int error;

	put("config", config);
	begin_capture();
	error = credentials_open(&account, path_of("config"));
	said = end_capture();
	assert_int_equal(error, -EINVAL);
	assert_null(account);
	assert_int_equal(count_lines(said), 1);
	if (!strstr(said, expected) || !strstr(said, folder))
		fail_msg("'%s' does not name %s and '%s'", said, folder, expected);
}

TEST(kubeconfig_gives_server_token_and_authority, set_up)
{
	struct credentials *account = open_config();
	const struct credentials_view *view = credentials_refresh(account, 0, false);

	assert_string_equal(view->server, "https://192.0.2.1:6443");
	assert_string_equal(view->token, "one");
	assert_string_equal(view->ca_pem, CERTIFICATE("first"));
	assert_string_equal(view->namespace, "podveil");
	assert_null(view->cert_pem);
	assert_null(view->key_pem);
	assert_null(view->tls_name);
	credentials_close(account);
}

TEST(kubeconfig_may_hold_everything_itself, set_up)
{
	const struct credentials_view *view;
	struct credentials *account;

	put("config",
	    "{\"current-context\": \"c\", \"contexts\": [{\"name\": \"other\"}, {\"name\": \"c\", \"context\": "
	    "{\"cluster\": \"k\", \"user\": \"u\", \"namespace\": \"away\"}}], \"clusters\": [{\"name\": \"k\", "
	    "\"cluster\": {\"server\": \"https://api.test/k8s//\", \"tls-server-name\": \"real.test\", "
	    "\"certificate-authority-data\": \"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCmZpcnN0Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K\"}}], "
	    "\"users\": [{\"name\": \"u\", \"user\": {\"token\": \"inline\", \"exec\": null, \"tokenFile\": null}}]}");
	account = open_config();
	view = credentials_refresh(account, 0, false);
	assert_string_equal(view->server, "https://api.test/k8s");
	assert_string_equal(view->tls_name, "real.test");
	assert_string_equal(view->ca_pem, CERTIFICATE("first"));
	assert_string_equal(view->token, "inline");
	assert_string_equal(view->namespace, "away");
	credentials_close(account);
}

TEST(certificate_and_key_authenticate_the_client, set_up)
{
	const struct credentials_view *view;
	struct credentials *account;

	put("config", CONTEXT CLUSTER
	    "users: [{name: u, user: {client-certificate: ./cert, client-key: key}}]\n");
	account = open_config();
	view = credentials_refresh(account, 0, false);
	assert_null(view->token);
	assert_string_equal(view->cert_pem, CERTIFICATE("client"));
	assert_string_equal(view->key_pem, PRIVATE_KEY("client"));
	credentials_close(account);
}

TEST(config_that_runs_a_program_or_trusts_any_server_is_refused, set_up)
{
	refused(CONTEXT CLUSTER "users: [{name: u, user: {exec: {command: aws}}}]", "'exec'");
	refused(CONTEXT CLUSTER "users: [{name: u, user: {token: t, auth-provider: {name: gcp}}}]",
		"'auth-provider'");
	refused(CONTEXT CLUSTER "users: [{name: u, user: {username: a, password: b}}]",
		"'username'");
	refused(CONTEXT CLUSTER "users: [{name: u, user: {token: t, as: admin}}]", "'as'");
	refused(CONTEXT USER
		"clusters: [{name: k, cluster: {server: 'https://a', insecure-skip-tls-verify: true}}]",
		"insecure-skip-tls-verify");
	refused(CONTEXT USER
		"clusters: [{name: k, cluster: {server: 'https://a', proxy-url: 'http://p'}}]",
		"proxy-url");
}

TEST(malformed_server_addresses_are_refused, set_up)
{
	static const char *const servers[] = {
		"http://192.0.2.1:8080", "192.0.2.1:6443",	   "https://",	  "https:///x",
		"https://:6443",	 "https://user@192.0.2.1", "https://a?b", "https://a#b",
		"https://a b",		 "https://a\\\\b",	   "HTTPS://a"};
	char config[512];

	for (unsigned int i = 0; i < ARRAY_SIZE(servers); i++) {
		snprintf(config, sizeof(config),
			 CONTEXT USER "clusters: [{name: k, cluster: {server: \"%s\"}}]",
			 servers[i]);
		refused(config, "expected https://HOST:PORT");
	}
	refused(CONTEXT USER "clusters: [{name: k, cluster: {certificate-authority: ca}}]",
		"'server' is missing");
	refused(CONTEXT USER
		"clusters: [{name: k, cluster: {server: 'https://a', tls-server-name: 'a/b'}}]",
		"'tls-server-name' is 'a/b'");
}

TEST(malformed_configs_are_named, set_up)
{
	char *deep = calloc(1, 300001);

	refused("", "no context is named");
	refused("[", "not YAML");
	refused("just text", "no context is named");
	refused("contexts: []", "no context is named");
	refused("current-context: c\ncontexts: {}", "there is no context 'c'");
	refused("current-context: \"\\e[31m\"", "'\\x1b[31m'");
	refused(CONTEXT USER, "there is no cluster 'k'");
	refused(CONTEXT CLUSTER, "there is no user 'u'");
	refused(CONTEXT CLUSTER "users: [{name: u, user: {}}]", "the user has no credentials");
	refused(CONTEXT CLUSTER "users: [{name: u, user: {token: ''}}]",
		"the user has no credentials");
	refused(CONTEXT CLUSTER "users: [{name: u, user: {client-key: key}}]", "expected both");
	refused(CONTEXT CLUSTER "users: [{name: u, user: {token: \"a b\"}}]", "contains no token");
	refused(CONTEXT CLUSTER "users: [{name: u, user: {token: \"a\\x00b\"}}]",
		"the user has no credentials");
	refused(CONTEXT USER
		"clusters: [{name: k, cluster: {server: 'https://a', certificate-authority-data: '%%'}}]",
		"not the base64");
	refused(CONTEXT USER
		"clusters: [{name: k, cluster: {server: 'https://a', certificate-authority-data: 'QUJD'}}]",
		"contains no certificate");
	refused("a: &a [*a, *a]\ncurrent-context: *a", "no context is named");
	memset(deep, '[', 300000);
	refused(deep, "not YAML");
	free(deep);
}

TEST(unusable_files_are_named, set_up)
{
	char *large = calloc(1, ACCOUNT_PEM_MAX + 2);

	remove(path_of("token"));
	refused(CONTEXT CLUSTER USER, "/token: cannot be read: No such file");
	put("token", "\n");
	refused(CONTEXT CLUSTER USER, "/token: contains no token");
	put("token", "a\x01");
	refused(CONTEXT CLUSTER USER, "/token: contains no token");
	put("token", "one");
	put("ca", "-----BEGIN CERTIFICATE-----\nhalf");
	refused(CONTEXT CLUSTER USER, "/ca: contains no certificate");
	memset(large, 'x', ACCOUNT_PEM_MAX + 1);
	put("ca", large);
	refused(CONTEXT CLUSTER USER, "/ca: larger than 1048576 bytes");
	free(large);
	remove(path_of("ca"));
	assert_int_equal(mkfifo(path_of("ca"), 0600), 0);
	refused(CONTEXT CLUSTER USER, "/ca: not a regular file");
	remove(path_of("ca"));
	put("ca", CERTIFICATE("first"));
	put("key", CERTIFICATE("no key"));
	refused(CONTEXT CLUSTER
		"users: [{name: u, user: {client-certificate: cert, client-key: key}}]",
		"/key: contains no private key");
}

TEST(missing_config_is_named, set_up)
{
	struct credentials *account = NULL;
	int error;

	begin_capture();
	error = credentials_open(&account, path_of("nothing"));
	assert_non_null(strstr(end_capture(), "/nothing: cannot be read: No such file"));
	assert_int_equal(error, -EINVAL);
}

/* -- changes -- */

TEST(token_is_read_again_after_a_minute, set_up)
{
	struct credentials *account = open_config();
	uint64_t now_ns = 5 * MINUTE_NS;

	credentials_refresh(account, now_ns, false);
	put("token", "two\n");
	assert_string_equal(credentials_refresh(account, now_ns + MINUTE_NS - 1, false)->token,
			    "one");
	assert_string_equal(credentials_refresh(account, now_ns + MINUTE_NS, false)->token, "two");
	credentials_close(account);
}

TEST(refused_token_is_read_again_at_once, set_up)
{
	struct credentials *account = open_config();

	credentials_refresh(account, 5 * MINUTE_NS, false);
	put("token", "two\n");
	assert_string_equal(credentials_refresh(account, 5 * MINUTE_NS + 1, true)->token, "two");
	credentials_close(account);
}

TEST(kubeconfig_itself_is_read_again, set_up)
{
	struct credentials *account = open_config();
	uint64_t generation = credentials_refresh(account, 5 * MINUTE_NS, false)->generation;
	const struct credentials_view *view;

	put("config", CONTEXT CLUSTER "users: [{name: u, user: {token: inline}}]");
	view = credentials_refresh(account, 6 * MINUTE_NS, false);
	assert_string_equal(view->token, "inline");
	assert_int_equal(view->generation, generation);
	put("config", CONTEXT USER
	    "clusters: [{name: k, cluster: {server: 'https://192.0.2.2', certificate-authority: ca}}]");
	view = credentials_refresh(account, 7 * MINUTE_NS, false);
	assert_string_equal(view->server, "https://192.0.2.2");
	assert_int_not_equal(view->generation, generation);
	credentials_close(account);
}

TEST(connections_are_another_generation_with_another_authority, set_up)
{
	struct credentials *account = open_config();
	uint64_t generation = credentials_refresh(account, 1, true)->generation;

	assert_int_equal(credentials_refresh(account, 2, true)->generation, generation);
	put("token", "two\n");
	assert_int_equal(credentials_refresh(account, 3, true)->generation, generation);
	put("ca", CERTIFICATE("second"));
	assert_int_equal(credentials_refresh(account, 4, true)->generation, generation + 1);
	assert_int_equal(credentials_refresh(account, 5, true)->generation, generation + 1);
	credentials_close(account);
}

TEST(certificate_and_key_change_together, set_up)
{
	const struct credentials_view *view;
	struct credentials *account;
	uint64_t generation;

	put("config", CONTEXT CLUSTER
	    "users: [{name: u, user: {client-certificate: cert, client-key: key}}]\n");
	account = open_config();
	generation = credentials_refresh(account, 1, true)->generation;
	put("cert", CERTIFICATE("second"));
	remove(path_of("key"));
	begin_capture();
	view = credentials_refresh(account, 2, true);
	assert_non_null(strstr(end_capture(), "/key: cannot be read"));
	assert_string_equal(view->cert_pem, CERTIFICATE("client"));
	assert_int_equal(view->generation, generation);
	put("key", PRIVATE_KEY("second"));
	view = credentials_refresh(account, 3, true);
	assert_string_equal(view->cert_pem, CERTIFICATE("second"));
	assert_string_equal(view->key_pem, PRIVATE_KEY("second"));
	assert_int_equal(view->generation, generation + 1);
	credentials_close(account);
}

TEST(unreadable_file_leaves_the_old_one_in_use_and_is_reported_once, set_up)
{
	struct credentials *account = open_config();
	const struct credentials_view *view;
	uint64_t generation = credentials_refresh(account, 1, true)->generation;

	put("ca", "-----BEGIN CERTIFICATE-----\nhalf"); /* its writer is not done */
	put("token", "two");
	begin_capture();
	view = credentials_refresh(account, 2, true);
	view = credentials_refresh(account, 3, true);
	assert_int_equal(count_lines(end_capture()), 1);
	assert_non_null(strstr(captured, "/ca: contains no certificate"));
	assert_string_equal(view->ca_pem, CERTIFICATE("first"));
	assert_string_equal(view->token, "two");
	assert_int_equal(view->generation, generation);
	put("ca", CERTIFICATE("first"));
	begin_capture();
	credentials_refresh(account, 4, true);
	credentials_refresh(account, 5, true);
	assert_int_equal(count_lines(end_capture()), 1);
	assert_non_null(strstr(captured, "are readable again"));
	credentials_close(account);
}

TEST(kubeconfig_that_went_bad_leaves_the_old_in_use, set_up)
{
	struct credentials *account = open_config();
	const struct credentials_view *view;

	put("config", CONTEXT);
	put("token", "two");
	begin_capture();
	view = credentials_refresh(account, 2, true);
	assert_non_null(strstr(end_capture(), "there is no cluster 'k'"));
	assert_string_equal(view->server, "https://192.0.2.1:6443");
	assert_string_equal(view->token, "one");
	credentials_close(account);
}

/* -- in a pod -- */

static void assert_service_account(const char *host, const char *port, const char *server)
{
	const struct credentials_view *view;
	struct credentials *account;

	setenv("KUBERNETES_SERVICE_HOST", host, 1);
	setenv("KUBERNETES_SERVICE_PORT", port, 1);
	if (credentials_open(&account, NULL))
		_exit(3);
	view = credentials_refresh(account, 1, false);
	if (strcmp(view->server, server) || strcmp(view->token, "pod") ||
	    strcmp(view->namespace, "veil") || strcmp(view->ca_pem, CERTIFICATE("pod")))
		_exit(4);
	credentials_close(account);
}

/* In a child with a /run of its own, as kubelet would fill it. */
static void be_a_pod(void)
{
	struct credentials *account;

	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/run", "tmpfs", 0, NULL) || system("mkdir -p " ACCOUNT_DIRECTORY))
		_exit(2);
	write_file(ACCOUNT_DIRECTORY "/token", "pod");
	write_file(ACCOUNT_DIRECTORY "/namespace", "veil");
	write_file(ACCOUNT_DIRECTORY "/ca.crt", CERTIFICATE("pod"));
	assert_service_account("10.96.0.1", "443", "https://10.96.0.1:443");
	assert_service_account("fd00:96::1", "443", "https://[fd00:96::1]:443");
	setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1/x@y", 1);
	if (!credentials_open(&account, NULL))
		_exit(5);
	remove(ACCOUNT_DIRECTORY "/token");
	setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1", 1);
	_exit(credentials_open(&account, NULL) ? 0 : 6);
}

TEST(pod_authenticates_with_its_service_account, set_up)
{
	int status = -1;
	pid_t pid;

	if (geteuid())
		skip();
	pid = fork();
	if (!pid) {
		begin_capture(); /* it complains at the end, as it should */
		be_a_pod();
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

TEST(outside_of_a_pod_a_kubeconfig_is_asked_for, set_up)
{
	struct credentials *account;
	int error;

	unsetenv("KUBERNETES_SERVICE_HOST");
	begin_capture();
	error = credentials_open(&account, NULL);
	assert_non_null(strstr(end_capture(), "--kubeconfig"));
	assert_int_equal(error, -EINVAL);
}

TEST_GROUP(make_folder, remove_folder);
