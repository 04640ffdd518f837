/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams taken off the wire of world.h, made or sealed by hand, and given to a node; nearly
 * always to B.
 */
#pragma once

#include "world.h"

static inline struct tunnel *tunnel_of_b(void)
{
	return &world->nodes[B].tunnel;
}

/* The node is given these bytes, from the other's address or from elsewhere. */
static inline void give(unsigned int node, const union endpoint *from, const void *bytes,
			size_t len)
{
	uint8_t copy[65536];

	memcpy(copy, bytes, len);
	receive_bytes(&world->nodes[node], from, copy, (uint32_t)len);
}

static inline void give_b(const void *bytes, size_t len)
{
	give(B, &world->nodes[A].address, bytes, len);
}

/* Takes the one datagram off the wire that a node sent, unseen by the other. */
static inline size_t take_from_wire(uint8_t *ret_bytes)
{
	size_t len = world->wire[0].len;

	assert_int_equal(world->wire_len, 1);
	memcpy(ret_bytes, world->wire[0].bytes, len);
	free(world->wire[0].bytes);
	world->wire_len = 0;
	return len;
}

static inline size_t take_initiation(uint8_t *ret_bytes)
{
	peer_of(A)->timers.last_initiation_sent_ns = 0;
	assert_true(send_initiation(&world->nodes[A].tunnel, world->nodes[A].peer, false));
	tunnel_flush(&world->nodes[A].tunnel);
	return take_from_wire(ret_bytes);
}

/* A data message of A's with this inside, sealed as A would, counter and all. */
static inline size_t seal_data(uint8_t *ret_bytes, const void *plain, size_t len)
{
	struct session *session = current_of(A);
	struct message_data *message = (struct message_data *)ret_bytes;
	const struct session_keys *keys =
		&world->nodes[A].tunnel.state->secrets.session_keys[peer_of(A)->current];

	put_le32(message->type, MESSAGE_DATA);
	put_le32(message->receiver_index, session->remote_index);
	put_le64(message->counter, session->send_counter);
	crypto_seal(ret_bytes + sizeof(*message), plain, len, NULL, 0, session->send_counter++,
		    keys->send);
	return sizeof(*message) + len + TAG_LEN;
}

static inline void assert_silent(unsigned int node)
{
	unsigned int transmits = world->nodes[node].transmits;

	tunnel_flush(&world->nodes[node].tunnel);
	assert_int_equal(world->nodes[node].transmits, transmits);
	assert_int_equal(world->nodes[node].injected, 0);
}
