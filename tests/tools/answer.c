// SPDX-License-Identifier: Apache-2.0
/*
 * Counts and answers probes. `serve` counts every marker that reaches its destination in this
 * network namespace (behind conntrack, DNAT and network policy, as a raw socket sees it) by its
 * number and the packet's protocol. It answers datagrams to its ports from the address they were
 * sent to. An answer has the next number, so that a detector on the path can tell it from the
 * question. `ask` asks until its time is over, every question is answered, or it is refused. Each
 * prints one JSON line.
 *
 *   answer serve --marker HEX32 --port PORT... [--ready-file FILE] [--seconds N]
 *   answer ask --marker HEX32 --number N --to ADDR --port PORT [--from ADDR] [--count N]
 *              [--wait MS]
 */
#include <assert.h>
#include <poll.h>

#include "common/probe.h"
#include "common/tool.h"

#define PORTS_MAX	 4
#define SOCKETS_MAX	 32
#define PROTOCOLS	 256
#define DATAGRAM_MAX	 65536
#define PROTOCOL_UNKNOWN 253 /* as in craft.c */
#define ASK_SPACING_MS	 2
#define AMOUNT_MAX	 100000

struct settings {
	struct probe probe; /* first */
	uint16_t ports[PORTS_MAX];
	unsigned int port_count, count, wait_ms, seconds;
	const char *ready_file;
};

/* A raw socket receives one protocol; protocol 0: a UDP socket that answers. */
struct ear {
	int fd;
	uint8_t protocol;
};

struct server {
	struct settings settings;
	struct ear ears[SOCKETS_MAX];
	unsigned int ear_count;
	uint32_t heard[MARKER_NUMBERS][PROTOCOLS];
};

static const uint8_t protocols_v4[] = {IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_SCTP, IPPROTO_GRE,
				       IPPROTO_ESP, IPPROTO_IPIP, IPPROTO_IPV6, PROTOCOL_UNKNOWN};
static const uint8_t protocols_v6[] = {IPPROTO_UDP, IPPROTO_ICMPV6, IPPROTO_SCTP, IPPROTO_GRE,
				       IPPROTO_ESP, IPPROTO_IPIP,   IPPROTO_IPV6, PROTOCOL_UNKNOWN};

/* -- command line -- */

static bool take_port(void *settings, const char *value, char *error, size_t size)
{
	struct settings *s = settings;

	if (s->port_count == PORTS_MAX)
		return flags_refuse(error, size, "expected at most %d", PORTS_MAX);
	return value_take_port(value, &s->ports[s->port_count++], error, size);
}

static bool take_count(void *settings, const char *value, char *error, size_t size)
{
	return value_take_amount(value, AMOUNT_MAX, &((struct settings *)settings)->count, error,
				 size);
}

static bool take_wait(void *settings, const char *value, char *error, size_t size)
{
	return value_take_amount(value, AMOUNT_MAX, &((struct settings *)settings)->wait_ms, error,
				 size);
}

static bool take_seconds(void *settings, const char *value, char *error, size_t size)
{
	return value_take_amount(value, AMOUNT_MAX, &((struct settings *)settings)->seconds, error,
				 size);
}

static bool take_ready_file(void *settings, const char *value, char *error, size_t size)
{
	(void)error, (void)size;
	((struct settings *)settings)->ready_file = value;
	return true;
}

static const struct flag flags[] = {
	{"marker", "HEX32", "16 bytes, the last four a number", false, probe_take_marker},
	{"number", "N", "the question's number; after --marker", false, probe_take_number},
	{"to", "ADDR", "whom to ask", false, probe_take_to},
	{"from", "ADDR", "ask from this address", false, probe_take_from},
	{"port", "PORT", "answered, or asked", true, take_port},
	{"count", "N", "questions (5)", false, take_count},
	{"wait", "MS", "for answers (1000)", false, take_wait},
	{"seconds", "N", "serve this long (60)", false, take_seconds},
	{"ready-file", "FILE", "created once all sockets are open", false, take_ready_file},
	{0},
};

/* -- serving -- */

