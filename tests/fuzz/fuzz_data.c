// SPDX-License-Identifier: Apache-2.0
/*
 * Data sealed by the target, which holds the session's keys: any inner packet, any counter, many at
 * once, some changed after sealing (B11, B12, B16, B17, C2, C4, C18). A plain model predicts the
 * packets that have to come out: exactly those, in order, byte for byte.
 */
#include "stand.h"

#define MESSAGES_MAX 48
#define INNER_MAX    600

static struct stand stand;
static struct identity remote;
static struct session_keys keys; /* the remote side's */
static struct session fresh_session;
static struct peer fresh_peer;

static struct expected {
	const uint8_t *bytes;
	size_t len;
} expected[MESSAGES_MAX];
static unsigned int expected_count, taken_count;
static uint64_t taken[MESSAGES_MAX], greatest;

static void begin_once(void)
{
	const union endpoint at = stand_endpoint("192.0.2.2", 51890);
	struct message_initiation message;
	uint8_t ephemeral[KEY_LEN] = {1}, timestamp[TIMESTAMP_LEN] = {1};
	struct noise_pair pair = {0};
	bool is_initiator;

	stand_begin(&stand, 1, &aead_sodium);
	stand_make_identity(&remote, 2);
	stand_configure(&stand, &remote, &at, 2);
	noise_pair_init(&pair, &remote, &stand.identity.public_key, NULL);
	MUST(noise_create_initiation(&message, &pair, &remote, 7, ephemeral, timestamp));
	stand_add_mac1(&message, sizeof(message), &stand.identity);
	stand_receive(&stand, &at, (uint8_t *)&message, sizeof(message));
	MUST(noise_consume_response(&pair, (struct message_response *)stand.last_sent, &remote));
	MUST(noise_derive_session(&keys, &is_initiator, &pair));
	fresh_session = stand.tunnel.state->sessions[0];
	fresh_peer = stand.tunnel.state->peers[0];
}

static void check_delivered(struct stand *on, const uint8_t *packet, size_t len)
{
	const struct expected *next = &expected[on->delivered - 1];

	MUST(on->delivered <= expected_count);
	MUST(len == next->len && !memcmp(packet, next->bytes, len));
}

static void begin(void)
{
	if (!stand.tunnel.state)
		begin_once();
	stand.tunnel.state->sessions[0] = fresh_session;
	stand.tunnel.state->peers[0] = fresh_peer;
	stand_set_clock(&stand, STAND_NOW_NS);
	stand.on_delivered = check_delivered;
	stand.delivered = 0;
	expected_count = taken_count = 0;
	greatest = 0;
}

/* The rule of section 5.4.6, without a window. */
static bool is_new(uint64_t counter)
{
	if (counter >= REJECT_AFTER_MESSAGES)
		return false;
	if (taken_count && counter < greatest && greatest - counter > REPLAY_WINDOW)
		return false;
	for (unsigned int i = 0; i < taken_count; i++)
		if (taken[i] == counter)
			return false;
	return true;
}

static bool is_from_peer(const uint8_t *inner, bool is_ip4)
{
	static const uint8_t prefix4[] = {10, 0, 2}, prefix6[] = {0xfd, 0, 0, 0, 0, 0, 0, 2};

	return is_ip4 ? !memcmp(inner + 12, prefix4, 3) : !memcmp(inner + 8, prefix6, 8);
}

/* The expected length of the delivered packet; 0: it is dropped. */
static size_t judge_inner(const uint8_t *inner, size_t len)
{
	size_t total, head;

	if (len >= 20 && inner[0] >> 4 == 4) {
		total = (size_t)inner[2] << 8 | inner[3];
		head = (inner[0] & 15) * 4U;
		return head >= 20 && total >= head && total <= len && is_from_peer(inner, true)
			       ? total
			       : 0;
	}
	if (len >= 40 && inner[0] >> 4 == 6) {
		total = 40 + ((size_t)inner[4] << 8 | inner[5]);
		return total <= len && is_from_peer(inner, false) ? total : 0;
	}
	return 0;
}

