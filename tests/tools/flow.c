/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traffic that can be accounted for: numbered UDP datagrams and a TCP stream, both with a marker and a pattern that the
 * receiver checks byte by byte. Each side prints one JSON line. What the receiver itself could not take
 * (receiver_overflow) is told apart from what was lost on the way, and the sender says at its end how much it sent, so
 * that also the last datagrams are missed when they do not come.
 *
 *   flow udp-recv --bind ADDR:PORT --marker HEX32 [--seconds N] [--idle MS] [--ready-file FILE]
 *   flow udp-send --to ADDR:PORT --marker HEX32 --rate PPS (--seconds N | --count N) [--size BYTES] [--bind ADDR]
 *                 [--joined]
 *   flow udp-mesh --bind ADDR:PORT --to ADDR:PORT... --marker HEX32 --rate PPS [--seconds N] [--size BYTES]
 *                 [--ready-file FILE] [--start-file FILE]
 *   flow tcp-recv --bind ADDR:PORT --marker HEX32 [--seconds N] [--ready-file FILE]
 *   flow tcp-send --to ADDR:PORT --marker HEX32 (--seconds N | --count BYTES) [--rate BYTES] [--bind ADDR]
 *
 * udp-mesh sends to each of several others and receives from each, through one socket, until its time is over or a
 * signal comes; it prints a line for each of them.
 */
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>

#include "address.h"
#include "marker.h"

#define DATAGRAM_MAX   65507
#define BATCH	       64
#define PATTERN_SHIFTS 4093
#define BUFFER_BYTES   (64 << 20)
#define SEQUENCE_MAX   (1ULL << 32) /* a bitmap of 512 MiB at most */
#define TICK_NS	       (500 * 1000ULL)
#define BACKLOG_NS     (20 * NS_PER_MS) /* older than this is not made up for in a burst, but later */
#define END_DATAGRAMS  20
#define END_SPACING_NS (40 * NS_PER_MS)
#define OTHERS_MAX     64 /* of a mesh */
#define MESH_TICK_NS   (2 * NS_PER_MS)
#define MESH_END_NS    (3 * NS_PER_S) /* the others end about then, too */
#define STREAM_BLOCK_BYTES \
	1024 /* with its marker: every segment of ordinary size carries one whole */
#define STREAM_CHUNK_BYTES (64 * STREAM_BLOCK_BYTES)

struct settings {
	union endpoint bind, to[OTHERS_MAX];
	unsigned int to_count;
	bool has_bind, has_marker, is_joined;
	uint8_t marker[MARKER_LEN];
	uint64_t rate, count;
	unsigned int seconds, idle_ms;
	size_t size;
	const char *ready_file, *start_file;
};

/* In front of every datagram; the pattern follows. Both ends are the same machine, so numbers lie as they do. */
struct head {
	uint8_t marker[MARKER_LEN];
	uint64_t run, sequence, sent_ns;
	uint32_t is_end; /* sequence is then the number of datagrams sent */
	uint32_t size;
};

static volatile sig_atomic_t is_stopping;

