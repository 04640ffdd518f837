// SPDX-License-Identifier: Apache-2.0
/*
 * The mode is one value in one map. Before it becomes permissive, every node that the tunnel has
 * reached is noted in the ratchet, so that no traffic to such a node is sent in cleartext again.
 */
#include "mode.h"

#include <sodium.h>

#include "host/clock.h"
#include "log.h"
#include "ratchet.h"

const char *mode_name(enum datapath_mode mode)
{
	return mode == MODE_PERMISSIVE ? "permissive" : "strict";
}

void mode_inherit(struct mode *mode, const struct datapath_config *config, bool is_server)
{
	mode->is_inherited = is_server && config->abi_version == MAP_ABI_VERSION;
	if (!mode->is_inherited)
		return;
	mode->current = config->mode == MODE_PERMISSIVE ? MODE_PERMISSIVE : MODE_STRICT;
	if (mode->current != mode->wanted)
		log_warning("the mode is %s, as an earlier agent left it, until the registry "
			    "reports one",
			    mode_name(mode->current));
	mode->wanted = mode->current;
}

/* When the registry stops setting a mode, the last one stays until a command or the next start
 * sets another: a deleted ConfigMap neither cuts pods off nor sends their traffic in cleartext. */
void mode_learn(struct mode *mode, const enum datapath_mode *wanted, enum datapath_mode flag)
{
	if (wanted)
		mode->wanted = *wanted;
	else if (mode->is_inherited)
		mode->wanted = flag;
	mode->is_inherited = false;
	mode->is_cluster_wide = wanted;
}

int mode_set(struct mode *mode, struct datapath *datapath, enum datapath_mode wanted)
{
	struct datapath_config config = datapath->config;
	int error;

	config.mode = wanted;
	error = datapath_set_config(datapath, &config);
	if (!error)
		mode->current = wanted;
	return error;
}

void mode_settle(struct mode *mode, struct members *members, struct datapath *datapath,
		 struct connection *connection, struct verdict *verdict)
{
	if (mode->wanted == mode->current)
		return;
	mode_advance_ratchet(mode, members, datapath, connection, verdict);
	if (mode_set(mode, datapath, mode->wanted))
		verdict_add_map_failure(verdict);
	else
		log_warning("%s: %s",
			    mode->is_cluster_wide ? "the registry sets the mode"
						  : "the registry sets no mode, so the flags do",
			    mode_name(mode->current));
}

void mode_report(const struct mode *mode, struct verdict *verdict)
{
	if (mode->current == MODE_PERMISSIVE)
		verdict_add_reason(
			verdict, REASON_MODE, "",
			"THE MODE IS PERMISSIVE: pod traffic to and from nodes that were never reached is sent in cleartext");
}

/* -- the ratchet -- */

static void note_reached(const struct mode *mode, const struct cluster_member *member,
			 struct datapath *datapath, struct verdict *verdict)
{
	if (datapath_note_reached(datapath, member->id))
		verdict_add_map_failure(verdict);
	else if (mode->current == MODE_PERMISSIVE)
		log_info("node %s was reached: from now on nothing is sent to it in cleartext",
			 member->name);
}

static void try_peer(struct member *member, uint32_t member_count, struct connection *connection,
		     uint64_t now_ns)
{
	if (!backoff_has_begun(&member->tries))
		backoff_begin(&member->tries, ratchet_spread_ms(member_count), now_ns,
			      randombytes_random());
	if (!backoff_is_due(&member->tries, now_ns))
		return;
	(void)!tunnel_client_try_peer(&connection->client, member->core.id); /* retried anyway */
	backoff_delay(&member->tries, &ratchet_pace, now_ns, randombytes_random());
}

void mode_advance_ratchet(const struct mode *mode, struct members *members,
			  struct datapath *datapath, struct connection *connection,
			  struct verdict *verdict)
{
	uint64_t now_ns = boot_ns();

	for (uint32_t i = 0; i < members->count; i++) {
		struct member *member = member_of(members->items[i]);

		if (!member->core.id || mode_was_reached(datapath, &member->core))
			continue;
		switch (ratchet_next(&member->status, mode->current,
				     member->core.state == MEMBER_USABLE &&
					     connection_is_open(connection))) {
		case RATCHET_WAIT:
			break;
		case RATCHET_NOTE_REACHED:
			note_reached(mode, &member->core, datapath, verdict);
			break;
		case RATCHET_TRY:
			try_peer(member, members->count, connection, now_ns);
			break;
		}
	}
}

bool mode_has_unreached(const struct mode *mode, const struct members *members,
			const struct datapath *datapath)
{
	if (mode->current != MODE_PERMISSIVE)
		return false;
	for (uint32_t i = 0; i < members->count; i++)
		if (members->items[i]->state == MEMBER_USABLE &&
		    !mode_was_reached(datapath, members->items[i]))
			return true;
	return false;
}
