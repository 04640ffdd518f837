// SPDX-License-Identifier: Apache-2.0
/*
 * keyd's verbs on the tunnel (include/tunnel_control.h). Every verb first checks all of its request
 * and changes the tunnel only when nothing can fail any more, so a refused request changes nothing.
 * It changes only differences, so that a restarted keyd can repeat everything without disturbing a
 * session. Requests may hold keys: they and all copies made here are wiped in any case.
 */
#include "manage.h"

#include <errno.h>

#include "configure.h"
#include "crypto.h"
#include "send.h"
#include "session.h"

static_assert(CONTROL_ENDPOINTS_MAX == PEER_ENDPOINTS_MAX,
	      "a peer can hold all endpoints of a request");
static_assert(CONTROL_PLACES_MAX == PEER_PLACES_MAX, "the status shows all places");
static_assert(CONTROL_UID_LEN == sizeof((struct tunnel_state){0}.uid),
	      "the tunnel keeps the uid whole");
static_assert(CONTROL_UID_LEN == sizeof((struct peer){0}.uid), "and each peer's");
static_assert(sizeof(struct control_header) + sizeof(struct control_peer) +
			      CONTROL_ENDPOINTS_MAX * sizeof(union endpoint) +
			      CONTROL_CIDRS_MAX * sizeof(struct cidr) <=
		      CONTROL_PACKET_MAX,
	      "the largest peer fits one packet");
static_assert(sizeof(struct control_header) + sizeof(struct control_page) <= CONTROL_PACKET_MAX,
	      "and so does a page");

/* A request's body and the place for the answer's. */
struct exchange {
	struct tunnel *tunnel;
	const struct device_upcalls *device;
	const uint8_t *body;
	size_t len;
	uint8_t *ret_body;
	size_t ret_len;
};

static void answer(struct exchange *exchange, const void *bytes, size_t len)
{
	memcpy(exchange->ret_body + exchange->ret_len, bytes, len);
	exchange->ret_len += len;
}

static int handle_hello(struct exchange *exchange)
{
	const struct tunnel_state *state = exchange->tunnel->state;
	struct control_hello hello = {
		.ifindex = exchange->device->ifindex,
		.mtu = state->mtu,
		.pid = exchange->device->pid,
		.port = state->port,
		.is_managed = state->is_managed,
		.epoch = state->epoch,
		.peer_count = state->peer_count,
	};

	copy_text(hello.interface, sizeof(hello.interface), exchange->device->interface);
	memcpy(hello.uid, state->uid, sizeof(hello.uid));
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
		hello.has_key[slot] = state->secrets.identities[slot].is_set;
		if (hello.has_key[slot])
			hello.keys[slot] = state->secrets.identities[slot].public_key;
	}
	answer(exchange, &hello, sizeof(hello));
	return 0;
}

/* -- identity and device -- */

/* wg(8) can change nothing from now on, so its peers would keep their prefixes for good. */
static void take_over(struct exchange *exchange)
{
	struct tunnel_state *state = exchange->tunnel->state;

	if (state->is_managed)
		return;
	for (uint32_t peer_index = 0; peer_index < state->peers_used_end; peer_index++)
		if (state->peers[peer_index].is_used && !state->peers[peer_index].is_managed)
			tunnel_remove_peer(exchange->tunnel, peer_index);
	state->is_managed = true;
	exchange->device->persist(exchange->device->context);
}

static bool is_uid_valid(const char uid[static CONTROL_UID_LEN])
{
	return uid[0] && memchr(uid, '\0', CONTROL_UID_LEN);
}

static bool is_identity_valid(const struct control_identity *identity)
{
	return identity->slot < KEY_SLOTS && is_uid_valid(identity->uid) &&
	       !sodium_is_zero(identity->private_key.bytes, KEY_LEN);
}

/* A key in two slots would be promoted over itself. */
static int check_identity(const struct tunnel *tunnel, const struct control_identity *identity)
{
	const struct identity *identities = tunnel->state->secrets.identities;
	int error = 0;
	struct identity given;

	if (!is_identity_valid(identity))
		return -EINVAL;
	identity_set(&given, &identity->private_key);
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
		if (slot != identity->slot && identities[slot].is_set &&
		    public_key_is_equal(&identities[slot].public_key, &given.public_key))
			error = -EEXIST;
	identity_clear(&given);
	if (!error && !tunnel_has_room_for_identity(tunnel, (enum key_slot)identity->slot))
		error = -ENOSPC;
	return error;
}