static void stop(int signal_number)
{
	(void)signal_number;
	is_stopping = 1;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static void sleep_until(uint64_t time_ns)
{
	struct timespec until = {.tv_sec = (time_t)(time_ns / NS_PER_S),
				 .tv_nsec = (long)(time_ns % NS_PER_S)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/* -- command line -- */

/* "10.0.0.1:80", "[fd00::1]:80", and where no port is needed also without. */
static bool parse_endpoint(union endpoint *ret_endpoint, const char *text, bool needs_port)
{
	bool has_bracket = text[0] == '[';
	char host[ENDPOINT_TEXT_LEN], *end, *digits = NULL;
	struct address address;
	unsigned long port = 0;

	if (!copy_text(host, sizeof(host), has_bracket ? text + 1 : text))
		return false;
	end = strchr(host, has_bracket ? ']' : ':');
	if (end && has_bracket) {
		digits = end[1] == ':' ? end + 2 : NULL;
		*end = '\0';
	} else if (end && end == strrchr(host, ':')) {
		digits = end + 1;
		*end = '\0';
	}
	if (digits)
		port = strtoul(digits, &end, 10);
	if (!address_parse(&address, host) || (digits && (*end || !port || port > UINT16_MAX)) ||
	    (needs_port && !digits))
		return false;
	*ret_endpoint = endpoint_of(&address, (uint16_t)port);
	return true;
}

static bool take_bind(void *settings, const char *value, char *error, size_t size)
{
	struct settings *s = settings;

	s->has_bind = true;
	return parse_endpoint(&s->bind, value, false) ||
	       flags_refuse(error, size, "expected ADDR:PORT, an IPv6 address in brackets");
}

static bool take_to(void *settings, const char *value, char *error, size_t size)
{
	struct settings *s = settings;

	if (s->to_count == OTHERS_MAX)
		return flags_refuse(error, size, "expected at most %d", OTHERS_MAX);
	return parse_endpoint(&s->to[s->to_count++], value, true) ||
	       flags_refuse(error, size, "expected ADDR:PORT, an IPv6 address in brackets");
}

static bool take_marker(void *settings, const char *value, char *error, size_t size)
{
	struct settings *s = settings;

	s->has_marker = marker_take(s->marker, value, error, size);
	return s->has_marker;
}

static bool take_number(const char *value, uint64_t least, uint64_t most, uint64_t *ret_number,
			char *error, size_t size)
{
	char *end;
	unsigned long long number = strtoull(value, &end, 10);

	if (value[0] < '0' || value[0] > '9' || *end || number < least || number > most)
		return flags_refuse(error, size, "expected %ju to %ju", (uintmax_t)least,
				    (uintmax_t)most);
	*ret_number = number;
	return true;
}

static bool take_rate(void *settings, const char *value, char *error, size_t size)
{
	return take_number(value, 1, 1ULL << 40, &((struct settings *)settings)->rate, error, size);
}

static bool take_count(void *settings, const char *value, char *error, size_t size)
{
	return take_number(value, 1, 1ULL << 50, &((struct settings *)settings)->count, error,
			   size);
}

static bool take_seconds(void *settings, const char *value, char *error, size_t size)
{
	uint64_t number;

	if (!take_number(value, 1, 86400, &number, error, size))
		return false;
	((struct settings *)settings)->seconds = (unsigned int)number;
	return true;
}

static bool take_idle(void *settings, const char *value, char *error, size_t size)
{
	uint64_t number;

	if (!take_number(value, 1, 86400000, &number, error, size))
		return false;
	((struct settings *)settings)->idle_ms = (unsigned int)number;
	return true;
}

static bool take_size(void *settings, const char *value, char *error, size_t size)
{
	uint64_t number;

	if (!take_number(value, sizeof(struct head), DATAGRAM_MAX, &number, error, size))
		return false;
	((struct settings *)settings)->size = number;
	return true;
}

static bool take_joined(void *settings, const char *value, char *error, size_t size)
{
	(void)value, (void)error, (void)size;
	((struct settings *)settings)->is_joined = true;
	return true;
}

static bool take_ready_file(void *settings, const char *value, char *error, size_t size)
{
	(void)error, (void)size;
	((struct settings *)settings)->ready_file = value;
	return true;
}

static bool take_start_file(void *settings, const char *value, char *error, size_t size)
{
	(void)error, (void)size;
	((struct settings *)settings)->start_file = value;
	return true;
}

static const struct flag flags[] = {
	{"to", "ADDR:PORT", "where to send; udp-mesh: each of the others", false, take_to},
	{"bind", "ADDR[:PORT]", "where to receive, or the source to send from", false, take_bind},
	{"marker", "HEX32", "16 bytes that every datagram or block carries", false, take_marker},
	{"rate", "N", "datagrams or (TCP) bytes per second; TCP without it: all it can", false,
	 take_rate},
	{"seconds", "N", "send for this time; receive at most for it (60)", false, take_seconds},
	{"count", "N", "datagrams or (TCP) bytes to send, instead of a time", false, take_count},
	{"size", "BYTES", "of a datagram (256)", false, take_size},
	{"joined", NULL, "udp-send: many in one send, which the kernel cuts apart (UDP_SEGMENT)",
	 false, take_joined},
	{"idle", "MS", "udp-recv: end when nothing came for this long, once something had", false,
	 take_idle},
	{"ready-file", "FILE", "made once the receiver receives", false, take_ready_file},
	{"start-file", "FILE", "udp-mesh: sends once it is there", false, take_start_file},
	{0},
};

/* -- common -- */

static uint8_t pattern[PATTERN_SHIFTS + DATAGRAM_MAX];

/* Any bytes, the same in every process (a linear congruential generator's upper ones). */
static void make_pattern(void)
{
	uint32_t state = 1;

	for (size_t i = 0; i < sizeof(pattern); i++) {
		state = state * 1664525 + 1013904223;
		pattern[i] = (uint8_t)(state >> 24);
	}
}

/* Each number has its own piece of it, so that bytes of one datagram are wrong in another. */
static const uint8_t *pattern_of(uint64_t sequence)
{
	return pattern + sequence * 131 % PATTERN_SHIFTS;
}

/* The forced size needs a capability; what we may have otherwise is the best we can do. */
static void set_buffer(int fd, int forced, int ordinary)
{
	int bytes = BUFFER_BYTES;

	if (setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, ordinary, &bytes, sizeof(bytes));
}

static int open_socket(int type, const union endpoint *bind_to)
{
	int on = 1, fd = socket(bind_to->any.sa_family, type | SOCK_CLOEXEC, 0);
	char text[ENDPOINT_TEXT_LEN];

	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    bind(fd, &bind_to->any, endpoint_len(bind_to)) == 0)
		return fd;
	log_error("cannot use %s: %s", endpoint_format(text, bind_to), strerror(errno));
	fd_close(&fd);
	return -1;
}

/* From --bind, or from wherever the kernel chooses. */
static int open_sender(const struct settings *settings, int type)
{
	union endpoint from = {.any.sa_family = settings->to[0].any.sa_family};

	return open_socket(type, settings->has_bind ? &settings->bind : &from);
}

static bool announce(const char *ready_file)
{
	int fd = ready_file ? open(ready_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644) : -1;

	if (ready_file && fd < 0) {
		log_error("cannot make '%s': %s", ready_file, strerror(errno));
		return false;
	}
	fd_close(&fd);
	return true;
}

static double ms_of(uint64_t ns)
{
	return (double)ns / 1e6;
}

/* Gives out what is due by now at an even rate. A backlog beyond BACKLOG_NS moves the schedule instead: a burst after a
 * pause of the sender would be lost in queues and prove nothing. */
struct pace {
	uint64_t start_ns, rate, given;
};

static uint64_t pace_due(struct pace *pace)
{
	uint64_t now = now_ns(), elapsed = now - pace->start_ns;
	uint64_t due = (uint64_t)((double)elapsed * (double)pace->rate / 1e9) + 1;
	uint64_t most = (uint64_t)((double)BACKLOG_NS * (double)pace->rate / 1e9) + BATCH;

	if (due <= pace->given)
		return 0;
	due -= pace->given;
	if (due > most) {
		pace->start_ns += (uint64_t)((double)(due - most) * 1e9 / (double)pace->rate);
		due = most;
	}
	return due;
}

/* -- UDP, sending -- */

struct udp_sender {
	const struct settings *settings;
	int fd;
	const union endpoint *to; /* NULL: the socket is connected */
	uint64_t run, sent, errors;
	uint8_t *buffers; /* BATCH of settings->size */
};

static void write_datagram(const struct udp_sender *sender, uint8_t *bytes, uint64_t sequence,
			   bool is_end)
{
	size_t size = is_end ? sizeof(struct head) : sender->settings->size;
	struct head head = {
		.run = sender->run,
		.sequence = sequence,
		.sent_ns = clock_ns(CLOCK_REALTIME),
		.is_end = is_end,
		.size = (uint32_t)size,
	};

	memcpy(head.marker, sender->settings->marker, MARKER_LEN);
	memcpy(bytes, &head, sizeof(head));
	memcpy(bytes + sizeof(head), pattern_of(sequence), size - sizeof(head));
}

/* All or nothing, as the socket option of udp_send says where to cut. */
static int send_joined(const struct udp_sender *sender, struct iovec *vectors, unsigned int count)
{
	struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count};

	return sendmsg(sender->fd, &message, 0) < 0 ? -1 : (int)count;
}

/* True where all were taken. What the kernel refuses is tried again under the same number: a number is lost only on
 * the way. */
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

static void send_due(struct udp_sender *sender, struct pace *pace, uint64_t total)
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

/* An error reported here is an earlier datagram's: this one goes with the next try. */
static void send_end(struct udp_sender *sender)
{
	uint8_t bytes[sizeof(struct head)];

	write_datagram(sender, bytes, sender->sent, true);
	if (sendto(sender->fd, bytes, sizeof(bytes), 0, sender->to ? &sender->to->any : NULL,
		   sender->to ? endpoint_len(sender->to) : 0) < 0)
		sender->errors++;
}

static void announce_end(struct udp_sender *sender)
{
	for (int i = 0; i < END_DATAGRAMS; i++) {
		send_end(sender);
		sleep_until(now_ns() + (is_stopping ? END_SPACING_NS / 10 : END_SPACING_NS));
	}
}

static int udp_send(const struct settings *settings)
{
	struct udp_sender sender = {.settings = settings, .fd = open_sender(settings, SOCK_DGRAM)};
	uint64_t total = settings->count ? settings->count : settings->rate * settings->seconds;
	struct pace pace = {.start_ns = now_ns(), .rate = settings->rate};
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
	set_buffer(sender.fd, SO_SNDBUFFORCE, SO_SNDBUF);
	sender.run = clock_ns(CLOCK_REALTIME) ^ (uint64_t)getpid() << 48;
	sender.buffers = calloc(BATCH, settings->size);
	if (!sender.buffers)
		return 1;
	while (sender.sent < total && !is_stopping && now_ns() < deadline) {
		send_due(&sender, &pace, total);
		sleep_until(now_ns() + TICK_NS);
	}
	printf("{\"sent\":%ju,\"errors\":%ju,\"seconds\":%.3f}\n", (uintmax_t)sender.sent,
	       (uintmax_t)sender.errors, ms_of(now_ns() - began) / 1e3);
	fflush(stdout);
	announce_end(&sender);
	free(sender.buffers);
	close(sender.fd);
	return 0;
}

/* -- UDP, receiving -- */

struct udp_receiver {
	const struct settings *settings;
	int fd;
	const union endpoint *from; /* NULL: anybody */
	uint64_t run, highest, announced;
	bool has_run, has_end;
	uint64_t received, duplicate, reordered, corrupt, foreign;
	uint64_t last_ns, longest_gap_ns, longest_delay_ns; /* by the kernel's time of arrival */
	uint8_t *seen;					    /* one bit for each number */
	size_t seen_bytes;
};

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
	return clock_ns(CLOCK_REALTIME);
}

