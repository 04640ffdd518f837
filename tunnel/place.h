/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The addresses at which a peer was asked for a handshake, and those at which it completed one. CORE.
 *
 * A handshake that is completed proves that the holder of the peer's key receives what we send to an address: a response
 * proves the address to which its initiation went, and the packet that confirms a session proves the address to which
 * our response went. The source address of a datagram proves nothing, since it can be forged. Nor does a port other than
 * our own, which all nodes of a cluster share: behind a NodePort the datagrams go on to another node. keyd judges by these
 * proofs which of two nodes has an address that both claim; they are kept here because they are lost with the keys.
 */
#pragma once

#include "address.h"

#define PEER_PLACES_MAX 24
/* Between two questions of one peer: WireGuard takes more than 50 a second for a flood. */
#define QUESTION_SPACING_NS (25 * NS_PER_MS)
/* While the last one may still be answered: the next one makes that answer void. */
#define QUESTION_WAIT_NS     (100 * NS_PER_MS)
#define QUESTION_PATIENCE_NS (300 * NS_PER_MS) /* for the answer to an initiation to the endpoint */

struct peer_place {
	struct address address; /* family 0: the place is free */
	uint64_t
		proved_ns; /* boot clock: the first handshake that was completed there; 0: none was */
	uint64_t answered_ns; /* and the last one */
	uint64_t
		asked_ns; /* the first initiation since then, while it has no answer; 0: there is none */
	uint32_t asked_count; /* initiations since then */
};

/* An initiation went there. Where no place is left, the address that answered longest ago is forgotten. */
void place_note_asked(struct peer_place places[static PEER_PLACES_MAX],
		      const struct address *address, uint64_t now_ns);

/* A handshake was completed there. */
void place_note_answered(struct peer_place places[static PEER_PLACES_MAX],
			 const struct address *address, uint64_t now_ns);

/* The node does not claim the address any more: neither proof nor question outlives the claim. */
void place_forget(struct peer_place places[static PEER_PLACES_MAX], const struct address *address);
