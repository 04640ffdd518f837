// SPDX-License-Identifier: Apache-2.0
/*
 * keyd's questions about peers (include/tunnel_control.h): the endpoint that is asked for a
 * handshake, the addresses that are forgotten, and the status of both. The proof of an address is
 * in test_question.c.
 */
#include "keyd_requests.h"

static struct control_peer_status status;

/* Of peer 1, which is the only one. */
static const struct control_peer_status *read_status(void)
{
	const struct control_page *page = answer_body();
	struct control_peer_id after = {0};

	assert_int_equal(ask(CONTROL_LIST_PEERS, &after, sizeof(after)), 0);
	assert_int_equal(page->count, 1);
	assert_true(page->now_ns == tunnel.now_ns);
	status = page->peers[0];
	return &status;
}

static int ask_peer(uint32_t id, const char *text, uint16_t port)
{
	struct control_question question = {.id = id};
	struct address address = {0};

	assert_true(address_parse(&address, text));
	question.endpoint = endpoint_of(&address, port);
	return ask(CONTROL_ASK_PEER, &question, sizeof(question));
}

static int forget_place(uint32_t id, const char *text)
{
	struct control_place_of place = {.id = id};

	assert_true(address_parse(&place.address, text));
	return ask(CONTROL_FORGET_PLACE, &place, sizeof(place));
}

/* With a key of our own and peer 1. */
static int begin_with_peer(void **state)
{
	tunnel_begin(state);
	tunnel.state->port = 51890;
	assert_int_equal(set_identity(9), 0);
	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	return 0;
}

#define PEER_TEST(name) TEST(name, begin_with_peer, tunnel_end)

static void pass_time(uint64_t duration_ns)
{
	tunnel.now_ns += duration_ns;
}

/* -- questions -- */

PEER_TEST(question_is_sent_to_the_requested_endpoint_and_moves_nothing)
{
	struct peer *peer = peer_of(1);
	union endpoint endpoint = peer->endpoint;

	assert_int_equal(ask_peer(1, "192.0.2.77", 51890), 0);
	assert_int_equal(peer->sent_bytes, sizeof(struct message_initiation));
	assert_true(endpoint_is_equal(&peer->endpoint, &endpoint));
	assert_int_equal(peer->unanswered, 0);
	assert_int_equal(read_status()->place_count, 1);
}

PEER_TEST(question_to_an_unknown_peer_is_refused)
{
	struct fingerprint before = take_fingerprint();

	assert_int_equal(ask_peer(2, "192.0.2.77", 51890), -ENOENT);
	assert_int_equal(ask_peer(0, "192.0.2.77", 51890), -ENOENT);
	assert_unchanged(&before);
}

PEER_TEST(question_to_an_impossible_endpoint_is_refused)
{
	static const char *const addresses[] = {"0.0.0.0", "224.0.0.1", "255.255.255.255",
						"::",	   "ff02::1",	"::ffff:192.0.2.1"};
	struct control_question question = {.id = 1};
	struct fingerprint before = take_fingerprint();

	for (unsigned int i = 0; i < ARRAY_SIZE(addresses); i++)
		assert_int_equal(ask_peer(1, addresses[i], 51890), -EINVAL);
	assert_int_equal(ask_peer(1, "192.0.2.77", 0), -EINVAL);
	assert_int_equal(ask_peer(1, "192.0.2.77", 30053),
			 -EINVAL); /* a NodePort leads elsewhere */
	assert_int_equal(ask(CONTROL_ASK_PEER, &question, sizeof(question)), -EINVAL);
	question.endpoint.any.sa_family = AF_UNIX;
	assert_int_equal(ask(CONTROL_ASK_PEER, &question, sizeof(question)), -EINVAL);
	assert_unchanged(&before);
}

PEER_TEST(question_too_soon_after_another_must_be_repeated_later)
{
	struct fingerprint before;

	assert_int_equal(ask_peer(1, "192.0.2.77", 51890), 0);
	before = take_fingerprint();
	assert_int_equal(ask_peer(1, "192.0.2.78", 51890), -EAGAIN);
	assert_unchanged(&before);
	pass_time(QUESTION_WAIT_NS);
	assert_int_equal(ask_peer(1, "192.0.2.78", 51890), 0);
	assert_int_equal(read_status()->place_count, 2);
}

PEER_TEST(question_during_a_handshake_must_be_repeated_later)
{
	struct control_peer_id id = {1};
	struct fingerprint before;

	assert_int_equal(ask(CONTROL_TRY_PEER, &id, sizeof(id)), 0);
	before = take_fingerprint();
	assert_int_equal(ask_peer(1, "192.0.2.77", 51890), -EAGAIN);
	assert_unchanged(&before);
	pass_time(QUESTION_PATIENCE_NS);
	assert_int_equal(ask_peer(1, "192.0.2.77", 51890), 0);
}

/* -- the status -- */

