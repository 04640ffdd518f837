// SPDX-License-Identifier: Apache-2.0
/*
 * Arbitrary datagrams at the port, alone or merged by the kernel (B1, C20, B31). Each is answered
 * by silence, counted under exactly one reason, and changes nothing, even if it names a live
 * session or a handshake in progress and has a correct mac1. The target helps the input only that
 * far: it seals nothing.
 */
#include "stand.h"

#define PARTS_MAX 16

enum help { HELP_TYPE = 1, HELP_SESSION = 2, HELP_HANDSHAKE = 4, HELP_MAC1 = 8, HELP_LENGTH = 16 };

static struct stand stand;
static struct identity remote;
static struct {
	struct peer peer;
	struct pair pair;
	struct noise_pair noise;
	struct session sessions[2];
} before;

static void remember(void)
{
	const struct tunnel_state *state = stand.tunnel.state;

	before.peer = state->peers[0];
	before.pair = state->pairs[0];
	before.noise = state->secrets.pairs[0];
	memcpy(before.sessions, state->sessions, sizeof(before.sessions));
}

static void check_nothing_changed(void)
{
	const struct tunnel_state *state = stand.tunnel.state;

	MUST(!memcmp(&before.peer, &state->peers[0], sizeof(before.peer)));
	MUST(!memcmp(&before.pair, &state->pairs[0], sizeof(before.pair)));
	MUST(!memcmp(&before.noise, &state->secrets.pairs[0], sizeof(before.noise)));
	MUST(!memcmp(before.sessions, state->sessions, sizeof(before.sessions)));
}

/* The remote side has initiated, so there is a session; then the stand initiates and gets no
 * response. */
static void begin(void)
{
	const union endpoint at = stand_endpoint("192.0.2.2", 51890);
	struct message_initiation message;
	uint8_t ephemeral[KEY_LEN] = {1}, timestamp[TIMESTAMP_LEN] = {1};
	struct noise_pair pair = {0};

	stand_begin(&stand, 1, &aead_sodium);
	stand_make_identity(&remote, 2);
	stand_configure(&stand, &remote, &at, 2);
	noise_pair_init(&pair, &remote, &stand.identity.public_key, NULL);
	MUST(noise_create_initiation(&message, &pair, &remote, 7, ephemeral, timestamp));
	stand_add_mac1(&message, sizeof(message), &stand.identity);
	stand_receive(&stand, &at, (uint8_t *)&message, sizeof(message));
	MUST(stand.sent[MESSAGE_RESPONSE] == 1);
	stand_set_clock(&stand, STAND_NOW_NS + REKEY_TIMEOUT_NS);
	MUST(send_initiation(&stand.tunnel, stand.peer, false));
	tunnel_flush(&stand.tunnel);
	MUST(stand.sent[MESSAGE_INITIATION] == 1);
	remember();
}

static void help_index(uint8_t *data, size_t len, uint8_t help)
{
	uint32_t session = stand.tunnel.state->sessions[0].local_index;
	uint32_t handshake = stand.tunnel.state->pairs[0].handshake_index;
	size_t at = len >= 12 && get_le32(data) == MESSAGE_RESPONSE ? 8 : 4;

	if (len >= at + 4 && help & (HELP_SESSION | HELP_HANDSHAKE))
		put_le32(data + at, help & HELP_SESSION ? session : handshake);
}

static struct incoming choose_incoming(struct cursor *cursor)
{
	static const uint16_t lengths[] = {148, 92, 64, 32};
	uint8_t help = take_8(cursor), type = help >> 5 & 3;
	size_t len = help & HELP_LENGTH ? lengths[type] : take_16(cursor) % 2048;
	struct incoming incoming = {
		.from = stand_endpoint(help & 0x80 ? "198.51.100.7" : "192.0.2.2", 1),
		.to = {.address = endpoint_address(&stand.address), .ifindex = 1},
		.tos = take_8(cursor),
		.segment_len = take_8(cursor) < 200 ? 0 : take_16(cursor) % 2048,
		.data = take_copy(cursor, len),
		.len = (uint32_t)len,
	};

	if (help & HELP_TYPE && len >= 4)
		put_le32(incoming.data, type + 1);
	help_index(incoming.data, len, help);
	if (help & HELP_MAC1 && len >= sizeof(struct message_macs))
		stand_add_mac1(incoming.data, len, &stand.identity);
	return incoming;
}

static uint64_t count_datagrams(const struct incoming *incoming)
{
	uint32_t step = incoming->segment_len ? incoming->segment_len : incoming->len;

	return incoming->len ? (incoming->len + step - 1) / step : 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cursor cursor = {data, len};
	struct incoming incoming[PARTS_MAX];
	unsigned int count = 0, sent;
	uint64_t expected;

	if (!stand.tunnel.state)
		begin();
	sent = stand.sent[MESSAGE_RESPONSE];
	expected = stand_drops(&stand);
	while (count < PARTS_MAX && cursor.left) {
		incoming[count] = choose_incoming(&cursor);
		expected += count_datagrams(&incoming[count++]);
	}
	stand.tunnel.state->load_count = 0;
	tunnel_receive(&stand.tunnel, incoming, count);
	tunnel_flush(&stand.tunnel);
	MUST(stand_drops(&stand) == expected);
	MUST(stand.sent[MESSAGE_RESPONSE] == sent && stand.sent[MESSAGE_INITIATION] == 1);
	MUST(!stand.sent[MESSAGE_COOKIE] && !stand.sent[MESSAGE_DATA]);
	MUST(!stand.delivered && !stand.injected);
	check_nothing_changed();
	while (count)
		free(incoming[--count].data);
	return 0;
}
