/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receives numbered datagrams: marks each number once, and compares each byte.
 */
#include "flow.h"

#include <linux/sock_diag.h>
#include <poll.h>

#define SEQUENCE_MAX (1ULL << 32) /* a bitmap of 512 MiB at most */

static bool grow_seen(struct udp_receiver *receiver, uint64_t sequence)
{
	size_t wanted = receiver->seen_bytes ? receiver->seen_bytes : 1 << 16;
	uint8_t *bytes;

	if (sequence / 8 < receiver->seen_bytes)
		return true;
	while (wanted <= sequence / 8)
		wanted *= 2;
	bytes = realloc(receiver->seen, wanted);
	if (!bytes)
		return false;
	memset(bytes + receiver->seen_bytes, 0, wanted - receiver->seen_bytes);
	receiver->seen = bytes;
	receiver->seen_bytes = wanted;
	return true;
}

static void take_number_of(struct udp_receiver *receiver, const struct head *head,
			   uint64_t arrived_ns)
{
	uint8_t bit = (uint8_t)(1U << head->sequence % 8);
	uint64_t delay = arrived_ns > head->sent_ns ? arrived_ns - head->sent_ns : 0;

	if (receiver->last_ns && arrived_ns > receiver->last_ns)
		receiver->longest_gap_ns =
			MAX(receiver->longest_gap_ns, arrived_ns - receiver->last_ns);
	receiver->last_ns = MAX(receiver->last_ns, arrived_ns);
	receiver->longest_delay_ns = MAX(receiver->longest_delay_ns, delay);
	if (receiver->seen[head->sequence / 8] & bit) {
		receiver->duplicate++;
		return;
	}
	receiver->seen[head->sequence / 8] |= bit;
	receiver->reordered += receiver->received && head->sequence < receiver->highest;
	receiver->highest = MAX(receiver->highest, head->sequence);
	receiver->received++;
}

static void take_datagram(struct udp_receiver *receiver, const uint8_t *bytes, size_t len,
			  uint64_t arrived_ns)
{
	struct head head;

	if (len < sizeof(head)) {
		receiver->corrupt++;
		return;
	}
	memcpy(&head, bytes, sizeof(head));
	if (memcmp(head.marker, receiver->settings->marker, MARKER_LEN) || head.size != len ||
	    head.sequence >= SEQUENCE_MAX ||
	    memcmp(bytes + sizeof(head), pattern_of(head.sequence), len - sizeof(head)) ||
	    !grow_seen(receiver, head.sequence)) {
		receiver->corrupt++;
		return;
	}
	if (!receiver->has_run) {
		receiver->run = head.run;
		receiver->has_run = true;
	}
	if (head.run != receiver->run) {
		receiver->foreign++;
		return;
	}
	if (!head.is_end) {
		take_number_of(receiver, &head, arrived_ns);
		return;
	}
	receiver->has_end = true;
	receiver->announced = head.sequence;
	receiver->held_ns = head.sent_ns;
}

static uint64_t arrival_ns(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		struct timespec time;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&time, CMSG_DATA(c), sizeof(time));
		return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
	}
	return tool_clock_ns(CLOCK_REALTIME);
}

static struct udp_receiver *find_receiver(struct udp_receiver *receivers, unsigned int count,
					  const union endpoint *from)
{
	for (unsigned int i = 0; i < count; i++)
		if (!receivers[i].from || endpoint_is_equal(receivers[i].from, from))
			return &receivers[i];
	return NULL;
}

/* The number of datagrams read and assigned to the `receivers` of one socket; 0: none were
 * waiting. */
