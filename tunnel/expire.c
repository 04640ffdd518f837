// SPDX-License-Identifier: Apache-2.0
/*
 * The actions of the timers (paper, 6.1-6.5): retransmissions, keepalives, new handshakes, wiping
 * of old keys.
 */
#include "expire.h"

#include "peer.h"
#include "send.h"
#include "session.h"
#include "timers.h"

static void give_up_handshake(struct tunnel *tunnel, uint32_t peer_index)
{
	send_purge_staged(tunnel, peer_index);
	timers_handshake_given_up(tunnel, peer_index);
}

static void forget_source(struct tunnel *tunnel, uint32_t peer_index)
{
	tunnel_peer(tunnel, peer_index)->source = (struct local_source){0};
}

static void retransmit_handshake(struct tunnel *tunnel, uint32_t peer_index)
{
	struct timers *timers = &tunnel_peer(tunnel, peer_index)->timers;

	if (timers->attempts > HANDSHAKE_RETRIES_MAX) {
		give_up_handshake(tunnel, peer_index);
		return;
	}
	timers->attempts++;
	forget_source(tunnel, peer_index); /* perhaps it is why no answer arrives */
	if (!send_initiation(tunnel, peer_index, true))
		timers_retransmit_postponed(tunnel, peer_index);
}

static void keep_alive(struct tunnel *tunnel, uint32_t peer_index)
{
	send_keepalive(tunnel, peer_index);
	timers_keepalive_expired(tunnel, peer_index);
}

static void begin_new_handshake(struct tunnel *tunnel, uint32_t peer_index)
{
	forget_source(tunnel, peer_index);
	(void)send_initiation(tunnel, peer_index, false);
}

static void zero_keys(struct tunnel *tunnel, uint32_t peer_index)
{
	peer_forget_handshakes(tunnel, peer_index);
	session_remove_all(tunnel, peer_index);
}

static void keep_alive_persistently(struct tunnel *tunnel, uint32_t peer_index)
{
	if (tunnel_peer(tunnel, peer_index)->persistent_keepalive_s)
		send_keepalive(tunnel, peer_index);
}

/* Initiates until an answer arrives, then sends proofs until the peer has very likely received
 * one. */
void expire_try_next_key(struct tunnel *tunnel, uint32_t peer_index)
{
	const struct peer *peer = tunnel_peer(tunnel, peer_index);
	bool is_initiation;

	if (!timers_take_next_key_try(tunnel, peer_index))
		return;
	is_initiation =
		!(peer->has_reached[peer_newest_key(peer)] && send_proof(tunnel, peer_index)) &&
		send_initiation_to_newest(tunnel, peer_index);
	timers_next_key_try_made(tunnel, peer_index, is_initiation);
}

static void (*const expired[TIMER_COUNT])(struct tunnel *tunnel, uint32_t peer_index) = {
	[TIMER_ZERO_KEYS] = zero_keys,
	[TIMER_RETRANSMIT_HANDSHAKE] = retransmit_handshake,
	[TIMER_SEND_KEEPALIVE] = keep_alive,
	[TIMER_NEW_HANDSHAKE] = begin_new_handshake,
	[TIMER_PERSISTENT_KEEPALIVE] = keep_alive_persistently,
	[TIMER_TRY_NEXT_KEY] = expire_try_next_key,
};

uint64_t tunnel_next_deadline(const struct tunnel *tunnel)
{
	return timers_next_deadline(tunnel);
}

void tunnel_expire(struct tunnel *tunnel)
{
	enum timer timer;
	uint32_t peer_index;

	while (timers_take_due(tunnel, &peer_index, &timer))
		expired[timer](tunnel, peer_index);
}