static int handle_set_identity(struct exchange *exchange)
{
	struct tunnel_state *state = exchange->tunnel->state;
	struct control_identity identity;
	int error;

	memcpy(&identity, exchange->body, sizeof(identity));
	error = check_identity(exchange->tunnel, &identity);
	if (!error) {
		tunnel_set_private_key(exchange->tunnel, (enum key_slot)identity.slot,
				       &identity.private_key);
		copy_text(state->uid, sizeof(state->uid), identity.uid);
		state->epoch = identity.epoch;
		take_over(exchange);
	}
	crypto_wipe(&identity, sizeof(identity));
	return error;
}

static int handle_promote_identity(struct exchange *exchange)
{
	struct control_epoch promoted;
	int error = tunnel_promote_identity(exchange->tunnel);

	memcpy(&promoted, exchange->body, sizeof(promoted));
	if (!error)
		exchange->tunnel->state->epoch = promoted.epoch;
	return error;
}

static int handle_clear_identity(struct exchange *exchange)
{
	struct control_clear clear;

	memcpy(&clear, exchange->body, sizeof(clear));
	if (clear.slot >= KEY_SLOTS || clear.slot == KEY_CURRENT)
		return -EINVAL;
	tunnel_clear_identity(exchange->tunnel, (enum key_slot)clear.slot, clear.ends_sessions);
	exchange->tunnel->state->epoch = clear.epoch;
	return 0;
}

static int handle_set_device(struct exchange *exchange)
{
	const struct tunnel_state *state = exchange->tunnel->state;
	struct control_device device;

	memcpy(&device, exchange->body, sizeof(device));
	if (!device.port)
		return -EINVAL;
	if (device.port == state->port && device.fwmark == state->fwmark)
		return 0;
	return exchange->device->set_device(exchange->device->context, device.port, device.fwmark);
}

/* -- peers -- */

struct peer_request {
	struct control_peer fixed;
	union endpoint endpoints[CONTROL_ENDPOINTS_MAX];
	const uint8_t *cidrs; /* fixed.cidr_count of them, at any address */
};

static struct cidr request_cidr(const struct peer_request *request, unsigned int number)
{
	struct cidr cidr;

	memcpy(&cidr, request->cidrs + number * sizeof(cidr), sizeof(cidr));
	return cidr;
}

static bool is_cidr_valid(struct cidr cidr)
{
	struct cidr cleared = cidr;

	if (cidr.address.family != AF_INET && cidr.address.family != AF_INET6)
		return false;
	if (cidr.prefix_len > address_bits(cidr.address.family))
		return false;
	cidr_clear_host_bits(&cleared);
	return cidr_is_equal(&cidr, &cleared);
}

/* Could a datagram to this endpoint reach exactly one node? An IPv4-mapped IPv6 address could not
 * leave an IPv6 socket. */
static bool is_endpoint_valid(const union endpoint *endpoint)
{
	const struct in6_addr *in6 = &endpoint->in6.sin6_addr;
	uint32_t in4 = ntohl(endpoint->in4.sin_addr.s_addr);

	if (endpoint->any.sa_family == AF_INET)
		return endpoint->in4.sin_port && in4 && !IN_MULTICAST(in4) && !IN_BADCLASS(in4);
	if (endpoint->any.sa_family != AF_INET6)
		return false;
	return endpoint->in6.sin6_port && !IN6_IS_ADDR_UNSPECIFIED(in6) &&
	       !IN6_IS_ADDR_MULTICAST(in6) && !IN6_IS_ADDR_V4MAPPED(in6);
}

static bool decode_peer_request(struct peer_request *ret_request, const uint8_t *body, size_t len)
{
	size_t endpoints_len;

	if (len < sizeof(ret_request->fixed))
		return false;
	memcpy(&ret_request->fixed, body, sizeof(ret_request->fixed));
	if (ret_request->fixed.endpoint_count > CONTROL_ENDPOINTS_MAX ||
	    ret_request->fixed.cidr_count > CONTROL_CIDRS_MAX)
		return false;
	endpoints_len = ret_request->fixed.endpoint_count * sizeof(union endpoint);
	if (len != sizeof(ret_request->fixed) + endpoints_len +
			   ret_request->fixed.cidr_count * sizeof(struct cidr))
		return false;
	memcpy(ret_request->endpoints, body + sizeof(ret_request->fixed), endpoints_len);
	ret_request->cidrs = body + sizeof(ret_request->fixed) + endpoints_len;
	return true;
}

