// SPDX-License-Identifier: Apache-2.0
/*
 * When what happened has to be followed by something (paper, 6.1-6.5; the exact rules are those of the Linux kernel).
 * On the path of a packet a timer is armed or disarmed by one store: the heap only promises to wake up not too late, so
 * a deadline that moves away leaves it alone, and the wake-up that comes too early finds that out.
 */
#include "timers.h"

#include "send.h"
#include "session.h"
#include "tunnel.h"

/* A keepalive that confirms a session may be lost, and nobody would send it again. Where traffic took another session,
 * nothing else proves to the peer that we know its key. */
#define NEXT_KEY_PROOFS	  5
#define NEXT_KEY_PROOF_NS NS_PER_S
#define IDLE_NEXT_KEY_TRIES \
	3 /* perhaps nobody is there any more, and a rotation must cause no storm */

/* -- the heap: peers by wake_ns, the earliest at position 1 -- */

static struct timers *timers_of(struct tunnel *tunnel, uint32_t peer)
{
	return &tunnel->state->peers[peer].timers;
}

static struct timers *timers_at(struct tunnel_state *state, uint32_t position)
{
	return &state->peers[state->deadline_heap[position]].timers;
}

static void swap_positions(struct tunnel_state *state, uint32_t a, uint32_t b)
{
	uint32_t peer = state->deadline_heap[a];

	state->deadline_heap[a] = state->deadline_heap[b];
	state->deadline_heap[b] = peer;
	timers_at(state, a)->heap_position = a;
	timers_at(state, b)->heap_position = b;
}

static bool is_earlier(struct tunnel_state *state, uint32_t a, uint32_t b)
{
	return timers_at(state, a)->wake_ns < timers_at(state, b)->wake_ns;
}

static void sift_up(struct tunnel_state *state, uint32_t position)
{
	for (; position > 1 && is_earlier(state, position, position / 2); position /= 2)
		swap_positions(state, position, position / 2);
}

static void sift_down(struct tunnel_state *state, uint32_t position)
{
	for (;;) {
		uint32_t child = 2 * position;

		if (child > state->deadline_count)
			return;
		if (child < state->deadline_count && is_earlier(state, child + 1, child))
			child++;
		if (!is_earlier(state, child, position))
			return;
		swap_positions(state, position, child);
		position = child;
	}
}

static void heap_remove(struct tunnel_state *state, struct timers *timers)
{
	uint32_t position = timers->heap_position;

	if (!position)
		return;
	swap_positions(state, position, state->deadline_count);
	timers->heap_position = 0;
	if (position == state->deadline_count--)
		return;
	sift_up(state, position);
	sift_down(state, position);
}

static void heap_put(struct tunnel_state *state, uint32_t peer, uint64_t wake_ns)
{
	struct timers *timers = &state->peers[peer].timers;

	timers->wake_ns = wake_ns;
	if (!timers->heap_position) {
		timers->heap_position = ++state->deadline_count;
		state->deadline_heap[timers->heap_position] = peer;
	}
	sift_up(state, timers->heap_position);
	sift_down(state, timers->heap_position);
}

static uint64_t earliest_deadline(const struct timers *timers)
{
	uint64_t earliest = UINT64_MAX;

	for (unsigned int timer = 0; timer < TIMER_COUNT; timer++)
		if (timers->deadline_ns[timer])
			earliest = MIN(earliest, timers->deadline_ns[timer]);
	return earliest;
}

/* -- arming -- */

static bool is_armed(struct tunnel *tunnel, uint32_t peer, enum timer timer)
{
	return timers_of(tunnel, peer)->deadline_ns[timer];
}

static void arm_at(struct tunnel *tunnel, uint32_t peer, enum timer timer, uint64_t deadline_ns)
{
	struct timers *timers = timers_of(tunnel, peer);

	timers->deadline_ns[timer] = deadline_ns;
	if (!timers->heap_position || deadline_ns < timers->wake_ns)
		heap_put(tunnel->state, peer, deadline_ns);
}

static void arm(struct tunnel *tunnel, uint32_t peer, enum timer timer, uint64_t delay_ns)
{
	arm_at(tunnel, peer, timer, tunnel->now_ns + delay_ns);
}

static void disarm(struct tunnel *tunnel, uint32_t peer, enum timer timer)
{
	timers_of(tunnel, peer)->deadline_ns[timer] = 0;
}

static uint64_t random_ns(struct tunnel *tunnel, uint64_t below_ns)
{
	uint64_t random;

	tunnel->upcalls.random(tunnel->context, &random, sizeof(random));
	return below_ns ? random % below_ns : 0;
}

