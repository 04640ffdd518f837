// SPDX-License-Identifier: Apache-2.0
/*
 * libcurl's multi interface reports the descriptors and the time that it waits for. Both are
 * combined in one epoll descriptor, and all work happens in http_drive. http_start and http_cancel
 * only note the wish, so they may be called from anywhere, including callbacks. Never used: a
 * connection made under authorities other than the current ones.
 */
#include "http.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "host/clock.h"
#include "transfer.h"

#define TRANSFERS_MAX	 32
#define EVENTS_MAX	 32
#define IDLE_CONNECTIONS 4L

struct http {
	struct credentials *account;
	uint64_t generation; /* of the account under which the connections were made */
	bool is_refused;     /* the server answered 401 since the account was read */
	bool is_stale;	     /* the connections are of another generation, or from a lost address */
	bool has_moved;	     /* it is the lost address */
	CURLM *multi;
	int epoll_fd, timer_fd;
	uint64_t curl_due_ns; /* 0: libcurl waits for no time */
	struct transfer *transfers;
	int last_handle;
	struct http_counts counts;
};

/* -- the events that libcurl waits for -- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *socket_context)
{
	struct http *http = context;
	struct epoll_event event = {.data.fd = fd};

	(void)easy;
	(void)socket_context;
	if (what == CURL_POLL_REMOVE) {
		epoll_ctl(http->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	event.events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
		       (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
	if (epoll_ctl(http->epoll_fd, EPOLL_CTL_MOD, fd, &event) && errno == ENOENT)
		return epoll_ctl(http->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -1 : 0;
	return 0;
}

static int on_timer(CURLM *multi, long wait_ms, void *context)
{
	struct http *http = context;

	(void)multi;
	http->curl_due_ns = wait_ms < 0 ? 0 : boot_ns() + (uint64_t)wait_ms * NS_PER_MS;
	return 0;
}

/* The time at which http_drive must run even if no socket is ready; 0: never. */
static uint64_t next_due_ns(const struct http *http)
{
	uint64_t due_ns = http->curl_due_ns;

	for (const struct transfer *t = http->transfers; t; t = t->next) {
		uint64_t silent_ns = t->heard_ns + t->request.silence_s * NS_PER_S;

		if (t->state != TRANSFER_RUNNING || t->is_cancelled)
			return 1;
		if (t->request.silence_s && (!due_ns || silent_ns < due_ns))
			due_ns = silent_ns;
	}
	return http->is_stale ? 1 : due_ns;
}

static void arm_timer(struct http *http)
{
	uint64_t due_ns = next_due_ns(http);
	struct itimerspec when = {.it_value = {.tv_sec = (time_t)(due_ns / NS_PER_S),
					       .tv_nsec = (long)(due_ns % NS_PER_S)}};

	timerfd_settime(http->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static CURLM *new_multi(struct http *http)
{
	CURLM *multi = curl_multi_init();

	if (!multi)
		return NULL;
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(multi, CURLMOPT_TIMERDATA, http);
	curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS);
	return multi;
}

/* -- the end of a transfer -- */

static void stop(struct http *http, struct transfer *transfer)
{
	if (transfer->state == TRANSFER_RUNNING)
		curl_multi_remove_handle(http->multi, transfer->easy);
	transfer->state = TRANSFER_ENDED;
}

static void discard(struct http *http, struct transfer *transfer)
{
	http->counts.sent_bytes += transfer_sent_bytes(transfer);
	stop(http, transfer);
	transfer_free(transfer);
}

static void unlink_transfer(struct http *http, struct transfer *transfer)
{
	struct transfer **at = &http->transfers;

	while (*at != transfer)
		at = &(*at)->next;
	*at = transfer->next;
}

static void tell(struct http *http, const struct transfer *transfer)
{
	struct http_result result;

	transfer_judge(transfer, &result);
	if (result.error || (!http_is_success(result.status) && !transfer->request.is_anonymous))
		http->counts.failures++;
	if (result.status == 401 && !transfer->request.is_anonymous)
		http->is_refused = true;
	transfer->request.on_end(transfer->request.context, &result);
}

/* -- one turn -- */

static void handle_events(struct http *http)
{
	struct epoll_event events[EVENTS_MAX];
	int running, count = epoll_wait(http->epoll_fd, events, EVENTS_MAX, 0);

	for (int i = 0; i < count; i++) {
		uint32_t is = events[i].events;
		int what = (is & EPOLLIN ? CURL_CSELECT_IN : 0) |
			   (is & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
			   (is & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);

		if (events[i].data.fd != http->timer_fd)
			curl_multi_socket_action(http->multi, events[i].data.fd, what, &running);
	}
	if (http->curl_due_ns && boot_ns() >= http->curl_due_ns) {
		http->curl_due_ns = 0;
		curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
}

static void note_ended(struct http *http)
{
	struct transfer *transfer;
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left))) {
		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
		transfer->code = message->data.result;
		stop(http, transfer);
	}
}

static void end_silent(struct http *http)
{
	uint64_t now_ns = boot_ns();

	for (struct transfer *t = http->transfers; t; t = t->next) {
		if (t->state != TRANSFER_RUNNING || !t->request.silence_s ||
		    now_ns - t->heard_ns < t->request.silence_s * NS_PER_S)
			continue;
		transfer_fail(t, -ETIMEDOUT, "the server was silent for %u seconds",
			      t->request.silence_s);
		stop(http, t);
	}
}

