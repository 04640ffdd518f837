// SPDX-License-Identifier: Apache-2.0
/*
 * Cookie replies sealed by the target, to a stand that repeats its initiation because no response
 * comes (B5, C12). A plain model decides which reply counts: only an answer to the last message,
 * and only once. The stand sends nothing because of it, but makes mac2 of its next initiations with
 * it, for 115 seconds.
 */
#include "stand.h"

enum flaw {
	FLAW_INDEX = 1,
	FLAW_MAC1 = 2, /* answers another message */
	FLAW_KEY = 4,
	FLAW_BYTES = 8,
	AGAIN = 16,
	PASS_TIME = 0xc0,
};

#define SEALED_FROM offsetof(struct message_cookie, nonce)

static struct stand stand;
static struct identity remote;
static struct message_cookie last_reply;

/* The naive jar. */
static struct {
	struct message_initiation sent; /* the last one */
	bool may_be_answered;
	bool has_cookie;
	uint8_t cookie[COOKIE_LEN];
	uint64_t birth_ns;
} jar;

static void check_mac2(const struct message_initiation *message)
{
	uint8_t expected[MAC_LEN] = {0};

	if (jar.has_cookie && stand.tunnel.now_ns - jar.birth_ns < 115 * NS_PER_S)
		crypto_mac(expected, jar.cookie, COOKIE_LEN, message,
			   offsetof(struct message_initiation, macs.mac2));
	MUST(!memcmp(message->macs.mac2, expected, MAC_LEN));
}

static void note_initiation(struct stand *on, const union endpoint *to, uint8_t *bytes, size_t len)
{
	(void)on;
	(void)to;
	MUST(len == sizeof(jar.sent));
	memcpy(&jar.sent, bytes, len);
	jar.may_be_answered = true;
	check_mac2(&jar.sent);
}

/* Sends a packet; an initiator that has stopped retrying starts again. */
static void want_session(void)
{
	uint8_t inner[64];

	stand_build_inner(inner, 1, 2, sizeof(inner), 1);
	stand_send(&stand, inner, sizeof(inner));
}

static void begin(void)
{
	const union endpoint at = stand_endpoint("192.0.2.2", 51890);

	memset(&jar, 0, sizeof(jar));
	memset(&last_reply, 0, sizeof(last_reply));
	stand_begin(&stand, 1, &aead_sodium);
	stand.on_sent = note_initiation;
	stand_make_identity(&remote, 2);
	stand_configure(&stand, &remote, &at, 2);
	want_session();
	MUST(stand.sent[MESSAGE_INITIATION] == 1);
}

/* Advances to the next retry, or almost. */
static void pass_time(uint8_t flags, struct cursor *cursor)
{
	uint64_t next_ns = tunnel_next_deadline(&stand.tunnel);
	uint64_t step_ns = take_16(cursor) * NS_PER_MS;

	if (!(flags & PASS_TIME))
		return;
	if (flags & 0x80 && next_ns != UINT64_MAX)
		step_ns += MAX(next_ns, stand.tunnel.now_ns) - stand.tunnel.now_ns;
	stand_set_clock(&stand, stand.tunnel.now_ns + step_ns);
	tunnel_expire(&stand.tunnel);
	want_session();
}

/* True if the stand has to accept it. */
static bool make_reply(uint8_t flags, struct cursor *cursor, uint8_t cookie[static COOKIE_LEN])
{
	struct message_macs macs = jar.sent.macs;
	uint8_t key[HASH_LEN], mask = 0;
	size_t offset = 0;
	bool is_sealed_right;

	memcpy(key, remote.cookie_key, sizeof(key));
	key[0] ^= flags & FLAW_KEY ? 1 : 0;
	macs.mac1[0] ^= flags & FLAW_MAC1 ? 1 : 0;
	take(cursor, cookie, COOKIE_LEN);
	put_le32(last_reply.type, MESSAGE_COOKIE);
	memcpy(last_reply.receiver_index, jar.sent.sender_index, 4);
	last_reply.receiver_index[0] ^= flags & FLAW_INDEX ? 1 : 0;
	take(cursor, last_reply.nonce, sizeof(last_reply.nonce));
	crypto_xseal(last_reply.sealed_cookie, cookie, COOKIE_LEN, macs.mac1, MAC_LEN,
		     last_reply.nonce, key);
	if (flags & FLAW_BYTES) {
		offset = 4 + take_8(cursor) % (sizeof(last_reply) - 4);
		mask = take_8(cursor);
		((uint8_t *)&last_reply)[offset] ^= mask;
	}
	/* Two flaws of the index may cancel each other. */
	is_sealed_right = !(flags & (FLAW_MAC1 | FLAW_KEY)) && (!mask || offset < SEALED_FROM);
	return jar.may_be_answered && is_sealed_right &&
	       !memcmp(last_reply.receiver_index, jar.sent.sender_index, 4);
}

static void reply_once(struct cursor *cursor)
{
	/* Any address will do: the seal authenticates the reply. */
	const union endpoint at = stand_endpoint("203.0.113.9", 9);
	uint8_t flags = take_8(cursor), cookie[COOKIE_LEN], *copy;
	uint64_t drops;
	bool is_taken;

	pass_time(flags, cursor);
	drops = stand_drops(&stand);
	is_taken = !(flags & AGAIN) && make_reply(flags, cursor, cookie);
	if (flags & AGAIN && !last_reply.type[0])
		return;
	copy = copy_bytes(&last_reply, sizeof(last_reply));
	stand_receive(&stand, &at, copy, sizeof(last_reply));
	free(copy);
	MUST(stand_drops(&stand) == drops + !is_taken);
	if (!is_taken)
		return;
	jar.may_be_answered = false;
	jar.has_cookie = true;
	jar.birth_ns = stand.tunnel.now_ns;
	memcpy(jar.cookie, cookie, COOKIE_LEN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cursor cursor = {data, len};

	begin();
	for (unsigned int i = 0; i < 64 && cursor.left; i++) {
		unsigned int sent = stand.sent[MESSAGE_INITIATION];

		reply_once(&cursor);
		MUST(stand.sent[MESSAGE_INITIATION] <= sent + 1);
	}
	MUST(!stand.sent[MESSAGE_RESPONSE] && !stand.sent[MESSAGE_DATA]);
	return 0;
}
