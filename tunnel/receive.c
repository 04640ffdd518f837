// SPDX-License-Identifier: Apache-2.0
/*
 * From datagrams to packets for the TUN (paper, 5.4.2-5.4.7, 6). A message that proves nothing gets
 * no answer, is counted under its reason, and changes nothing. Data is opened in batches and then
 * checked packet by packet, in order of arrival; only authentic packets move the replay window and
 * the endpoint. Handshake messages are processed between batches, for they create and end sessions.
 */
#include "receive.h"

#include "crypto.h"
#include "index.h"
#include "packet/ecn.h"
#include "pair.h"
#include "peer.h"
#include "send.h"
#include "session.h"
#include "timers.h"

static void drop(struct tunnel *tunnel, enum drop_reason reason)
{
	tunnel_count_drop(tunnel, reason, 1);
}

/* Any authentic message of the peer. */
static void note_authenticated(struct tunnel *tunnel, uint32_t peer_index)
{
	tunnel_peer(tunnel, peer_index)->last_received_ns = tunnel->now_ns;
	tunnel_peer(tunnel, peer_index)->asked_ns = 0;
	timers_any_authenticated_received(tunnel, peer_index);
	timers_any_authenticated_traversed(tunnel, peer_index);
}

/* -- handshake messages: admission, before any scalar multiplication -- */

static enum key_slot slot_of(const struct tunnel *tunnel, const struct identity *own)
{
	return (enum key_slot)(own - tunnel->state->secrets.identities);
}

static const struct identity *find_addressed(const struct tunnel *tunnel, const uint8_t *message,
					     size_t len)
{
	const struct identity *identities = tunnel->state->secrets.identities;

	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
		if (cookie_mac1_matches(&identities[slot], message, len))
			return &identities[slot];
	return NULL;
}

/* A leaky bucket: bursts pass, a sustained flood does not. The result is latched to avoid flapping
 * near the threshold. */
static bool is_under_load(struct tunnel *tunnel)
{
	struct tunnel_state *state = tunnel->state;
	uint64_t sunk = (tunnel->now_ns - state->load_drained_ns) / LOAD_MESSAGE_NS;

	state->load_drained_ns += sunk * LOAD_MESSAGE_NS;
	state->load_count -= (uint32_t)MIN(sunk, state->load_count);
	if (state->load_count < LOAD_MESSAGES_MAX)
		state->load_count++;
	else
		state->under_load_until_ns =
			MAX(state->under_load_until_ns, tunnel->now_ns + UNDER_LOAD_LATCH_NS);
	return tunnel->now_ns < state->under_load_until_ns;
}

/* Randomness costs a system call, so only a message that needs a new secret makes it. */
static void keep_cookie_secret(struct tunnel *tunnel)
{
	struct cookie_checker *checker = &tunnel->state->secrets.cookie_checker;
	uint8_t fresh_secret[HASH_LEN];

	if (!cookie_wants_secret(checker, tunnel->now_ns))
		return;
	tunnel->upcalls.random(tunnel->context, fresh_secret, sizeof(fresh_secret));
	cookie_renew_secret(checker, tunnel->now_ns, fresh_secret);
	crypto_wipe(fresh_secret, sizeof(fresh_secret));
}

/* True if the message carries the cookie of its source. Otherwise the cookie is sent to the source
 * address, where only its owner receives it. */
static bool demand_cookie(struct tunnel *tunnel, const struct identity *own,
			  const struct incoming *incoming, const uint8_t *message, size_t len)
{
	const struct message_macs *macs =
		(const struct message_macs *)(message + len - sizeof(*macs));
	uint8_t cookie[COOKIE_LEN];
	bool has_cookie;

	keep_cookie_secret(tunnel);
	cookie_create(cookie, &tunnel->state->secrets.cookie_checker, &incoming->from);
	has_cookie = cookie_mac2_matches(cookie, message, len);
	if (!has_cookie)
		send_cookie_reply(tunnel, own, incoming, macs, get_le32(message + 4), cookie);
	crypto_wipe(cookie, sizeof(cookie));
	return has_cookie;
}