unsigned int udp_receive_batch(struct udp_receiver *receivers, unsigned int receiver_count)
{
	static union endpoint sources[BATCH];
	static uint8_t buffers[BATCH][DATAGRAM_MAX + 1];
	static char controls[BATCH][CMSG_SPACE(sizeof(struct timespec))];
	struct mmsghdr messages[BATCH] = {0};
	struct iovec vectors[BATCH];
	int count;

	for (unsigned int i = 0; i < BATCH; i++) {
		vectors[i] = (struct iovec){buffers[i], sizeof(buffers[i])};
		messages[i].msg_hdr.msg_iov = &vectors[i];
		messages[i].msg_hdr.msg_iovlen = 1;
		messages[i].msg_hdr.msg_name = &sources[i];
		messages[i].msg_hdr.msg_namelen = sizeof(sources[i]);
		messages[i].msg_hdr.msg_control = controls[i];
		messages[i].msg_hdr.msg_controllen = sizeof(controls[i]);
	}
	count = recvmmsg(receivers->fd, messages, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < count; i++) {
		struct udp_receiver *receiver =
			find_receiver(receivers, receiver_count, &sources[i]);

		if (receiver)
			take_datagram(receiver, buffers[i], messages[i].msg_len,
				      arrival_ns(&messages[i].msg_hdr));
	}
	return count > 0 ? (unsigned int)count : 0;
}

/* Stops when its time is over, at a signal, when the sender has announced its end and all datagrams
 * arrived or no more do, or (--idle) when the sender fell silent. */
static void receive_until_end(struct udp_receiver *receiver)
{
	uint64_t deadline = tool_now_ns() + receiver->settings->seconds * NS_PER_S,
		 last = tool_now_ns();
	uint64_t idle_ns = receiver->settings->idle_ms * NS_PER_MS, grace_ns = 300 * NS_PER_MS;

	while (!is_stopping && tool_now_ns() < deadline) {
		struct pollfd fd = {.fd = receiver->fd, .events = POLLIN};
		uint64_t received = receiver->received, silent;

		poll(&fd, 1, 20);
		while (udp_receive_batch(receiver, 1) == BATCH && tool_now_ns() < deadline)
			;
		if (receiver->received != received)
			last = tool_now_ns();
		silent = tool_now_ns() - last;
		if (receiver->has_end &&
		    (receiver->received == receiver->announced || silent > grace_ns))
			return;
		if (idle_ns && receiver->received && silent > idle_ns)
			return;
	}
}

/* The socket's own counter. Unlike SO_RXQ_OVFL it needs no later datagram to report it. */
static uint64_t overflow_of(int fd)
{
	uint32_t information[SK_MEMINFO_VARS] = {0};
	socklen_t length = sizeof(information);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, information, &length) < 0)
		return 0;
	return information[SK_MEMINFO_DROPS];
}

void udp_print_received(const struct udp_receiver *receiver)
{
	uint64_t sent = receiver->has_end    ? receiver->announced
			: receiver->received ? receiver->highest + 1
					     : 0;

	char from[ENDPOINT_TEXT_LEN] = "anybody";

	if (receiver->from)
		endpoint_format(from, receiver->from);
	printf("{\"from\":\"%s\",\"received\":%ju,\"lost\":%ju,\"duplicate\":%ju,\"reordered\":%ju,\"corrupt\":%ju,\"foreign\":%ju,"
	       "\"receiver_overflow\":%ju,\"sender_held_ms\":%.3f,\"longest_gap_ms\":%.3f,\"longest_delay_ms\":%.3f,\"end_seen\":%s}\n",
	       from, (uintmax_t)receiver->received,
	       (uintmax_t)(sent > receiver->received ? sent - receiver->received : 0),
	       (uintmax_t)receiver->duplicate, (uintmax_t)receiver->reordered,
	       (uintmax_t)receiver->corrupt, (uintmax_t)receiver->foreign,
	       (uintmax_t)overflow_of(receiver->fd), ms_of(receiver->held_ns),
	       ms_of(receiver->longest_gap_ns), ms_of(receiver->longest_delay_ns),
	       receiver->has_end ? "true" : "false");
}

int udp_recv(const struct settings *settings)
{
	struct udp_receiver receiver = {.settings = settings,
					.fd = socket_open(SOCK_DGRAM, &settings->bind)};
	int on = 1;

	if (receiver.fd < 0)
		return 1;
	socket_set_buffer(receiver.fd, SO_RCVBUFFORCE, SO_RCVBUF);
	setsockopt(receiver.fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	if (!tool_announce(settings->ready_file))
		return 1;
	receive_until_end(&receiver);
	udp_print_received(&receiver);
	free(receiver.seen);
	close(receiver.fd);
	return 0;
}
