/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs tests/tools/apiserver.py beside a unit test: on a free port of the loopback device, with
 * certificates of its own. The test orders faults and reads back the requests that the server
 * received; the server ends with the test.
 */
#pragma once

#include <curl/curl.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "test.h"
#include "util.h"

#define APISERVER_WAIT_MS 20000

struct apiserver {
	char folder[64]; /* certificates, the control socket, files of the test */
	pid_t pid;
	unsigned int port;
};

static inline char *apiserver_path(const struct apiserver *server, const char *name)
{
	static char paths[8][128];
	static unsigned int next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];

	snprintf(path, sizeof(paths[0]), "%s/%s", server->folder, name);
	return path;
}

static inline pid_t apiserver_spawn(const char *const *arguments, int output_fd)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (output_fd >= 0)
		dup2(output_fd, STDOUT_FILENO);
	execvp("python3", (char *const *)arguments);
	_exit(127);
}

static inline void apiserver_make_certificates(const struct apiserver *server, const char *script)
{
	const char *const arguments[] = {"python3",	 script,      "certificates",
					 server->folder, "127.0.0.1", NULL};
	pid_t pid = apiserver_spawn(arguments, -1);
	int status = -1;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static inline void apiserver_serve(struct apiserver *server, const char *script)
{
	const char *const arguments[] = {"python3",
					 script,
					 "serve",
					 "--listen",
					 "127.0.0.1:0",
					 "--cert",
					 apiserver_path(server, "server.crt"),
					 "--key",
					 apiserver_path(server, "server.key"),
					 "--control",
					 apiserver_path(server, "control"),
					 "--bookmarks",
					 "0.2",
					 NULL};
	char line[128] = "";
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	server->pid = apiserver_spawn(arguments, ends[1]);
	close(ends[1]);
	assert_int_equal(poll(&(struct pollfd){ends[0], POLLIN, 0}, 1, APISERVER_WAIT_MS), 1);
	assert_true(read(ends[0], line, sizeof(line) - 1) > 0);
	close(ends[0]);
	assert_int_equal(sscanf(line, "serving on port %u", &server->port), 1);
}

/* The tests lie beside the tools in the source tree, wherever they were built. */
static inline void apiserver_start(struct apiserver *server)
{
	static const char script[] = "tests/tools/apiserver.py";

	copy_text(server->folder, sizeof(server->folder), "/tmp/podveil-api-XXXXXX");
	assert_non_null(mkdtemp(server->folder));
	apiserver_make_certificates(server, script);
	apiserver_serve(server, script);
}

static inline void apiserver_stop(struct apiserver *server)
{
	char command[128];

	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	snprintf(command, sizeof(command), "rm -rf %s", server->folder);
	assert_int_equal(system(command), 0);
}

static inline size_t apiserver_collect(char *data, size_t size, size_t count, void *context)
{
	fwrite(data, size, count, context);
	return size * count;
}

/* Returns its answer, which the caller frees, or NULL if it is no JSON. */
static inline json_t *apiserver_tell(const struct apiserver *server, const char *method,
				     const char *path, const char *body)
{
	char url[256], *text = NULL;
	CURL *easy = curl_easy_init();
	size_t len;
	FILE *answer = open_memstream(&text, &len);
	json_t *json;

	snprintf(url, sizeof(url), "http://api%s", path);
	curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, apiserver_path(server, "control"));
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	if (body)
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, apiserver_collect);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
	assert_int_equal(curl_easy_perform(easy), CURLE_OK);
	curl_easy_cleanup(easy);
	fclose(answer);
	json = json_loads(text, 0, NULL);
	free(text);
	return json;
}

static inline void apiserver_do(const struct apiserver *server, const char *method,
				const char *path, const char *body)
{
	json_t *answer = apiserver_tell(server, method, path, body);

	assert_non_null(answer);
	json_decref(answer);
}

/* Of the request before the last `ago`; an integer of the server's log. */
static inline json_int_t apiserver_asked(const struct apiserver *server, size_t ago,
					 const char *what)
{
	json_t *all = apiserver_tell(server, "GET", "/requests", NULL);
	json_int_t value = json_integer_value(
		json_object_get(json_array_get(all, json_array_size(all) - 1 - ago), what));

	json_decref(all);
	return value;
}

static inline void apiserver_asked_text(const struct apiserver *server, const char *what,
					char *ret_text, size_t size)
{
	json_t *all = apiserver_tell(server, "GET", "/requests", NULL);
	const char *text = json_string_value(
		json_object_get(json_array_get(all, json_array_size(all) - 1), what));

	assert_non_null(text);
	copy_text(ret_text, size, text);
	json_decref(all);
}