static struct udp_receiver *find_receiver(struct udp_receiver *receivers, unsigned int count,
					  const union endpoint *from)
{
	for (unsigned int i = 0; i < count; i++)
		if (!receivers[i].from || endpoint_is_equal(receivers[i].from, from))
			return &receivers[i];
	return NULL;
}

/* Number of datagrams taken for whom of the `receivers` of one socket they are; 0: none there. */
static unsigned int receive_batch(struct udp_receiver *receivers, unsigned int receiver_count)
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

/* Ends when its time is over, at a signal, when the sender has announced its end and everything came or nothing more
 * does, or (--idle) when it grew silent. */
static void receive_until_end(struct udp_receiver *receiver)
{
	uint64_t deadline = now_ns() + receiver->settings->seconds * NS_PER_S, last = now_ns();
	uint64_t idle_ns = receiver->settings->idle_ms * NS_PER_MS, grace_ns = 300 * NS_PER_MS;

	while (!is_stopping && now_ns() < deadline) {
		struct pollfd fd = {.fd = receiver->fd, .events = POLLIN};
		uint64_t received = receiver->received, silent;

		poll(&fd, 1, 20);
		while (receive_batch(receiver, 1) == BATCH && now_ns() < deadline)
			;
		if (receiver->received != received)
			last = now_ns();
		silent = now_ns() - last;
		if (receiver->has_end &&
		    (receiver->received == receiver->announced || silent > grace_ns))
			return;
		if (idle_ns && receiver->received && silent > idle_ns)
			return;
	}
}

