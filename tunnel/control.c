// SPDX-License-Identifier: Apache-2.0
/*
 * The control sockets. Clients are root's processes, but not trusted to be quick: the engine never
 * waits for them, and their input is bounded. Requests carry private keys: every buffer is wiped
 * right after use and never reallocated by copying. A client that breaks the rules is disconnected,
 * and the log names the rule.
 */
#include "control.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "log.h"
#include "uapi.h"

#define BACKLOG	       16
#define TEXT_FIRST_LEN 65536
#define TEXT_MAX       (64 * 1024 * 1024)

enum { LISTENER_KEYD, LISTENER_WIREGUARD };
#define EVENT_LISTENER 1000 /* above every client's number */

/* -- listening (the parent) -- */

static int connect_to(const struct sockaddr_un *address, int type)
{
	CLEANUP_CLOSE int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	return connect(fd, (const struct sockaddr *)address, sizeof(*address)) ? -errno : 0;
}

/* Frees the path, or logs why it is occupied. */
static bool clear_path(const struct sockaddr_un *address, int type)
{
	const char *path = address->sun_path;
	struct stat status;
	int error;

	if (lstat(path, &status))
		return true;
	if (!S_ISSOCK(status.st_mode)) {
		log_error("control socket '%s': the path exists and is not a socket", path);
		return false;
	}
	error = connect_to(address, type);
	if (error == -ECONNREFUSED && !unlink(path))
		return true;
	if (error == -ECONNREFUSED)
		log_error("control socket '%s': cannot remove the stale socket: %s", path,
			  strerror(errno));
	else
		log_error(
			"control socket '%s' is in use by a running process: stop it, or choose another path",
			path);
	return false;
}

static int bind_private(int fd, const struct sockaddr_un *address)
{
	mode_t before = umask(0177);
	int error = bind(fd, (const struct sockaddr *)address, sizeof(*address)) ? -errno : 0;

	umask(before);
	return error;
}

int control_listen(const char *path, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	CLEANUP_CLOSE int fd = -1;
	int error;

	if (!copy_text(address.sun_path, sizeof(address.sun_path), path)) {
		log_error("control socket '%s': expected a path of at most %zu bytes", path,
			  sizeof(address.sun_path) - 1);
		return -1;
	}
	if (!clear_path(&address, type))
		return -1;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	error = fd < 0 ? -errno : bind_private(fd, &address);
	if (!error && listen(fd, BACKLOG))
		error = -errno;
	if (error) {
		log_error("cannot listen on '%s': %s", path, strerror(-error));
		return -1;
	}
	return TAKE_FD(fd);
}

/* -- text -- */

static bool text_reserve(struct control_text *text, size_t free_len)
{
	size_t size = text->size ? text->size : TEXT_FIRST_LEN;
	void *bytes;

	while (size - text->len < free_len)
		size *= 2;
	if (size == text->size)
		return true;
	if (size > TEXT_MAX)
		return false;
	bytes = text->bytes ? mremap(text->bytes, text->size, size, MREMAP_MAYMOVE)
			    : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				   -1, 0);
	if (bytes == MAP_FAILED)
		return false;
	(void)madvise(bytes, size, MADV_DONTDUMP);
	text->bytes = bytes;
	text->size = size;
	return true;
}

static void text_clear(struct control_text *text)
{
	if (!text->bytes)
		return;
	sodium_memzero(text->bytes, text->len);
	munmap(text->bytes, text->size);
	*text = (struct control_text){0};
}

/* -- clients -- */

static void close_client(struct control_client *client)
{
	text_clear(&client->request);
	text_clear(&client->answer);
	fd_close(&client->fd);
}

static void refuse_client(struct control_client *client, const char *why)
{
	log_warning("control: disconnected a client: %s", why);
	close_client(client);
}

static bool is_roots(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) && peer.uid == 0;
}

static struct control_client *find_free(struct control *control)
{
	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i].fd < 0)
			return &control->clients[i];
	return NULL;
}

bool control_has_keyd(const struct control *control)
{
	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i].fd >= 0 && !control->clients[i].is_stream)
			return true;
	return false;
}

static int watch(int epoll, int operation, int fd, uint32_t events, uint64_t number)
{
	struct epoll_event event = {.events = events, .data.u64 = number};

	return epoll_ctl(epoll, operation, fd, &event) ? -errno : 0;
}

static void watch_client(struct control *control, struct control_client *client, int operation,
			 uint32_t events)
{
	if (watch(control->epoll, operation, client->fd, events,
		  (uint64_t)(client - control->clients)))
		close_client(client);
}

