/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One TCP connection with bytes that the receiver knows in advance.
 */
#include "flow.h"

#include <errno.h>
#include <poll.h>

#define STREAM_BLOCK_BYTES \
	1024 /* with its marker: every segment of ordinary size carries one whole */
#define STREAM_CHUNK_BYTES (64 * STREAM_BLOCK_BYTES)
#define STREAM_TICK_NS	   (500 * 1000ULL)

struct stream {
	const struct settings *settings;
	int fd;
	uint64_t bytes, corrupt, resets;
	uint64_t began_ns, last_ns, longest_gap_ns;
};

/* The stream is the same in every process: block n has the marker, n, and the pattern of n. */
static void write_blocks(const struct settings *settings, uint8_t *bytes, uint64_t first)
{
	for (uint64_t n = first; n < first + STREAM_CHUNK_BYTES / STREAM_BLOCK_BYTES; n++) {
		memcpy(bytes, settings->marker, MARKER_LEN);
		memcpy(bytes + MARKER_LEN, &n, sizeof(n));
		memcpy(bytes + MARKER_LEN + sizeof(n), pattern_of(n),
		       STREAM_BLOCK_BYTES - MARKER_LEN - sizeof(n));
		bytes += STREAM_BLOCK_BYTES;
	}
}

static void note_progress(struct stream *stream, uint64_t bytes)
{
	uint64_t now = tool_now_ns();

	stream->longest_gap_ns = MAX(stream->longest_gap_ns, now - stream->last_ns);
	stream->last_ns = now;
	stream->bytes += bytes;
}

/* Waits until the deadline at most; false then, or at a signal. */
static bool wait_for(int fd, short events, uint64_t deadline)
{
	while (!is_stopping && tool_now_ns() < deadline) {
		struct pollfd pollfd = {.fd = fd, .events = events};

		if (poll(&pollfd, 1, 50) > 0)
			return true;
	}
	return false;
}

static bool connect_stream(struct stream *stream, uint64_t deadline)
{
	const union endpoint *to = &stream->settings->to[0];
	int error = 0;
	socklen_t length = sizeof(error);

	if (connect(stream->fd, &to->any, endpoint_len(to)) == 0)
		return true;
	if (errno == EINPROGRESS) {
		error = ETIMEDOUT;
		if (wait_for(stream->fd, POLLOUT, deadline) &&
		    getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && !error)
			return true;
		errno = error;
	}
	log_error("cannot connect: %s", strerror(errno));
	return false;
}

/* Sends part of the stream that is due; false: the connection is gone. */
static bool send_some(struct stream *stream, uint64_t most, uint64_t deadline)
{
	static uint8_t chunk[STREAM_CHUNK_BYTES];
	size_t at = stream->bytes % STREAM_CHUNK_BYTES;
	ssize_t taken;

	if (!at)
		write_blocks(stream->settings, chunk, stream->bytes / STREAM_BLOCK_BYTES);
	taken = send(stream->fd, chunk + at, MIN(most, STREAM_CHUNK_BYTES - at), MSG_NOSIGNAL);
	if (taken >= 0) {
		note_progress(stream, (uint64_t)taken);
		return true;
	}
	if (errno == EAGAIN || errno == EINTR) {
		wait_for(stream->fd, POLLOUT, MIN(deadline, tool_now_ns() + NS_PER_S));
		return true;
	}
	stream->resets++;
	log_error("sending: %s", strerror(errno));
	return false;
}

static void send_stream(struct stream *stream, uint64_t deadline)
{
	uint64_t total = stream->settings->count ? stream->settings->count : UINT64_MAX;
	struct pace pace = {.start_ns = tool_now_ns(), .rate = stream->settings->rate};

	while (stream->bytes < total && !is_stopping && tool_now_ns() < deadline) {
		uint64_t due = total - stream->bytes;

		pace.given = stream->bytes;
		if (pace.rate)
			due = MIN(due, pace_due(&pace));
		if (due && !send_some(stream, due, deadline))
			return;
		if (pace.rate)
			tool_sleep_until(tool_now_ns() + STREAM_TICK_NS);
	}
}

