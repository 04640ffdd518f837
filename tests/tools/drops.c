// SPDX-License-Identifier: Apache-2.0
/*
 * Reads podveil-tunnel's drop counters over its control socket and prints "reason packets" for
 * each, with the labels of drop_reason.h. Changes nothing in the tunnel. An answer of any other
 * shape is an error: counters under the wrong names would prove nothing.
 *
 *   drops --control SOCKET
 */
#include <sys/time.h>
#include <sys/un.h>

#include "flags.h"
#include "tunnel_control.h"

#define ANSWER_TIMEOUT_S 5

struct settings {
	const char *control;
};

struct answer {
	struct control_header header;
	struct control_drops drops;
};

static bool take_control(void *settings, const char *value, char *error, size_t size)
{
	struct sockaddr_un address;

	if (!*value || strlen(value) >= sizeof(address.sun_path))
		return flags_refuse(error, size, "expected a path of 1 to %zu bytes",
				    sizeof(address.sun_path) - 1);
	((struct settings *)settings)->control = value;
	return true;
}

static const struct flag flags[] = {
	{"control", "SOCKET", "podveil-tunnel's control socket", false, take_control},
	{0},
};

static int open_control(const char *path)
{
	static const struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	copy_text(address.sun_path, sizeof(address.sun_path), path);
	if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) &&
	    !connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		return TAKE_FD(fd);
	log_error("cannot connect to '%s': %s", path, strerror(errno));
	return -1;
}

static bool read_drops(int fd, struct control_drops *ret_drops)
{
	static const struct control_header request = {CONTROL_VERSION, CONTROL_READ_DROPS, 0};
	struct answer answer = {0};
	ssize_t len;

	if (send(fd, &request, sizeof(request), MSG_NOSIGNAL) != sizeof(request) ||
	    (len = recv(fd, &answer, sizeof(answer), MSG_TRUNC)) < 0) {
		log_error("the tunnel does not answer: %s", strerror(errno));
		return false;
	}
	if (answer.header.error) {
		log_error("the tunnel refuses: %s", strerror(-answer.header.error));
		return false;
	}
	if (len != sizeof(answer) || answer.drops.count != DROP_REASON_COUNT) {
		log_error("the tunnel answers %u reasons in %zd bytes: expected %d in %zu",
			  answer.drops.count, len, DROP_REASON_COUNT, sizeof(answer));
		return false;
	}
	*ret_drops = answer.drops;
	return true;
}

int main(int argc, char **argv)
{
	static const char usage[] = "usage: drops --control SOCKET";
	struct settings settings = {0};
	struct control_drops drops;
	CLEANUP_CLOSE int fd = -1;
	enum flags_outcome outcome;

	log_settings.program = "drops";
	outcome = flags_parse(flags, usage, &settings, argc, argv, NULL);
	if (outcome != FLAGS_RUN)
		return outcome == FLAGS_DONE ? 0 : 2;
	if (!settings.control) {
		log_error("expected --control (see --help)");
		return 2;
	}
	fd = open_control(settings.control);
	if (fd < 0 || !read_drops(fd, &drops))
		return 1;
	for (unsigned int reason = 0; reason < DROP_REASON_COUNT; reason++)
		printf("%s %ju\n", drop_reason_label(reason), (uintmax_t)drops.packets[reason]);
	return 0;
}
