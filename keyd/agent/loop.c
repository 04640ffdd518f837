// SPDX-License-Identifier: Apache-2.0
/*
 * Start, poll loop and stop of the agent. The start fails closed: the hooks and the cluster range
 * are in place before the agent first asks the tunnel or the registry. Stopping removes nothing,
 * whether after a signal or a failure.
 */
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "agent.h"
#include "control.h"
#include "host/clock.h"
#include "host/link.h"
#include "intake.h"
#include "reconcile.h"
#include "report.h"

struct loop {
	struct agent *agent;
	struct control control;
	int monitor_fd, signal_fd, lock_fd;
};

/* -- waiting -- */

enum {
	FD_SIGNAL,
	FD_MONITOR,
	FD_WATCH,
	FD_GUARD_TABLE,
	FD_REGISTRY,
	FD_TUNNEL,
	FD_SECRET,
	FD_CONTROL,
	FD_COUNT = FD_CONTROL + CONTROL_FDS
};

static void prepare_fds(const struct loop *loop, struct pollfd fds[static FD_COUNT])
{
	const struct agent *agent = loop->agent;

	fds[FD_SIGNAL] = (struct pollfd){.fd = loop->signal_fd, .events = POLLIN};
	fds[FD_MONITOR] = (struct pollfd){.fd = loop->monitor_fd, .events = POLLIN};
	fds[FD_WATCH] = (struct pollfd){.fd = agent->hooks.watch.fd, .events = POLLIN};
	fds[FD_GUARD_TABLE] = (struct pollfd){.fd = agent->hooks.guard_table.fd, .events = POLLIN};
	fds[FD_REGISTRY] = (struct pollfd){.fd = agent->registry->fd, .events = POLLIN};
	fds[FD_TUNNEL] = (struct pollfd){.fd = agent->connection.client.fd, .events = POLLIN};
	fds[FD_SECRET] = (struct pollfd){.fd = agent->secret.fd, .events = POLLIN};
	control_prepare(&loop->control, &fds[FD_CONTROL]);
}

static int wait_ms(const struct agent *agent)
{
	return schedule_wait_ms(&agent->schedule, connection_retry_ns(&agent->connection),
				agent->hooks.watch.due_ns, boot_ns());
}

/* -- events -- */

static bool handle_signal(struct loop *loop)
{
	struct signalfd_siginfo info;

	if (read(loop->signal_fd, &info, sizeof(info)) != sizeof(info))
		return false;
	log_info("exits on signal %u: hooks, maps and peers stay, and traffic continues",
		 info.ssi_signo);
	return true;
}

/* Of the tunnel that poll() reported, unless another one was connected since. */
static void lose_tunnel(struct agent *agent, const struct pollfd *fd)
{
	if (!fd->revents || fd->fd != agent->connection.client.fd)
		return;
	log_warning("podveil-tunnel closed the connection");
	tunnel_client_close(&agent->connection.client);
	agent_wake(agent);
}

static void handle_events(struct loop *loop, const struct pollfd fds[static FD_COUNT])
{
	struct agent *agent = loop->agent;
	struct hooks *hooks = &agent->hooks;
	uint64_t now_ns = boot_ns();

	if (fds[FD_MONITOR].revents)
		schedule_note_links(&agent->schedule, link_monitor_drain(loop->monitor_fd), now_ns);
	if (fds[FD_GUARD_TABLE].revents && guard_table_drain(&hooks->guard_table))
		schedule_want_pass(&agent->schedule, now_ns + SCHEDULE_LINKS_NS);
	if (fds[FD_WATCH].revents && link_monitor_drain(hooks->watch.fd))
		hooks->watch.due_ns = MIN(hooks->watch.due_ns, now_ns + SCHEDULE_LINKS_NS);
	lose_tunnel(agent, &fds[FD_TUNNEL]);
	if (fds[FD_REGISTRY].revents)
		intake_handle_changes(agent);
	if (fds[FD_SECRET].revents) {
		secret_file_drain(&agent->secret);
		schedule_want_pass(&agent->schedule, now_ns + SCHEDULE_BURST_NS);
	}
	control_serve(&loop->control, &fds[FD_CONTROL], boot_ns());
}

/* Changes that no event reports: hooks that other programs change, handshakes that the tunnel
 * completes. */
static void look_around(struct agent *agent, uint64_t now_ns)
{
	struct hooks *hooks = &agent->hooks;

	if (watch_check(&hooks->watch, agent->datapath.loader, now_ns) ||
	    guard_table_drain(&hooks->guard_table))
		schedule_want_pass(&agent->schedule, boot_ns() + SCHEDULE_LINKS_NS);
	events_look(&agent->events, &agent->datapath, &hooks->watch, agent->registry);
	if (mode_has_unreached(&agent->mode, &agent->members, &agent->datapath) &&
	    peers_refresh_status(&agent->members, &agent->connection))
		mode_advance_ratchet(&agent->mode, &agent->members, &agent->datapath,
				     &agent->connection, &agent->verdict);
}

/* A pass may take long, and a device that appears during it has no hooks yet. */
static void serve_links(struct loop *loop)
{
	struct hooks_parts hooks = agent_hooks_parts(loop->agent);
	enum link_news news = link_monitor_drain(loop->monitor_fd);

	schedule_note_links(&loop->agent->schedule, news, boot_ns());
	if (news == LINK_NEW_DEVICE)
		hooks_attach_new(&hooks);
}

static void make_pass(struct loop *loop)
{
	for (unsigned int phase = 0; reconcile_run_phase(loop->agent, phase); phase++)
		serve_links(loop);
}

