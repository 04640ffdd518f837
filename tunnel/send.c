// SPDX-License-Identifier: Apache-2.0
/*
 * From a packet of the TUN to datagrams in the outbox (paper, 5.4.6, 6.2, 6.4), and the handshake's
 * messages. A packet is encrypted and sent to the peer that owns its destination, or it is counted
 * as lost under one reason; there is no third way. Counters are assigned in the order in which
 * packets go to the wire, each of them once.
 */
#include "send.h"

#include "crypto.h"
#include "index.h"
#include "outbox.h"
#include "packet/ecn.h"
#include "packet/icmp.h"
#include "packet/segment.h"
#include "pair.h"
#include "path.h"
#include "peer.h"
#include "session.h"
#include "timers.h"

/* -- packets that cannot be sent -- */

static void inject(struct tunnel *tunnel, const uint8_t *packet, size_t len)
{
	if (len)
		tunnel->upcalls.inject(tunnel->context, packet, len);
}

static void refuse(struct tunnel *tunnel, enum drop_reason reason, const uint8_t *packet,
		   size_t len, uint32_t count)
{
	uint8_t answer[ICMP_ERROR_MAX];

	tunnel_count_drop(tunnel, reason, count);
	inject(tunnel, answer, icmp_create_unreachable(answer, packet, len));
}

static void refuse_too_big(struct tunnel *tunnel, const uint8_t *packet, size_t len, size_t mtu,
			   uint32_t count)
{
	uint8_t answer[ICMP_ERROR_MAX];

	tunnel_count_drop(tunnel, DROP_TOO_BIG, count);
	inject(tunnel, answer, icmp_create_too_big(answer, packet, len, (uint32_t)mtu));
}

/* -- data on a session -- */

/* Can the peer's session send `count` more packets? If it cannot send all of them it sends none:
 * its last few counters are not worth splitting a packet. */
static bool has_session_for(struct tunnel *tunnel, const struct peer *peer, uint64_t count)
{
	struct session *session;

	if (peer->current == NO_SESSION)
		return false;
	session = tunnel_session(tunnel, peer->current);
	if (!session_can_send(session, tunnel->now_ns))
		return false;
	if (REJECT_AFTER_MESSAGES - session->send_counter < count)
		session->is_retired = true;
	return !session->is_retired;
}

/* Adds one data message with room for len bytes of plain text, which the caller writes to the
 * returned place. */
static uint8_t *add_data(struct tunnel *tunnel, uint32_t session_index, uint8_t tos, size_t len)
{
	struct session *session = tunnel_session(tunnel, session_index);
	struct peer *peer = tunnel_peer(tunnel, session->peer_index);
	const struct outbox_address address = {&peer->endpoint, &peer->source, tos};
	struct message_data *message;

	message = (struct message_data *)outbox_add_sealed(tunnel, &address, sizeof(*message), len,
							   session_index, session->send_counter);
	put_le32(message->type, MESSAGE_DATA);
	put_le32(message->receiver_index, session->remote_index);
	put_le64(message->counter, session->send_counter);
	session->send_counter++;
	peer->sent_bytes += DATA_OVERHEAD + len;
	return (uint8_t *)(message + 1);
}

/* Padding hides the length, but never exceeds the MTU of the path (kernel netns test N14). */
static size_t padded_len(size_t len, size_t mtu)
{
	return MIN(ROUND_UP(len, PADDING_MULTIPLE), mtu);
}

static void data_sent(struct tunnel *tunnel, uint32_t peer_index, bool is_keepalive)
{
	const struct peer *peer = tunnel_peer(tunnel, peer_index);

	timers_any_authenticated_traversed(tunnel, peer_index);
	timers_any_authenticated_sent(tunnel, peer_index);
	if (!is_keepalive)
		timers_data_sent(tunnel, peer_index);
	if (session_wants_rekey_after_send(tunnel_session(tunnel, peer->current), tunnel->now_ns))
		(void)send_initiation(tunnel, peer_index, false);
}

/* Unpredictable from other packets (RFC 7739), and unlikely to collide with the sender's own. */
static uint32_t random_fragment_id(struct tunnel *tunnel)
{
	uint32_t id;

	tunnel->upcalls.random(tunnel->context, &id, sizeof(id));
	return id;
}

