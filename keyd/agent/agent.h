/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent: everything podveil-keyd knows. SHELL.
 * It is level-triggered: whatever happens, the desired state is computed from the newest facts, compared with what is,
 * and only the difference is made so. What cannot be made so is a reason, shown by `podveil status`, and tried again. A
 * fault of another node is a warning, and does not change the state of this one.
 */
#pragma once

#include "bypasses.h"
#include "cluster/members.h"
#include "cluster/reason.h"
#include "cluster/rotate.h"
#include "control.h"
#include "datapath/datapath.h"
#include "datapath/watch.h"
#include "guard/guard_table.h"
#include "host/link_monitor.h"
#include "host/pods.h"
#include "host/underlay.h"
#include "registry/registry.h"
#include "registry/secret_file.h"
#include "settings.h"
#include "tunnel_client.h"

#define EVENT_LEAKS 4 /* reasons that count a leak */

struct agent {
	const struct settings *settings;
	struct registry *registry;
	struct datapath datapath;
	struct tunnel_client tunnel;
	struct control control;
	struct watch watch;
	struct guard_table guard_table;
	struct secret_file secret;
	int monitor_fd, signal_fd, lock_fd;
	/* state */
	struct cluster_self self;
	struct pods local_pods;			   /* as the kernel shows them */
	struct cidr node_pods[NODE_POD_CIDRS_MAX]; /* as the flags or the registry say */
	uint32_t node_pod_count;
	bool are_pods_local; /* which of the two counts */
	bool was_own_seen;   /* the registry has told of our own Node, first at ... */
	uint64_t own_seen_ns;
	struct refusal bad_pods; /* why what it says of our prefixes is not taken; empty: it is */
	struct underlay_view view;
	struct underlay underlay;
	struct control_hello hello; /* while the tunnel is connected */
	struct rotate rotate;
	struct members members;
	uint32_t inner_mtu, last_id;
	enum datapath_mode
		mode; /* the registry's; or else the flag's, or as `podveil mode` said since */
	enum datapath_mode wanted_mode;
	bool has_cluster_mode; /* the registry says which one */
	bool is_mode_inherited; /* from an earlier agent, until the registry has said whether it has one */
	struct bypasses bypasses;
	bool is_listed;	     /* the registry has told every record that can be read once */
	bool are_all_listed; /* and every record could be read: a node that was not named is gone */
	uint32_t stray_count;		       /* entries of the registry that name no node ... */
	struct refusal stray;		       /* ... and what is wrong with one of them */
	bool has_port;			       /* the tunnel took our port once */
	bool has_settled;		       /* one whole pass with tunnel and registry is done */
	bool must_end;			       /* cannot start: the reason is logged */
	uint64_t changes;		       /* made outside the datapath, which counts its own */
	uint64_t due_ns;		       /* next reconciliation; 0: none is wanted */
	uint64_t tick_ns;		       /* the one that happens anyway */
	uint64_t connect_ns, connect_delay_ns; /* next attempt to reach the tunnel */
	uint64_t publish_ns;		       /* the same record again: not before */
	uint64_t published_epoch;	       /* of what was published last */
	uint64_t questions_ns; /* next pass for the sake of a dispute; 0: none is wanted */
	uint64_t rotation_ns;  /* next look at the peers' proofs; 0: none is wanted */
	bool is_asked;	       /* the registry's request to rotate is not settled yet */
	bool was_overdue;      /* the last pass found the overlap over and previous still there */
	bool has_leaks;	       /* what was counted so far is in ... */
	uint64_t leaks[EVENT_LEAKS];
	struct reasons reasons, warnings;		/* of this pass */
	struct reasons reasons_before, warnings_before; /* of the last one */
	enum reason_verdict verdict;			/* of the last one */
};

#define AGENT_BURST_NS (50 * NS_PER_MS) /* events that arrive together share one pass */
#define AGENT_LINKS_NS (5 * NS_PER_MS)	/* changes of devices and routes are more urgent */

/* A pass within this time. */
void agent_want_pass(struct agent *agent, uint64_t delay_ns);

/* A pass soon, because of something that came by the control socket. */
void agent_wake(struct agent *agent);

/* What the link monitor told: a pass soon, and at once for a new device, since a pass begins with the hooks. */
void agent_take_links(struct agent *agent, enum link_news news);

struct rotate_now agent_rotate_now(void);

/* A fault of this node, until the next pass. */
PRINTF(4, 5)
void agent_add_reason(struct agent *agent, enum reason_kind kind, const char *subject,
		      const char *format, ...);
/* A fault of another node, until the next pass. Only to be called in a pass: a warning that finds no room is counted at each
 * call. */
PRINTF(4, 5)
void agent_add_warning(struct agent *agent, enum reason_kind kind, const char *subject,
		       const char *format, ...);