static bool has_key_twice(const struct peer_request *request)
{
	const struct control_peer *fixed = &request->fixed;

	for (unsigned int a = 0; a < KEY_SLOTS; a++)
		for (unsigned int b = a + 1; b < KEY_SLOTS; b++)
			if (fixed->has_key[a] && fixed->has_key[b] &&
			    public_key_is_equal(&fixed->keys[a], &fixed->keys[b]))
				return true;
	return false;
}

static bool is_peer_request_valid(const struct peer_request *request)
{
	if (!request->fixed.id || !is_uid_valid(request->fixed.uid))
		return false;
	if (!request->fixed.has_key[KEY_CURRENT] || has_key_twice(request))
		return false;
	for (unsigned int i = 0; i < request->fixed.endpoint_count; i++)
		if (!is_endpoint_valid(&request->endpoints[i]))
			return false;
	for (unsigned int i = 0; i < request->fixed.cidr_count; i++)
		if (!is_cidr_valid(request_cidr(request, i)))
			return false;
	return true;
}

static struct peer_keys request_keys(const struct peer_request *request)
{
	struct peer_keys keys = {0};

	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
		keys.has_key[slot] = request->fixed.has_key[slot];
		if (keys.has_key[slot])
			keys.keys[slot] = request->fixed.keys[slot];
	}
	return keys;
}

/* peer_index is NO_PEER for a new peer. */
static int check_keys(const struct tunnel *tunnel, const struct peer_keys *keys,
		      uint32_t peer_index)
{
	int error;

	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
		if (keys->has_key[slot] && public_key_is_low_order(&keys->keys[slot]))
			return -EADDRNOTAVAIL;
	error = tunnel_check_peer_keys(tunnel, peer_index, keys);
	return error == -EEXIST ? -EADDRINUSE : error;
}

/* A restarted keyd may be shown an old record, and not know of the newer one. */
static int check_epoch(const struct tunnel *tunnel, const struct control_peer *fixed,
		       uint32_t peer_index)
{
	const struct peer *peer = peer_index == NO_PEER ? NULL : tunnel_peer(tunnel, peer_index);

	return peer && fixed->epoch < peer->epoch && !strcmp(fixed->uid, peer->uid) ? -ESTALE : 0;
}

/* The table briefly holds both old and new prefixes. */
static int check_room(const struct allowedips *table, const struct peer_request *request)
{
	uint32_t added = 0;

	for (unsigned int i = 0; i < request->fixed.cidr_count; i++) {
		struct cidr cidr = request_cidr(request, i);

		added += allowedips_owner(table, &cidr) == NO_PEER;
	}
	return added <= ALLOWEDIPS_MAX - table->count ? 0 : -ENOSPC;
}

static bool publishes(const union endpoint *endpoints, uint32_t count, const union endpoint *wanted)
{
	for (uint32_t i = 0; i < count; i++)
		if (endpoint_is_equal(&endpoints[i], wanted))
			return true;
	return false;
}

static bool has_same_endpoints(const struct peer *peer, const struct peer_request *request)
{
	if (peer->published_count != request->fixed.endpoint_count)
		return false;
	for (uint32_t i = 0; i < peer->published_count; i++)
		if (!endpoint_is_equal(&peer->published[i], &request->endpoints[i]))
			return false;
	return true;
}

/* The endpoint in use stays if the list is unchanged (the peer may have roamed within it, to
 * another port) or includes it; otherwise the peer's best endpoint is used. */
static void replace_endpoints(struct tunnel *tunnel, uint32_t peer_index,
			      const struct peer_request *request)
{
	struct peer *peer = tunnel_peer(tunnel, peer_index);
	uint32_t count = request->fixed.endpoint_count;

	if (has_same_endpoints(peer, request) && (peer->has_endpoint || !count))
		return;
	memcpy(peer->published, request->endpoints, count * sizeof(request->endpoints[0]));
	peer->published_count = count;
	if (!count)
		peer->has_endpoint = false;
	else if (!peer->has_endpoint || !publishes(request->endpoints, count, &peer->endpoint))
		tunnel_set_endpoint(tunnel, peer_index, &request->endpoints[0]);
}