static void send_segments(struct tunnel *tunnel, uint32_t peer_index, struct segmenter *segmenter,
			  size_t mtu)
{
	struct peer *peer = tunnel_peer(tunnel, peer_index);
	uint8_t tos = ecn_encapsulate(segmenter->packet);
	size_t len;

	if (segmenter->is_fragmenting && segmenter->ip_version == 6)
		segmenter->fragment_id = random_fragment_id(tunnel);
	while ((len = segment_peek_len(segmenter))) {
		size_t padded = padded_len(len, mtu);
		uint8_t *plain = add_data(tunnel, peer->current, tos, padded);

		segment_next(segmenter, plain);
		memset(plain + len, 0, padded - len);
	}
	data_sent(tunnel, peer_index, false);
}

/* -- waiting for a session -- */

static struct stage_queue stage_of(struct peer *peer)
{
	return (struct stage_queue){&peer->stage_head, &peer->stage_tail, &peer->stage_count};
}

static bool drop_oldest(struct tunnel *tunnel, struct peer *peer, enum drop_reason reason)
{
	uint16_t packets;

	if (!stage_pop(&tunnel->state->stage, stage_of(peer), NULL, NULL, &packets))
		return false;
	tunnel_count_drop(tunnel, reason, packets);
	return true;
}

/* Drops the oldest packets first: their sender has retransmitted them by now, or timed out. */
static void stage(struct tunnel *tunnel, struct peer *peer, const struct virtio_net_hdr *vnet,
		  const uint8_t *packet, size_t len, uint16_t packets)
{
	while (peer->stage_count >= STAGED_PACKETS_MAX)
		drop_oldest(tunnel, peer, DROP_STAGE_FULL);
	while (!stage_push(&tunnel->state->stage, stage_of(peer), vnet, packet, len, packets)) {
		if (!drop_oldest(tunnel, peer, DROP_STAGE_FULL)) {
			tunnel_count_drop(tunnel, DROP_STAGE_FULL, packets);
			return;
		}
	}
}

void send_purge_staged(struct tunnel *tunnel, uint32_t peer_index)
{
	while (drop_oldest(tunnel, tunnel_peer(tunnel, peer_index), DROP_STAGE_PURGED))
		;
}

/* Goes through tunnel_send again: MTU and allowed IPs may have changed since it was staged. */
static void send_oldest(struct tunnel *tunnel, struct peer *peer)
{
	uint8_t packet[STAGE_PACKET_MAX];
	struct virtio_net_hdr vnet;
	uint16_t packets;
	size_t len;

	len = stage_pop(&tunnel->state->stage, stage_of(peer), &vnet, packet, &packets);
	tunnel_send(tunnel, &vnet, packet, len);
}

void send_staged(struct tunnel *tunnel, uint32_t peer_index)
{
	struct peer *peer = tunnel_peer(tunnel, peer_index);

	while (peer->stage_count && has_session_for(tunnel, peer, 1))
		send_oldest(tunnel, peer);
	if (peer->stage_count)
		(void)send_initiation(tunnel, peer_index, false);
}

void send_keepalive(struct tunnel *tunnel, uint32_t peer_index)
{
	struct peer *peer = tunnel_peer(tunnel, peer_index);

	if (peer->stage_count) {
		send_staged(tunnel, peer_index);
	} else if (!has_session_for(tunnel, peer, 1)) {
		(void)send_initiation(tunnel, peer_index, false);
	} else if (peer->has_endpoint) {
		add_data(tunnel, peer->current, 0, 0);
		data_sent(tunnel, peer_index, true);
	}
}

static bool is_with_newest_key(const struct tunnel *tunnel, const struct peer *peer,
			       uint32_t session_index)
{
	const struct session *session;

	if (session_index == NO_SESSION)
		return false;
	session = tunnel_session(tunnel, session_index);
	return session->pair_index != NO_PAIR &&
	       tunnel_pair(tunnel, session->pair_index)->remote == peer_newest_key(peer) &&
	       session_can_send(session, tunnel->now_ns);
}

bool send_proof(struct tunnel *tunnel, uint32_t peer_index)
{
	const struct peer *peer = tunnel_peer(tunnel, peer_index);
	uint32_t session_index = peer->current;

	/* If both sides rotate at once, their handshakes cross, and ours may have become the
	 * previous session. */
	if (!is_with_newest_key(tunnel, peer, session_index))
		session_index = peer->previous;
	if (!peer->has_endpoint || !is_with_newest_key(tunnel, peer, session_index))
		return false;
	add_data(tunnel, session_index, 0, 0);
	timers_any_authenticated_traversed(tunnel, peer_index);
	timers_any_authenticated_sent(tunnel, peer_index);
	return true;
}

/* -- a packet of the TUN -- */

