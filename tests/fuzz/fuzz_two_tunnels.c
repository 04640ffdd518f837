// SPDX-License-Identifier: Apache-2.0
/*
 * Two tunnels, with a wire between them that loses, duplicates, delays and reorders datagrams as
 * the input directs, while keys rotate and hours pass. The invariants: no counter is used twice
 * under one key (B29, B30), a responder sends no data before its session is confirmed (B9), a late
 * response makes no session (B7), and only packets that went in come out, once each. When the wire
 * is good again, packets arrive (B10, B11).
 */
#include "stand.h"

#define WIRE_MAX      256
#define NONCES_MAX    65536
#define RESPONSES_MAX 512
#define THINGS_MAX    400
#define PACKETS_MAX   (THINGS_MAX + 12)
#define INNER_LEN     64

struct datagram {
	unsigned int to;
	uint8_t *bytes;
	size_t len;
	uint64_t sent_ns;
};

struct answered {
	unsigned int by;
	uint32_t theirs, ours; /* indices: the initiator's, and the responder's */
	uint64_t asked_ns;     /* when the initiation was sent */
	bool is_confirmed;
};

static struct stand stands[2];
static struct datagram wire[WIRE_MAX];
static unsigned int wire_len;
static uint64_t arriving_sent_ns; /* of the datagram that arrives */
/* The fate of each datagram; after the end of the input all arrive. */
static struct cursor fates;
static struct answered answered[RESPONSES_MAX];
static unsigned int answered_count;
static uint8_t arrived[PACKETS_MAX];
static uint32_t next_packet;

/* The state of each stand's rotation, and the part of it that the other stand knows. */
static struct rotation {
	struct identity keys[KEY_SLOTS];
	uint8_t made;
} rotations[2];
static bool has_revoked; /* sessions that the other side assumes to be alive */

/* -- no counter twice -- */

static struct nonce {
	uint64_t key, counter;
	uint32_t run;
} nonces[NONCES_MAX];
static uint32_t run, nonce_count;

static void watching_seal(struct aead_job *jobs, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		uint64_t key = get_le64(jobs[i].key), place = key ^ jobs[i].counter;

		MUST(!sodium_is_zero(jobs[i].key, KEY_LEN));
		for (; nonces[place % NONCES_MAX].run == run; place++)
			MUST(nonces[place % NONCES_MAX].key != key ||
			     nonces[place % NONCES_MAX].counter != jobs[i].counter);
		nonces[place % NONCES_MAX] = (struct nonce){key, jobs[i].counter, run};
		MUST(++nonce_count < NONCES_MAX / 2);
	}
	aead_sodium.seal(jobs, count);
}

static void plain_open(struct aead_job *jobs, unsigned int count)
{
	aead_sodium.open(jobs, count);
}

static const struct aead_engine watching = {
	.name = "watching", .seal = watching_seal, .open = plain_open};

/* -- the wire -- */

static void check_confirmed(unsigned int by, uint32_t index)
{
	for (unsigned int i = 0; i < answered_count; i++)
		if (answered[i].by == by && answered[i].theirs == index)
			MUST(answered[i].is_confirmed);
}

static void put_on_wire(unsigned int to, const uint8_t *bytes, size_t len)
{
	if (wire_len < WIRE_MAX)
		wire[wire_len++] = (struct datagram){to, copy_bytes(bytes, len), len,
						     stands[to].tunnel.now_ns};
}

static void note_sent(struct stand *stand, const union endpoint *to, uint8_t *bytes, size_t len)
{
	unsigned int by = (unsigned int)(stand - stands);
	uint8_t fate = take_8(&fates);

	MUST(endpoint_is_equal(to, &stands[!by].address));
	if (get_le32(bytes) == MESSAGE_RESPONSE && answered_count < RESPONSES_MAX)
		answered[answered_count++] = (struct answered){
			by, get_le32(bytes + 8), get_le32(bytes + 4), arriving_sent_ns, false};
	if (get_le32(bytes) == MESSAGE_DATA)
		check_confirmed(by, get_le32(bytes + 4));
	if (fate % 8 != 7)
		put_on_wire(!by, bytes, len);
	if (fate % 8 == 6)
		put_on_wire(!by, bytes, len);
}

