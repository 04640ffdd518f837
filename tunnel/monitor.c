// SPDX-License-Identifier: Apache-2.0
/*
 * The parent. It never reads a packet and never parses text from a client: its only input from the
 * engine is one fixed structure, checked to the byte. It keeps duplicates of the engine's
 * descriptors, so that a supervisor could start a new engine on them.
 */
#include "monitor.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "control.h"
#include "log.h"
#include "loop.h"
#include "sandbox.h"
#include "verbs.h"
#include "version.h"

#define DIRECTORY_MODE	  0700
#define LEAVE_PATIENCE_MS 3000 /* for the engine to exit after SIGTERM */

/* -- the verbs -- */

static int open_sockets(struct monitor *monitor, const struct verb_request *request)
{
	struct udp_sockets sockets;
	uint16_t port;
	int error = udp_open(&sockets, (uint16_t)request->port, request->fwmark, &port);

	if (error)
		return error;
	udp_close(&monitor->sockets);
	monitor->sockets = sockets;
	monitor->port = port;
	return 0;
}

static void answer_sockets(struct monitor *monitor, const struct verb_request *request,
			   struct verb_answer *answer)
{
	if (request->port > UINT16_MAX) {
		answer->error = -EINVAL;
	} else if (request->port && request->port == monitor->port) {
		answer->error = udp_set_mark(&monitor->sockets, request->fwmark);
	} else {
		answer->error = open_sockets(monitor, request);
		if (!answer->error)
			verbs_add_sockets(answer, &monitor->sockets);
	}
}

static void answer_request(struct monitor *monitor, const struct verb_request *request)
{
	struct verb_answer answer = {0};
	int error;

	if (request->verb == VERB_OPEN_SOCKETS)
		answer_sockets(monitor, request, &answer);
	else if (request->verb != VERB_OPEN_DEVICE)
		answer.error = -EINVAL;
	else if (tun_recreate(&monitor->tun))
		verbs_add_device(&answer, monitor->tun.fd);
	else
		answer.error = -ENODEV; /* tun_recreate has logged why */
	answer.port = monitor->port;
	error = verbs_answer(monitor->verbs, &answer);
	if (error)
		log_debug("the engine did not wait for its answer: %s", strerror(-error));
}

static void serve_verb(struct monitor *monitor)
{
	struct verb_request request;
	ssize_t len = recv(monitor->verbs, &request, sizeof(request), MSG_TRUNC | MSG_DONTWAIT);

	if (len == sizeof(request))
		answer_request(monitor, &request);
	else if (len > 0)
		log_warning("ignored an invalid request of the engine");
	else if (!len)
		fd_close(&monitor->verbs); /* the engine is exiting; SIGCHLD has the status */
}

/* -- opening -- */

/* Creates every missing directory of the path, up to its last '/'. */
static bool create_directories(const char *path)
{
	char directory[PATH_MAX];

	if (!copy_text(directory, sizeof(directory), path)) {
		log_error("'%s': expected a path of at most %zu bytes", path,
			  sizeof(directory) - 1);
		return false;
	}
	for (char *slash = strchr(directory + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(directory, DIRECTORY_MODE) && errno != EEXIST) {
			log_error("cannot create directory '%s': %s", directory, strerror(errno));
			return false;
		}
		*slash = '/';
	}
	return true;
}

static bool open_control(struct monitor *monitor)
{
	const struct monitor_settings *settings = monitor->settings;
	int len = snprintf(monitor->wireguard_path, sizeof(monitor->wireguard_path), "%s/%s.sock",
			   settings->wireguard_dir, settings->interface);

	if (len < 0 || (size_t)len >= sizeof(monitor->wireguard_path)) {
		log_error(
			"--wireguard-dir: '%s': expected a shorter path: the socket in it may have %zu bytes",
			settings->wireguard_dir, sizeof(monitor->wireguard_path) - 1);
		return false;
	}
	if (!create_directories(settings->control_path) ||
	    !create_directories(monitor->wireguard_path))
		return false;
	monitor->control_listener = control_listen(settings->control_path, SOCK_SEQPACKET);
	if (monitor->control_listener < 0)
		return false;
	monitor->has_control_path = true;
	monitor->wireguard_listener = control_listen(monitor->wireguard_path, SOCK_STREAM);
	monitor->has_wireguard_path = monitor->wireguard_listener >= 0;
	return monitor->has_wireguard_path;
}

static bool map_state(struct monitor *monitor)
{
	monitor->state = sandbox_map(sizeof(*monitor->state));
	if (!monitor->state)
		log_error("cannot map %zu MiB for the tunnel's state: %s",
			  sizeof(*monitor->state) >> 20, strerror(errno));
	return monitor->state;
}

