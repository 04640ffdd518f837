// SPDX-License-Identifier: Apache-2.0
/*
 * The stand has initiated; the target responds many times, with and without the peer's keys (B7,
 * B8, B27, and tailscale-rs #334: a refused response must not end the handshake). The first valid
 * response makes the session, which then carries the waiting packet; no other response has any
 * effect.
 */
#include "stand.h"

#define MESSAGES_MAX 8
#define INNER_LEN    100

enum flaw {
	FLAW_MAC1 = 1,
	FLAW_PRESHARED = 2,
	FLAW_INDEX = 4,
	FLAW_STATIC = 8, /* made without the peer's private key */
	FLAW_BYTES = 16, /* changed after sealing, before the mac1 */
	WITH_ALTERNATE = 32,
};

static struct stand stand;
static struct identity remote, stranger;
static struct noise_pair fresh_pair,
	consumed; /* the peer's half, before and after the initiation */
static struct preshared_key preshared = {{1}}, alternate = {{2}};
static union endpoint at;
static uint8_t inner[INNER_LEN];

static void consume_initiation(void)
{
	const struct message_initiation *message = (struct message_initiation *)stand.last_sent;
	struct noise_opening opening;

	MUST(stand.sent[MESSAGE_INITIATION] == 1);
	consumed = fresh_pair;
	MUST(noise_open_initiation(&opening, message, &remote));
	MUST(noise_consume_initiation(&consumed, message, &opening, 1) == NOISE_ACCEPTED);
}

static void begin(void)
{
	stand_begin(&stand, 1, &aead_sodium);
	at = stand_endpoint("192.0.2.2", 51890);
	if (!remote.is_set) {
		stand_make_identity(&remote, 2);
		stand_make_identity(&stranger, 3);
		noise_pair_init(&fresh_pair, &remote, &stand.identity.public_key, &preshared);
	}
	stand_configure(&stand, &remote, &at, 2);
	tunnel_set_preshared(&stand.tunnel, stand.peer, KEY_CURRENT, KEY_CURRENT, &preshared);
	tunnel_set_alternate(&stand.tunnel, stand.peer, KEY_CURRENT, KEY_CURRENT, &alternate);
	stand_build_inner(inner, 1, 2, sizeof(inner), 42);
	stand_send(&stand, inner, sizeof(inner));
	consume_initiation();
}

/* Only mac1 protects the sender's index. */
static bool change_bytes(struct message_response *message, struct cursor *cursor)
{
	size_t offset = take_8(cursor) % offsetof(struct message_response, macs);
	uint8_t mask = take_8(cursor);

	((uint8_t *)message)[offset] ^= mask;
	return mask && (offset < 4 || offset >= 8);
}

/* True if the stand has to refuse it. */
static bool make_response(struct message_response *message, struct noise_pair *pair,
			  struct cursor *cursor)
{
	uint8_t flaws = take_8(cursor), ephemeral[KEY_LEN] = {take_8(cursor), 1};
	bool is_spoilt = flaws & (FLAW_MAC1 | FLAW_PRESHARED | FLAW_INDEX | FLAW_STATIC);

	*pair = consumed;
	if (flaws & WITH_ALTERNATE)
		pair->preshared = alternate;
	if (flaws & FLAW_PRESHARED)
		pair->preshared.bytes[take_8(cursor) % KEY_LEN] ^= 0x80;
	if (flaws & FLAW_INDEX)
		pair->remote_index ^= 1U << take_8(cursor) % 32;
	if (flaws & FLAW_STATIC)
		pair->remote = stranger.public_key;
	MUST(noise_create_response(message, pair, take_32(cursor), ephemeral));
	if (flaws & FLAW_BYTES)
		is_spoilt |= change_bytes(message, cursor);
	stand_add_mac1(message, sizeof(*message), &stand.identity);
	if (flaws & FLAW_MAC1)
		message->macs.mac1[take_8(cursor) % MAC_LEN] ^= 1;
	return is_spoilt;
}

/* The staged packet is sent, and only the peer can open it. */
static void check_session(struct noise_pair *pair)
{
	uint8_t plain[STAND_MESSAGE];
	struct session_keys keys;
	bool is_initiator;

	MUST(stand.sent[MESSAGE_DATA] == 1 &&
	     stand.last_sent_len == 16 + ROUND_UP(INNER_LEN, 16) + TAG_LEN);
	MUST(noise_derive_session(&keys, &is_initiator, pair) && !is_initiator);
	MUST(crypto_open(plain, stand.last_sent + 16, stand.last_sent_len - 16, NULL, 0, 0,
			 keys.receive));
	MUST(!memcmp(plain, inner, sizeof(inner)));
}

/* True if the session exists afterwards. */
static bool answer_once(const struct message_response *message, struct noise_pair *pair,
			bool is_expected)
{
	struct message_response *copy = (void *)copy_bytes(message, sizeof(*message));
	uint64_t drops = stand_drops(&stand);

	stand_receive(&stand, &at, (uint8_t *)copy, sizeof(*copy));
	free(copy);
	MUST(stand_drops(&stand) == drops + !is_expected);
	MUST(stand.sent[MESSAGE_DATA] <= 1 && stand.sent[MESSAGE_INITIATION] == 1);
	if (is_expected)
		check_session(pair);
	return is_expected;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cursor cursor = {data, len}, none = {data, 0};
	struct message_response message;
	struct noise_pair pair;
	bool is_done = false;

	begin();
	for (unsigned int i = 0; i < MESSAGES_MAX && cursor.left; i++) {
		bool is_spoilt = make_response(&message, &pair, &cursor);

		is_done |= answer_once(&message, &pair, !is_spoilt && !is_done);
	}
	if (!is_done) {
		MUST(!make_response(&message, &pair, &none));
		answer_once(&message, &pair, true);
	}
	return 0;
}
