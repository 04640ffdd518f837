/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a node present, and at which of its addresses, according to the tunnel? CORE.
 *
 * An idle node is as quiet as a dead one, so only a node that was asked counts as silent; and a
 * node has left an address only if several questions there remained unanswered. Neither takes away
 * a claim by itself: the claim of such a node yields to one that a live node makes (claim.h).
 */
#pragma once

#include "cluster.h"
#include "tunnel_control.h"

/* The lifetime of a session: a peer heard within it is live. */
#define PRESENCE_SILENT_NS (180 * NS_PER_S)

/* For the answer to a handshake, as WireGuard waits for it. */
#define PRESENCE_PATIENCE_NS (5 * NS_PER_S)

#define PRESENCE_LEFT_NS     (400 * NS_PER_MS)
#define PRESENCE_LEFT_TRIES  3

/* Sets the member's is_silent, is_askable and places. now_ns: the time of the page that contained
 * the status. */
void presence_note(struct cluster_member *member, const struct control_peer_status *status,
		   uint64_t now_ns);

/* Nothing authentic came from it for PRESENCE_SILENT_NS: ask it if it is in a dispute. */
bool presence_is_quiet(const struct control_peer_status *status);

/* The time until it counts as quiet, if nothing arrives. */
uint64_t presence_quiet_in_ns(const struct control_peer_status *status);

/* The delay before the next question after `asked` unanswered ones: short at first, while traffic
 * waits, then longer and longer. */
uint64_t presence_ask_delay_ns(uint32_t asked);

/* The delay between an answer and the next question, while the dispute lasts. */
#define PRESENCE_ASK_AGAIN_NS (5 * NS_PER_S)
