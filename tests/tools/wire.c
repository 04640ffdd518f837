// SPDX-License-Identifier: Apache-2.0
/*
 * A long cable between two devices: forwards frames from each to the other after --delay, and up to
 * --jitter later, so that frames overtake each other. Frames wait in a queue ordered by due time; a
 * frame that finds it full is lost and counted. Exits at SIGTERM and prints one JSON line: the
 * numbers of forwarded, missed and overtaken frames.
 *
 *   wire --between DEVICE --and DEVICE --delay MS [--jitter MS] [--ready-file FILE]
 *
 * Forwards frames unchanged: the senders' devices must complete checksums and segment super-packets
 * themselves.
 */
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sodium.h>

#include "address.h"
#include "common/tool.h"
#include "common/value.h"

#ifndef PACKET_IGNORE_OUTGOING /* Linux 4.20 */
#define PACKET_IGNORE_OUTGOING 23
#endif

#define FRAME_MAX    2048
#define FRAMES_MAX   32768U
#define ENDS	     2
#define BATCH	     64
#define BUFFER_BYTES (64 << 20)
#define MS_MAX	     10000U

struct settings {
	const char *device[ENDS];
	uint64_t delay_ns, jitter_ns;
	const char *ready_file;
};

struct frame {
	uint64_t due_ns, number; /* order of arrival, for frames that are due at once */
	uint32_t len;
	uint8_t to;
	uint8_t bytes[FRAME_MAX];
};

/* A heap of frame slots, ordered by due time; the free slots are beyond `used`. */
struct wire {
	const struct settings *settings;
	int fds[ENDS];
	struct frame *frames;
	uint32_t heap[FRAMES_MAX], used;
	uint64_t came, last_sent[ENDS], forwarded, overtaken, refused, full, too_long;
};

/* -- command line -- */

static bool take_between(void *settings, const char *value, char *error, size_t size)
{
	(void)error, (void)size;
	((struct settings *)settings)->device[0] = value;
	return true;
}

static bool take_and(void *settings, const char *value, char *error, size_t size)
{
	(void)error, (void)size;
	((struct settings *)settings)->device[1] = value;
	return true;
}

static bool take_ms(uint64_t *ret_ns, const char *value, char *error, size_t size)
{
	uint64_t ms;

	if (!value_take_number(value, 0, MS_MAX, &ms, error, size))
		return false;
	*ret_ns = ms * NS_PER_MS;
	return true;
}

static bool take_delay(void *settings, const char *value, char *error, size_t size)
{
	return take_ms(&((struct settings *)settings)->delay_ns, value, error, size);
}

static bool take_jitter(void *settings, const char *value, char *error, size_t size)
{
	return take_ms(&((struct settings *)settings)->jitter_ns, value, error, size);
}

static bool take_ready_file(void *settings, const char *value, char *error, size_t size)
{
	(void)error, (void)size;
	((struct settings *)settings)->ready_file = value;
	return true;
}

static const struct flag flags[] = {
	{"between", "DEVICE", "one end", false, take_between},
	{"and", "DEVICE", "the other", false, take_and},
	{"delay", "MS", "of every frame", false, take_delay},
	{"jitter", "MS", "at most so much more", false, take_jitter},
	{"ready-file", "FILE", "created once frames are forwarded", false, take_ready_file},
	{0},
};

/* -- the queue -- */

static bool is_sooner(const struct wire *wire, uint32_t a, uint32_t b)
{
	const struct frame *one = &wire->frames[wire->heap[a]];
	const struct frame *other = &wire->frames[wire->heap[b]];

	return one->due_ns != other->due_ns ? one->due_ns < other->due_ns
					    : one->number < other->number;
}

static void swap(struct wire *wire, uint32_t a, uint32_t b)
{
	uint32_t slot = wire->heap[a];

	wire->heap[a] = wire->heap[b];
	wire->heap[b] = slot;
}

static void rise(struct wire *wire, uint32_t at)
{
	for (; at && is_sooner(wire, at, (at - 1) / 2); at = (at - 1) / 2)
		swap(wire, at, (at - 1) / 2);
}

static void sink(struct wire *wire, uint32_t at)
{
	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child + 1 < wire->used && is_sooner(wire, child + 1, child))
			child++;
		if (child >= wire->used || !is_sooner(wire, child, at))
			return;
		swap(wire, child, at);
		at = child;
	}
}

static void remove_first(struct wire *wire)
{
	swap(wire, 0, --wire->used);
	sink(wire, 0);
}

/* -- forwarding -- */

static uint64_t draw_delay(const struct settings *settings)
{
	return settings->delay_ns +
	       (uint64_t)randombytes_random() * settings->jitter_ns / UINT32_MAX;
}

