/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent: opens everything that needs privileges, forks the engine, and then does the few
 * privileged operations that the engine may request (verbs.h). The list of verbs is closed; the
 * engine is not trusted with anything else.
 */
#pragma once

#include "aead/aead.h"
#include "tun.h"
#include "tunnel.h"
#include "udp.h"

struct monitor_settings {
	char interface[IF_NAMESIZE];
	const char *control_path;
	const char *wireguard_dir;
	const struct aead_engine *aead;
};

struct monitor {
	/* configuration */
	const struct monitor_settings *settings;
	char wireguard_path[108]; /* as in sockaddr_un */

	/* state */
	struct tun tun;
	int control_listener, wireguard_listener;
	bool has_control_path, has_wireguard_path; /* ours to unlink */
	int signals;				   /* signalfd: SIGTERM, SIGINT, SIGCHLD */
	int verbs;				   /* to the engine */
	struct udp_sockets sockets;		   /* the engine's, for a change of mark */
	uint16_t port;
	struct tunnel_state *state;
	pid_t engine;
};

/* False after logging the reason; monitor_clear then undoes the partial setup. */
MUST_CHECK bool monitor_init(struct monitor *monitor, const struct monitor_settings *settings);

/* Runs until a signal stops it or the engine exits. Returns the exit status. */
MUST_CHECK int monitor_run(struct monitor *monitor);

void monitor_clear(struct monitor *monitor);
