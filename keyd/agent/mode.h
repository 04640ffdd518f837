/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mode of this node, strict or permissive, and the ratchet that permissive mode goes through.
 * SHELL; ratchet.h decides.
 */
#pragma once

#include "cluster/members.h"
#include "connection.h"
#include "datapath/datapath.h"
#include "verdict.h"

struct mode {
	enum datapath_mode current;
	/* The registry's, or else that of the flags or of the last `podveil mode`. */
	enum datapath_mode wanted;
	bool is_cluster_wide; /* the registry sets it */
	bool is_inherited;    /* from an earlier agent, until the registry has reported its own */
};

/* "permissive", "strict". */
const char *mode_name(enum datapath_mode mode);

/* Takes over the mode that an earlier agent left in the maps, if there was one and the registry
 * may still set another. */
void mode_inherit(struct mode *mode, const struct datapath_config *config, bool is_server);

/* The registry sets this mode; NULL: none. */
void mode_learn(struct mode *mode, const enum datapath_mode *wanted, enum datapath_mode flag);

/* The mode from now on, by one write to the map; the ratchet stays as it is. 0 or -errno. */
MUST_CHECK int mode_set(struct mode *mode, struct datapath *datapath, enum datapath_mode wanted);

/* Makes the wanted mode the current one. */
void mode_settle(struct mode *mode, struct members *members, struct datapath *datapath,
		 struct connection *connection, struct verdict *verdict);

void mode_report(const struct mode *mode, struct verdict *verdict);

/* -- the ratchet -- */

/* Notes the nodes that the tunnel has reached, by the last status, and in permissive mode tries
 * the others. */
void mode_advance_ratchet(const struct mode *mode, struct members *members,
			  struct datapath *datapath, struct connection *connection,
			  struct verdict *verdict);

/* The mode is permissive, and a usable peer was not reached yet: then the tunnel is asked twice
 * a second. */
bool mode_has_unreached(const struct mode *mode, const struct members *members,
			const struct datapath *datapath);

static inline bool mode_was_reached(const struct datapath *datapath,
				    const struct cluster_member *member)
{
	return datapath_was_reached(datapath, member->id, member->name);
}