/* Two nodes that began at once shall not begin at once again. */
static void draw_jitter(struct tunnel *tunnel, uint32_t peer)
{
	uint32_t random;

	tunnel->upcalls.random(tunnel->context, &random, sizeof(random));
	timers_of(tunnel, peer)->jitter_ns = random * REKEY_JITTER_NS >> 32;
}

/* -- what happened -- */

static void try_next_key(struct tunnel *tunnel, uint32_t peer);
static void postpone_retransmit(struct tunnel *tunnel, uint32_t peer);
static void wipe_later(struct tunnel *tunnel, uint32_t peer);

bool timers_allow_initiation(const struct tunnel *tunnel, uint32_t peer)
{
	uint64_t last_ns = tunnel->state->peers[peer].timers.last_initiation_sent_ns;

	return !last_ns || tunnel->now_ns - last_ns >= REKEY_TIMEOUT_NS;
}

bool timers_allow_try(const struct tunnel *tunnel, uint32_t pair)
{
	uint64_t last_ns = tunnel->state->pairs[pair].last_initiation_sent_ns;

	return !last_ns || tunnel->now_ns - last_ns >= REKEY_TIMEOUT_NS;
}

bool timers_allow_response(const struct tunnel *tunnel, uint32_t pair)
{
	return tunnel->now_ns - tunnel->state->pairs[pair].initiated_ns <
	       REKEY_TIMEOUT_NS + REKEY_JITTER_NS;
}

void timers_forget_initiation(struct tunnel *tunnel, uint32_t peer)
{
	timers_of(tunnel, peer)->last_initiation_sent_ns = 0;
}

void timers_data_sent(struct tunnel *tunnel, uint32_t peer)
{
	if (!is_armed(tunnel, peer, TIMER_NEW_HANDSHAKE))
		arm(tunnel, peer, TIMER_NEW_HANDSHAKE,
		    KEEPALIVE_TIMEOUT_NS + REKEY_TIMEOUT_NS + timers_of(tunnel, peer)->jitter_ns);
}

void timers_data_received(struct tunnel *tunnel, uint32_t peer)
{
	if (is_armed(tunnel, peer, TIMER_SEND_KEEPALIVE))
		timers_of(tunnel, peer)->needs_another_keepalive = true;
	else
		arm(tunnel, peer, TIMER_SEND_KEEPALIVE, KEEPALIVE_TIMEOUT_NS);
}

void timers_any_authenticated_sent(struct tunnel *tunnel, uint32_t peer)
{
	disarm(tunnel, peer, TIMER_SEND_KEEPALIVE);
}

void timers_any_authenticated_received(struct tunnel *tunnel, uint32_t peer)
{
	disarm(tunnel, peer, TIMER_NEW_HANDSHAKE);
}

void timers_any_authenticated_traversed(struct tunnel *tunnel, uint32_t peer)
{
	uint16_t interval_s = tunnel->state->peers[peer].persistent_keepalive_s;

	if (interval_s)
		arm(tunnel, peer, TIMER_PERSISTENT_KEEPALIVE, interval_s * NS_PER_S);
}

static void begin_spacing(struct tunnel *tunnel, uint32_t pair)
{
	timers_of(tunnel, tunnel->state->pairs[pair].peer)->last_initiation_sent_ns =
		tunnel->now_ns;
	tunnel->state->pairs[pair].last_initiation_sent_ns = tunnel->now_ns;
}

static void note_initiation(struct tunnel *tunnel, uint32_t pair)
{
	begin_spacing(tunnel, pair);
	tunnel->state->pairs[pair].initiated_ns = tunnel->now_ns;
}

void timers_handshake_initiated(struct tunnel *tunnel, uint32_t pair)
{
	uint32_t peer = tunnel->state->pairs[pair].peer;

	note_initiation(tunnel, pair);
	draw_jitter(tunnel, peer);
	arm(tunnel, peer, TIMER_RETRANSMIT_HANDSHAKE,
	    REKEY_TIMEOUT_NS + timers_of(tunnel, peer)->jitter_ns);
}

/* No retry follows, and no handshake with the endpoint has to wait: keyd asks again if it wants to know. */
void timers_question_asked(struct tunnel *tunnel, uint32_t pair)
{
	tunnel->state->pairs[pair].initiated_ns = tunnel->now_ns;
	wipe_later(tunnel, tunnel->state->pairs[pair].peer);
}

void timers_handshake_answered(struct tunnel *tunnel, uint32_t pair)
{
	begin_spacing(tunnel, pair);
}