/* The socket's own count, which unlike SO_RXQ_OVFL needs no later datagram to tell. */
static uint64_t overflow_of(int fd)
{
	uint32_t information[SK_MEMINFO_VARS] = {0};
	socklen_t length = sizeof(information);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, information, &length) < 0)
		return 0;
	return information[SK_MEMINFO_DROPS];
}

static void print_received(const struct udp_receiver *receiver)
{
	uint64_t sent = receiver->has_end    ? receiver->announced
			: receiver->received ? receiver->highest + 1
					     : 0;

	char from[ENDPOINT_TEXT_LEN] = "anybody";

	if (receiver->from)
		endpoint_format(from, receiver->from);
	printf("{\"from\":\"%s\",\"received\":%ju,\"lost\":%ju,\"duplicate\":%ju,\"reordered\":%ju,\"corrupt\":%ju,\"foreign\":%ju,"
	       "\"receiver_overflow\":%ju,\"longest_gap_ms\":%.3f,\"longest_delay_ms\":%.3f,\"end_seen\":%s}\n",
	       from, (uintmax_t)receiver->received,
	       (uintmax_t)(sent > receiver->received ? sent - receiver->received : 0),
	       (uintmax_t)receiver->duplicate, (uintmax_t)receiver->reordered,
	       (uintmax_t)receiver->corrupt, (uintmax_t)receiver->foreign,
	       (uintmax_t)overflow_of(receiver->fd), ms_of(receiver->longest_gap_ns),
	       ms_of(receiver->longest_delay_ns), receiver->has_end ? "true" : "false");
}