/* The identity that an initiation or a response is addressed to; NULL: the message is dropped. */
static const struct identity *admit(struct tunnel *tunnel, const struct incoming *incoming,
				    const uint8_t *message, size_t len)
{
	const struct identity *own = find_addressed(tunnel, message, len);

	if (!own) {
		drop(tunnel, DROP_BAD_MAC1);
		return NULL;
	}
	if (!is_under_load(tunnel))
		return own;
	if (!demand_cookie(tunnel, own, incoming, message, len) ||
	    !ratelimit_allow(&tunnel->state->ratelimit, &incoming->from, tunnel->now_ns)) {
		drop(tunnel, DROP_UNDER_LOAD);
		return NULL;
	}
	return own;
}

/* -- handshake messages: consuming them -- */

static const enum drop_reason reason_of_verdict[] = {
	[NOISE_REFUSED] = DROP_BAD_HANDSHAKE,
	[NOISE_REPLAY] = DROP_HANDSHAKE_REPLAY,
	[NOISE_FLOOD] = DROP_HANDSHAKE_FLOOD,
};

/* The pair of static keys that this initiation proved to use; NO_PAIR if it was refused. Our own
 * initiation for the pair is set aside. */
static uint32_t accept_initiation(struct tunnel *tunnel, const struct message_initiation *message,
				  const struct identity *own, struct noise_initiation *ret_ours)
{
	struct noise_opening opening;
	enum noise_verdict verdict;
	uint32_t pair_index;

	if (!noise_open_initiation(&opening, message, own)) {
		drop(tunnel, DROP_BAD_HANDSHAKE);
		return NO_PAIR;
	}
	pair_index = peer_find_pair(tunnel, slot_of(tunnel, own), &opening.remote);
	if (pair_index == NO_PAIR) {
		drop(tunnel, DROP_UNKNOWN_PEER);
		goto out;
	}
	noise_set_aside_initiation(ret_ours, pair_derive(tunnel, pair_index));
	verdict = noise_consume_initiation(pair_derive(tunnel, pair_index), message, &opening,
					   tunnel->now_ns);
	if (verdict != NOISE_ACCEPTED) {
		crypto_wipe(ret_ours, sizeof(*ret_ours)); /* the pair still has it */
		drop(tunnel, reason_of_verdict[verdict]);
		pair_index = NO_PAIR;
	}
out:
	crypto_wipe(&opening, sizeof(opening));
	return pair_index;
}

/* Our own initiation, with its index, returns to the pair after the peer's is answered. */
static bool answer_initiation(struct tunnel *tunnel, uint32_t pair_index,
			      struct noise_initiation *ours)
{
	struct pair *pair = tunnel_pair(tunnel, pair_index);
	uint32_t index;
	bool is_answered;

	if (!ours->is_set)
		pair_set_handshake_index(tunnel, pair_index, 0);
	index = pair->handshake_index;
	pair->handshake_index = 0;
	is_answered = send_response(tunnel, pair_index);
	if (!is_answered)
		pair_forget_handshake(tunnel, pair_index);
	pair->handshake_index = index;
	noise_take_back_initiation(tunnel_noise(tunnel, pair_index), ours);
	return is_answered;
}

static void consume_initiation(struct tunnel *tunnel, const struct incoming *incoming,
			       const uint8_t *data)
{
	const struct message_initiation *message = (const struct message_initiation *)data;
	const struct identity *own = admit(tunnel, incoming, data, sizeof(*message));
	struct noise_initiation ours = {0};
	uint32_t pair_index, peer_index;

	if (!own)
		return;
	pair_index = accept_initiation(tunnel, message, own, &ours);
	if (pair_index == NO_PAIR)
		return;
	peer_index = tunnel_pair(tunnel, pair_index)->peer_index;
	peer_follow(tunnel, peer_index, &incoming->from, &incoming->to);
	if (!answer_initiation(tunnel, pair_index, &ours)) {
		drop(tunnel, DROP_BAD_HANDSHAKE);
		return;
	}
	tunnel_peer(tunnel, peer_index)->received_bytes += sizeof(*message);
	note_authenticated(tunnel, peer_index);
}

