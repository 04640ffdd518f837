// SPDX-License-Identifier: Apache-2.0
/*
 * Asks for an echo of every UDP payload size in a range, one after the other, and counts the
 * outcomes: answered byte for byte, refused as too big (by the sender's own kernel or by a "too
 * big" from the path), lost, wrong, or answered twice. Prints one JSON line. The other end is the
 * same program with "echo".
 *
 *   sizes echo --bind ADDR:PORT --ready-file FILE
 *   sizes ask --to ADDR:PORT [--from BYTES] --until BYTES [--dont-fragment]
 */
#include <netinet/ip.h>
#include <poll.h>

#include "address.h"
#include "common/tool.h"
#include "common/value.h"

#define SIZE_MAX_BYTES	  9200
#define ANSWER_WAIT_MS	  1000
#define STRAGGLER_WAIT_MS 200
#define LOST_MAX	  10 /* then it stops without asking for the other sizes */
/* A size that met "too big" on the path may be sent again, in fragments. */
#define TRIES 2

struct settings {
	union endpoint bind, to;
	const char *ready_file;
	unsigned int from, until;
	bool dont_fragment;
};

struct tally {
	unsigned int answered, refused, told, lost, wrong, twice;
	unsigned int largest; /* answered */
	int first_lost;
};

static bool take_bind(void *settings, const char *value, char *error, size_t size)
{
	return value_take_endpoint(value, true, &((struct settings *)settings)->bind, error, size);
}

static bool take_to(void *settings, const char *value, char *error, size_t size)
{
	return value_take_endpoint(value, true, &((struct settings *)settings)->to, error, size);
}

static bool take_ready_file(void *settings, const char *value, char *error, size_t size)
{
	(void)error, (void)size;
	((struct settings *)settings)->ready_file = value;
	return true;
}

static bool take_from(void *settings, const char *value, char *error, size_t size)
{
	return value_take_amount(value, SIZE_MAX_BYTES, &((struct settings *)settings)->from, error,
				 size);
}

static bool take_until(void *settings, const char *value, char *error, size_t size)
{
	return value_take_amount(value, SIZE_MAX_BYTES, &((struct settings *)settings)->until,
				 error, size);
}

static bool take_dont_fragment(void *settings, const char *value, char *error, size_t size)
{
	(void)value, (void)error, (void)size;
	((struct settings *)settings)->dont_fragment = true;
	return true;
}

static const struct flag echo_flags[] = {
	{"bind", "ADDR:PORT", "where to answer", false, take_bind},
	{"ready-file", "FILE", "made when it answers", false, take_ready_file},
	{0},
};

static const struct flag ask_flags[] = {
	{"to", "ADDR:PORT", "whom to ask", false, take_to},
	{"from", "BYTES", "the smallest size; none: nothing", false, take_from},
	{"until", "BYTES", "the largest size", false, take_until},
	{"dont-fragment", NULL, "no packet may be cut", false, take_dont_fragment},
	{0},
};

static void set_fragmentation(int fd, uint8_t family, bool dont_fragment)
{
	int v4 = dont_fragment ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT;
	int v6 = dont_fragment ? IPV6_PMTUDISC_DO : IPV6_PMTUDISC_WANT, on = dont_fragment;

	if (family == AF_INET) {
		setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &v4, sizeof(v4));
		return;
	}
	setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &v6, sizeof(v6));
	setsockopt(fd, IPPROTO_IPV6, IPV6_DONTFRAG, &on, sizeof(on));
}

static int run_echo(const struct settings *settings)
{
	int fd = socket(settings->bind.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	static uint8_t bytes[65536];

	if (fd < 0 || bind(fd, &settings->bind.any, endpoint_len(&settings->bind))) {
		log_error("cannot listen: %s", strerror(errno));
		return 1;
	}
	set_fragmentation(fd, (uint8_t)settings->bind.any.sa_family, false);
	if (!tool_announce(settings->ready_file))
		return 1;
	for (;;) {
		union endpoint from;
		socklen_t from_len = sizeof(from);
		ssize_t length = recvfrom(fd, bytes, sizeof(bytes), 0, &from.any, &from_len);

		if (length >= 0)
			sendto(fd, bytes, (size_t)length, 0, &from.any, from_len);
	}
}

/* Bytes that differ between sizes. */
static void fill(uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)(length * 31 + i * 7 + (i >> 8));
}