static int udp_recv(const struct settings *settings)
{
	struct udp_receiver receiver = {.settings = settings,
					.fd = open_socket(SOCK_DGRAM, &settings->bind)};
	int on = 1;

	if (receiver.fd < 0)
		return 1;
	set_buffer(receiver.fd, SO_RCVBUFFORCE, SO_RCVBUF);
	setsockopt(receiver.fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	if (!announce(settings->ready_file))
		return 1;
	receive_until_end(&receiver);
	print_received(&receiver);
	free(receiver.seen);
	close(receiver.fd);
	return 0;
}

/* -- UDP, each with each -- */

struct mesh {
	const struct settings *settings;
	unsigned int count;
	struct pace paces[OTHERS_MAX];
	struct udp_sender senders[OTHERS_MAX];
	struct udp_receiver receivers[OTHERS_MAX];
};

static void mesh_receive(struct mesh *mesh)
{
	while (receive_batch(mesh->receivers, mesh->count) == BATCH)
		;
}

/* In turn, and not all in one tick. */
static void mesh_begin(struct mesh *mesh, uint8_t *buffers)
{
	uint64_t run = clock_ns(CLOCK_REALTIME) ^ (uint64_t)getpid() << 48, start = now_ns();

	for (unsigned int i = 0; i < mesh->count; i++) {
		mesh->senders[i].run = run;
		mesh->senders[i].buffers = buffers;
		mesh->paces[i] = (struct pace){
			.start_ns = start - NS_PER_S / mesh->settings->rate * i / mesh->count,
			.rate = mesh->settings->rate,
		};
	}
}

static void mesh_send(struct mesh *mesh, uint64_t deadline)
{
	while (!is_stopping && now_ns() < deadline) {
		for (unsigned int i = 0; i < mesh->count; i++)
			send_due(&mesh->senders[i], &mesh->paces[i], UINT64_MAX);
		mesh_receive(mesh);
		sleep_until(now_ns() + MESH_TICK_NS);
	}
}

static bool mesh_has_all(const struct mesh *mesh)
{
	for (unsigned int i = 0; i < mesh->count; i++)
		if (!mesh->receivers[i].has_end ||
		    mesh->receivers[i].received != mesh->receivers[i].announced)
			return false;
	return true;
}

static void mesh_end(struct mesh *mesh)
{
	uint64_t deadline = now_ns() + MESH_END_NS;

	for (unsigned int n = 0; n < END_DATAGRAMS || (!mesh_has_all(mesh) && now_ns() < deadline);
	     n++) {
		for (unsigned int i = 0; i < mesh->count && n < END_DATAGRAMS; i++)
			send_end(&mesh->senders[i]);
		sleep_until(now_ns() + END_SPACING_NS);
		mesh_receive(mesh);
	}
	for (unsigned int i = 0; i < mesh->count; i++)
		print_received(&mesh->receivers[i]);
}

static bool mesh_open(struct mesh *mesh, const struct settings *settings)
{
	int on = 1, fd = open_socket(SOCK_DGRAM, &settings->bind);

	if (fd < 0)
		return false;
	set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
	set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
	setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	mesh->settings = settings;
	mesh->count = settings->to_count;
	for (unsigned int i = 0; i < mesh->count; i++) {
		const union endpoint *other = &settings->to[i];

		mesh->senders[i] = (struct udp_sender){.settings = settings, .fd = fd, .to = other};
		mesh->receivers[i] =
			(struct udp_receiver){.settings = settings, .fd = fd, .from = other};
	}
	return announce(settings->ready_file);
}

static int udp_mesh(const struct settings *settings)
{
	static struct mesh mesh; /* too large for the stack */
	uint64_t deadline = now_ns() + settings->seconds * NS_PER_S;
	uint8_t *buffers = calloc(BATCH, settings->size);

	if (!buffers || !mesh_open(&mesh, settings))
		return 1;
	while (settings->start_file && access(settings->start_file, F_OK) && !is_stopping &&
	       now_ns() < deadline)
		sleep_until(now_ns() + MESH_TICK_NS);
	mesh_begin(&mesh, buffers);
	mesh_send(&mesh, deadline);
	mesh_end(&mesh);
	free(buffers);
	return 0;
}

/* -- TCP -- */

struct stream {
	const struct settings *settings;
	int fd;
	uint64_t bytes, corrupt, resets;
	uint64_t began_ns, last_ns, longest_gap_ns;
};

/* The stream is the same whoever asks: block n has the marker, n, and the pattern of n. */
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
	uint64_t now = now_ns();

	stream->longest_gap_ns = MAX(stream->longest_gap_ns, now - stream->last_ns);
	stream->last_ns = now;
	stream->bytes += bytes;
}