static void open_ear(struct server *server, uint8_t family, uint8_t protocol, uint16_t port)
{
	struct address any = {.family = family};
	union endpoint bind_to = endpoint_of(&any, port);
	int fd, one = 1;

	assert(server->ear_count < SOCKETS_MAX);
	fd = socket(family, (protocol ? SOCK_RAW : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    protocol);
	if (fd < 0 ||
	    (family == AF_INET6 && !protocol &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0) ||
	    (!protocol && bind(fd, &bind_to.any, endpoint_len(&bind_to)) < 0)) {
		log_error("no socket for protocol %u, port %u: %s", protocol, port,
			  strerror(errno));
		exit(1);
	}
	setsockopt(fd, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
		   family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO, &one, sizeof(one));
	server->ears[server->ear_count++] = (struct ear){fd, protocol};
}

static void open_ears(struct server *server)
{
	for (size_t i = 0; i < ARRAY_SIZE(protocols_v4); i++)
		open_ear(server, AF_INET, protocols_v4[i], 0);
	for (size_t i = 0; i < ARRAY_SIZE(protocols_v6); i++)
		open_ear(server, AF_INET6, protocols_v6[i], 0);
	for (unsigned int i = 0; i < server->settings.port_count; i++) {
		open_ear(server, AF_INET, 0, server->settings.ports[i]);
		open_ear(server, AF_INET6, 0, server->settings.ports[i]);
	}
}

/* The control message of the question holds the address it was sent to, which becomes the source of
 * the answer. */
static void answer(int fd, struct msghdr *message, uint8_t *bytes, size_t len, int64_t number)
{
	put_be32(bytes + MARKER_NUMBER_AT, (uint32_t)number + 1);
	message->msg_iov->iov_len = len;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
			((struct in_pktinfo *)CMSG_DATA(c))->ipi_ifindex = 0;
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
			((struct in6_pktinfo *)CMSG_DATA(c))->ipi6_ifindex = 0;
	}
	if (sendmsg(fd, message, 0) < 0)
		log_warning("cannot answer: %s", strerror(errno));
}

/* A raw socket receives datagrams that the kernel merged as one packet, with as many markers. */
static void count_heard(struct server *server, uint8_t protocol, const uint8_t *bytes, size_t len)
{
	const uint8_t *at, *end = bytes + len;

	while ((at = memmem(bytes, len, server->settings.probe.marker, MARKER_NUMBER_AT))) {
		int64_t number =
			marker_number(server->settings.probe.marker, at, (size_t)(end - at));

		if (number >= 0 && number < MARKER_NUMBERS)
			server->heard[number][protocol]++;
		bytes = at + MARKER_NUMBER_AT;
		len = (size_t)(end - bytes);
	}
}

/* A question is the marker alone; a packet from a raw socket has headers in front, and is never
 * answered. */