static uint32_t owner_of_destination(const struct tunnel *tunnel, const struct inner *inner,
				     const uint8_t *packet)
{
	return allowedips_lookup(&tunnel->state->allowedips, inner_family(inner->version),
				 inner_destination(packet, inner->version));
}

/* The kernel sends membership reports on every device that is up. to_wire redirects no multicast,
 * so the packet is not a pod's. */
static enum drop_reason reason_without_owner(const struct inner *inner, const uint8_t *packet)
{
	const uint8_t *destination = inner_destination(packet, inner->version);
	bool is_multicast =
		inner->version == 4 ? destination[0] >> 4 == 0xe : destination[0] == 0xff;

	return is_multicast ? DROP_OWN_MULTICAST : DROP_NO_ALLOWED_IP;
}

/* A datagram of our own socket to this peer: a route leads to the endpoint through our device.
 * Sealed again, it would only come back again. No other packet is lost by this: no peer accepts a
 * packet for its tunnel's port from inside the tunnel. */
static bool is_own_datagram(const struct tunnel *tunnel, const struct peer *peer,
			    const struct inner *inner, const uint8_t *packet)
{
	struct address to = endpoint_address(&peer->endpoint);

	if (to.family != inner_family(inner->version) ||
	    memcmp(inner_destination(packet, inner->version), to.bytes,
		   inner_address_len(inner->version)))
		return false;
	return inner->protocol == IPPROTO_UDP && inner->len >= inner->ip_len + 4 &&
	       get_be16(packet + inner->ip_len) == tunnel->state->port &&
	       get_be16(packet + inner->ip_len + 2) == endpoint_port(&peer->endpoint);
}

static size_t mtu_to(struct tunnel *tunnel, uint32_t peer_index)
{
	if (peer_index == NO_PEER || !tunnel_peer(tunnel, peer_index)->has_endpoint)
		return tunnel->state->mtu;
	return path_inner_mtu(tunnel, peer_index);
}

void tunnel_send(struct tunnel *tunnel, const struct virtio_net_hdr *vnet, const uint8_t *packet,
		 size_t len)
{
	struct inner inner;
	struct segmenter segmenter;
	enum segment_verdict verdict = SEGMENT_MALFORMED;
	uint32_t peer_index = NO_PEER;
	size_t mtu = 0;

	if (inner_parse(&inner, packet, len)) {
		peer_index = owner_of_destination(tunnel, &inner, packet);
		mtu = mtu_to(tunnel, peer_index);
		verdict = segment_init(&segmenter, vnet, &inner, packet, mtu);
	}
	if (verdict == SEGMENT_MALFORMED || len > STAGE_PACKET_MAX) {
		tunnel_count_drop(tunnel, DROP_TUN_MALFORMED, 1);
		return;
	}
	if (peer_index == NO_PEER) {
		refuse(tunnel, reason_without_owner(&inner, packet), packet, len, segmenter.count);
	} else if (!tunnel_peer(tunnel, peer_index)->has_endpoint) {
		refuse(tunnel, DROP_NO_ENDPOINT, packet, len, segmenter.count);
	} else if (is_own_datagram(tunnel, tunnel_peer(tunnel, peer_index), &inner, packet)) {
		tunnel_count_drop(tunnel, DROP_OWN_DATAGRAM, segmenter.count);
	} else if (verdict == SEGMENT_TOO_BIG) {
		refuse_too_big(tunnel, packet, len, mtu, segmenter.count);
	} else if (has_session_for(tunnel, tunnel_peer(tunnel, peer_index), segmenter.count)) {
		send_segments(tunnel, peer_index, &segmenter, mtu);
	} else if (!pair_derive(tunnel, peer_choose_pair(tunnel, peer_index))->is_usable) {
		refuse(tunnel, DROP_NO_KEY, packet, len, segmenter.count);
	} else {
		stage(tunnel, tunnel_peer(tunnel, peer_index), vnet, packet, len,
		      (uint16_t)segmenter.count);
		(void)send_initiation(tunnel, peer_index, false);
	}
}

/* -- the handshake -- */

/* Never before any timestamp that this node sent, even if the clock was set back; and later than
 * the last one to the same peer, since REKEY_TIMEOUT on the boot clock separates the two. */
static void next_timestamp(struct tunnel *tunnel, uint8_t ret_timestamp[static TIMESTAMP_LEN])
{
	struct tunnel_state *state = tunnel->state;
	uint64_t least_ns =
		state->last_timestamp_wall_ns + (tunnel->now_ns - state->last_timestamp_ns);

	state->last_timestamp_wall_ns = MAX(tunnel->wall_ns, least_ns);
	state->last_timestamp_ns = tunnel->now_ns;
	noise_timestamp(ret_timestamp, state->last_timestamp_wall_ns);
}