/* Only the holder of the key can answer an initiation to it. */
static void note_reached(struct tunnel *tunnel, const struct pair *pair)
{
	struct peer *peer = tunnel_peer(tunnel, pair->peer_index);

	if (pair->remote == peer_newest_key(peer) && !peer->has_reached[pair->remote])
		timers_next_key_reached(tunnel, pair->peer_index);
	peer->has_reached[pair->remote] = true;
}

/* A complete handshake proves the address to which we sent our part of it. The source address of
 * the peer's part proves nothing: the peer answers to the endpoint that it knows of us, from
 * whichever local address leads there. */
static void note_place(struct tunnel *tunnel, uint32_t peer_index, const struct address *sent_to)
{
	if (sent_to->family)
		place_note_answered(tunnel_peer(tunnel, peer_index)->places, sent_to,
				    tunnel->now_ns);
}

/* The answer to a question shows where the peer is reachable, not where it wants to be reached. */
static void follow_response(struct tunnel *tunnel, const struct pair *pair,
			    const struct incoming *incoming)
{
	note_place(tunnel, pair->peer_index, &pair->initiated_to);
	if (!pair->is_question)
		peer_follow(tunnel, pair->peer_index, &incoming->from, &incoming->to);
}

static void consume_response(struct tunnel *tunnel, const struct incoming *incoming,
			     const uint8_t *data)
{
	const struct message_response *message = (const struct message_response *)data;
	const struct identity *own = admit(tunnel, incoming, data, sizeof(*message));
	const struct index_entry *entry;
	uint32_t pair_index, peer_index;

	if (!own)
		return;
	entry = index_find(tunnel->state, get_le32(message->receiver_index));
	if (!entry || entry->kind != INDEX_HANDSHAKE ||
	    !timers_allow_response(tunnel, entry->owner)) {
		drop(tunnel, DROP_UNKNOWN_INDEX);
		return;
	}
	pair_index = entry->owner;
	peer_index = tunnel_pair(tunnel, pair_index)->peer_index;
	if (!noise_consume_response(tunnel_noise(tunnel, pair_index), message, own) ||
	    !session_begin(tunnel, pair_index)) {
		drop(tunnel, DROP_BAD_HANDSHAKE);
		return;
	}
	note_reached(tunnel, tunnel_pair(tunnel, pair_index));
	follow_response(tunnel, tunnel_pair(tunnel, pair_index), incoming);
	timers_session_derived(tunnel, peer_index);
	timers_handshake_complete(tunnel, peer_index);
	send_keepalive(tunnel, peer_index); /* tells the responder that it may send */
	tunnel_peer(tunnel, peer_index)->received_bytes += sizeof(*message);
	note_authenticated(tunnel, peer_index);
}

static void consume_cookie(struct tunnel *tunnel, const struct incoming *incoming,
			   const uint8_t *data)
{
	const struct message_cookie *message = (const struct message_cookie *)data;
	const struct index_entry *entry =
		index_find(tunnel->state, get_le32(message->receiver_index));
	const struct peer_key *key;
	uint32_t pair_index = NO_PAIR;
	struct pair *pair;

	(void)incoming;
	if (entry)
		pair_index = entry->kind == INDEX_HANDSHAKE
				     ? entry->owner
				     : tunnel_session(tunnel, entry->owner)->pair_index;
	if (pair_index == NO_PAIR) {
		drop(tunnel, DROP_UNKNOWN_INDEX);
		return;
	}
	pair = tunnel_pair(tunnel, pair_index);
	key = &tunnel_peer(tunnel, pair->peer_index)->keys[pair->remote];
	/* The cookie is for the next retry. An immediate answer would let anyone who saw our
	 * message make us send. */
	if (!cookie_consume_reply(&pair->jar, message, key->cookie_key, tunnel->now_ns))
		drop(tunnel, DROP_BAD_HANDSHAKE);
}

/* -- data: opened together -- */

struct received {
	const struct incoming *incoming;
	uint32_t session_index;
	uint32_t index; /* the session's local_index: detects that the session was replaced */
};

struct batch {
	unsigned int count;
	struct aead_job jobs[RECEIVE_BATCH];
	struct received received[RECEIVE_BATCH];
};