void timers_handshake_complete(struct tunnel *tunnel, uint32_t peer)
{
	disarm(tunnel, peer, TIMER_RETRANSMIT_HANDSHAKE);
	timers_of(tunnel, peer)->attempts = 0;
	tunnel->state->peers[peer].unanswered = 0;
	tunnel->state->peers[peer].has_sent_lastminute_handshake = false;
	tunnel->state->peers[peer].last_handshake_wall_ns = tunnel->wall_ns;
}

void timers_session_derived(struct tunnel *tunnel, uint32_t peer)
{
	draw_jitter(tunnel, peer);
	arm(tunnel, peer, TIMER_ZERO_KEYS, ZERO_KEYS_AFTER_NS);
}

void timers_keepalive_configured(struct tunnel *tunnel, uint32_t peer)
{
	disarm(tunnel, peer, TIMER_PERSISTENT_KEEPALIVE);
	timers_any_authenticated_traversed(tunnel, peer);
}

static bool is_live(const struct tunnel *tunnel, uint32_t peer)
{
	uint64_t last_ns = tunnel->state->peers[peer].last_received_ns;

	return last_ns && tunnel->now_ns - last_ns < REJECT_AFTER_TIME_NS;
}

/* A node's key is learnt by all others at once: those that have nothing to say to it take their time. */
void timers_next_key_learnt(struct tunnel *tunnel, uint32_t peer, uint64_t try_within_ns)
{
	struct timers *timers = timers_of(tunnel, peer);

	if (is_live(tunnel, peer)) {
		timers->next_key_tries = HANDSHAKE_RETRIES_MAX;
		try_next_key(tunnel, peer);
	} else {
		timers->next_key_tries = IDLE_NEXT_KEY_TRIES;
		arm(tunnel, peer, TIMER_TRY_NEXT_KEY, random_ns(tunnel, try_within_ns));
	}
}

void timers_next_key_tried(struct tunnel *tunnel, uint32_t pair)
{
	note_initiation(tunnel, pair);
}

/* Should what is under way stay without an answer, it was perhaps not meant to be tried again. */
void timers_handshake_awaited(struct tunnel *tunnel, uint32_t peer)
{
	if (!is_armed(tunnel, peer, TIMER_RETRANSMIT_HANDSHAKE))
		postpone_retransmit(tunnel, peer);
}

void timers_next_key_reached(struct tunnel *tunnel, uint32_t peer)
{
	struct timers *timers = timers_of(tunnel, peer);

	if (!timers->next_key_tries) /* it was not a new key */
		return;
	timers->next_key_tries = NEXT_KEY_PROOFS;
	arm(tunnel, peer, TIMER_TRY_NEXT_KEY, NEXT_KEY_PROOF_NS);
}

/* With many peers these handshakes would come all at once. */
void timers_identity_promoted(struct tunnel *tunnel, uint32_t peer)
{
	if (is_armed(tunnel, peer, TIMER_RETRANSMIT_HANDSHAKE))
		return;
	timers_of(tunnel, peer)->attempts = 0;
	arm(tunnel, peer, TIMER_RETRANSMIT_HANDSHAKE, random_ns(tunnel, REKEY_TIMEOUT_NS));
}

void timers_peer_restarted(struct tunnel *tunnel, uint32_t peer)
{
	uint64_t zero_keys_ns = timers_of(tunnel, peer)->deadline_ns[TIMER_ZERO_KEYS];

	timers_stop(tunnel, peer);
	if (zero_keys_ns) /* some sessions may have been left */
		arm_at(tunnel, peer, TIMER_ZERO_KEYS, zero_keys_ns);
}

void timers_stop(struct tunnel *tunnel, uint32_t peer)
{
	struct timers *timers = timers_of(tunnel, peer);

	heap_remove(tunnel->state, timers);
	*timers = (struct timers){0};
}

/* -- what follows -- */

/* Of a handshake that stays without an answer. */
static void wipe_later(struct tunnel *tunnel, uint32_t peer)
{
	if (!is_armed(tunnel, peer, TIMER_ZERO_KEYS))
		arm(tunnel, peer, TIMER_ZERO_KEYS, ZERO_KEYS_AFTER_NS);
}

static void give_up_handshake(struct tunnel *tunnel, uint32_t peer)
{
	disarm(tunnel, peer, TIMER_SEND_KEEPALIVE);
	send_purge_staged(tunnel, peer);
	wipe_later(tunnel, peer);
}

