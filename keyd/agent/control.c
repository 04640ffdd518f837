// SPDX-License-Identifier: Apache-2.0
/*
 * One request, one answer, then the connection is closed. Sockets do not block, requests are short,
 * and a client that is slow in either direction is disconnected.
 */
#include "control.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "keyd_control.h"
#include "log.h"

#define CLIENT_TIMEOUT_NS (30 * NS_PER_S)

static void client_close(struct control_client *client)
{
	fd_close(&client->fd);
	free(client->request);
	free(client->answer);
	*client = (struct control_client){.fd = -1};
}

void control_init(struct control *control)
{
	*control = (struct control){.fd = -1};
	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		control->clients[i].fd = -1;
}

static int bind_private(int fd, const struct sockaddr_un *address)
{
	mode_t before = umask(0177);
	int error = bind(fd, (const struct sockaddr *)address, sizeof(*address)) ? -errno : 0;

	umask(before);
	return error;
}

int control_open(struct control *control, const char *path, control_answer *answer, void *context)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct stat status;
	int error = fd < 0 ? -errno : 0;

	control->answer = answer;
	control->context = context;
	if (!copy_text(address.sun_path, sizeof(address.sun_path), path))
		error = -ENAMETOOLONG;
	if (!error && !lstat(path, &status) && S_ISSOCK(status.st_mode))
		unlink(path);
	if (!error)
		error = bind_private(fd, &address);
	if (!error && listen(fd, CONTROL_CLIENTS_MAX))
		error = -errno;
	if (error) {
		log_error("--control: cannot listen on '%s': %s", path, strerror(-error));
		return error;
	}
	control->fd = TAKE_FD(fd);
	return 0;
}

void control_close(struct control *control)
{
	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		client_close(&control->clients[i]);
	fd_close(&control->fd);
}

static void accept_client(struct control *control, uint64_t now_ns)
{
	CLEANUP_CLOSE int fd = accept4(control->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	for (unsigned int i = 0; fd >= 0 && i < CONTROL_CLIENTS_MAX; i++) {
		struct control_client *client = &control->clients[i];

		if (client->fd >= 0)
			continue;
		client->request = malloc(KEYD_REQUEST_MAX);
		if (!client->request)
			return;
		client->deadline_ns = now_ns + CLIENT_TIMEOUT_NS;
		client->fd = TAKE_FD(fd);
	}
}

/* The length of the request; 0: it is not complete yet. */
static size_t request_len(const struct control_client *client, bool is_over)
{
	const char *end = memchr(client->request, '\n', client->request_len);

	return end ? (size_t)(end - client->request) : is_over ? client->request_len : 0;
}

static void client_read(struct control *control, struct control_client *client)
{
	ssize_t got = recv(client->fd, client->request + client->request_len,
			   KEYD_REQUEST_MAX - client->request_len, 0);
	size_t len;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	client->request_len += got > 0 ? (size_t)got : 0;
	len = request_len(client, got <= 0 || client->request_len == KEYD_REQUEST_MAX);
	if (len)
		client->answer = control->answer(control->context, client->request, len);
	if (client->answer)
		client->answer_len = strlen(client->answer);
	else if (len || got <= 0)
		client_close(client);
}

static void client_write(struct control_client *client)
{
	ssize_t sent = send(client->fd, client->answer + client->sent,
			    client->answer_len - client->sent, MSG_NOSIGNAL);

	if (sent < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	client->sent += sent > 0 ? (size_t)sent : 0;
	if (sent < 0 || client->sent == client->answer_len)
		client_close(client);
}

void control_prepare(const struct control *control, struct pollfd fds[static CONTROL_FDS])
{
	fds[CONTROL_CLIENTS_MAX] = (struct pollfd){.fd = control->fd, .events = POLLIN};
	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		const struct control_client *client = &control->clients[i];

		fds[i] = (struct pollfd){.fd = client->fd,
					 .events = client->answer ? POLLOUT : POLLIN};
	}
}

void control_serve(struct control *control, const struct pollfd fds[static CONTROL_FDS],
		   uint64_t now_ns)
{
	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct control_client *client = &control->clients[i];

		if (client->fd < 0)
			continue;
		if (now_ns > client->deadline_ns)
			client_close(client);
		else if (fds[i].revents && client->answer)
			client_write(client);
		else if (fds[i].revents)
			client_read(control, client);
	}
	if (fds[CONTROL_CLIENTS_MAX].revents)
		accept_client(control, now_ns);
}