/* The number of bytes that the receiver confirms as correct: the end-to-end proof. */
static uint64_t receive_verdict(struct stream *stream)
{
	uint64_t verified = 0;

	shutdown(stream->fd, SHUT_WR);
	if (wait_for(stream->fd, POLLIN, tool_now_ns() + 30 * NS_PER_S) &&
	    recv(stream->fd, &verified, sizeof(verified), 0) == sizeof(verified))
		return verified;
	stream->resets++;
	return 0;
}

static void print_stream(const struct stream *stream, const char *more)
{
	double seconds = (double)(stream->last_ns - stream->began_ns) / 1e9;

	printf("{\"bytes\":%ju,\"seconds\":%.3f,\"mbits\":%.1f,\"longest_gap_ms\":%.3f,\"resets\":%ju,\"corrupt\":%ju%s}\n",
	       (uintmax_t)stream->bytes, seconds,
	       seconds > 0 ? (double)stream->bytes * 8 / seconds / 1e6 : 0,
	       ms_of(stream->longest_gap_ns), (uintmax_t)stream->resets, (uintmax_t)stream->corrupt,
	       more);
}

int tcp_send(const struct settings *settings)
{
	struct stream stream = {.settings = settings,
				.fd = socket_open_sender(settings, SOCK_STREAM | SOCK_NONBLOCK)};
	uint64_t limit = settings->count ? 3600 : settings->seconds;
	uint64_t deadline = tool_now_ns() + limit * NS_PER_S;
	char more[64];

	if (stream.fd < 0 || !connect_stream(&stream, deadline))
		return 1;
	stream.began_ns = stream.last_ns = tool_now_ns();
	send_stream(&stream, deadline);
	snprintf(more, sizeof(more), ",\"verified\":%ju", (uintmax_t)receive_verdict(&stream));
	print_stream(&stream, more);
	close(stream.fd);
	return 0;
}

/* Compares the received bytes with the stream, from its current offset. */
static void check_stream(struct stream *stream, const uint8_t *bytes, size_t len)
{
	static uint8_t expected[STREAM_CHUNK_BYTES];
	size_t at = stream->bytes % STREAM_CHUNK_BYTES;

	if (!at)
		write_blocks(stream->settings, expected, stream->bytes / STREAM_BLOCK_BYTES);
	if (memcmp(bytes, expected + at, len))
		for (size_t i = 0; i < len; i++)
			stream->corrupt += bytes[i] != expected[at + i];
	note_progress(stream, len);
}

static void receive_stream(struct stream *stream, uint64_t deadline)
{
	static uint8_t bytes[STREAM_CHUNK_BYTES];

	while (wait_for(stream->fd, POLLIN, deadline)) {
		/* Never beyond the end of the chunk that check_stream has generated. */
		size_t most = sizeof(bytes) - stream->bytes % sizeof(bytes);
		ssize_t len = recv(stream->fd, bytes, most, 0);
		uint64_t verified = stream->bytes - stream->corrupt;

		if (len > 0) {
			check_stream(stream, bytes, (size_t)len);
			continue;
		}
		if (len < 0 ||
		    send(stream->fd, &verified, sizeof(verified), MSG_NOSIGNAL) != sizeof(verified))
			stream->resets++;
		return;
	}
	stream->resets++; /* the sender never finished */
}

/* Serves one connection: the first. */
int tcp_recv(const struct settings *settings)
{
	struct stream stream = {.settings = settings, .fd = -1};
	int listener = socket_open(SOCK_STREAM, &settings->bind);
	uint64_t deadline = tool_now_ns() + settings->seconds * NS_PER_S;

	if (listener < 0)
		return 1;
	if (listen(listener, 1) < 0 || !tool_announce(settings->ready_file)) {
		log_error("cannot listen: %s", strerror(errno));
		return 1;
	}
	if (wait_for(listener, POLLIN, deadline))
		stream.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	stream.began_ns = stream.last_ns = tool_now_ns();
	if (stream.fd >= 0)
		receive_stream(&stream, deadline);
	print_stream(&stream, "");
	fd_close(&stream.fd);
	close(listener);
	return 0;
}