/* Completes a handshake message and adds it to the outbox. */
static void add_handshake(struct tunnel *tunnel, uint32_t pair_index,
			  const struct outbox_address *address, void *message, size_t len)
{
	struct pair *pair = tunnel_pair(tunnel, pair_index);
	struct peer *peer = tunnel_peer(tunnel, pair->peer_index);

	cookie_add_macs(message, len, &pair->jar, peer->keys[pair->remote].mac1_key,
			tunnel->now_ns);
	memcpy(outbox_add(tunnel, address, len), message, len);
	peer->sent_bytes += len;
}

static bool create_initiation(struct tunnel *tunnel, uint32_t pair_index,
			      struct message_initiation *ret_message)
{
	const struct identity *own =
		&tunnel->state->secrets.identities[tunnel_pair(tunnel, pair_index)->own];
	uint8_t ephemeral[KEY_LEN], timestamp[TIMESTAMP_LEN];
	uint32_t index = index_add(tunnel, INDEX_HANDSHAKE, pair_index);
	bool is_created;

	next_timestamp(tunnel, timestamp);
	tunnel->upcalls.random(tunnel->context, ephemeral, sizeof(ephemeral));
	is_created = noise_create_initiation(ret_message, pair_derive(tunnel, pair_index), own,
					     index, ephemeral, timestamp);
	crypto_wipe(ephemeral, sizeof(ephemeral));
	if (is_created)
		pair_set_handshake_index(tunnel, pair_index, index);
	else
		index_remove(tunnel->state, index);
	return is_created;
}

/* The address that a handshake with this endpoint proves; family 0: none. A port other than the
 * nodes' common one may be a NodePort, and another node would forward its datagrams to the pods of
 * a Service. */
static struct address place_of_endpoint(const struct tunnel *tunnel, const union endpoint *to)
{
	return endpoint_port(to) == tunnel->state->port ? endpoint_address(to)
							: (struct address){0};
}

static bool initiate_at(struct tunnel *tunnel, uint32_t pair_index,
			const struct outbox_address *address)
{
	struct pair *pair = tunnel_pair(tunnel, pair_index);
	struct peer *peer = tunnel_peer(tunnel, pair->peer_index);
	struct message_initiation message;

	if (!pair_derive(tunnel, pair_index)->is_usable ||
	    !create_initiation(tunnel, pair_index, &message))
		return false;
	/* One handshake of our own at a time: if two were answered, the peer could miss which
	 * session we use. */
	peer_forget_initiations_but(tunnel, pair->peer_index, pair_index);
	pair->initiated_to = place_of_endpoint(tunnel, address->to);
	if (pair->initiated_to.family)
		place_note_asked(peer->places, &pair->initiated_to, tunnel->now_ns);
	timers_any_authenticated_traversed(tunnel, pair->peer_index);
	timers_any_authenticated_sent(tunnel, pair->peer_index);
	add_handshake(tunnel, pair_index, address, &message, sizeof(message));
	return true;
}

static bool initiate(struct tunnel *tunnel, uint32_t pair_index)
{
	struct peer *peer = tunnel_peer(tunnel, tunnel_pair(tunnel, pair_index)->peer_index);
	const struct outbox_address address = {&peer->endpoint, &peer->source, TOS_HANDSHAKE};

	if (!peer->has_endpoint || !initiate_at(tunnel, pair_index, &address))
		return false;
	tunnel_pair(tunnel, pair_index)->is_question = false;
	peer->unanswered++;
	if (!peer->asked_ns)
		peer->asked_ns = tunnel->now_ns;
	return true;
}

bool send_initiation(struct tunnel *tunnel, uint32_t peer_index, bool is_retry)
{
	uint32_t pair_index = peer_choose_pair(tunnel, peer_index);

	if (!is_retry)
		tunnel_peer(tunnel, peer_index)->timers.attempts = 0;
	if (!timers_allow_initiation(tunnel, peer_index)) {
		if (peer_is_initiating(tunnel, peer_index))
			timers_handshake_awaited(tunnel, peer_index);
		return false;
	}
	if (!initiate(tunnel, pair_index))
		return false;
	timers_handshake_initiated(tunnel, pair_index);
	return true;
}

bool send_initiation_to_newest(struct tunnel *tunnel, uint32_t peer_index)
{
	uint32_t pair_index = peer_choose_newest_pair(tunnel, peer_index);

	if (peer_is_initiating(tunnel, peer_index) || !timers_allow_try(tunnel, pair_index) ||
	    !initiate(tunnel, pair_index))
		return false;
	timers_next_key_tried(tunnel, pair_index);
	return true;
}

