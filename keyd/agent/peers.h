/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other nodes, told to the tunnel and to the maps as cluster.c judged them, and what the tunnel says of them. SHELL.
 * What fails becomes a reason and is tried again at the next pass.
 */
#pragma once

#include "agent.h"

/* Asks the tunnel how its peers are, into the members' status. False: it is not there. */
bool peers_refresh_status(struct agent *agent);

/* What the status proves of the members' keys, for cluster.c to judge by. */
void peers_note_proofs(struct agent *agent);

/* Each member has its id from here on, and its entry in the maps: the one that an earlier agent gave it, if any. */
void peers_identify(struct agent *agent);

/* The tunnel's datagrams to usable peers leave whatever the prefixes say; before prefixes that would lead them into the
 * tunnel, and with may_remove, after those are gone, those of no peer no more. 0 or -errno. */
MUST_CHECK int peers_settle_endpoints(struct agent *agent, bool may_remove);

/* Who is usable is armed, who is not is disarmed, in an order in which no prefix is nobody's meanwhile. */
void peers_settle(struct agent *agent);

/* The usable peers to the tunnel again, as our keys are now: before a new one is published, the tunnel has the preshared
 * keys that belong to it. */
void peers_tell(struct agent *agent);

/* The members' prefixes and this node's exceptions into the maps. 0 or -errno. */
MUST_CHECK int peers_settle_prefixes(struct agent *agent);

/* Who is no member any more leaves maps and tunnel; not before every record was told. */
void peers_remove_gone(struct agent *agent);

/* One log line for each refusal that is new or over. */
void peers_report_refusals(struct agent *agent);
