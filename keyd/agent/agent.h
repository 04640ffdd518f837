/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent: everything podveil-keyd knows. SHELL. Each part belongs to the file that declares it;
 * loop, intake, reconcile and the answers to commands see the whole, every other file gets the
 * parts that it reads and writes.
 * The agent is level-triggered: after any event, a pass computes the desired state from the newest
 * facts, compares it with the actual state, and applies only the difference. Anything that cannot
 * be reconciled is listed by `podveil status` as a reason and retried. A fault of another node is a
 * warning, and does not change the state of this one.
 */
#pragma once

#include "bypasses.h"
#include "cluster/members.h"
#include "connection.h"
#include "datapath/datapath.h"
#include "events.h"
#include "facts.h"
#include "hooks.h"
#include "keys.h"
#include "mode.h"
#include "peers.h"
#include "pod_cidrs.h"
#include "registry/registry.h"
#include "registry/secret_file.h"
#include "schedule.h"
#include "settings.h"
#include "verdict.h"

struct agent {
	const struct settings *settings;
	struct registry *registry;
	struct secret_file secret;
	struct schedule schedule;
	struct verdict verdict;
	struct facts facts;
	struct pod_cidrs pod_cidrs;
	struct mode mode;
	struct members members;
	struct bypasses bypasses;
	struct connection connection;
	struct keys keys;
	struct datapath datapath;
	struct hooks hooks;
	struct events events;
};

/* Everything closed and empty. NULL: no memory. */
struct agent *agent_new(const struct settings *settings);
/* Closes everything, and changes nothing in the kernel or in the tunnel. */
void agent_free(struct agent *agent);

/* The parts for the steps of hooks.h, peers.h and keys.h, for one call of them: they point into
 * the agent. */
struct hooks_parts agent_hooks_parts(struct agent *agent);
struct peers_parts agent_peers_parts(struct agent *agent);
struct keys_parts agent_keys_parts(struct agent *agent);

/* Asks for a pass at once, after a command. */
void agent_wake(struct agent *agent);