/* A retry that comes too soon after a response of ours waits for its time. */
static void postpone_retransmit(struct tunnel *tunnel, uint32_t peer)
{
	struct timers *timers = timers_of(tunnel, peer);
	uint64_t since_ns = timers_allow_initiation(tunnel, peer) ? tunnel->now_ns
								  : timers->last_initiation_sent_ns;

	draw_jitter(tunnel, peer);
	arm_at(tunnel, peer, TIMER_RETRANSMIT_HANDSHAKE,
	       since_ns + REKEY_TIMEOUT_NS + timers->jitter_ns);
}

static void forget_source(struct tunnel *tunnel, uint32_t peer)
{
	tunnel->state->peers[peer].source = (struct local_source){0};
}

static void retransmit_handshake(struct tunnel *tunnel, uint32_t peer)
{
	struct timers *timers = timers_of(tunnel, peer);

	if (timers->attempts > HANDSHAKE_RETRIES_MAX) {
		give_up_handshake(tunnel, peer);
		return;
	}
	timers->attempts++;
	forget_source(tunnel, peer); /* perhaps it is what stands in the way */
	if (!send_initiation(tunnel, peer, true))
		postpone_retransmit(tunnel, peer);
}

static void keep_alive(struct tunnel *tunnel, uint32_t peer)
{
	struct timers *timers = timers_of(tunnel, peer);

	send_keepalive(tunnel, peer);
	if (!timers->needs_another_keepalive)
		return;
	timers->needs_another_keepalive = false;
	arm(tunnel, peer, TIMER_SEND_KEEPALIVE, KEEPALIVE_TIMEOUT_NS);
}

static void begin_handshake_anew(struct tunnel *tunnel, uint32_t peer)
{
	forget_source(tunnel, peer);
	(void)send_initiation(tunnel, peer, false);
}

static void zero_keys(struct tunnel *tunnel, uint32_t peer)
{
	peer_forget_handshakes(tunnel, peer);
	session_remove_all(tunnel, peer);
}

static void keep_alive_persistently(struct tunnel *tunnel, uint32_t peer)
{
	if (tunnel->state->peers[peer].persistent_keepalive_s)
		send_keepalive(tunnel, peer);
}

/* Until an answer comes; then until it is likely that the peer has got the proof, too. */
static void try_next_key(struct tunnel *tunnel, uint32_t slot)
{
	struct timers *timers = timers_of(tunnel, slot);
	const struct peer *peer = &tunnel->state->peers[slot];
	uint64_t delay_ns = NEXT_KEY_PROOF_NS;

	if (!timers->next_key_tries) {
		wipe_later(tunnel, slot);
		return;
	}
	timers->next_key_tries--;
	if (!(peer->has_reached[peer_newest_key(peer)] && send_proof(tunnel, slot)) &&
	    send_initiation_to_newest(tunnel, slot)) {
		draw_jitter(tunnel, slot);
		delay_ns = REKEY_TIMEOUT_NS + timers->jitter_ns;
	}
	arm(tunnel, slot, TIMER_TRY_NEXT_KEY, delay_ns);
}

static void (*const expired[TIMER_COUNT])(struct tunnel *tunnel, uint32_t peer) = {
	[TIMER_ZERO_KEYS] = zero_keys,
	[TIMER_RETRANSMIT_HANDSHAKE] = retransmit_handshake,
	[TIMER_SEND_KEEPALIVE] = keep_alive,
	[TIMER_NEW_HANDSHAKE] = begin_handshake_anew,
	[TIMER_PERSISTENT_KEEPALIVE] = keep_alive_persistently,
	[TIMER_TRY_NEXT_KEY] = try_next_key,
};

static void run_due(struct tunnel *tunnel, uint32_t peer)
{
	struct timers *timers = timers_of(tunnel, peer);
	uint64_t earliest_ns;

	for (unsigned int timer = 0; timer < TIMER_COUNT; timer++) {
		if (!timers->deadline_ns[timer] || timers->deadline_ns[timer] > tunnel->now_ns)
			continue;
		timers->deadline_ns[timer] = 0;
		expired[timer](tunnel, peer);
	}
	earliest_ns = earliest_deadline(timers);
	if (earliest_ns == UINT64_MAX)
		heap_remove(tunnel->state, timers);
	else
		heap_put(tunnel->state, peer, earliest_ns);
}

uint64_t tunnel_next_deadline(const struct tunnel *tunnel)
{
	return tunnel->state->deadline_count ? timers_at(tunnel->state, 1)->wake_ns : UINT64_MAX;
}

void tunnel_expire(struct tunnel *tunnel)
{
	while (tunnel_next_deadline(tunnel) <= tunnel->now_ns)
		run_due(tunnel, tunnel->state->deadline_heap[1]);
}