/* A run: data of one session in one batch of the kernel. Its consequences are applied once. */
static bool is_same_run(const struct received *a, const struct received *b)
{
	return a->session_index == b->session_index && a->incoming == b->incoming;
}

static void deliver(struct tunnel *tunnel, uint32_t peer_index, uint8_t *packet, size_t len,
		    uint8_t tos)
{
	size_t whole_len = inner_len(packet, len);
	uint8_t family;

	if (!whole_len) {
		drop(tunnel, DROP_INNER_MALFORMED);
		return;
	}
	family = inner_family(inner_version(packet));
	if (allowedips_lookup(&tunnel->state->allowedips, family, inner_addresses(packet)) !=
	    peer_index) {
		drop(tunnel, DROP_SOURCE_NOT_ALLOWED);
		return;
	}
	tunnel_peer(tunnel, peer_index)->received_bytes += DATA_OVERHEAD + len;
	ecn_decapsulate(packet, tos);
	tunnel->upcalls.deliver(tunnel->context, packet, whole_len);
}

/* The peer's handshake is complete: an answer to our own initiation would only create one more
 * session. */
static void forget_initiation(struct tunnel *tunnel, uint32_t pair_index)
{
	if (pair_index != NO_PAIR &&
	    tunnel_noise(tunnel, pair_index)->state == HANDSHAKE_INITIATION_SENT)
		pair_forget_handshake(tunnel, pair_index);
}

/* Runs at the first authentic data of a run. */
static void begin_run(struct tunnel *tunnel, uint32_t peer_index, const struct received *received)
{
	struct peer *peer = tunnel_peer(tunnel, peer_index);

	peer_follow(tunnel, peer_index, &received->incoming->from, &received->incoming->to);
	tunnel_session(tunnel, received->session_index)->last_received_ns = tunnel->now_ns;
	peer_note_proof(tunnel, received->session_index);
	if (session_confirm(tunnel, received->session_index)) {
		note_place(tunnel, peer_index,
			   &tunnel_session(tunnel, received->session_index)->answered_to);
		forget_initiation(tunnel,
				  tunnel_session(tunnel, received->session_index)->pair_index);
		timers_handshake_complete(tunnel, peer_index);
		send_staged(tunnel, peer_index);
	}
	if (peer->current != NO_SESSION && !peer->has_sent_lastminute_handshake &&
	    session_wants_rekey_after_receive(tunnel_session(tunnel, peer->current),
					      tunnel->now_ns)) {
		peer->has_sent_lastminute_handshake = true;
		(void)send_initiation(tunnel, peer_index, false);
	}
	note_authenticated(tunnel, peer_index);
}

/* Is the data authentic, and not a replay? */
static bool accept_data(struct tunnel *tunnel, const struct aead_job *job,
			const struct received *received)
{
	struct session *session = tunnel_session(tunnel, received->session_index);

	if (!job->is_authentic) {
		drop(tunnel, DROP_BAD_TAG);
		return false;
	}
	/* Earlier data in the batch may have promoted a session and so dropped this one. */
	if (!session->is_used || session->local_index != received->index) {
		drop(tunnel, DROP_UNKNOWN_INDEX);
		return false;
	}
	if (!replay_accept(&session->replay, job->counter)) {
		drop(tunnel, DROP_REPLAYED);
		return false;
	}
	return true;
}

/* Returns the index of the next run. */
static unsigned int consume_run(struct tunnel *tunnel, const struct batch *batch,
				unsigned int first)
{
	const struct received *run = &batch->received[first];
	uint32_t peer_index = tunnel_session(tunnel, run->session_index)->peer_index;
	bool has_begun = false;
	unsigned int i;

	for (i = first; i < batch->count && is_same_run(&batch->received[i], run); i++) {
		const struct aead_job *job = &batch->jobs[i];
		size_t len = job->len - TAG_LEN;

		if (!accept_data(tunnel, job, run))
			continue;
		if (!has_begun)
			begin_run(tunnel, peer_index, run);
		has_begun = true;
		if (!len) {
			tunnel_peer(tunnel, peer_index)->received_bytes += DATA_OVERHEAD;
			continue;
		}
		timers_data_received(tunnel, peer_index);
		deliver(tunnel, peer_index, job->output, len, run->incoming->tos);
	}
	return i;
}