static void check_delivered(struct stand *stand, const uint8_t *packet, size_t len)
{
	unsigned int at = (unsigned int)(stand - stands);
	uint32_t number = get_be32(packet + 20);
	uint8_t expected[INNER_LEN];

	MUST(number < next_packet && !arrived[number]);
	stand_build_inner(expected, at ? 1 : 2, at ? 2 : 1, sizeof(expected), number);
	MUST(len == sizeof(expected) && !memcmp(packet, expected, len));
	arrived[number] = 1;
}

/* True for the response to an initiation that a retry would have replaced by now. */
static bool is_late_response(const struct datagram *datagram)
{
	uint64_t now_ns = stands[datagram->to].tunnel.now_ns;

	for (unsigned int i = 0; i < answered_count; i++)
		if (answered[i].by != datagram->to &&
		    answered[i].ours == get_le32(datagram->bytes + 4))
			return get_le32(datagram->bytes) == MESSAGE_RESPONSE &&
			       now_ns - answered[i].asked_ns >= REKEY_TIMEOUT_NS + REKEY_JITTER_NS;
	return false;
}

/* Delivers the datagram at this index. An initiator that makes a session of a response sends data
 * at once. */
static void deliver(unsigned int place)
{
	struct datagram datagram = wire[place];
	struct stand *stand = &stands[datagram.to];
	bool is_late = is_late_response(&datagram);
	unsigned int data_sent = stand->sent[MESSAGE_DATA];

	memmove(&wire[place], &wire[place + 1], (--wire_len - place) * sizeof(wire[0]));
	if (get_le32(datagram.bytes) == MESSAGE_DATA)
		for (unsigned int i = 0; i < answered_count; i++)
			answered[i].is_confirmed |=
				answered[i].by == datagram.to &&
				answered[i].ours == get_le32(datagram.bytes + 4);
	arriving_sent_ns = datagram.sent_ns;
	stand_receive(stand, &stands[!datagram.to].address, datagram.bytes, datagram.len);
	MUST(!is_late || stand->sent[MESSAGE_DATA] == data_sent);
	free(datagram.bytes);
}

/* -- time and packets -- */

/* A wire that is good again delivers everything. */
static void settle(void)
{
	while (wire_len && !fates.left)
		deliver(0);
}

static void pass_time(uint64_t duration_ns)
{
	uint64_t until_ns = stands[0].tunnel.now_ns + duration_ns, next_ns;

	do {
		settle();
		next_ns = MIN(tunnel_next_deadline(&stands[0].tunnel),
			      tunnel_next_deadline(&stands[1].tunnel));
		next_ns = MAX(MIN(next_ns, until_ns), stands[0].tunnel.now_ns);
		for (unsigned int i = 0; i < 2; i++)
			stand_set_clock(&stands[i], next_ns);
		for (unsigned int i = 0; i < 2; i++) {
			tunnel_expire(&stands[i].tunnel);
			tunnel_flush(&stands[i].tunnel);
		}
	} while (next_ns < until_ns);
	settle();
}

static uint32_t send_one(unsigned int from)
{
	uint8_t packet[INNER_LEN];

	stand_build_inner(packet, from ? 2 : 1, from ? 1 : 2, sizeof(packet), next_packet);
	next_packet++;
	stand_send(&stands[from], packet, sizeof(packet));
	return next_packet - 1;
}

/* -- rotation: as the registry would have the other side see it -- */

static void tell_other(unsigned int whose)
{
	struct rotation *rotation = &rotations[whose];
	struct stand *other = &stands[!whose];
	struct peer_keys keys = {0};

	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
		keys.has_key[slot] = rotation->keys[slot].is_set;
		keys.keys[slot] = rotation->keys[slot].public_key;
	}
	if (!tunnel_check_peer_keys(&other->tunnel, other->peer, &keys))
		tunnel_change_peer_keys(&other->tunnel, other->peer, &keys, NS_PER_S);
	tunnel_flush(&other->tunnel);
}

