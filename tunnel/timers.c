// SPDX-License-Identifier: Apache-2.0
/*
 * Protocol timers: what must follow each event, and when (paper, 6.1-6.5; the exact rules are those
 * of the Linux kernel). On the packet path, arming or disarming a timer is one store. The heap only
 * guarantees that no deadline is missed: a deadline that moves later leaves the heap alone, and the
 * early wake-up finds nothing due.
 */
#include "timers.h"

/* A keepalive that confirms a session may be lost, and is not repeated. If traffic uses another
 * session, nothing else proves to the peer that we know its key. */
#define NEXT_KEY_PROOFS	    5
#define NEXT_KEY_PROOF_NS   NS_PER_S
#define IDLE_NEXT_KEY_TRIES 3 /* the peer may be gone, and a rotation must not cause a storm */

/* -- the heap: peers by wake_ns, the earliest at position 1 -- */

static struct timers *timers_of(struct tunnel *tunnel, uint32_t peer_index)
{
	return &tunnel_peer(tunnel, peer_index)->timers;
}

static struct timers *timers_at(struct tunnel_state *state, uint32_t position)
{
	return &state->peers[state->deadline_heap[position]].timers;
}

static void swap_positions(struct tunnel_state *state, uint32_t a, uint32_t b)
{
	uint32_t peer_index = state->deadline_heap[a];

	state->deadline_heap[a] = state->deadline_heap[b];
	state->deadline_heap[b] = peer_index;
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

static void heap_put(struct tunnel_state *state, uint32_t peer_index, uint64_t wake_ns)
{
	struct timers *timers = &state->peers[peer_index].timers;

	timers->wake_ns = wake_ns;
	if (!timers->heap_position) {
		timers->heap_position = ++state->deadline_count;
		state->deadline_heap[timers->heap_position] = peer_index;
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

static bool is_armed(struct tunnel *tunnel, uint32_t peer_index, enum timer timer)
{
	return timers_of(tunnel, peer_index)->deadline_ns[timer];
}

static void arm_at(struct tunnel *tunnel, uint32_t peer_index, enum timer timer,
		   uint64_t deadline_ns)
{
	struct timers *timers = timers_of(tunnel, peer_index);

	timers->deadline_ns[timer] = deadline_ns;
	if (!timers->heap_position || deadline_ns < timers->wake_ns)
		heap_put(tunnel->state, peer_index, deadline_ns);
}

static void arm(struct tunnel *tunnel, uint32_t peer_index, enum timer timer, uint64_t delay_ns)
{
	arm_at(tunnel, peer_index, timer, tunnel->now_ns + delay_ns);
}

static void disarm(struct tunnel *tunnel, uint32_t peer_index, enum timer timer)
{
	timers_of(tunnel, peer_index)->deadline_ns[timer] = 0;
}

static uint64_t random_ns(struct tunnel *tunnel, uint64_t below_ns)
{
	uint64_t random;

	tunnel->upcalls.random(tunnel->context, &random, sizeof(random));
	return below_ns ? random % below_ns : 0;
}

/* Keeps two nodes that initiated at the same time from retrying at the same time. */
static void draw_jitter(struct tunnel *tunnel, uint32_t peer_index)
{
	uint32_t random;

	tunnel->upcalls.random(tunnel->context, &random, sizeof(random));
	timers_of(tunnel, peer_index)->jitter_ns = random * REKEY_JITTER_NS >> 32;
}

/* -- events -- */

/* Wipes the ephemeral key of a handshake that is never answered. */
static void wipe_later(struct tunnel *tunnel, uint32_t peer_index)
{
	if (!is_armed(tunnel, peer_index, TIMER_ZERO_KEYS))
		arm(tunnel, peer_index, TIMER_ZERO_KEYS, ZERO_KEYS_AFTER_NS);
}

bool timers_allow_initiation(const struct tunnel *tunnel, uint32_t peer_index)
{
	uint64_t last_ns = tunnel_peer(tunnel, peer_index)->timers.last_initiation_sent_ns;

	return !last_ns || tunnel->now_ns - last_ns >= REKEY_TIMEOUT_NS;
}

bool timers_allow_try(const struct tunnel *tunnel, uint32_t pair_index)
{
	uint64_t last_ns = tunnel_pair(tunnel, pair_index)->last_initiation_sent_ns;

	return !last_ns || tunnel->now_ns - last_ns >= REKEY_TIMEOUT_NS;
}

bool timers_allow_response(const struct tunnel *tunnel, uint32_t pair_index)
{
	return tunnel->now_ns - tunnel_pair(tunnel, pair_index)->initiated_ns <
	       REKEY_TIMEOUT_NS + REKEY_JITTER_NS;
}

void timers_forget_initiation(struct tunnel *tunnel, uint32_t peer_index)
{
	timers_of(tunnel, peer_index)->last_initiation_sent_ns = 0;
}

void timers_data_sent(struct tunnel *tunnel, uint32_t peer_index)
{
	uint64_t jitter_ns = timers_of(tunnel, peer_index)->jitter_ns;

	if (!is_armed(tunnel, peer_index, TIMER_NEW_HANDSHAKE))
		arm(tunnel, peer_index, TIMER_NEW_HANDSHAKE,
		    KEEPALIVE_TIMEOUT_NS + REKEY_TIMEOUT_NS + jitter_ns);
}

void timers_data_received(struct tunnel *tunnel, uint32_t peer_index)
{
	if (is_armed(tunnel, peer_index, TIMER_SEND_KEEPALIVE))
		timers_of(tunnel, peer_index)->needs_another_keepalive = true;
	else
		arm(tunnel, peer_index, TIMER_SEND_KEEPALIVE, KEEPALIVE_TIMEOUT_NS);
}

void timers_any_authenticated_sent(struct tunnel *tunnel, uint32_t peer_index)
{
	disarm(tunnel, peer_index, TIMER_SEND_KEEPALIVE);
}

void timers_any_authenticated_received(struct tunnel *tunnel, uint32_t peer_index)
{
	disarm(tunnel, peer_index, TIMER_NEW_HANDSHAKE);
}

void timers_any_authenticated_traversed(struct tunnel *tunnel, uint32_t peer_index)
{
	uint16_t interval_s = tunnel_peer(tunnel, peer_index)->persistent_keepalive_s;

	if (interval_s)
		arm(tunnel, peer_index, TIMER_PERSISTENT_KEEPALIVE, interval_s * NS_PER_S);
}

static void begin_spacing(struct tunnel *tunnel, uint32_t pair_index)
{
	timers_of(tunnel, tunnel_pair(tunnel, pair_index)->peer_index)->last_initiation_sent_ns =
		tunnel->now_ns;
	tunnel_pair(tunnel, pair_index)->last_initiation_sent_ns = tunnel->now_ns;
}

static void note_initiation(struct tunnel *tunnel, uint32_t pair_index)
{
	begin_spacing(tunnel, pair_index);
	tunnel_pair(tunnel, pair_index)->initiated_ns = tunnel->now_ns;
}

void timers_handshake_initiated(struct tunnel *tunnel, uint32_t pair_index)
{
	uint32_t peer_index = tunnel_pair(tunnel, pair_index)->peer_index;

	note_initiation(tunnel, pair_index);
	draw_jitter(tunnel, peer_index);
	arm(tunnel, peer_index, TIMER_RETRANSMIT_HANDSHAKE,
	    REKEY_TIMEOUT_NS + timers_of(tunnel, peer_index)->jitter_ns);
}

/* No retry follows, and handshakes with the endpoint need not wait for it: keyd repeats its
 * question if it needs to. */
void timers_question_asked(struct tunnel *tunnel, uint32_t pair_index)
{
	tunnel_pair(tunnel, pair_index)->initiated_ns = tunnel->now_ns;
	wipe_later(tunnel, tunnel_pair(tunnel, pair_index)->peer_index);
}

void timers_handshake_answered(struct tunnel *tunnel, uint32_t pair_index)
{
	begin_spacing(tunnel, pair_index);
}

void timers_handshake_complete(struct tunnel *tunnel, uint32_t peer_index)
{
	disarm(tunnel, peer_index, TIMER_RETRANSMIT_HANDSHAKE);
	timers_of(tunnel, peer_index)->attempts = 0;
	tunnel_peer(tunnel, peer_index)->unanswered = 0;
	tunnel_peer(tunnel, peer_index)->has_sent_lastminute_handshake = false;
	tunnel_peer(tunnel, peer_index)->last_handshake_wall_ns = tunnel->wall_ns;
}

void timers_session_derived(struct tunnel *tunnel, uint32_t peer_index)
{
	draw_jitter(tunnel, peer_index);
	arm(tunnel, peer_index, TIMER_ZERO_KEYS, ZERO_KEYS_AFTER_NS);
}

void timers_keepalive_configured(struct tunnel *tunnel, uint32_t peer_index)
{
	disarm(tunnel, peer_index, TIMER_PERSISTENT_KEEPALIVE);
	timers_any_authenticated_traversed(tunnel, peer_index);
}

static bool is_live(const struct tunnel *tunnel, uint32_t peer_index)
{
	uint64_t last_ns = tunnel_peer(tunnel, peer_index)->last_received_ns;

	return last_ns && tunnel->now_ns - last_ns < REJECT_AFTER_TIME_NS;
}

/* All other nodes learn a new key at the same time, so idle peers try it at a random time. */
bool timers_next_key_learnt(struct tunnel *tunnel, uint32_t peer_index, uint64_t try_within_ns)
{
	struct timers *timers = timers_of(tunnel, peer_index);

	if (is_live(tunnel, peer_index)) {
		timers->next_key_tries = HANDSHAKE_RETRIES_MAX;
		return true;
	}
	timers->next_key_tries = IDLE_NEXT_KEY_TRIES;
	arm(tunnel, peer_index, TIMER_TRY_NEXT_KEY, random_ns(tunnel, try_within_ns));
	return false;
}

bool timers_take_next_key_try(struct tunnel *tunnel, uint32_t peer_index)
{
	struct timers *timers = timers_of(tunnel, peer_index);

	if (!timers->next_key_tries) {
		wipe_later(tunnel, peer_index);
		return false;
	}
	timers->next_key_tries--;
	return true;
}

void timers_next_key_try_made(struct tunnel *tunnel, uint32_t peer_index, bool is_initiation)
{
	uint64_t delay_ns = NEXT_KEY_PROOF_NS;

	if (is_initiation) {
		draw_jitter(tunnel, peer_index);
		delay_ns = REKEY_TIMEOUT_NS + timers_of(tunnel, peer_index)->jitter_ns;
	}
	arm(tunnel, peer_index, TIMER_TRY_NEXT_KEY, delay_ns);
}

void timers_next_key_tried(struct tunnel *tunnel, uint32_t pair_index)
{
	note_initiation(tunnel, pair_index);
}

/* A retry that is due too soon after our own response is postponed to REKEY_TIMEOUT after it. */
void timers_retransmit_postponed(struct tunnel *tunnel, uint32_t peer_index)
{
	struct timers *timers = timers_of(tunnel, peer_index);
	uint64_t since_ns = timers_allow_initiation(tunnel, peer_index)
				    ? tunnel->now_ns
				    : timers->last_initiation_sent_ns;

	draw_jitter(tunnel, peer_index);
	arm_at(tunnel, peer_index, TIMER_RETRANSMIT_HANDSHAKE,
	       since_ns + REKEY_TIMEOUT_NS + timers->jitter_ns);
}

/* Without a session there is nothing to keep alive. */
void timers_handshake_given_up(struct tunnel *tunnel, uint32_t peer_index)
{
	disarm(tunnel, peer_index, TIMER_SEND_KEEPALIVE);
	wipe_later(tunnel, peer_index); /* its ephemeral key */
}

void timers_keepalive_expired(struct tunnel *tunnel, uint32_t peer_index)
{
	struct timers *timers = timers_of(tunnel, peer_index);

	if (!timers->needs_another_keepalive)
		return;
	timers->needs_another_keepalive = false;
	arm(tunnel, peer_index, TIMER_SEND_KEEPALIVE, KEEPALIVE_TIMEOUT_NS);
}

/* The handshake under way may be a single try; packets now wait for it, so retry it if no answer
 * arrives. */
void timers_handshake_awaited(struct tunnel *tunnel, uint32_t peer_index)
{
	if (!is_armed(tunnel, peer_index, TIMER_RETRANSMIT_HANDSHAKE))
		timers_retransmit_postponed(tunnel, peer_index);
}

void timers_next_key_reached(struct tunnel *tunnel, uint32_t peer_index)
{
	struct timers *timers = timers_of(tunnel, peer_index);

	if (!timers->next_key_tries) /* it was not a new key */
		return;
	timers->next_key_tries = NEXT_KEY_PROOFS;
	arm(tunnel, peer_index, TIMER_TRY_NEXT_KEY, NEXT_KEY_PROOF_NS);
}

/* Spread out: with many peers, all handshakes would start at once. */
void timers_identity_promoted(struct tunnel *tunnel, uint32_t peer_index)
{
	if (is_armed(tunnel, peer_index, TIMER_RETRANSMIT_HANDSHAKE))
		return;
	timers_of(tunnel, peer_index)->attempts = 0;
	arm(tunnel, peer_index, TIMER_RETRANSMIT_HANDSHAKE, random_ns(tunnel, REKEY_TIMEOUT_NS));
}

void timers_peer_restarted(struct tunnel *tunnel, uint32_t peer_index)
{
	uint64_t zero_keys_ns = timers_of(tunnel, peer_index)->deadline_ns[TIMER_ZERO_KEYS];

	timers_stop(tunnel, peer_index);
	if (zero_keys_ns) /* some sessions may remain */
		arm_at(tunnel, peer_index, TIMER_ZERO_KEYS, zero_keys_ns);
}

void timers_stop(struct tunnel *tunnel, uint32_t peer_index)
{
	struct timers *timers = timers_of(tunnel, peer_index);

	heap_remove(tunnel->state, timers);
	*timers = (struct timers){0};
}

/* -- expiry -- */

uint64_t timers_next_deadline(const struct tunnel *tunnel)
{
	return tunnel->state->deadline_count ? timers_at(tunnel->state, 1)->wake_ns : UINT64_MAX;
}

/* Returns TIMER_COUNT if none is due. */
static enum timer first_due(const struct timers *timers, uint64_t now_ns)
{
	enum timer timer = 0;

	while (timer < TIMER_COUNT &&
	       (!timers->deadline_ns[timer] || timers->deadline_ns[timer] > now_ns))
		timer++;
	return timer;
}

/* Moves the peer to its earliest deadline, after all due timers have run or after an early
 * wake-up. */
static void sleep_on(struct tunnel *tunnel, uint32_t peer_index)
{
	struct timers *timers = timers_of(tunnel, peer_index);
	uint64_t earliest_ns = earliest_deadline(timers);

	if (earliest_ns == UINT64_MAX)
		heap_remove(tunnel->state, timers);
	else
		heap_put(tunnel->state, peer_index, earliest_ns);
}

bool timers_take_due(struct tunnel *tunnel, uint32_t *ret_peer, enum timer *ret_timer)
{
	while (timers_next_deadline(tunnel) <= tunnel->now_ns) {
		uint32_t peer_index = tunnel->state->deadline_heap[1];
		enum timer timer = first_due(timers_of(tunnel, peer_index), tunnel->now_ns);

		if (timer < TIMER_COUNT) {
			disarm(tunnel, peer_index, timer);
			*ret_peer = peer_index;
			*ret_timer = timer;
			return true;
		}
		sleep_on(tunnel, peer_index);
	}
	return false;
}