/* Closes the connections made under other authorities or with another certificate. */
static void end_stale(struct http *http)
{
	CURLM *fresh = http->is_stale ? new_multi(http) : NULL;

	if (!fresh)
		return;
	for (struct transfer *t = http->transfers; t; t = t->next) {
		if (t->state != TRANSFER_RUNNING)
			continue;
		transfer_fail(t, -ECONNABORTED, "%s",
			      http->has_moved ? "this machine's addresses have changed"
					      : "the credentials on disk have changed");
		stop(http, t);
	}
	curl_multi_cleanup(http->multi);
	http->multi = fresh;
	http->curl_due_ns = 0;
	http->is_stale = http->has_moved = false;
}

static void forget_cancelled(struct http *http)
{
	struct transfer *next;

	for (struct transfer *t = http->transfers; t; t = next) {
		next = t->next;
		if (!t->is_cancelled)
			continue;
		unlink_transfer(http, t);
		discard(http, t);
	}
}

static struct transfer *find_ended(struct http *http)
{
	for (struct transfer *t = http->transfers; t; t = t->next)
		if (t->state == TRANSFER_ENDED && !t->is_cancelled)
			return t;
	return NULL;
}

/* Removes each transfer from the list before it calls on_end, because the owner may start or cancel
 * others there. */
static void tell_ended(struct http *http)
{
	struct transfer *transfer;

	while ((transfer = find_ended(http))) {
		unlink_transfer(http, transfer);
		tell(http, transfer);
		discard(http, transfer);
	}
}

/* Waits until stale connections are closed; otherwise libcurl would use them. */
static void start_queued(struct http *http)
{
	for (struct transfer *t = http->transfers; t && !http->is_stale; t = t->next) {
		if (t->state != TRANSFER_QUEUED || t->is_cancelled)
			continue;
		t->heard_ns = boot_ns();
		if (!curl_multi_add_handle(http->multi, t->easy)) {
			t->state = TRANSFER_RUNNING;
			continue;
		}
		transfer_fail(t, -ENOMEM, "%s", strerror(ENOMEM));
		stop(http, t);
	}
}

void http_drive(struct http *http)
{
	handle_events(http);
	note_ended(http);
	end_silent(http);
	end_stale(http);
	tell_ended(http);
	forget_cancelled(http);
	start_queued(http);
	arm_timer(http);
}

/* -- the callers' interface -- */

static unsigned int count_transfers(const struct http *http)
{
	unsigned int count = 0;

	for (const struct transfer *t = http->transfers; t; t = t->next)
		count += !t->is_cancelled;
	return count;
}

static const struct credentials_view *look_at_account(struct http *http)
{
	const struct credentials_view *view =
		credentials_refresh(http->account, boot_ns(), http->is_refused);

	http->is_refused = false;
	if (view->generation != http->generation)
		http->is_stale = true;
	http->generation = view->generation;
	return view;
}

void http_renew(struct http *http)
{
	http->is_stale = http->has_moved = true;
	arm_timer(http);
}

int http_start(struct http *http, const struct http_request *request)
{
	struct transfer *transfer;

	if (count_transfers(http) >= TRANSFERS_MAX)
		return -EAGAIN;
	transfer = transfer_new(request, look_at_account(http), &http->counts);
	if (!transfer)
		return -ENOMEM;
	http->last_handle = http->last_handle == INT_MAX ? 1 : http->last_handle + 1;
	transfer->handle = http->last_handle;
	transfer->next = http->transfers;
	http->transfers = transfer;
	http->counts.requests++;
	arm_timer(http);
	return transfer->handle;
}

void http_cancel(struct http *http, int handle)
{
	for (struct transfer *t = http->transfers; t; t = t->next)
		if (t->handle == handle)
			t->is_cancelled = true;
	arm_timer(http);
}

int http_fd(const struct http *http)
{
	return http->epoll_fd;
}

struct http_counts http_counts(const struct http *http)
{
	struct http_counts counts = http->counts;

	for (const struct transfer *t = http->transfers; t; t = t->next)
		counts.sent_bytes += transfer_sent_bytes(t);
	return counts;
}

/* SSLKEYLOGFILE would make libcurl write the sessions' keys to a file. */
int http_open(struct http **ret_http, struct credentials *account)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct http *http = calloc(1, sizeof(*http));
	int error;

	unsetenv("SSLKEYLOGFILE");
	if (!http || curl_global_init(CURL_GLOBAL_DEFAULT)) {
		free(http);
		return -ENOMEM;
	}
	http->account = account;
	http->generation = credentials_refresh(account, boot_ns(), false)->generation;
	http->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	http->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	event.data.fd = http->timer_fd;
	if (http->epoll_fd < 0 || http->timer_fd < 0 ||
	    epoll_ctl(http->epoll_fd, EPOLL_CTL_ADD, http->timer_fd, &event)) {
		error = -errno;
	} else {
		http->multi = new_multi(http);
		error = http->multi ? 0 : -ENOMEM;
	}
	if (error)
		http_close(http);
	else
		*ret_http = http;
	return error;
}

void http_close(struct http *http)
{
	if (!http)
		return;
	while (http->transfers) {
		struct transfer *transfer = http->transfers;

		http->transfers = transfer->next;
		discard(http, transfer);
	}
	curl_multi_cleanup(http->multi);
	fd_close(&http->timer_fd);
	fd_close(&http->epoll_fd);
	free(http);
	curl_global_cleanup();
}
