/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traffic with complete accounting: numbered UDP datagrams and a TCP stream, both with a marker and
 * a pattern that the receiver checks byte by byte. Each side prints one JSON line. Losses at the
 * receiver's own socket (receiver_overflow) are counted apart from losses on the path. At its end
 * the sender announces how much it sent, so that the last datagrams are missed too.
 *
 *   flow udp-recv --bind ADDR:PORT --marker HEX32 [--seconds N] [--idle MS] [--ready-file FILE]
 *   flow udp-send --to ADDR:PORT --marker HEX32 --rate PPS (--seconds N | --count N)
 *                 [--size BYTES] [--bind ADDR] [--joined]
 *   flow udp-mesh --bind ADDR:PORT --to ADDR:PORT... --marker HEX32 --rate PPS [--seconds N]
 *                 [--size BYTES] [--ready-file FILE] [--start-file FILE]
 *   flow tcp-recv --bind ADDR:PORT --marker HEX32 [--seconds N] [--ready-file FILE]
 *   flow tcp-send --to ADDR:PORT --marker HEX32 (--seconds N | --count BYTES) [--rate BYTES]
 *                 [--bind ADDR]
 *
 * udp-mesh sends to several others and receives from each, through one socket, until its time is
 * over or a signal comes; it prints a line for each of them.
 */
#include "flow/flow.h"
#include "common/value.h"
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>

/* -- command line -- */

static bool take_bind(void *settings, const char *value, char *error, size_t size)
{
	struct settings *s = settings;

	s->has_bind = true;
	return value_take_endpoint(value, false, &s->bind, error, size);
}

static bool take_to(void *settings, const char *value, char *error, size_t size)
{
	struct settings *s = settings;

	if (s->to_count == OTHERS_MAX)
		return flags_refuse(error, size, "expected at most %d", OTHERS_MAX);
	return value_take_endpoint(value, true, &s->to[s->to_count++], error, size);
}

static bool take_marker(void *settings, const char *value, char *error, size_t size)
{
	struct settings *s = settings;

	s->has_marker = marker_take(s->marker, value, error, size);
	return s->has_marker;
}

static bool take_rate(void *settings, const char *value, char *error, size_t size)
{
	return value_take_number(value, 1, 1ULL << 40, &((struct settings *)settings)->rate, error,
				 size);
}

static bool take_count(void *settings, const char *value, char *error, size_t size)
{
	return value_take_number(value, 1, 1ULL << 50, &((struct settings *)settings)->count, error,
				 size);
}

static bool take_seconds(void *settings, const char *value, char *error, size_t size)
{
	return value_take_amount(value, 86400, &((struct settings *)settings)->seconds, error,
				 size);
}

static bool take_idle(void *settings, const char *value, char *error, size_t size)
{
	return value_take_amount(value, 86400000, &((struct settings *)settings)->idle_ms, error,
				 size);
}

static bool take_size(void *settings, const char *value, char *error, size_t size)
{
	uint64_t number;

	if (!value_take_number(value, sizeof(struct head), DATAGRAM_MAX, &number, error, size))
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
	{"rate", "N", "datagrams or (TCP) bytes per second; TCP without it: as fast as possible",
	 false, take_rate},
	{"seconds", "N", "send for this time; receive at most for it (60)", false, take_seconds},
	{"count", "N", "datagrams or (TCP) bytes to send, instead of a time", false, take_count},
	{"size", "BYTES", "of a datagram (256)", false, take_size},
	{"joined", NULL, "udp-send: many in one send, segmented by the kernel (UDP_SEGMENT)", false,
	 take_joined},
	{"idle", "MS", "udp-recv: stop after this long without a datagram, once one has come",
	 false, take_idle},
	{"ready-file", "FILE", "created once the receiver is ready", false, take_ready_file},
	{"start-file", "FILE", "udp-mesh: starts to send once this exists", false, take_start_file},
	{0},
};

/* -- the whole -- */

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
	enum flags_outcome outcome;
	unsigned int mode = 0;

	log_settings.program = "flow";
	pattern_make();
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
	tool_catch_signals();
	return run_mode(mode, &settings);
}