static void handle_time(struct loop *loop)
{
	struct agent *agent = loop->agent;
	struct schedule *schedule = &agent->schedule;
	uint64_t now_ns = boot_ns();

	if (now_ns >= agent->hooks.watch.due_ns)
		look_around(agent, now_ns);
	if (schedule_pop_tick(schedule, now_ns))
		intake_handle_changes(agent);
	if (now_ns >= schedule_next_pass(schedule, connection_retry_ns(&agent->connection))) {
		schedule->pass_ns = 0;
		make_pass(loop);
	} else if (schedule->proofs_ns && now_ns >= schedule->proofs_ns) {
		struct keys_parts keys = agent_keys_parts(agent);

		keys_advance(&keys);
	}
}

/* 0 after a signal; 1 if the agent cannot start. */
static int run(struct loop *loop)
{
	struct pollfd fds[FD_COUNT];

	for (;;) {
		handle_time(loop);
		if (loop->agent->verdict.must_stop)
			return 1;
		prepare_fds(loop, fds);
		if (poll(fds, FD_COUNT, wait_ms(loop->agent)) < 0)
			continue;
		if (fds[FD_SIGNAL].revents && handle_signal(loop))
			return 0;
		handle_events(loop, fds);
	}
}

/* -- start -- */

static bool make_directory(const char *path)
{
	if (!mkdir(path, 0755) || errno == EEXIST)
		return true;
	log_error("--control: cannot create the directory '%s': %s%s", path, strerror(errno),
		  errno == EACCES || errno == EPERM ? ": run as root" : "");
	return false;
}

/* One agent for each run-time directory: two would undo each other's work. */
static bool acquire_lock(struct loop *loop)
{
	char path[PATH_MAX], pid[32] = "";
	char *slash;
	ssize_t len;

	copy_text(path, sizeof(path), loop->agent->settings->control);
	slash = strrchr(path, '/');
	*slash = '\0';
	if (path[0] && !make_directory(path))
		return false;
	strcpy(slash, "/keyd.lock");
	loop->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (loop->lock_fd < 0) {
		log_error("cannot open '%s': %s%s", path, strerror(errno),
			  errno == EACCES ? ": run as root" : "");
		return false;
	}
	if (flock(loop->lock_fd, LOCK_EX | LOCK_NB)) {
		len = read(loop->lock_fd, pid, sizeof(pid) - 1);
		pid[len > 0 ? strspn(pid, "0123456789") : 0] = '\0';
		log_error(
			"another podveil-keyd (pid %s) runs with this run-time directory ('%s'): stop it, or give another "
			"--control",
			pid, path);
		return false;
	}
	snprintf(pid, sizeof(pid), "%d\n", getpid());
	if (ftruncate(loop->lock_fd, 0) || pwrite(loop->lock_fd, pid, strlen(pid), 0) < 0)
		log_warning("cannot write to '%s': %s", path, strerror(errno));
	return true;
}

static bool block_signals(struct loop *loop)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	loop->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
	return loop->signal_fd >= 0;
}

static bool follow_links(struct loop *loop)
{
	int error = link_monitor_open(&loop->monitor_fd);

	if (!error)
		error = watch_open(&loop->agent->hooks.watch);
	if (error)
		log_error("cannot follow devices, addresses and hooks by netlink: %s",
			  strerror(-error));
	return !error;
}

static int open_registry(struct agent *agent)
{
	const struct settings *settings = agent->settings;

	if (settings->is_kubernetes)
		return registry_kubernetes_open(&agent->registry, settings->kubeconfig,
						settings->node, settings->requires_admission);
	return registry_file_open(&agent->registry, settings->registry + strlen("file:"),
				  settings->node);
}

/* An unreachable server changes nothing: until it has reported the mode and its own addresses,
 * those that an earlier agent left in the maps hold. */
static void inherit(struct agent *agent)
{
	const struct datapath *datapath = &agent->datapath;
	bool is_server = agent->registry->is_server;

	bypasses_begin(&agent->bypasses, datapath, is_server);
	if (is_server)
		pod_cidrs_inherit(&agent->pod_cidrs, datapath->entries, datapath->entry_count);
	mode_inherit(&agent->mode, &datapath->config, is_server);
}

static bool start(struct loop *loop)
{
	struct agent *agent = loop->agent;
	const struct settings *settings = agent->settings;

	if (!block_signals(loop) || !secret_file_open(&agent->secret, settings->cluster_secret) ||
	    !acquire_lock(loop) || open_registry(agent) ||
	    !facts_begin(&agent->facts, &agent->pod_cidrs, settings, agent->registry))
		return false;
	keys_begin(&agent->keys, settings, agent->registry->uid, agent->registry->found);
	if (!follow_links(loop) || datapath_open(&agent->datapath, settings->bpffs))
		return false;
	inherit(agent);
	if (reconcile_shut(agent))
		return false;
	/* After the hooks, and its failure does not matter: unnamed losses are no reason not to
	 * start. */
	loader_count_kernel_drops(agent->datapath.loader);
	intake_handle_changes(agent);
	make_pass(loop);
	return !agent->verdict.must_stop &&
	       !control_open(&loop->control, settings->control, report_answer, agent);
}

int loop_run(const struct settings *settings)
{
	struct loop loop = {
		.agent = agent_new(settings), .monitor_fd = -1, .signal_fd = -1, .lock_fd = -1};
	int status = 1;

	if (!loop.agent) {
		log_error("not enough memory");
		return status;
	}
	control_init(&loop.control);
	if (start(&loop))
		status = run(&loop);
	control_close(&loop.control);
	agent_free(loop.agent);
	fd_close(&loop.monitor_fd);
	fd_close(&loop.signal_fd);
	fd_close(&loop.lock_fd);
	return status;
}