/* Writes plausible headers, so that the input passes the first check. */
static void dress(uint8_t *inner, size_t len, uint8_t how)
{
	if (how & 1 && len >= 20) {
		inner[0] = how & 2 ? 0x45 : (uint8_t)(0x40 | (inner[0] & 15));
		put_be16(inner + 2, (uint16_t)(len - how / 32));
		memcpy(inner + 12, (uint8_t[3]){10, 0, how & 4 ? 2 : 1}, 3);
	} else if (how & 8 && len >= 40) {
		inner[0] = 0x60;
		put_be16(inner + 4, (uint16_t)(len - 40 - how / 32));
		memcpy(inner + 8, (uint8_t[8]){0xfd, 0, 0, 0, 0, 0, 0, how & 4 ? 2 : 3}, 8);
	}
}

static uint64_t choose_counter(struct cursor *cursor)
{
	uint8_t how = take_8(cursor);

	switch (how % 5) {
	case 0:
	case 1:
		return greatest + how / 5;
	case 2:
		return greatest - take_16(cursor);
	case 3:
		return REJECT_AFTER_MESSAGES - 10 + how / 5;
	default:
		return take_64(cursor);
	}
}

static void expect(uint64_t counter, const uint8_t *inner, size_t len)
{
	greatest = taken_count ? MAX(greatest, counter) : counter;
	taken[taken_count++] = counter;
	len = judge_inner(inner, len);
	if (len)
		expected[expected_count++] = (struct expected){inner, len};
}

static struct incoming make_data(struct cursor *cursor, uint8_t **ret_inner)
{
	uint8_t how = take_8(cursor), dressing = take_8(cursor);
	size_t inner_len = take_16(cursor) % INNER_MAX, len = 16 + inner_len + TAG_LEN;
	uint64_t counter = choose_counter(cursor);
	uint8_t *inner = take_copy(cursor, inner_len), *data = malloc(len), mask = 0;

	MUST(data);
	dress(inner, inner_len, dressing);
	put_le32(data, MESSAGE_DATA);
	put_le32(data + 4, fresh_session.local_index);
	put_le64(data + 8, counter);
	crypto_seal(data + 16, inner, inner_len, NULL, 0, counter, keys.send);
	if (how % 4 == 3) {
		mask = take_8(cursor);
		data[4 + take_16(cursor) % (len - 4)] ^= mask;
	}
	if (!mask && is_new(counter) && stand.tunnel.now_ns - STAND_NOW_NS < REJECT_AFTER_TIME_NS)
		expect(counter, inner, inner_len);
	*ret_inner = inner;
	return (struct incoming){.from = stand_endpoint("192.0.2.2", 51890),
				 .to = {.address = endpoint_address(&stand.address), .ifindex = 1},
				 .data = data,
				 .len = (uint32_t)len};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cursor cursor = {data, len};
	struct incoming incoming[MESSAGES_MAX];
	uint8_t *inners[MESSAGES_MAX];
	unsigned int count = 0;

	begin();
	stand_set_clock(&stand, STAND_NOW_NS + take_8(&cursor) % 200 * NS_PER_S);
	while (count < MESSAGES_MAX && cursor.left) {
		incoming[count] = make_data(&cursor, &inners[count]);
		count++;
	}
	tunnel_receive(&stand.tunnel, incoming, count);
	tunnel_flush(&stand.tunnel);
	MUST(stand.delivered == expected_count);
	MUST((stand.tunnel.state->peers[0].current == 0) == (taken_count > 0)); /* B9 */
	MUST(!stand.sent[MESSAGE_DATA] && !stand.injected);
	while (count--) {
		free(incoming[count].data);
		free(inners[count]);
	}
	return 0;
}
