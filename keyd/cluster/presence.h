/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a node is there, and at which of its addresses, by what the tunnel knows of it. CORE.
 *
 * A node that is idle is as quiet as one that is dead, so only a node that was asked counts as silent; and a node has left
 * an address only if several questions there stayed without an answer. By itself neither takes anything from anybody: the
 * claim of such a node yields to one that a live node makes (claim.h).
 */
#pragma once

#include "cluster.h"
#include "tunnel_control.h"

#define PRESENCE_SILENT_NS \
	(180 * NS_PER_S) /* as long as a session lasts: a peer that was heard since is live */
#define PRESENCE_PATIENCE_NS \
	(5 * NS_PER_S) /* for the answer to a handshake, as WireGuard waits for it */
#define PRESENCE_LEFT_NS    (400 * NS_PER_MS)
#define PRESENCE_LEFT_TRIES 3

/* Into the member's is_silent, is_askable and places. now_ns: of the page that the status came in. */
void presence_note(struct cluster_member *member, const struct control_peer_status *status,
		   uint64_t now_ns);

/* Nothing authentic came from it for PRESENCE_SILENT_NS: it is to be asked if it is in a dispute. */
bool presence_is_quiet(const struct control_peer_status *status);

/* In how long it will be quiet if nothing comes. */
uint64_t presence_quiet_in_ns(const struct control_peer_status *status);

/* How long after the last of `asked` questions without an answer the next one is due: quickly at first, while traffic
 * waits, then ever less often. */
uint64_t presence_ask_delay_ns(uint32_t asked);

/* How long after an answer the next question is due, while the dispute lasts. */
#define PRESENCE_ASK_AGAIN_NS (5 * NS_PER_S)