static bool take_frame(struct wire *wire, unsigned int end)
{
	struct frame *frame;
	uint8_t excess[FRAME_MAX];
	bool is_full = wire->used == FRAMES_MAX;
	ssize_t len;

	frame = is_full ? NULL : &wire->frames[wire->heap[wire->used]];
	len = recv(wire->fds[end], frame ? frame->bytes : excess, FRAME_MAX,
		   MSG_DONTWAIT | MSG_TRUNC);
	if (len < 0)
		return false;
	if (is_full || len > FRAME_MAX) {
		is_full ? wire->full++ : wire->too_long++;
		return true;
	}
	frame->len = (uint32_t)len;
	frame->to = (uint8_t)!end;
	frame->number = ++wire->came;
	frame->due_ns = tool_now_ns() + draw_delay(wire->settings);
	rise(wire, wire->used++);
	return true;
}

static void send_frame(struct wire *wire, const struct frame *frame)
{
	if (send(wire->fds[frame->to], frame->bytes, frame->len, 0) < 0) {
		wire->refused++;
		return;
	}
	wire->forwarded++;
	wire->overtaken += frame->number < wire->last_sent[frame->to];
	wire->last_sent[frame->to] = MAX(wire->last_sent[frame->to], frame->number);
}

static void send_due(struct wire *wire)
{
	while (wire->used && wire->frames[wire->heap[0]].due_ns <= tool_now_ns()) {
		send_frame(wire, &wire->frames[wire->heap[0]]);
		remove_first(wire);
	}
}

static void wait_for_more(struct wire *wire)
{
	struct pollfd ends[ENDS] = {{wire->fds[0], POLLIN, 0}, {wire->fds[1], POLLIN, 0}};
	uint64_t due = wire->used ? wire->frames[wire->heap[0]].due_ns : UINT64_MAX;
	uint64_t now = tool_now_ns(), wait_ns = due > now ? MIN(due - now, NS_PER_S) : 0;
	struct timespec wait = {.tv_sec = (time_t)(wait_ns / NS_PER_S),
				.tv_nsec = (long)(wait_ns % NS_PER_S)};

	(void)ppoll(ends, ENDS, &wait, NULL);
}

static void run(struct wire *wire)
{
	while (!is_stopping) {
		wait_for_more(wire);
		for (unsigned int end = 0; end < ENDS; end++)
			for (int i = 0; i < BATCH && take_frame(wire, end); i++)
				;
		send_due(wire);
	}
}

/* -- the ends -- */

static int open_end(const char *device)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
				      .sll_protocol = htons(ETH_P_ALL),
				      .sll_ifindex = (int)if_nametoindex(device)};
	int on = 1, bytes = BUFFER_BYTES;
	CLEANUP_CLOSE int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd >= 0 && address.sll_ifindex &&
	    !setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) &&
	    !setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) &&
	    !bind(fd, (const struct sockaddr *)&address, sizeof(address)))
		return TAKE_FD(fd);
	log_error("cannot use '%s': %s", device, strerror(errno));
	return -1;
}

static uint64_t missed(int fd)
{
	struct tpacket_stats stats = {0};
	socklen_t len = sizeof(stats);

	return getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) ? UINT64_MAX
									   : stats.tp_drops;
}

static void report(const struct wire *wire)
{
	printf("{\"forwarded\":%ju,\"overtaken\":%ju,\"missed\":%ju,\"refused\":%ju,\"full\":%ju,\"too_long\":%ju}\n",
	       (uintmax_t)wire->forwarded, (uintmax_t)wire->overtaken,
	       (uintmax_t)(missed(wire->fds[0]) + missed(wire->fds[1])), (uintmax_t)wire->refused,
	       (uintmax_t)wire->full, (uintmax_t)wire->too_long);
}

static bool wire_open(struct wire *wire, const struct settings *settings)
{
	wire->settings = settings;
	wire->frames = calloc(FRAMES_MAX, sizeof(*wire->frames));
	if (!wire->frames)
		return false;
	for (uint32_t i = 0; i < FRAMES_MAX; i++)
		wire->heap[i] = i;
	for (unsigned int end = 0; end < ENDS; end++) {
		wire->fds[end] = open_end(settings->device[end]);
		if (wire->fds[end] < 0)
			return false;
	}
	return tool_announce(settings->ready_file);
}

int main(int argc, char **argv)
{
	static const char usage[] = "usage: wire --between DEVICE --and DEVICE --delay MS";
	static struct wire wire;
	struct settings settings = {0};
	enum flags_outcome outcome;

	log_settings.program = "wire";
	outcome = flags_parse(flags, usage, &settings, argc, argv, NULL);
	if (outcome != FLAGS_RUN)
		return outcome == FLAGS_DONE ? 0 : 2;
	if (!settings.device[0] || !settings.device[1]) {
		log_error("expected --between and --and (see --help)");
		return 2;
	}
	tool_catch_signals();
	if (sodium_init() < 0 || !wire_open(&wire, &settings))
		return 1;
	run(&wire);
	report(&wire);
	return 0;
}