static void consume_batch(struct tunnel *tunnel, struct batch *batch)
{
	if (batch->count)
		tunnel->aead->open(batch->jobs, batch->count);
	for (unsigned int i = 0; i < batch->count;)
		i = consume_run(tunnel, batch, i);
	batch->count = 0;
}

static void add_to_batch(struct batch *batch, const struct incoming *incoming, uint8_t *data,
			 size_t len, const struct index_entry *entry, const uint8_t *key)
{
	const struct message_data *message = (const struct message_data *)data;

	batch->jobs[batch->count] = (struct aead_job){
		.key = key,
		.counter = get_le64(message->counter),
		.input = data + sizeof(*message),
		.output = data + sizeof(*message),
		.len = (uint32_t)(len - sizeof(*message)),
	};
	batch->received[batch->count++] = (struct received){incoming, entry->owner, entry->index};
}

static void handle_data(struct tunnel *tunnel, struct batch *batch, const struct incoming *incoming,
			uint8_t *data, size_t len)
{
	const struct message_data *message = (const struct message_data *)data;
	struct tunnel_state *state = tunnel->state;
	const struct index_entry *entry;

	if (len < MESSAGE_DATA_MIN) {
		drop(tunnel, DROP_BAD_LENGTH);
		return;
	}
	if (batch->count == RECEIVE_BATCH)
		consume_batch(tunnel, batch);
	entry = index_find(state, get_le32(message->receiver_index));
	if (!entry || entry->kind != INDEX_SESSION)
		drop(tunnel, DROP_UNKNOWN_INDEX);
	else if (!session_can_receive(tunnel_session(tunnel, entry->owner), tunnel->now_ns) ||
		 get_le64(message->counter) >= REJECT_AFTER_MESSAGES)
		drop(tunnel, DROP_SESSION_EXPIRED);
	else
		add_to_batch(batch, incoming, data, len, entry,
			     state->secrets.session_keys[entry->owner].receive);
}

/* -- dispatch by type -- */

static const struct handshake_message {
	size_t len;
	void (*consume)(struct tunnel *tunnel, const struct incoming *incoming,
			const uint8_t *data);
} handshake_messages[] = {
	[MESSAGE_INITIATION] = {sizeof(struct message_initiation), consume_initiation},
	[MESSAGE_RESPONSE] = {sizeof(struct message_response), consume_response},
	[MESSAGE_COOKIE] = {sizeof(struct message_cookie), consume_cookie},
};

static void handle_datagram(struct tunnel *tunnel, struct batch *batch,
			    const struct incoming *incoming, uint8_t *data, size_t len)
{
	uint32_t type = len < sizeof(type) ? 0 : get_le32(data); /* with its three zero bytes */

	if (len < sizeof(type)) {
		drop(tunnel, DROP_BAD_LENGTH);
	} else if (type == MESSAGE_DATA) {
		handle_data(tunnel, batch, incoming, data, len);
	} else if (type >= ARRAY_SIZE(handshake_messages) || !handshake_messages[type].consume) {
		drop(tunnel, DROP_BAD_TYPE);
	} else if (len != handshake_messages[type].len) {
		drop(tunnel, DROP_BAD_LENGTH);
	} else {
		consume_batch(tunnel, batch);
		handshake_messages[type].consume(tunnel, incoming, data);
	}
}

void tunnel_receive(struct tunnel *tunnel, const struct incoming *incoming, unsigned int count)
{
	struct batch batch;

	batch.count = 0;
	for (unsigned int i = 0; i < count; i++) {
		uint32_t rest = incoming[i].len;
		uint32_t step = incoming[i].segment_len ? incoming[i].segment_len : rest;
		uint8_t *data = incoming[i].data;

		do {
			uint32_t len = MIN(step, rest);

			handle_datagram(tunnel, &batch, &incoming[i], data, len);
			data += len;
			rest -= len;
		} while (rest);
	}
	consume_batch(tunnel, &batch);
}