static void accept_client(struct control *control, unsigned int listener)
{
	CLEANUP_CLOSE int fd =
		accept4(control->listeners[listener], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct control_client *client = find_free(control);

	if (fd < 0)
		return;
	if (!is_roots(fd)) {
		log_warning("control: rejected a client that is not root");
		return;
	}
	if (!client) {
		log_warning("control: rejected a client: more than %d clients",
			    CONTROL_CLIENTS_MAX);
		return;
	}
	*client = (struct control_client){.fd = TAKE_FD(fd),
					  .is_stream = listener == LISTENER_WIREGUARD};
	watch_client(control, client, EPOLL_CTL_ADD, EPOLLIN);
}

/* -- keyd: one packet, one answer -- */

static size_t answer_packet(struct control *control, size_t len)
{
	struct control_header header;

	if (len <= CONTROL_PACKET_MAX)
		return manage_handle(control->tunnel, control->device, control->request, len,
				     control->answer);
	memcpy(&header, control->request, sizeof(header));
	header.error = -EMSGSIZE;
	memcpy(control->answer, &header, sizeof(header));
	return sizeof(header);
}

static void handle_packet(struct control *control, struct control_client *client)
{
	ssize_t len =
		recv(client->fd, control->request, CONTROL_PACKET_MAX, MSG_TRUNC | MSG_DONTWAIT);
	size_t answer_len;

	if (len < 0 && errno == EAGAIN)
		return;
	if (len <= 0) {
		close_client(client);
		return;
	}
	answer_len = answer_packet(control, (size_t)len);
	sodium_memzero(control->request, MIN((size_t)len, (size_t)CONTROL_PACKET_MAX));
	if (send(client->fd, control->answer, answer_len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		refuse_client(client, "it does not read its answers");
}

/* -- wg(8): text up to an empty line, then text back -- */

static void emit_answer(void *context, const char *text, size_t len)
{
	struct control_client *client = context;
	struct control_text *answer = &client->answer;

	if (client->is_answer_too_long || !text_reserve(answer, len)) {
		client->is_answer_too_long = true;
		return;
	}
	memcpy(answer->bytes + answer->len, text, len);
	answer->len += len;
}

static void send_answer(struct control *control, struct control_client *client)
{
	struct control_text *answer = &client->answer;

	while (client->answer_sent < answer->len) {
		ssize_t sent = send(client->fd, answer->bytes + client->answer_sent,
				    answer->len - client->answer_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EAGAIN) {
			watch_client(control, client, EPOLL_CTL_MOD, EPOLLOUT);
			return;
		}
		if (sent < 0) {
			close_client(client);
			return;
		}
		client->answer_sent += (size_t)sent;
	}
	text_clear(answer);
	client->answer_sent = 0;
}

/* Length of the first request including its last newline; 0 if it is not complete. */
static size_t find_request(const struct control_text *text, size_t looked_at)
{
	size_t from = looked_at ? looked_at - 1 : 0;
	const char *end = memmem(text->bytes + from, text->len - from, "\n\n", 2);

	return end ? (size_t)(end - text->bytes) + 1 : 0;
}

static void handle_request(struct control *control, struct control_client *client,
			   size_t request_len)
{
	struct control_text *request = &client->request;
	size_t used = request_len + 1;

	request->bytes[request_len] = '\0';
	uapi_handle(control->tunnel, control->device, request->bytes, emit_answer, client);
	sodium_memzero(request->bytes, used);
	if (client->is_answer_too_long) {
		refuse_client(client, "its answer is longer than 64 MiB");
		return;
	}
	memmove(request->bytes, request->bytes + used, request->len - used);
	request->len -= used;
	send_answer(control, client);
}

/* A pending answer holds back the next request. */
static void handle_requests(struct control *control, struct control_client *client,
			    size_t looked_at)
{
	size_t request_len;

	while (client->fd >= 0 && !client->answer.len && client->request.len) {
		request_len = find_request(&client->request, looked_at);
		if (!request_len)
			return;
		handle_request(control, client, request_len);
		looked_at = 0;
	}
	if (client->fd >= 0 && !client->request.len)
		text_clear(&client->request);
}

static void read_requests(struct control *control, struct control_client *client)
{
	struct control_text *request = &client->request;
	size_t looked_at = request->len;
	ssize_t len;

	if (!text_reserve(request, TEXT_FIRST_LEN / 2)) {
		refuse_client(client, "its request is longer than 64 MiB");
		return;
	}
	len = recv(client->fd, request->bytes + request->len, request->size - request->len,
		   MSG_DONTWAIT);
	if (len < 0 && errno == EAGAIN)
		return;
	if (len <= 0) {
		close_client(client);
		return;
	}
	request->len += (size_t)len;
	handle_requests(control, client, looked_at);
}

static void go_on_answering(struct control *control, struct control_client *client)
{
	send_answer(control, client);
	if (client->fd < 0 || client->answer.len)
		return;
	watch_client(control, client, EPOLL_CTL_MOD, EPOLLIN);
	handle_requests(control, client, 0);
}

static void handle_client(struct control *control, struct control_client *client)
{
	if (client->fd < 0)
		return; /* closed by an earlier event of this batch */
	if (!client->is_stream)
		handle_packet(control, client);
	else if (client->answer.len)
		go_on_answering(control, client);
	else
		read_requests(control, client);
}

/* -- the loop's side -- */

int control_init(struct control *control, int keyd_listener, int wireguard_listener,
		 struct tunnel *tunnel, const struct device_upcalls *device, uint8_t *request,
		 uint8_t *answer)
{
	*control = (struct control){.listeners = {keyd_listener, wireguard_listener},
				    .tunnel = tunnel,
				    .device = device,
				    .request = request,
				    .answer = answer};
	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		control->clients[i].fd = -1;
	control->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (control->epoll < 0)
		return -errno;
	for (unsigned int i = 0; i < ARRAY_SIZE(control->listeners); i++) {
		int error = watch(control->epoll, EPOLL_CTL_ADD, control->listeners[i], EPOLLIN,
				  EVENT_LISTENER + i);

		if (error)
			return error;
	}
	return 0;
}

void control_handle(struct control *control)
{
	struct epoll_event events[CONTROL_CLIENTS_MAX];
	int count = epoll_wait(control->epoll, events, ARRAY_SIZE(events), 0);

	for (int i = 0; i < count; i++) {
		uint64_t number = events[i].data.u64;

		if (number >= EVENT_LISTENER)
			accept_client(control, (unsigned int)(number - EVENT_LISTENER));
		else
			handle_client(control, &control->clients[number]);
	}
}

void control_clear(struct control *control)
{
	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		close_client(&control->clients[i]);
	fd_close(&control->epoll);
}
