// SPDX-License-Identifier: Apache-2.0
/*
 * podveil-tunnel: the command line. The rest is in the parent (monitor.c) and the engine (loop.c).
 */
#include <ctype.h>
#include <signal.h>
#include <sodium.h>
#include <time.h>

#include "flags.h"
#include "monitor.h"

static const char usage[] =
	"usage: podveil-tunnel [FLAG]...\n\n"
	"The tunnel of a node: the WireGuard protocol on one TUN device and one UDP port. podveil-keyd\n"
	"configures it over its control socket, or wg(8) over <wireguard-dir>/<interface>.sock.";

static bool is_interface_name(const char *text)
{
	if (!*text || strlen(text) >= IF_NAMESIZE || !strcmp(text, ".") || !strcmp(text, ".."))
		return false;
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (!isgraph(*c) || strchr("/:%", *c))
			return false;
	return true;
}

static bool take_interface(void *settings, const char *value, char *error, size_t size)
{
	struct monitor_settings *monitor = settings;

	if (!is_interface_name(value))
		return flags_refuse(
			error, size,
			"expected an interface name of 1 to %d characters without '/', ':', '%%' and spaces",
			IF_NAMESIZE - 1);
	return copy_text(monitor->interface, sizeof(monitor->interface), value);
}

static bool take_control(void *settings, const char *value, char *error, size_t size)
{
	struct monitor_settings *monitor = settings;

	if (!*value)
		return flags_refuse(error, size, "expected the path of a socket");
	monitor->control_path = value;
	return true;
}

static bool take_wireguard_dir(void *settings, const char *value, char *error, size_t size)
{
	struct monitor_settings *monitor = settings;

	if (!*value)
		return flags_refuse(error, size, "expected the path of a directory");
	monitor->wireguard_dir = value;
	return true;
}

static bool take_threads(void *settings, const char *value, char *error, size_t size)
{
	(void)settings;
	if (!strcmp(value, "1"))
		return true;
	return flags_refuse(error, size, "expected 1: this version runs one thread");
}

static bool take_aead(void *settings, const char *value, char *error, size_t size)
{
	struct monitor_settings *monitor = settings;
	const struct aead_engine *aead = aead_find(value);

	if (!aead)
		return flags_refuse(
			error, size,
			"expected auto or the name of an engine of this build (sodium)");
	monitor->aead = aead;
	return true;
}

static bool take_log_level(void *settings, const char *value, char *error, size_t size)
{
	(void)settings;
	if (log_parse_level(&log_settings.level, value))
		return true;
	return flags_refuse(error, size, "expected error, warning, info or debug");
}

static bool take_log_format(void *settings, const char *value, char *error, size_t size)
{
	(void)settings;
	if (strcmp(value, "text") && strcmp(value, "json"))
		return flags_refuse(error, size, "expected text or json");
	log_settings.is_json = !strcmp(value, "json");
	return true;
}

static const struct flag flags[] = {
	{"interface", "NAME", "name of the TUN device (default " DEFAULT_INTERFACE ")", false,
	 take_interface},
	{"control", "PATH", "socket for podveil-keyd (default " TUNNEL_DEFAULT_CONTROL ")", false,
	 take_control},
	{"wireguard-dir", "DIR",
	 "directory of the socket for wg(8) (default " DEFAULT_WIREGUARD_DIR ")", false,
	 take_wireguard_dir},
	{"aead", "auto|NAME", "implementation of ChaCha20-Poly1305 (default auto)", false,
	 take_aead},
	{"log-level", "LEVEL", "error, warning, info or debug (default info)", false,
	 take_log_level},
	{"log-format", "text|json", "format of the log on stderr (default text)", false,
	 take_log_format},
	{"threads", "N", NULL, false, take_threads}, /* a reserved name */
	{0},
};

int main(int argc, char **argv)
{
	struct monitor_settings settings = {
		.interface = DEFAULT_INTERFACE,
		.control_path = TUNNEL_DEFAULT_CONTROL,
		.wireguard_dir = DEFAULT_WIREGUARD_DIR,
	};
	struct monitor monitor;
	enum flags_outcome outcome;
	int status;

	log_settings.program = "podveil-tunnel";
	(void)close_range(STDERR_FILENO + 1, ~0U,
			  0);	  /* close descriptors that the caller left open */
	signal(SIGPIPE, SIG_IGN); /* the reader of our log may have exited */
	tzset();		  /* reads a file, so before the sandbox */
	if (sodium_init() < 0) {
		log_error("cannot initialize libsodium: no randomness");
		return EXIT_FAILURE;
	}
	settings.aead = aead_find("auto");
	outcome = flags_parse(flags, usage, &settings, argc, argv, NULL);
	if (outcome != FLAGS_RUN)
		return outcome == FLAGS_DONE ? EXIT_SUCCESS : 2;
	status = monitor_init(&monitor, &settings) ? monitor_run(&monitor) : EXIT_FAILURE;
	monitor_clear(&monitor);
	return status;
}