static void arm(unsigned int whose)
{
	struct rotation *rotation = &rotations[whose];

	if (rotation->keys[KEY_NEXT].is_set || rotation->keys[KEY_PREVIOUS].is_set)
		return;
	stand_make_identity(&rotation->keys[KEY_NEXT],
			    (uint8_t)(10 + 2 * rotation->made++ + whose));
	tunnel_set_private_key(&stands[whose].tunnel, KEY_NEXT,
			       &rotation->keys[KEY_NEXT].private_key);
}

static void promote(unsigned int whose)
{
	struct rotation *rotation = &rotations[whose];

	if (!rotation->keys[KEY_NEXT].is_set)
		return;
	MUST(!tunnel_promote_identity(&stands[whose].tunnel));
	rotation->keys[KEY_PREVIOUS] = rotation->keys[KEY_CURRENT];
	rotation->keys[KEY_CURRENT] = rotation->keys[KEY_NEXT];
	rotation->keys[KEY_NEXT] = (struct identity){0};
}

static void retire(unsigned int whose, bool ends_sessions)
{
	has_revoked |= ends_sessions;
	rotations[whose].keys[KEY_PREVIOUS] = (struct identity){0};
	tunnel_clear_identity(&stands[whose].tunnel, KEY_PREVIOUS, ends_sessions);
}

/* -- one input -- */

static void begin(void)
{
	run++;
	nonce_count = next_packet = 0;
	wire_len = answered_count = 0;
	has_revoked = false;
	memset(arrived, 0, sizeof(arrived));
	memset(rotations, 0, sizeof(rotations));
	for (unsigned int i = 0; i < 2; i++)
		stand_begin(&stands[i], (uint8_t)(i + 1), &watching);
	for (unsigned int i = 0; i < 2; i++) {
		stand_configure(&stands[i], &stands[!i].identity, &stands[!i].address, i ? 1 : 2);
		stands[i].on_sent = note_sent;
		stands[i].on_delivered = check_delivered;
		rotations[i].keys[KEY_CURRENT] = stands[i].identity;
	}
}

static void do_one_thing(uint8_t what)
{
	unsigned int who = what >> 7;

	switch (what & 15) {
	case 0:
		arm(who);
		break;
	case 1:
		promote(who);
		break;
	case 2:
		retire(who, what & 16);
		break;
	case 3:
	case 4:
		tell_other(who);
		break;
	case 5:
		pass_time((what >> 4 & 7) * 20 * NS_PER_S);
		break;
	case 6:
		pass_time((what >> 4 & 7) * NS_PER_S);
		break;
	case 7:
	case 8:
	case 9:
		send_one(who);
		break;
	default:
		if (wire_len)
			deliver(what / 16 % wire_len);
	}
}

/* Both sides learn everything, and the wire is good: packets arrive both ways, but not all at
 * once. Old initiations may have replaced sessions, and the replacement starts only with the packet
 * that is lost. If one side alone ended a session, the other learns it from silence. */
static void end(void)
{
	unsigned int rounds = has_revoked ? 3 : 2;
	uint32_t a = 0, b = 0;

	fates.left = 0;
	for (unsigned int i = 0; i < 2; i++)
		tell_other(i);
	pass_time(0);
	for (unsigned int round = 0; round < rounds; round++) {
		a = send_one(0);
		b = send_one(1);
		pass_time(10 * NS_PER_S);
		if (arrived[a] && arrived[b])
			return;
	}
	MUST(arrived[a] && arrived[b]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t things = MIN(len / 2, THINGS_MAX);

	begin();
	fates = (struct cursor){data + things, len - things};
	for (size_t i = 0; i < things; i++)
		do_one_thing(data[i]);
	end();
	while (wire_len)
		free(wire[--wire_len].bytes);
	return 0;
}