static bool open_signals(struct monitor *monitor)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGCHLD);
	if (!sigprocmask(SIG_BLOCK, &signals, NULL))
		monitor->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (monitor->signals < 0)
		log_error("cannot wait for signals: %s", strerror(errno));
	return monitor->signals >= 0;
}

bool monitor_init(struct monitor *monitor, const struct monitor_settings *settings)
{
	*monitor = (struct monitor){
		.settings = settings,
		.tun = TUN_CLOSED,
		.control_listener = -1,
		.wireguard_listener = -1,
		.signals = -1,
		.verbs = -1,
		.sockets = UDP_CLOSED,
	};
	return sandbox_has_privileges() && open_control(monitor) &&
	       tun_open(&monitor->tun, settings->interface) && map_state(monitor) &&
	       open_signals(monitor);
}

/* -- the engine -- */

static int run_engine(struct monitor *monitor, int verbs, pid_t parent)
{
	const struct loop_setup setup = {
		.tun = monitor->tun,
		.keyd_listener = monitor->control_listener,
		.wireguard_listener = monitor->wireguard_listener,
		.verbs = verbs,
		.state = monitor->state,
		.aead = monitor->settings->aead,
	};
	struct loop loop;
	int status = EXIT_FAILURE;

	sandbox_protect_memory(setup.state, sizeof(*setup.state), &setup.state->secrets,
			       sizeof(setup.state->secrets));
	if (loop_init(&loop, &setup) && sandbox_forbid_access(setup.state->guard) &&
	    sandbox_enter_engine(parent)) {
		log_info(
			"%s is ready: interface %s, MTU %u, TCP super-packets %s, UDP super-packets %s, AEAD by %s",
			PODVEIL_VERSION, loop.tun.name, loop.tun.mtu,
			loop.tun.takes_tcp_super ? "yes" : "no",
			loop.tun.takes_udp_super ? "yes" : "no", setup.aead->name);
		status = loop_run(&loop);
	}
	loop_clear(&loop);
	return status;
}

static bool start_engine(struct monitor *monitor)
{
	pid_t parent = getpid();
	int verbs[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, verbs)) {
		log_error("cannot create a socket to the engine: %s", strerror(errno));
		return false;
	}
	monitor->engine = fork();
	if (!monitor->engine) {
		close(verbs[0]);
		fd_close(&monitor->signals);
		_exit(run_engine(monitor, verbs[1], parent));
	}
	close(verbs[1]);
	monitor->verbs = verbs[0];
	if (monitor->engine > 0)
		return true;
	log_error("cannot start the engine: %s", strerror(errno));
	return false;
}

/* -- watching it -- */

/* True if the engine has exited: *ret_status is the program's exit status. An engine that exits has
 * logged the reason; one that was killed could not. */
static bool has_ended(struct monitor *monitor, int *ret_status)
{
	int status;

	if (waitpid(monitor->engine, &status, WNOHANG) != monitor->engine)
		return false;
	monitor->engine = 0;
	if (WIFSIGNALED(status))
		log_error(
			"the engine was killed by signal %d (%s): no packet passes until the tunnel is restarted",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	*ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
	return true;
}

/* True if one of the pending signals asks us to exit. */
static bool is_asked_to_exit(const struct monitor *monitor)
{
	struct signalfd_siginfo signal;
	bool is_asked = false;

	while (read(monitor->signals, &signal, sizeof(signal)) == sizeof(signal))
		is_asked |= signal.ssi_signo != SIGCHLD;
	return is_asked;
}

static int watch_engine(struct monitor *monitor)
{
	struct pollfd waiting[] = {
		{.fd = monitor->signals, .events = POLLIN},
		{.events = POLLIN},
	};
	int status, patience_ms = -1;

	while (!has_ended(monitor, &status)) {
		waiting[1].fd = monitor->verbs;
		if (!poll(waiting, ARRAY_SIZE(waiting), patience_ms))
			kill(monitor->engine, SIGKILL);
		if (waiting[1].revents)
			serve_verb(monitor);
		if (is_asked_to_exit(monitor)) {
			kill(monitor->engine, SIGTERM);
			patience_ms = LEAVE_PATIENCE_MS;
		}
	}
	return status;
}

int monitor_run(struct monitor *monitor)
{
	if (!start_engine(monitor) || !sandbox_enter_parent())
		return EXIT_FAILURE;
	return watch_engine(monitor);
}

void monitor_clear(struct monitor *monitor)
{
	if (monitor->engine > 0)
		kill(monitor->engine, SIGKILL);
	if (monitor->has_control_path)
		unlink(monitor->settings->control_path);
	if (monitor->has_wireguard_path)
		unlink(monitor->wireguard_path);
	udp_close(&monitor->sockets);
	tun_close(&monitor->tun);
	fd_close(&monitor->control_listener);
	fd_close(&monitor->wireguard_listener);
	fd_close(&monitor->signals);
	fd_close(&monitor->verbs);
}
