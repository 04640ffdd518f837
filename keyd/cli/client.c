// SPDX-License-Identifier: Apache-2.0
/*
 * Talks to podveil-keyd over its control socket: sends one line of JSON and reads one document
 * until the other end closes (include/keyd_control.h). Every wait and the length of an answer are
 * bounded, and its bytes are not trusted: anything but a JSON object is an error.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "client.h"
#include "keyd_control.h"
#include "log.h"

#define ANSWER_TIMEOUT_S 10

static void log_unreachable(const char *control, int error)
{
	const char *advice = "start podveil-keyd on this node, or name its socket with --control";

	if (error == EACCES || error == EPERM)
		advice = "run as root";
	log_error("cannot reach podveil-keyd at '%s': %s; %s", control, strerror(error), advice);
}

/* A connected socket, or -errno. */
static int client_open(const char *control)
{
	struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	CLEANUP_CLOSE int fd = -1;

	if (!copy_text(address.sun_path, sizeof(address.sun_path), control))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) ||
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		return -errno;
	return TAKE_FD(fd);
}

static int send_all(int fd, const char *bytes, size_t length)
{
	while (length) {
		ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -errno;
		bytes += sent;
		length -= (size_t)sent;
	}
	return 0;
}

/* Source of bytes for jansson, which stops at 0 and at (size_t)-1. */
struct answer_reader {
	int fd;
	int error;
	size_t length;
};

static size_t read_answer(void *buffer, size_t size, void *context)
{
	struct answer_reader *reader = context;
	ssize_t received;

	do
		received = recv(reader->fd, buffer, size, 0);
	while (received < 0 && errno == EINTR);
	if (received < 0) {
		reader->error = errno == EAGAIN ? ETIMEDOUT : errno;
		return (size_t)-1;
	}
	reader->length += (size_t)received;
	if (reader->length > KEYD_ANSWER_MAX) {
		reader->error = EMSGSIZE;
		return (size_t)-1;
	}
	return (size_t)received;
}

static json_t *receive_answer(const char *control, int fd)
{
	struct answer_reader reader = {.fd = fd};
	CLEANUP_JSON json_t *answer = NULL;
	const char *refusal;
	json_error_t error;

	answer = json_load_callback(read_answer, &reader, JSON_REJECT_DUPLICATES, &error);
	if (reader.error) {
		log_error("podveil-keyd at '%s' did not answer: %s", control,
			  strerror(reader.error));
		return NULL;
	}
	if (!json_is_object(answer)) {
		log_error(
			"the answer of podveil-keyd at '%s' is not a JSON object: are both of the same version?",
			control);
		return NULL;
	}
	refusal = json_string_value(json_object_get(answer, "error"));
	if (refusal) {
		log_error("podveil-keyd: %s", refusal);
		return NULL;
	}
	return TAKE_PTR(answer);
}

json_t *client_request(const char *control, const json_t *request)
{
	CLEANUP_FREE char *line = json_dumps(request, JSON_COMPACT);
	CLEANUP_CLOSE int fd = client_open(control);
	int ret;

	if (fd < 0) {
		log_unreachable(control, -fd);
		return NULL;
	}
	ret = line ? send_all(fd, line, strlen(line)) : -ENOMEM;
	if (!ret)
		ret = send_all(fd, "\n", 1);
	if (ret) {
		log_unreachable(control, -ret);
		return NULL;
	}
	return receive_answer(control, fd);
}

json_t *client_ask(const char *control, const char *verb)
{
	CLEANUP_JSON json_t *request = json_pack("{s:s}", "verb", verb);

	return client_request(control, request);
}

bool client_is_daemon_running(const char *control)
{
	CLEANUP_CLOSE int fd = client_open(control);

	return fd >= 0;
}