enum outcome { ANSWERED, REFUSED, TOLD, LOST };

/* Reads until the answer of exactly this size, an error from the path, or the timeout. */
static enum outcome await(int fd, const uint8_t *sent, size_t length, struct tally *tally)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	static uint8_t bytes[65536];

	while (poll(&ready, 1, ANSWER_WAIT_MS) > 0) {
		ssize_t received = recv(fd, bytes, sizeof(bytes), 0);

		if (received < 0)
			return errno == EMSGSIZE ? TOLD : LOST;
		if ((size_t)received == length && !memcmp(bytes, sent, length))
			return ANSWERED;
		if ((size_t)received < length)
			tally->twice++; /* its own turn is over */
		else
			tally->wrong++;
	}
	return LOST;
}

static enum outcome ask_once(int fd, size_t length, struct tally *tally)
{
	static uint8_t bytes[SIZE_MAX_BYTES];

	fill(bytes, length);
	if (send(fd, bytes, length, 0) < 0)
		return errno == EMSGSIZE ? REFUSED : LOST;
	return await(fd, bytes, length, tally);
}

static void ask(int fd, size_t length, bool dont_fragment, struct tally *tally)
{
	enum outcome outcome = LOST;

	for (int i = 0; i < TRIES; i++) {
		outcome = ask_once(fd, length, tally);
		if (outcome != TOLD)
			break;
		tally->told++;
		if (dont_fragment)
			return;
	}
	if (outcome == ANSWERED) {
		tally->answered++;
		tally->largest = (unsigned int)length;
	} else if (outcome == REFUSED) {
		tally->refused++;
	} else {
		tally->lost++;
		if (tally->first_lost < 0)
			tally->first_lost = (int)length;
	}
}

static int run_ask(const struct settings *settings)
{
	int fd = socket(settings->to.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct pollfd straggler = {.fd = fd, .events = POLLIN};
	struct tally tally = {.first_lost = -1};
	uint8_t byte;

	if (fd < 0 || connect(fd, &settings->to.any, endpoint_len(&settings->to))) {
		log_error("cannot connect: %s", strerror(errno));
		return 1;
	}
	set_fragmentation(fd, (uint8_t)settings->to.any.sa_family, settings->dont_fragment);
	for (size_t length = settings->from; length <= settings->until && tally.lost < LOST_MAX;
	     length++)
		ask(fd, length, settings->dont_fragment, &tally);
	while (poll(&straggler, 1, STRAGGLER_WAIT_MS) > 0 && recv(fd, &byte, 1, 0) >= 0)
		tally.twice++;
	printf("{\"asked\":%u,\"answered\":%u,\"largest\":%u,\"refused\":%u,\"told_too_big\":%u,\"lost\":%u,"
	       "\"first_lost\":%d,\"wrong\":%u,\"twice\":%u}\n",
	       settings->until + 1 - settings->from, tally.answered, tally.largest, tally.refused,
	       tally.told, tally.lost, tally.first_lost, tally.wrong, tally.twice);
	return 0;
}

int main(int argc, char **argv)
{
	static const char usage[] = "usage: sizes echo|ask FLAGS";
	struct settings settings = {.until = 1400};
	bool is_echo = argc > 1 && !strcmp(argv[1], "echo");
	enum flags_outcome outcome;

	log_settings.program = "sizes";
	if (argc < 2 || (!is_echo && strcmp(argv[1], "ask"))) {
		log_error("expected echo or ask");
		return 2;
	}
	outcome = flags_parse(is_echo ? echo_flags : ask_flags, usage, &settings, argc - 1,
			      argv + 1, NULL);
	if (outcome != FLAGS_RUN)
		return outcome == FLAGS_DONE ? 0 : 2;
	return is_echo ? run_echo(&settings) : run_ask(&settings);
}