static void take_packet(struct server *server, const struct ear *ear)
{
	static uint8_t bytes[DATAGRAM_MAX];
	uint8_t control[256];
	union endpoint from;
	struct iovec vector = {bytes, sizeof(bytes)};
	struct msghdr message = {.msg_name = &from,
				 .msg_namelen = sizeof(from),
				 .msg_iov = &vector,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	ssize_t len = recvmsg(ear->fd, &message, 0);
	int64_t number =
		len < 0 ? -1 : marker_number(server->settings.probe.marker, bytes, (size_t)len);

	if (number < 0 || number >= MARKER_NUMBERS)
		return;
	if (ear->protocol)
		count_heard(server, ear->protocol, bytes, (size_t)len);
	else if (len == MARKER_LEN)
		answer(ear->fd, &message, bytes, (size_t)len, number);
}

static void print_heard(const struct server *server)
{
	const char *comma = "";

	printf("{\"heard\":[");
	for (unsigned int number = 0; number < MARKER_NUMBERS; number++)
		for (unsigned int protocol = 0; protocol < PROTOCOLS; protocol++)
			if (server->heard[number][protocol]) {
				printf("%s{\"number\":%u,\"protocol\":%u,\"packets\":%u}", comma,
				       number, protocol, server->heard[number][protocol]);
				comma = ",";
			}
	puts("]}");
}

static int serve(struct server *server)
{
	uint64_t deadline = tool_now_ms() + server->settings.seconds * 1000ULL;
	struct pollfd fds[SOCKETS_MAX];

	open_ears(server);
	for (unsigned int i = 0; i < server->ear_count; i++)
		fds[i] = (struct pollfd){.fd = server->ears[i].fd, .events = POLLIN};
	if (!tool_announce(server->settings.ready_file))
		return 1;
	while (!is_stopping && tool_now_ms() < deadline) {
		if (poll(fds, server->ear_count, 100) <= 0)
			continue;
		for (unsigned int i = 0; i < server->ear_count; i++)
			if (fds[i].revents)
				take_packet(server, &server->ears[i]);
	}
	print_heard(server);
	return 0;
}

/* -- asking -- */

struct asker {
	const struct settings *settings;
	int fd;
	unsigned int sent, answered, refused;
};

/* Counts each answer once; one refusal may answer several questions. */
static void hear(struct asker *asker, int timeout_ms)
{
	struct pollfd pollfd = {.fd = asker->fd, .events = POLLIN};
	uint8_t bytes[2048];
	ssize_t len;

	if (poll(&pollfd, 1, timeout_ms) <= 0)
		return;
	len = recv(asker->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (len < 0)
		asker->refused += errno == ECONNREFUSED;
	else
		asker->answered +=
			marker_number(asker->settings->probe.marker, bytes, (size_t)len) ==
			(int64_t)get_be32(asker->settings->probe.marker + MARKER_NUMBER_AT) + 1;
}

static bool open_asker(struct asker *asker)
{
	const struct settings *settings = asker->settings;
	union endpoint to = endpoint_of(&settings->probe.to, settings->ports[0]);
	union endpoint from = endpoint_of(&settings->probe.from, 0);

	asker->fd = socket(settings->probe.to.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (asker->fd >= 0 &&
	    (!settings->probe.from.family ||
	     bind(asker->fd, &from.any, endpoint_len(&from)) == 0) &&
	    connect(asker->fd, &to.any, endpoint_len(&to)) == 0)
		return true;
	log_error("cannot ask: %s", strerror(errno));
	return false;
}

static int ask(const struct settings *settings)
{
	struct asker asker = {.settings = settings, .fd = -1};
	uint64_t deadline;

	if (!open_asker(&asker))
		return 1;
	for (unsigned int i = 0; i < settings->count; i++) {
		asker.sent += send(asker.fd, settings->probe.marker, MARKER_LEN, 0) == MARKER_LEN;
		hear(&asker, ASK_SPACING_MS);
	}
	deadline = tool_now_ms() + settings->wait_ms;
	while (tool_now_ms() < deadline && !asker.refused && asker.answered < asker.sent)
		hear(&asker, 20);
	printf("{\"sent\":%u,\"answered\":%u,\"refused\":%u}\n", asker.sent, asker.answered,
	       asker.refused);
	close(asker.fd);
	return 0;
}

static bool is_complete(const struct settings *settings, const char *verb)
{
	if (settings->probe.has_marker && settings->port_count &&
	    (!strcmp(verb, "serve") ||
	     (!strcmp(verb, "ask") && settings->probe.to.family && settings->port_count == 1)))
		return true;
	log_error(
		"expected 'serve' with --marker and --port, or 'ask' with one --port and --to as well");
	return false;
}

int main(int argc, char **argv)
{
	static struct server server = {.settings = {.count = 5, .wait_ms = 1000, .seconds = 60}};
	const char *verb = argc > 1 ? argv[1] : "";
	enum flags_outcome outcome;

	log_settings.program = "answer";
	outcome = flags_parse(flags, "answer serve|ask: counts and answers probes",
			      &server.settings, argc - (argc > 1), argv + (argc > 1), NULL);
	if (outcome != FLAGS_RUN)
		return outcome == FLAGS_DONE ? 0 : 2;
	if (!is_complete(&server.settings, verb))
		return 2;
	tool_catch_signals();
	return !strcmp(verb, "ask") ? ask(&server.settings) : serve(&server);
}