/* Waits at most until the deadline; false: then or at a signal. */
static bool wait_for(int fd, short events, uint64_t deadline)
{
	while (!is_stopping && now_ns() < deadline) {
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
		wait_for(stream->fd, POLLOUT, MIN(deadline, now_ns() + NS_PER_S));
		return true;
	}
	stream->resets++;
	log_error("sending: %s", strerror(errno));
	return false;
}

static void send_stream(struct stream *stream, uint64_t deadline)
{
	uint64_t total = stream->settings->count ? stream->settings->count : UINT64_MAX;
	struct pace pace = {.start_ns = now_ns(), .rate = stream->settings->rate};

	while (stream->bytes < total && !is_stopping && now_ns() < deadline) {
		uint64_t due = total - stream->bytes;

		pace.given = stream->bytes;
		if (pace.rate)
			due = MIN(due, pace_due(&pace));
		if (due && !send_some(stream, due, deadline))
			return;
		if (pace.rate)
			sleep_until(now_ns() + TICK_NS);
	}
}

/* What the receiver says it had, right: the end-to-end proof. */
static uint64_t receive_verdict(struct stream *stream)
{
	uint64_t verified = 0;

	shutdown(stream->fd, SHUT_WR);
	if (wait_for(stream->fd, POLLIN, now_ns() + 30 * NS_PER_S) &&
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

static int tcp_send(const struct settings *settings)
{
	struct stream stream = {.settings = settings,
				.fd = open_sender(settings, SOCK_STREAM | SOCK_NONBLOCK)};
	uint64_t limit = settings->count ? 3600 : settings->seconds;
	uint64_t deadline = now_ns() + limit * NS_PER_S;
	char more[64];

	if (stream.fd < 0 || !connect_stream(&stream, deadline))
		return 1;
	stream.began_ns = stream.last_ns = now_ns();
	send_stream(&stream, deadline);
	snprintf(more, sizeof(more), ",\"verified\":%ju", (uintmax_t)receive_verdict(&stream));
	print_stream(&stream, more);
	close(stream.fd);
	return 0;
}

/* Checks what came against the stream, from where it stands. */
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
		/* Never past the end of the chunk that check_stream has made. */
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
	stream->resets++; /* the sender never came to an end */
}

/* One connection: the first that comes. */
static int tcp_recv(const struct settings *settings)
{
	struct stream stream = {.settings = settings, .fd = -1};
	int listener = open_socket(SOCK_STREAM, &settings->bind);
	uint64_t deadline = now_ns() + settings->seconds * NS_PER_S;

	if (listener < 0)
		return 1;
	if (listen(listener, 1) < 0 || !announce(settings->ready_file)) {
		log_error("cannot listen: %s", strerror(errno));
		return 1;
	}
	if (wait_for(listener, POLLIN, deadline))
		stream.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	stream.began_ns = stream.last_ns = now_ns();
	if (stream.fd >= 0)
		receive_stream(&stream, deadline);
	print_stream(&stream, "");
	fd_close(&stream.fd);
	close(listener);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(const struct settings *settings);
	bool sends, receives, needs_rate;
} modes[] = {
	{"udp-send", udp_send, true, false, true},  {"udp-recv", udp_recv, false, true, false},
	{"udp-mesh", udp_mesh, true, true, true},   {"tcp-send", tcp_send, true, false, false},
	{"tcp-recv", tcp_recv, false, true, false},
};

static int refuse(const char *what)
{
	log_error("%s", what);
	return 2;
}

static int run_mode(unsigned int mode, const struct settings *settings)
{
	if (!settings->has_marker)
		return refuse("--marker is missing: expected 32 hexadecimal digits");
	if (modes[mode].sends && !settings->to_count)
		return refuse("--to is missing: expected ADDR:PORT");
	if (modes[mode].receives && (!settings->has_bind || !endpoint_port(&settings->bind)))
		return refuse("--bind is missing: expected ADDR:PORT");
	if (modes[mode].needs_rate && !settings->rate)
		return refuse("--rate is missing: expected datagrams per second");
	if (modes[mode].sends && settings->has_bind &&
	    settings->bind.any.sa_family != settings->to[0].any.sa_family)
		return refuse("--bind and --to are of different families");
	return modes[mode].run(settings);
}

int main(int argc, char **argv)
{
	static const char usage[] =
		"flow udp-send|udp-recv|udp-mesh|tcp-send|tcp-recv: traffic that can be accounted for";
	struct settings settings = {.seconds = 60, .size = 256};
	struct sigaction action = {.sa_handler = stop};
	enum flags_outcome outcome;
	unsigned int mode = 0;

	log_settings.program = "flow";
	make_pattern();
	while (argc > 1 && mode < ARRAY_SIZE(modes) && strcmp(argv[1], modes[mode].name))
		mode++;
	if (argc > 1 && mode < ARRAY_SIZE(modes)) {
		argc--;
		argv++;
	} else if (argc < 2 || strncmp(argv[1], "--", 2)) {
		return refuse(
			"expected udp-send, udp-recv, udp-mesh, tcp-send or tcp-recv first (see --help)");
	}
	outcome = flags_parse(flags, usage, &settings, argc, argv, NULL);
	if (outcome != FLAGS_RUN)
		return outcome == FLAGS_DONE ? 0 : 2;
	if (mode == ARRAY_SIZE(modes))
		return refuse(
			"expected udp-send, udp-recv, udp-mesh, tcp-send or tcp-recv first (see --help)");
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	return run_mode(mode, &settings);
}
