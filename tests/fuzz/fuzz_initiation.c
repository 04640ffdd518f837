// SPDX-License-Identifier: Apache-2.0
/*
 * Initiations sealed by the target, which holds all keys, with arbitrary content: another static
 * key, any timestamp, bytes changed before the macs are made. A plain model decides which of them
 * are to be answered (B1, B2, B3, B6, C13): exactly those are, and a refused one never keeps a
 * valid one from being answered.
 */
#include "stand.h"

#define MESSAGES_MAX 12

enum flaw {
	FLAW_MAC1 = 1,
	FLAW_STATIC = 2, /* another static key */
	FLAW_SHARED = 4, /* the peer's public key, but not its private key */
	FLAW_BYTES = 8,	 /* changed after sealing, before the mac1 */
	UNDER_LOAD = 16,
	WITH_COOKIE = 32,
};

static struct stand stand;
static struct identity remote, stranger;
static struct noise_pair fresh_pair; /* of remote with the stand */
static union endpoint at;

/* The model's state: the last accepted initiation, and the cookie. */
static struct {
	uint8_t timestamp[TIMESTAMP_LEN];
	uint64_t accepted_ns;
	bool has_cookie;
	uint8_t cookie[COOKIE_LEN];
} known;

static void begin(void)
{
	stand_begin(&stand, 1, &aead_sodium);
	at = stand_endpoint("192.0.2.2", 51890);
	if (!remote.is_set) {
		stand_make_identity(&remote, 2);
		stand_make_identity(&stranger, 3);
		noise_pair_init(&fresh_pair, &remote, &stand.identity.public_key, NULL);
	}
	stand_configure(&stand, &remote, &at, 2);
	memset(&known, 0, sizeof(known));
}

/* True if the changed bytes are bound to the handshake: all are, except for the sender's index. */
static bool change_bytes(struct message_initiation *message, struct cursor *cursor)
{
	size_t offset = take_8(cursor) % offsetof(struct message_initiation, macs);
	uint8_t mask = take_8(cursor);

	((uint8_t *)message)[offset] ^= mask;
	return mask && (offset < 4 || offset >= 8);
}

static void take_cookie(const uint8_t mac1[static MAC_LEN])
{
	const struct message_cookie *reply = (const struct message_cookie *)stand.last_sent;

	MUST(crypto_xopen(known.cookie, reply->sealed_cookie, sizeof(reply->sealed_cookie), mac1,
			  MAC_LEN, reply->nonce, stand.identity.cookie_key));
	known.has_cookie = true;
}

/* The initiator must be able to use the response. */
static void check_response(struct noise_pair *pair)
{
	const struct message_response *response = (const struct message_response *)stand.last_sent;

	MUST(stand.last_sent_len == sizeof(*response));
	put_le32((uint8_t *)stand.last_sent + 8, pair->local_index);
	MUST(noise_consume_response(pair, response, &remote));
}

static bool is_fresh(const uint8_t timestamp[static TIMESTAMP_LEN])
{
	return memcmp(timestamp, known.timestamp, TIMESTAMP_LEN) > 0 &&
	       (!known.accepted_ns ||
		stand.tunnel.now_ns - known.accepted_ns >= INITIATION_SPACING_NS);
}

struct attempt {
	uint8_t flaws;
	uint8_t timestamp[TIMESTAMP_LEN];
	bool is_spoilt;
	struct noise_pair pair;
	struct message_initiation message;
};

static void seal(struct attempt *attempt, struct cursor *cursor)
{
	struct identity own = attempt->flaws & FLAW_STATIC ? stranger : remote;
	uint8_t ephemeral[KEY_LEN] = {take_8(cursor), 1};

	attempt->pair = fresh_pair;
	if (attempt->flaws & FLAW_SHARED)
		attempt->pair.static_static[take_8(cursor) % KEY_LEN] ^= 1;
	take(cursor, attempt->timestamp, TIMESTAMP_LEN);
	MUST(noise_create_initiation(&attempt->message, &attempt->pair, &own, take_32(cursor),
				     ephemeral, attempt->timestamp));
	attempt->is_spoilt = attempt->flaws & (FLAW_STATIC | FLAW_SHARED);
	if (attempt->flaws & FLAW_BYTES)
		attempt->is_spoilt |= change_bytes(&attempt->message, cursor);
	stand_add_mac1(&attempt->message, sizeof(attempt->message), &stand.identity);
	if (attempt->flaws & FLAW_MAC1)
		attempt->message.macs.mac1[take_8(cursor) % MAC_LEN] ^= 1;
	if (attempt->flaws & WITH_COOKIE && known.has_cookie)
		crypto_mac(attempt->message.macs.mac2, known.cookie, COOKIE_LEN, &attempt->message,
			   offsetof(struct message_initiation, macs.mac2));
}

/* Checks the stand's reaction. */
static void check_attempt(struct attempt *attempt, bool is_answered, bool is_put_off)
{
	bool is_loaded = attempt->flaws & UNDER_LOAD;
	bool is_good = !attempt->is_spoilt && !(attempt->flaws & FLAW_MAC1) &&
		       is_fresh(attempt->timestamp);

	MUST(!is_answered || is_good);
	MUST(!is_put_off || is_loaded);
	MUST(!is_put_off || !(attempt->flaws & FLAW_MAC1));
	if (!is_loaded)
		MUST(is_answered == is_good);
	else if (!(attempt->flaws & WITH_COOKIE && known.has_cookie))
		MUST(!is_answered);
	if (is_put_off)
		take_cookie(attempt->message.macs.mac1);
	if (!is_answered)
		return;
	memcpy(known.timestamp, attempt->timestamp, TIMESTAMP_LEN);
	known.accepted_ns = stand.tunnel.now_ns;
	check_response(&attempt->pair);
}

static void attempt_one(struct cursor *cursor)
{
	struct attempt attempt = {.flaws = take_8(cursor)};
	unsigned int responses = stand.sent[MESSAGE_RESPONSE];
	unsigned int cookies = stand.sent[MESSAGE_COOKIE];
	uint64_t drops = stand_drops(&stand);
	bool is_answered;
	uint8_t *copy;

	stand_set_clock(&stand, stand.tunnel.now_ns + take_8(cursor) * NS_PER_MS);
	stand.tunnel.state->under_load_until_ns = attempt.flaws & UNDER_LOAD ? UINT64_MAX : 0;
	seal(&attempt, cursor);
	copy = copy_bytes(&attempt.message, sizeof(attempt.message));
	stand_receive(&stand, &at, copy, sizeof(attempt.message));
	free(copy);
	is_answered = stand.sent[MESSAGE_RESPONSE] > responses;
	MUST(stand_drops(&stand) == drops + !is_answered);
	MUST(stand.sent[MESSAGE_RESPONSE] - responses + stand.sent[MESSAGE_COOKIE] - cookies <= 1);
	check_attempt(&attempt, is_answered, stand.sent[MESSAGE_COOKIE] > cookies);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cursor cursor = {data, len};

	begin();
	for (unsigned int i = 0; i < MESSAGES_MAX && cursor.left; i++)
		attempt_one(&cursor);
	MUST(!stand.delivered && !stand.sent[MESSAGE_DATA]);
	return 0;
}