PEER_TEST(status_reports_how_long_a_peer_is_known_and_asked)
{
	struct control_peer_id id = {1};

	pass_time(5 * NS_PER_S);
	assert_true(read_status()->known_age_ns == 5 * NS_PER_S);
	assert_true(status.asked_age_ns == UINT64_MAX);
	assert_int_equal(ask_peer(1, "192.0.2.77", 51890), 0);
	assert_true(read_status()->asked_age_ns ==
		    UINT64_MAX); /* a question is not for its endpoint */
	pass_time(NS_PER_S);
	peer_forget_initiations_but(&tunnel, peer_find_by_id(&tunnel, 1), NO_PAIR);
	assert_int_equal(ask(CONTROL_TRY_PEER, &id, sizeof(id)), 0);
	assert_true(read_status()->asked_age_ns == 0);
	pass_time(7 * NS_PER_S);
	assert_true(read_status()->asked_age_ns == 7 * NS_PER_S);
	assert_true(status.known_age_ns == 13 * NS_PER_S);
	assert_int_equal(set_peer(), 0); /* again, unchanged */
	assert_true(read_status()->asked_age_ns == 7 * NS_PER_S);
}

PEER_TEST(status_reports_the_places_of_a_peer)
{
	struct address reached, asked;
	struct peer *peer = peer_of(1);

	assert_int_equal(read_status()->place_count, 0);
	assert_true(address_parse(&reached, "fd00::2") && address_parse(&asked, "192.0.2.77"));
	place_note_answered(peer->places, &reached, 10);
	place_note_answered(peer->places, &reached, 20);
	place_note_asked(peer->places, &asked, 30);
	place_note_asked(peer->places, &asked, 40);
	assert_int_equal(read_status()->place_count, 2);
	assert_memory_equal(&status.places[0].address, &reached, sizeof(reached));
	assert_int_equal(status.places[0].proved_ns, 10);
	assert_int_equal(status.places[0].answered_ns, 20);
	assert_int_equal(status.places[0].asked_ns, 0);
	assert_int_equal(status.places[0].asked_count, 0);
	assert_memory_equal(&status.places[1].address, &asked, sizeof(asked));
	assert_int_equal(status.places[1].proved_ns, 0);
	assert_int_equal(status.places[1].asked_ns, 30);
	assert_int_equal(status.places[1].asked_count, 2);
}

PEER_TEST(status_reports_all_places_without_gaps)
{
	char text[ADDRESS_TEXT_LEN];
	struct address address;

	for (unsigned int i = 0; i < CONTROL_PLACES_MAX; i++) {
		snprintf(text, sizeof(text), "192.0.2.%u", i);
		assert_true(address_parse(&address, text));
		place_note_answered(peer_of(1)->places, &address, 1 + i);
	}
	assert_int_equal(read_status()->place_count, CONTROL_PLACES_MAX);
	assert_int_equal(forget_place(1, "192.0.2.0"), 0);
	assert_int_equal(read_status()->place_count, CONTROL_PLACES_MAX - 1);
	assert_int_equal(status.places[0].proved_ns, 2);
	assert_int_equal(status.places[CONTROL_PLACES_MAX - 1].proved_ns, 0);
}

/* -- forgotten -- */

PEER_TEST(forgetting_a_place_keeps_the_others)
{
	assert_int_equal(ask_peer(1, "192.0.2.77", 51890), 0);
	pass_time(QUESTION_WAIT_NS);
	assert_int_equal(ask_peer(1, "192.0.2.78", 51890), 0);
	assert_int_equal(forget_place(1, "192.0.2.77"), 0);
	assert_int_equal(forget_place(1, "192.0.2.99"), 0); /* was never asked anyway */
	assert_int_equal(read_status()->place_count, 1);
	assert_memory_equal(status.places[0].address.bytes, ((uint8_t[]){192, 0, 2, 78}), 4);
}

PEER_TEST(place_of_an_unknown_peer_cannot_be_forgotten)
{
	struct fingerprint before = take_fingerprint();

	assert_int_equal(forget_place(2, "192.0.2.77"), -ENOENT);
	assert_int_equal(forget_place(0, "192.0.2.77"), -ENOENT);
	assert_unchanged(&before);
}

/* A proof belongs to the node that made it: not to the one that comes under its name later, but to
 * each of its records. */
PEER_TEST(places_are_forgotten_with_the_uid_and_with_nothing_else)
{
	assert_int_equal(ask_peer(1, "192.0.2.77", 51890), 0);
	packet.fixed.epoch++;
	packet.fixed.keys[KEY_CURRENT] = key_number(0x66);
	assert_int_equal(set_peer(), 0);
	assert_int_equal(read_status()->place_count, 1);
	pass_time(NS_PER_S);
	assert_true(read_status()->known_age_ns >= NS_PER_S);
	copy_text(packet.fixed.uid, sizeof(packet.fixed.uid), "other");
	assert_int_equal(set_peer(), 0);
	assert_int_equal(read_status()->place_count, 0);
	assert_true(status.known_age_ns ==
		    0); /* the silence of the node before is not this one's */
}

PEER_TEST(places_are_gone_with_their_peer)
{
	struct control_peer_id id = {1};

	assert_int_equal(ask_peer(1, "192.0.2.77", 51890), 0);
	assert_int_equal(ask(CONTROL_REMOVE_PEER, &id, sizeof(id)), 0);
	pass_time(NS_PER_S);
	assert_int_equal(set_peer(), 0);
	assert_int_equal(read_status()->place_count, 0);
	assert_true(status.known_age_ns == 0);
}
