/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The addresses at which a peer was asked for a handshake, and those at which it completed one.
 *
 * A complete handshake proves that the holder of the peer's key receives datagrams at an address: a
 * response proves the destination of its initiation, and the packet that confirms a session proves
 * the destination of our response. The source address of a datagram proves nothing, since it can be
 * forged. Nor does a port other than our own, which all nodes of a cluster share: behind a NodePort
 * the datagrams are forwarded to another node. From these proofs keyd decides which of two nodes
 * has an address that both claim. They are kept here because they are lost with the keys.
 */
#pragma once

#include "address.h"

#define PEER_PLACES_MAX 24
/* Between two questions to one peer: WireGuard counts more than 50 a second as a flood. */
#define QUESTION_SPACING_NS (25 * NS_PER_MS)
/* While the last question may still be answered: the next one would invalidate its answer. */
#define QUESTION_WAIT_NS     (100 * NS_PER_MS)
#define QUESTION_PATIENCE_NS (300 * NS_PER_MS) /* for the answer to an initiation to the endpoint */

struct peer_place {
	struct address address; /* family 0: the place is free */
	uint64_t proved_ns;	/* boot clock: the first complete handshake there; 0: none */
	uint64_t answered_ns;	/* boot clock: the last one */
	/* boot clock: the first initiation since then that has no answer; 0: none */
	uint64_t asked_ns;
	uint32_t asked_count; /* initiations since then */
};

/* An initiation was sent there. If no place is left, the address that answered longest ago is
 * forgotten. */
void place_note_asked(struct peer_place places[static PEER_PLACES_MAX],
		      const struct address *address, uint64_t now_ns);

/* A handshake was completed there. */
void place_note_answered(struct peer_place places[static PEER_PLACES_MAX],
			 const struct address *address, uint64_t now_ns);

/* The node no longer claims the address: neither proof nor question outlives the claim. */
void place_forget(struct peer_place places[static PEER_PLACES_MAX], const struct address *address);