static bool is_waiting(const struct tunnel *tunnel, uint32_t pair_index)
{
	return tunnel_noise(tunnel, pair_index)->state == HANDSHAKE_INITIATION_SENT;
}

/* Waits while a recent handshake with the endpoint may still be answered. */
static bool may_ask(const struct tunnel *tunnel, uint32_t peer_index, uint32_t pair_index)
{
	const struct peer *peer = tunnel_peer(tunnel, peer_index);
	uint64_t initiated_ns = peer->timers.last_initiation_sent_ns;

	uint64_t wait_ns = is_waiting(tunnel, pair_index) ? QUESTION_WAIT_NS : QUESTION_SPACING_NS;

	if (peer->last_question_ns && tunnel->now_ns - peer->last_question_ns < wait_ns)
		return false;
	return !peer_is_initiating(tunnel, peer_index) ||
	       tunnel->now_ns - initiated_ns >= QUESTION_PATIENCE_NS;
}

bool send_question(struct tunnel *tunnel, uint32_t peer_index, const union endpoint *to)
{
	const struct local_source any_source = {0};
	const struct outbox_address address = {to, &any_source, TOS_HANDSHAKE};
	uint32_t pair_index = peer_choose_pair(tunnel, peer_index);

	if (!may_ask(tunnel, peer_index, pair_index) || !initiate_at(tunnel, pair_index, &address))
		return false;
	tunnel_pair(tunnel, pair_index)->is_question = true;
	tunnel_peer(tunnel, peer_index)->last_question_ns = tunnel->now_ns;
	timers_question_asked(tunnel, pair_index);
	return true;
}

static bool create_response(struct tunnel *tunnel, uint32_t pair_index,
			    struct message_response *ret_message)
{
	uint8_t ephemeral[KEY_LEN];
	uint32_t index = index_add(tunnel, INDEX_HANDSHAKE, pair_index);
	bool is_created;

	tunnel->upcalls.random(tunnel->context, ephemeral, sizeof(ephemeral));
	is_created = noise_create_response(ret_message, tunnel_noise(tunnel, pair_index), index,
					   ephemeral);
	crypto_wipe(ephemeral, sizeof(ephemeral));
	if (is_created)
		pair_set_handshake_index(tunnel, pair_index, index);
	else
		index_remove(tunnel->state, index);
	return is_created;
}

bool send_response(struct tunnel *tunnel, uint32_t pair_index)
{
	uint32_t peer_index = tunnel_pair(tunnel, pair_index)->peer_index;
	struct peer *peer = tunnel_peer(tunnel, peer_index);
	const struct outbox_address address = {&peer->endpoint, &peer->source, TOS_HANDSHAKE};
	struct message_response message;

	if (!create_response(tunnel, pair_index, &message) || !session_begin(tunnel, pair_index))
		return false;
	timers_handshake_answered(tunnel, pair_index);
	timers_session_derived(tunnel, peer_index);
	timers_any_authenticated_traversed(tunnel, peer_index);
	timers_any_authenticated_sent(tunnel, peer_index);
	if (!peer->has_endpoint)
		return true;
	tunnel_session(tunnel, peer->next)->answered_to =
		place_of_endpoint(tunnel, &peer->endpoint);
	add_handshake(tunnel, pair_index, &address, &message, sizeof(message));
	return true;
}

/* Nonces are public and never repeat: each is used once, and the stock is refilled by the
 * kernel. */
static const uint8_t *next_nonce(struct tunnel *tunnel)
{
	struct cookie_nonces *nonces = &tunnel->cookie_nonces;

	if (!nonces->left) {
		tunnel->upcalls.random(tunnel->context, nonces->bytes, sizeof(nonces->bytes));
		nonces->left = ARRAY_SIZE(nonces->bytes);
	}
	return nonces->bytes[--nonces->left];
}

void send_cookie_reply(struct tunnel *tunnel, const struct identity *own,
		       const struct incoming *incoming, const struct message_macs *macs,
		       uint32_t sender_index, const uint8_t cookie[static COOKIE_LEN])
{
	const struct outbox_address address = {&incoming->from, &incoming->to, TOS_HANDSHAKE};
	uint8_t *reply = outbox_add(tunnel, &address, sizeof(struct message_cookie));

	cookie_create_reply((struct message_cookie *)reply, own, macs, sender_index, cookie,
			    next_nonce(tunnel));
}
