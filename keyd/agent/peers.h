/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other nodes: brings the tunnel and the maps in line with the judgement of cluster.c, and
 * reads their status from the tunnel. SHELL. A failure becomes a reason and is retried in the next
 * pass.
 */
#pragma once

#include "cluster/members.h"
#include "connection.h"
#include "datapath/datapath.h"
#include "mode.h"
#include "peer_request.h"
#include "registry/registry.h"
#include "settings.h"
#include "verdict.h"

/* The parts of the agent that these steps read and write. */
struct peers_parts {
	const struct settings *settings;
	const struct cluster_self *self;
	const struct secrets *secrets; /* NULL: none */
	const struct mode *mode;
	bool are_pods_known; /* this node's own */
	struct members *members;
	struct connection *connection;
	struct datapath *datapath;
	struct verdict *verdict;
};

/* Reads the status of all peers from the tunnel. False: the tunnel is not connected. */
bool peers_refresh_status(struct members *members, struct connection *connection);

/* Notes which keys of the members the last status proves, for cluster.c to judge by. */
void peers_note_proofs(struct members *members);

/* Gives each member its id and its entry in the maps: those that an earlier agent gave it, if
 * any. */
void peers_identify(struct members *members, struct datapath *datapath, struct verdict *verdict);

/* Lets the tunnel's datagrams to usable peers leave, regardless of the prefixes. Called before
 * prefixes that would lead them into the tunnel are added, and with may_remove, after those are
 * gone, to close the endpoints of no peer. 0 or -errno. */
MUST_CHECK int peers_settle_endpoints(struct members *members, struct datapath *datapath,
				      bool may_remove, struct verdict *verdict);

/* Enables usable peers and disables the others, in an order that never leaves a prefix without
 * an owner. */
void peers_settle(const struct peers_parts *parts);

/* Sends the usable peers to the tunnel again, by our keys as they are now: the tunnel has the
 * preshared keys of a new key before that key is published. */
void peers_send(const struct peers_parts *parts);

/* Puts the members' prefixes and this node's exceptions into the maps. 0 or -errno. */
MUST_CHECK int peers_settle_prefixes(const struct peers_parts *parts);

/* Removes nodes that are no longer members from maps and tunnel. Only after every record was
 * listed. */
void peers_remove_gone(const struct peers_parts *parts);

/* Adds a warning for each record that is refused, and logs each refusal that is new or over. */
void peers_report_refusals(struct members *members, struct registry *registry,
			   struct verdict *verdict);
