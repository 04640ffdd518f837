// SPDX-License-Identifier: Apache-2.0
/*
 * Start, poll loop and stop of the agent. The start fails closed: the hooks and the cluster range are in place before the
 * agent first asks the tunnel or the registry, and stopping removes nothing, for whatever reason the agent stops.
 */
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "agent.h"
#include "event.h"
#include "host/clock.h"
#include "host/link.h"
#include "intake.h"
#include "keys.h"
#include "peers.h"
#include "pod_cidrs.h"
#include "ratchet.h"
#include "reconcile.h"
#include "report.h"

#define TICK_NS (10 * NS_PER_S) /* a pass without any event: a registry that came back */

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

static void prepare_fds(const struct agent *agent, struct pollfd fds[static FD_COUNT])
{
	fds[FD_SIGNAL] = (struct pollfd){.fd = agent->signal_fd, .events = POLLIN};
	fds[FD_MONITOR] = (struct pollfd){.fd = agent->monitor_fd, .events = POLLIN};
	fds[FD_WATCH] = (struct pollfd){.fd = agent->watch.fd, .events = POLLIN};
	fds[FD_GUARD_TABLE] = (struct pollfd){.fd = agent->guard_table.fd, .events = POLLIN};
	fds[FD_REGISTRY] = (struct pollfd){.fd = agent->registry->fd, .events = POLLIN};
	fds[FD_TUNNEL] = (struct pollfd){.fd = agent->tunnel.fd, .events = POLLIN};
	fds[FD_SECRET] = (struct pollfd){.fd = agent->secret.fd, .events = POLLIN};
	control_prepare(&agent->control, &fds[FD_CONTROL]);
}

/* When the next pass is due without an event. */
static uint64_t pass_deadline(const struct agent *agent)
{
	uint64_t deadline_ns = agent->tick_ns;

	if (agent->due_ns)
		deadline_ns = MIN(deadline_ns, agent->due_ns);
	if (agent->questions_ns)
		deadline_ns = MIN(deadline_ns, agent->questions_ns);
	if (!tunnel_client_is_connected(&agent->tunnel))
		deadline_ns = MIN(deadline_ns, agent->connect_ns);
	return deadline_ns;
}

static int wait_ms(const struct agent *agent, uint64_t now_ns)
{
	uint64_t deadline_ns = MIN(pass_deadline(agent), agent->watch.due_ns);

	if (agent->rotation_ns)
		deadline_ns = MIN(deadline_ns, agent->rotation_ns);
	return deadline_ns <= now_ns ? 0 : (int)((deadline_ns - now_ns) / NS_PER_MS + 1);
}

static bool take_signal(struct agent *agent)
{
	struct signalfd_siginfo info;

	if (read(agent->signal_fd, &info, sizeof(info)) != sizeof(info))
		return false;
	log_info("ends on signal %u: hooks, maps and peers stay, traffic goes on", info.ssi_signo);
	return true;
}

static void take_events(struct agent *agent, const struct pollfd fds[static FD_COUNT])
{
	if (fds[FD_MONITOR].revents)
		agent_take_links(agent, link_monitor_drain(agent->monitor_fd));
	if (fds[FD_GUARD_TABLE].revents && guard_table_drain(&agent->guard_table))
		agent_want_pass(agent, AGENT_LINKS_NS);
	if (fds[FD_WATCH].revents && link_monitor_drain(agent->watch.fd))
		agent->watch.due_ns = MIN(agent->watch.due_ns, boot_ns() + AGENT_LINKS_NS);
	if (fds[FD_TUNNEL].revents && fds[FD_TUNNEL].fd == agent->tunnel.fd) {
		log_warning("podveil-tunnel is gone");
		tunnel_client_close(&agent->tunnel);
		agent_want_pass(agent, 0);
	}
	if (fds[FD_REGISTRY].revents)
		intake_take_changes(agent);
	if (fds[FD_SECRET].revents) {
		secret_file_drain(&agent->secret);
		agent_want_pass(agent, AGENT_BURST_NS);
	}
	control_serve(&agent->control, &fds[FD_CONTROL], boot_ns());
}

/* What nothing tells us of: hooks that others touch, handshakes that the tunnel completes. */
static void look_around(struct agent *agent, uint64_t now_ns)
{
	if (watch_check(&agent->watch, agent->datapath.loader, now_ns) ||
	    guard_table_drain(&agent->guard_table))
		agent_want_pass(agent, AGENT_LINKS_NS);
	event_look(agent);
	if (ratchet_is_waiting(agent) && peers_refresh_status(agent))
		ratchet_advance(agent);
}

static void take_time(struct agent *agent)
{
	uint64_t now_ns = boot_ns();

	if (now_ns >= agent->watch.due_ns)
		look_around(agent, now_ns);
	if (now_ns >= agent->tick_ns) {
		agent->tick_ns = now_ns + TICK_NS;
		intake_take_changes(agent);
		agent->due_ns = now_ns;
	}
	if (now_ns >= pass_deadline(agent)) {
		agent->due_ns = 0;
		reconcile(agent);
	} else if (agent->rotation_ns && now_ns >= agent->rotation_ns) {
		keys_advance(agent);
	}
}

static int loop(struct agent *agent)
{
	struct pollfd fds[FD_COUNT];

	for (;;) {
		take_time(agent);
		if (agent->must_end)
			return 1;
		prepare_fds(agent, fds);
		if (poll(fds, FD_COUNT, wait_ms(agent, boot_ns())) < 0)
			continue;
		if (fds[FD_SIGNAL].revents && take_signal(agent))
			return 0;
		take_events(agent, fds);
	}
}