/* check_room has ensured that no insertion fails. */
static void replace_allowed_ips(struct tunnel *tunnel, uint32_t peer_index,
				const struct peer_request *request)
{
	struct allowedips *table = &tunnel->state->allowedips;
	uint32_t *heads = tunnel->state->allowedips_heads;
	int error = 0;

	allowedips_mark_peer(table, heads, peer_index);
	for (unsigned int i = 0; i < request->fixed.cidr_count && !error; i++) {
		struct cidr cidr = request_cidr(request, i);

		error = allowedips_insert(table, heads, &cidr, peer_index);
	}
	assert(!error);
	allowedips_sweep_peer(table, heads, peer_index);
}

static void replace_preshared(struct tunnel *tunnel, uint32_t peer_index,
			      const struct peer_request *request)
{
	const struct control_peer *fixed = &request->fixed;

	for (enum key_slot own = 0; own < KEY_SLOTS; own++)
		for (enum key_slot remote = 0; remote < KEY_SLOTS; remote++) {
			tunnel_set_preshared(tunnel, peer_index, own, remote,
					     &fixed->preshared[own][remote]);
			tunnel_set_alternate(tunnel, peer_index, own, remote,
					     fixed->has_alternate ? &fixed->alternate[own][remote]
								  : NULL);
		}
}

/* Keys are set after endpoints: a new key initiates a handshake at once, which must go to the new
 * endpoint. Preshared keys are set after the keys that they belong to; a handshake that we initiate
 * needs them only for the response. */
static int apply_peer_request(struct tunnel *tunnel, const struct peer_request *request)
{
	struct peer_keys keys = request_keys(request);
	uint32_t peer_index = peer_find_by_id(tunnel, request->fixed.id);
	struct peer *peer;
	int error;

	error = check_epoch(tunnel, &request->fixed, peer_index);
	if (!error)
		error = check_keys(tunnel, &keys, peer_index);
	if (!error)
		error = check_room(&tunnel->state->allowedips, request);
	if (!error && peer_index == NO_PEER)
		error = tunnel_add_peer(tunnel, &keys.keys[KEY_CURRENT], &peer_index);
	if (error)
		return error;
	peer = tunnel_peer(tunnel, peer_index);
	peer->id = request->fixed.id;
	peer->is_managed = true;
	if (strcmp(peer->uid, request->fixed.uid))
		peer_forget_node(tunnel, peer_index);
	copy_text(peer->uid, sizeof(peer->uid), request->fixed.uid);
	peer->epoch = request->fixed.epoch;
	replace_endpoints(tunnel, peer_index, request);
	replace_allowed_ips(tunnel, peer_index, request);
	tunnel_change_peer_keys(tunnel, peer_index, &keys,
				request->fixed.try_next_within_s * NS_PER_S);
	replace_preshared(tunnel, peer_index, request);
	return 0;
}

static int handle_set_peer(struct exchange *exchange)
{
	struct peer_request request = {0};
	int error = -EINVAL;

	if (decode_peer_request(&request, exchange->body, exchange->len) &&
	    is_peer_request_valid(&request))
		error = apply_peer_request(exchange->tunnel, &request);
	crypto_wipe(&request, sizeof(request));
	return error;
}

/* NO_PEER: not found. 0 is not an id of keyd. */
static uint32_t find_peer(const struct exchange *exchange, uint32_t id)
{
	return id ? peer_find_by_id(exchange->tunnel, id) : NO_PEER;
}

static int handle_remove_peer(struct exchange *exchange)
{
	struct control_peer_id wanted;
	uint32_t peer_index;

	memcpy(&wanted, exchange->body, sizeof(wanted));
	peer_index = find_peer(exchange, wanted.id);
	if (peer_index == NO_PEER)
		return -ENOENT;
	tunnel_remove_peer(exchange->tunnel, peer_index);
	return 0;
}

/* As if a packet for the peer had arrived. An existing session or a handshake under way is not
 * disturbed. */
