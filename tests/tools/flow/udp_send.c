/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends numbered datagrams. A number is lost only on the path: a datagram that the kernel refuses
 * is sent again under the same number.
 */
#include "flow.h"

#include <errno.h>
#include <netinet/udp.h>

#define TICK_NS	       (500 * 1000ULL)
#define END_SPACING_NS (40 * NS_PER_MS)

static void write_datagram(const struct udp_sender *sender, uint8_t *bytes, uint64_t sequence,
			   bool is_end)
{
	size_t size = is_end ? sizeof(struct head) : sender->settings->size;
	struct head head = {
		.run = sender->run,
		.sequence = sequence,
		.sent_ns = tool_clock_ns(CLOCK_REALTIME),
		.is_end = is_end,
		.size = (uint32_t)size,
	};

	memcpy(head.marker, sender->settings->marker, MARKER_LEN);
	memcpy(bytes, &head, sizeof(head));
	memcpy(bytes + sizeof(head), pattern_of(sequence), size - sizeof(head));
}

/* All or nothing; udp_send's socket option sets the segment size. */
static int send_joined(const struct udp_sender *sender, struct iovec *vectors, unsigned int count)
{
	struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count};

	return sendmsg(sender->fd, &message, 0) < 0 ? -1 : (int)count;
}

/* True if all were accepted. A refused datagram is retried under the same number: a number is lost
 * only on the path. */
static bool send_batch(struct udp_sender *sender, unsigned int count)
{
	struct mmsghdr messages[BATCH] = {0};
	struct iovec vectors[BATCH];
	int taken;

	for (unsigned int i = 0; i < count; i++) {
		uint8_t *buffer = sender->buffers + i * sender->settings->size;

		write_datagram(sender, buffer, sender->sent + i, false);
		vectors[i] = (struct iovec){buffer, sender->settings->size};
		messages[i].msg_hdr.msg_iov = &vectors[i];
		messages[i].msg_hdr.msg_iovlen = 1;
		messages[i].msg_hdr.msg_name = (void *)sender->to;
		messages[i].msg_hdr.msg_namelen = sender->to ? endpoint_len(sender->to) : 0;
	}
	taken = sender->settings->is_joined ? send_joined(sender, vectors, count)
					    : sendmmsg(sender->fd, messages, count, 0);
	if (taken > 0)
		sender->sent += (unsigned int)taken;
	else
		sender->errors++;
	return taken == (int)count;
}

void udp_send_due(struct udp_sender *sender, struct pace *pace, uint64_t total)
{
	uint64_t due = MIN(pace_due(pace), total - sender->sent), most = BATCH;
	bool goes_on = true;

	if (sender->settings->is_joined)
		most = MIN(most, DATAGRAM_MAX / sender->settings->size);
	while (due && goes_on) {
		unsigned int batch = (unsigned int)MIN(due, most);
		uint64_t before = sender->sent;

		goes_on = send_batch(sender, batch);
		due -= sender->sent - before;
	}
	pace->given = sender->sent;
}

/* An error reported here belongs to an earlier datagram: this one goes with the next try. */
void udp_send_end(struct udp_sender *sender, const struct pace *pace)
{
	uint8_t bytes[sizeof(struct head)];

	write_datagram(sender, bytes, sender->sent, true);
	memcpy(bytes + offsetof(struct head, sent_ns), &pace->held_ns, sizeof(pace->held_ns));
	if (sendto(sender->fd, bytes, sizeof(bytes), 0, sender->to ? &sender->to->any : NULL,
		   sender->to ? endpoint_len(sender->to) : 0) < 0)
		sender->errors++;
}

static void announce_end(struct udp_sender *sender, const struct pace *pace)
{
	for (int i = 0; i < END_DATAGRAMS; i++) {
		udp_send_end(sender, pace);
		tool_sleep_until(tool_now_ns() +
				 (is_stopping ? END_SPACING_NS / 10 : END_SPACING_NS));
	}
}

int udp_send(const struct settings *settings)
{
	struct udp_sender sender = {.settings = settings,
				    .fd = socket_open_sender(settings, SOCK_DGRAM)};
	uint64_t total = settings->count ? settings->count : settings->rate * settings->seconds;
	struct pace pace = {.start_ns = tool_now_ns(), .rate = settings->rate};
	uint64_t began = pace.start_ns,
		 deadline = began + (total * 3 / settings->rate + 2) * NS_PER_S;
	int segment = (int)settings->size;

	if (sender.fd < 0)
		return 1;
	if (connect(sender.fd, &settings->to[0].any, endpoint_len(&settings->to[0])) < 0) {
		log_error("cannot send: %s", strerror(errno));
		return 1;
	}
	if (settings->is_joined &&
	    setsockopt(sender.fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)) < 0) {
		log_error("cannot send joined datagrams: %s", strerror(errno));
		return 1;
	}
	socket_set_buffer(sender.fd, SO_SNDBUFFORCE, SO_SNDBUF);
	sender.run = tool_clock_ns(CLOCK_REALTIME) ^ (uint64_t)getpid() << 48;
	sender.buffers = calloc(BATCH, settings->size);
	if (!sender.buffers)
		return 1;
	while (sender.sent < total && !is_stopping && tool_now_ns() < deadline) {
		udp_send_due(&sender, &pace, total);
		tool_sleep_until(tool_now_ns() + TICK_NS);
	}
	printf("{\"sent\":%ju,\"errors\":%ju,\"seconds\":%.3f}\n", (uintmax_t)sender.sent,
	       (uintmax_t)sender.errors, ms_of(tool_now_ns() - began) / 1e3);
	fflush(stdout);
	announce_end(&sender, &pace);
	free(sender.buffers);
	close(sender.fd);
	return 0;
}