/* -- start -- */

static bool make_folder(const char *path)
{
	if (!mkdir(path, 0755) || errno == EEXIST)
		return true;
	log_error("--control: cannot make the folder '%s': %s%s", path, strerror(errno),
		  errno == EACCES || errno == EPERM ? ": run as root" : "");
	return false;
}

/* One agent for each run-time folder: two would undo each other's work. */
static bool take_lock(struct agent *agent)
{
	char path[PATH_MAX], pid[32] = "";
	char *slash;
	ssize_t len;

	copy_text(path, sizeof(path), agent->settings->control);
	slash = strrchr(path, '/');
	*slash = '\0';
	if (path[0] && !make_folder(path))
		return false;
	strcpy(slash, "/keyd.lock");
	agent->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (agent->lock_fd < 0) {
		log_error("cannot open '%s': %s%s", path, strerror(errno),
			  errno == EACCES ? ": run as root" : "");
		return false;
	}
	if (flock(agent->lock_fd, LOCK_EX | LOCK_NB)) {
		len = read(agent->lock_fd, pid, sizeof(pid) - 1);
		pid[len > 0 ? strspn(pid, "0123456789") : 0] = '\0';
		log_error(
			"another podveil-keyd (pid %s) runs with this run-time folder ('%s'): stop it, or give another "
			"--control",
			pid, path);
		return false;
	}
	snprintf(pid, sizeof(pid), "%d\n", getpid());
	if (ftruncate(agent->lock_fd, 0) || pwrite(agent->lock_fd, pid, strlen(pid), 0) < 0)
		log_warning("cannot write to '%s': %s", path, strerror(errno));
	return true;
}

static bool take_signals(struct agent *agent)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	agent->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
	return agent->signal_fd >= 0;
}

static bool follow_links(struct agent *agent)
{
	int error = link_monitor_open(&agent->monitor_fd);

	if (!error)
		error = watch_open(&agent->watch);
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

/* Where the registry knows it at once. */
static void begin_identity(struct agent *agent)
{
	const struct registry *registry = agent->registry;

	rotate_init(&agent->rotate, registry->uid, &agent->settings->rotate);
	if (registry->found && registry->found->voice == NODE_PUBLISHED)
		rotate_record_seen(&agent->rotate, &registry->found->annotation,
				   agent_rotate_now());
}

/* A server that cannot be reached changes nothing: until it has said what the mode and its addresses are, those hold that
 * an earlier agent was told. */
static void inherit(struct agent *agent)
{
	const struct datapath_config *config = &agent->datapath.config;

	bypasses_begin(&agent->bypasses, &agent->datapath, agent->registry->is_server);
	if (agent->registry->is_server)
		pod_cidrs_inherit(agent);
	agent->is_mode_inherited =
		agent->registry->is_server && config->abi_version == MAP_ABI_VERSION;
	if (!agent->is_mode_inherited)
		return;
	agent->mode = config->mode == MODE_PERMISSIVE ? MODE_PERMISSIVE : MODE_STRICT;
	agent->wanted_mode = agent->mode;
	if (agent->mode != agent->settings->mode)
		log_warning("the mode is %s, as an earlier agent left it, until the registry says "
			    "which one it is",
			    agent->mode == MODE_PERMISSIVE ? "permissive" : "strict");
}

static bool start(struct agent *agent)
{
	const struct settings *settings = agent->settings;

	if (!take_signals(agent) || !secret_file_open(&agent->secret, settings->cluster_secret) ||
	    !take_lock(agent) || open_registry(agent) || !pod_cidrs_begin(agent))
		return false;
	begin_identity(agent);
	if (!follow_links(agent) || datapath_open(&agent->datapath, settings->bpffs))
		return false;
	inherit(agent);
	if (reconcile_shut(agent))
		return false;
	/* After the hooks, and where it fails all the same: losses without a name are no reason to stay away. */
	loader_count_kernel_drops(agent->datapath.loader);
	intake_take_changes(agent);
	reconcile(agent);
	return !agent->must_end &&
	       !control_open(&agent->control, settings->control, report_answer, agent);
}

static void stop(struct agent *agent)
{
	control_close(&agent->control);
	tunnel_client_close(&agent->tunnel);
	watch_close(&agent->watch);
	guard_table_close(&agent->guard_table);
	datapath_close(&agent->datapath);
	members_clear(&agent->members);
	link_view_clear(&agent->view);
	secret_file_close(&agent->secret);
	if (agent->registry)
		agent->registry->operations->close(agent->registry);
	fd_close(&agent->monitor_fd);
	fd_close(&agent->signal_fd);
	fd_close(&agent->lock_fd);
}

int loop_run(const struct settings *settings)
{
	static struct agent agent; /* too large for the stack */
	int status;

	agent = (struct agent){.settings = settings,
			       .mode = settings->mode,
			       .wanted_mode = settings->mode,
			       .monitor_fd = -1,
			       .signal_fd = -1,
			       .lock_fd = -1};
	control_init(&agent.control);
	watch_init(&agent.watch);
	guard_table_init(&agent.guard_table);
	secret_file_init(&agent.secret);
	tunnel_client_init(&agent.tunnel, settings->tunnel);
	status = start(&agent) ? loop(&agent) : 1;
	stop(&agent);
	return status;
}