static int handle_try_peer(struct exchange *exchange)
{
	struct tunnel *tunnel = exchange->tunnel;
	struct control_peer_id wanted;
	const struct peer *peer;
	uint32_t peer_index;

	memcpy(&wanted, exchange->body, sizeof(wanted));
	peer_index = find_peer(exchange, wanted.id);
	if (peer_index == NO_PEER)
		return -ENOENT;
	peer = tunnel_peer(tunnel, peer_index);
	if (!peer->has_endpoint)
		return -EDESTADDRREQ;
	if (peer->current == NO_SESSION ||
	    !session_can_send(tunnel_session(tunnel, peer->current), tunnel->now_ns))
		(void)send_initiation(tunnel, peer_index, false);
	return 0;
}

/* Only keyd chooses where the peer is asked; the answer does not change its endpoint. */
static int handle_ask_peer(struct exchange *exchange)
{
	struct control_question question;
	uint32_t peer_index;

	memcpy(&question, exchange->body, sizeof(question));
	peer_index = find_peer(exchange, question.id);
	if (peer_index == NO_PEER)
		return -ENOENT;
	if (!is_endpoint_valid(&question.endpoint) ||
	    endpoint_port(&question.endpoint) != exchange->tunnel->state->port)
		return -EINVAL;
	return send_question(exchange->tunnel, peer_index, &question.endpoint) ? 0 : -EAGAIN;
}

static int handle_forget_place(struct exchange *exchange)
{
	struct control_place_of wanted;
	uint32_t peer_index;

	memcpy(&wanted, exchange->body, sizeof(wanted));
	peer_index = find_peer(exchange, wanted.id);
	if (peer_index == NO_PEER)
		return -ENOENT;
	place_forget(tunnel_peer(exchange->tunnel, peer_index)->places, &wanted.address);
	return 0;
}

/* -- keyd's queries -- */

/* The CONTROL_PAGE peers with the smallest ids above `after`, ascending. */
static struct control_page collect_page(const struct tunnel_state *state, uint32_t after,
					uint32_t ret_slots[static CONTROL_PAGE])
{
	struct control_page page = {.is_last = true};

	for (uint32_t peer_index = 0; peer_index < state->peers_used_end; peer_index++) {
		const struct peer *peer = &state->peers[peer_index];
		uint32_t place;

		if (!peer->is_used || peer->id <= after)
			continue;
		if (page.count == CONTROL_PAGE) {
			page.is_last = false;
			if (peer->id > state->peers[ret_slots[CONTROL_PAGE - 1]].id)
				continue;
			page.count--;
		}
		for (place = page.count++;
		     place && state->peers[ret_slots[place - 1]].id > peer->id; place--)
			ret_slots[place] = ret_slots[place - 1];
		ret_slots[place] = peer_index;
	}
	return page;
}

static void write_places(struct control_peer_status *ret_status, const struct peer *peer)
{
	for (unsigned int i = 0; i < PEER_PLACES_MAX; i++) {
		const struct peer_place *place = &peer->places[i];
		struct control_place *written = &ret_status->places[ret_status->place_count];

		if (!place->address.family)
			continue;
		written->address = place->address;
		written->proved_ns = place->proved_ns;
		written->answered_ns = place->answered_ns;
		written->asked_ns = place->asked_ns;
		written->asked_count = place->asked_count;
		ret_status->place_count++;
	}
}

/* Clears the padding too: the status leaves the process, and must not leak the stack. */
static void write_status(struct control_peer_status *ret_status, const struct tunnel *tunnel,
			 const struct peer *peer)
{
	const struct session *sessions = tunnel->state->sessions;

	memset(ret_status, 0, sizeof(*ret_status));
	ret_status->id = peer->id;
	memcpy(ret_status->uid, peer->uid, sizeof(ret_status->uid));
	ret_status->epoch = peer->epoch;
	ret_status->key = peer->keys[KEY_CURRENT].key;
	ret_status->last_handshake_wall_ns = peer->last_handshake_wall_ns;
	ret_status->received_bytes = peer->received_bytes;
	ret_status->sent_bytes = peer->sent_bytes;
	ret_status->staged_packets = peer->stage_count;
	for (unsigned int key = 0; key < KEY_SLOTS; key++) {
		ret_status->has_proved[key] = peer->has_proved[key];
		ret_status->has_reached[key] = peer->has_reached[key];
	}
	if (peer->current != NO_SESSION)
		ret_status->has_session =
			session_can_send(&sessions[peer->current], tunnel->now_ns);
	ret_status->has_endpoint = peer->has_endpoint;
	if (peer->has_endpoint)
		ret_status->endpoint = peer->endpoint;
	ret_status->last_received_age_ns = UINT64_MAX;
	if (peer->last_received_ns)
		ret_status->last_received_age_ns = tunnel->now_ns - peer->last_received_ns;
	ret_status->known_age_ns = tunnel->now_ns - peer->known_ns;
	ret_status->asked_age_ns = peer->asked_ns ? tunnel->now_ns - peer->asked_ns : UINT64_MAX;
	write_places(ret_status, peer);
}

static int handle_list_peers(struct exchange *exchange)
{
	const struct tunnel_state *state = exchange->tunnel->state;
	uint32_t slots[CONTROL_PAGE];
	struct control_peer_id after;
	struct control_page page;

	memcpy(&after, exchange->body, sizeof(after));
	page = collect_page(state, after.id, slots);
	page.now_ns = exchange->tunnel->now_ns;
	for (uint32_t i = 0; i < page.count; i++)
		write_status(&page.peers[i], exchange->tunnel, &state->peers[slots[i]]);
	answer(exchange, &page,
	       offsetof(struct control_page, peers) + page.count * sizeof(page.peers[0]));
	return 0;
}

static int handle_read_drops(struct exchange *exchange)
{
	struct control_drops drops = {.count = DROP_REASON_COUNT};

	if (exchange->device->count_kernel_drops)
		exchange->device->count_kernel_drops(exchange->device->context);
	memcpy(drops.packets, exchange->tunnel->state->drops, sizeof(drops.packets));
	answer(exchange, &drops, sizeof(drops));
	return 0;
}

/* -- dispatch -- */

#define ANY_LEN SIZE_MAX

static const struct verb {
	size_t body_len;
	int (*handle)(struct exchange *exchange);
} verbs[] = {
	[CONTROL_HELLO] = {0, handle_hello},
	[CONTROL_SET_IDENTITY] = {sizeof(struct control_identity), handle_set_identity},
	[CONTROL_SET_DEVICE] = {sizeof(struct control_device), handle_set_device},
	[CONTROL_SET_PEER] = {ANY_LEN, handle_set_peer},
	[CONTROL_REMOVE_PEER] = {sizeof(struct control_peer_id), handle_remove_peer},
	[CONTROL_LIST_PEERS] = {sizeof(struct control_peer_id), handle_list_peers},
	[CONTROL_READ_DROPS] = {0, handle_read_drops},
	[CONTROL_PROMOTE_IDENTITY] = {sizeof(struct control_epoch), handle_promote_identity},
	[CONTROL_CLEAR_IDENTITY] = {sizeof(struct control_clear), handle_clear_identity},
	[CONTROL_TRY_PEER] = {sizeof(struct control_peer_id), handle_try_peer},
	[CONTROL_ASK_PEER] = {sizeof(struct control_question), handle_ask_peer},
	[CONTROL_FORGET_PLACE] = {sizeof(struct control_place_of), handle_forget_place},
};

static int dispatch(const struct control_header *header, struct exchange *exchange)
{
	const struct verb *verb;

	if (header->version != CONTROL_VERSION)
		return -EPROTONOSUPPORT;
	if (header->verb >= ARRAY_SIZE(verbs) || !verbs[header->verb].handle)
		return -EOPNOTSUPP;
	verb = &verbs[header->verb];
	if (verb->body_len != ANY_LEN && verb->body_len != exchange->len)
		return -EINVAL;
	return verb->handle(exchange);
}

size_t manage_handle(struct tunnel *tunnel, const struct device_upcalls *device, uint8_t *request,
		     size_t len, uint8_t *ret_answer)
{
	struct control_header header = {0};
	struct exchange exchange = {
		.tunnel = tunnel, .device = device, .ret_body = ret_answer + sizeof(header)};

	if (len < sizeof(header) || len > CONTROL_PACKET_MAX) {
		header.error = -EINVAL;
	} else {
		memcpy(&header, request, sizeof(header));
		exchange.body = request + sizeof(header);
		exchange.len = len - sizeof(header);
		header.error = dispatch(&header, &exchange);
	}
	header.version = CONTROL_VERSION;
	memcpy(ret_answer, &header, sizeof(header));
	crypto_wipe(request, len);
	return sizeof(header) + (header.error ? 0 : exchange.ret_len);
}
