// SPDX-License-Identifier: Apache-2.0
/*
 * Which handshakes prove at which address a peer is (tunnel/place.h), and questions: handshakes
 * that are begun only to learn that, and leave everything else as it is. A asks B, which is at
 * 192.0.2.2 and for some tests elsewhere too.
 */
#include "wire_by_hand.h"

#define ELSEWHERE  "192.0.2.77"
#define SECONDS(n) ((n)*NS_PER_S)

/* The node's knowledge of the other at this address; all zero: none. */
static struct peer_place place_at(unsigned int node, const char *text)
{
	const struct peer_place *places = peer_of(node)->places;
	struct address wanted;

	assert_true(address_parse(&wanted, text));
	for (unsigned int i = 0; i < PEER_PLACES_MAX; i++)
		if (places[i].address.family && address_is_equal(&places[i].address, &wanted))
			return places[i];
	return (struct peer_place){0};
}

static bool is_proved(unsigned int node, const char *text)
{
	return place_at(node, text).proved_ns;
}

static bool ask(const char *text)
{
	union endpoint to = endpoint_from(text, 51890);
	bool was_sent = send_question(&world->nodes[A].tunnel, world->nodes[A].peer, &to);

	tunnel_flush(&world->nodes[A].tunnel);
	return was_sent;
}

/* B is elsewhere too, for one question, and answers from its own address. */
static void ask_elsewhere(void)
{
	union endpoint home = world->nodes[B].address;

	world->nodes[B].address = endpoint_from(ELSEWHERE, 51890);
	assert_true(ask(ELSEWHERE));
	world->nodes[B].address = home;
	world_settle();
}

static void pass_time(uint64_t duration_ns)
{
	world_set_clock(world->now_ns + duration_ns);
}

static unsigned int initiations(void)
{
	return world->nodes[A].sent[MESSAGE_INITIATION];
}

/* The handshake before is over: B takes the next one for no flood. */
static int begin(void **state)
{
	world_begin(state);
	world->nodes[A].tunnel.state->port = world->nodes[B].tunnel.state->port = 51890;
	return 0;
}

static int begin_later(void **state)
{
	world_begin_talking(state);
	world->nodes[A].tunnel.state->port = world->nodes[B].tunnel.state->port = 51890;
	world_sleep(SECONDS(1));
	return 0;
}

#define QUESTION_TEST(name) TEST(name, begin, world_end)
#define LATER_TEST(name)    TEST(name, begin_later, world_end)

/* -- what proves an address -- */

QUESTION_TEST(initiation_that_is_answered_proves_where_it_went)
{
	uint64_t asked_ns = world->now_ns;

	world->latency_ns = NS_PER_MS;
	ping(A, 1);
	assert_int_equal(place_at(A, "192.0.2.2").asked_ns, asked_ns);
	assert_int_equal(place_at(A, "192.0.2.2").asked_count, 1);
	assert_false(is_proved(A, "192.0.2.2"));
	world_sleep(2 * NS_PER_MS);
	assert_int_equal(place_at(A, "192.0.2.2").proved_ns, asked_ns + 2 * NS_PER_MS);
	assert_int_equal(place_at(A, "192.0.2.2").answered_ns, asked_ns + 2 * NS_PER_MS);
	assert_int_equal(place_at(A, "192.0.2.2").asked_ns, 0);
	assert_int_equal(place_at(A, "192.0.2.2").asked_count, 0);
}

/* Behind it may be a NodePort, which forwards to another node. */
QUESTION_TEST(handshake_by_another_port_than_our_own_proves_nothing)
{
	world->nodes[A].tunnel.state->port = 51891;
	ping(A, 1);
	world_settle();
	assert_false(is_proved(A, "192.0.2.2"));
	assert_true(is_proved(B, "192.0.2.1"));
}

QUESTION_TEST(initiation_without_an_answer_proves_nothing)
{
	union endpoint nowhere = endpoint_from(ELSEWHERE, 51890);

	tunnel_set_endpoint(&world->nodes[A].tunnel, world->nodes[A].peer, &nowhere);
	ping(A, 1);
	world_sleep(SECONDS(12));
	assert_false(is_proved(A, ELSEWHERE));
	assert_int_equal(place_at(A, ELSEWHERE).asked_ns, WORLD_BEGIN_NS);
	assert_int_equal(place_at(A, ELSEWHERE).asked_count, initiations());
	assert_true(initiations() >= 3);
}

/* Anybody on the way may write another source over it; and a node answers from whichever of its
 * addresses leads back. */
QUESTION_TEST(response_from_another_address_proves_nothing_of_that_address)
{
	union endpoint forged = endpoint_from(ELSEWHERE, 51890);
	uint8_t initiation[148], response[92];
	size_t len = take_initiation(initiation);

	give_b(initiation, len);
	tunnel_flush(tunnel_of_b());
	len = take_from_wire(response);
	give(A, &forged, response, len);
	assert_int_not_equal(peer_of(A)->current, NO_SESSION);
	assert_false(is_proved(A, ELSEWHERE));
	assert_true(is_proved(A, "192.0.2.2"));
}

QUESTION_TEST(response_that_is_forged_proves_nothing)
{
	uint8_t initiation[148], response[92];
	size_t len = take_initiation(initiation);

	give_b(initiation, len);
	tunnel_flush(tunnel_of_b());
	len = take_from_wire(response);
	response[20] ^= 1;
	give(A, &world->nodes[B].address, response, len);
	assert_false(is_proved(A, "192.0.2.2"));
}

QUESTION_TEST(response_proves_its_address_by_the_packet_that_confirms_it)
{
	uint8_t initiation[148], response[92];
	size_t len = take_initiation(initiation);

	give_b(initiation, len);
	tunnel_flush(tunnel_of_b());
	/* An attacker that has the initiation can replay it. */
	assert_false(is_proved(B, "192.0.2.1"));
	len = take_from_wire(response);
	give(A, &world->nodes[B].address, response, len);
	tunnel_flush(&world->nodes[A].tunnel);
	pass_time(SECONDS(1));
	world_settle();
	assert_int_equal(place_at(B, "192.0.2.1").proved_ns, world->now_ns);
}

/* The initiation came by way of another address, to which our response went; the confirmation comes
 * from home. */
QUESTION_TEST(confirmation_proves_where_the_response_went_and_not_where_it_came_from)
{
	union endpoint relay = endpoint_from(ELSEWHERE, 51890);
	uint8_t initiation[148];
	size_t len = take_initiation(initiation);
	struct datagram *response;

	give(B, &relay, initiation, len);
	world->nodes[A].address = relay;
	tunnel_flush(tunnel_of_b());
	world->nodes[A].address = endpoint_from("192.0.2.1", 51890);
	response = &world->wire[0];
	assert_int_equal(get_le32(response->bytes), MESSAGE_RESPONSE);
	world_settle();
	assert_int_not_equal(peer_of(B)->current, NO_SESSION);
	assert_true(is_proved(B, ELSEWHERE));
	assert_false(is_proved(B, "192.0.2.1"));
}

LATER_TEST(data_from_another_address_proves_nothing)
{
	union endpoint elsewhere = endpoint_from(ELSEWHERE, 51890);
	uint8_t bytes[128], packet[64];

	build_inner(packet, A, 4, sizeof(packet), 1);
	give(B, &elsewhere, bytes, seal_data(bytes, packet, sizeof(packet)));
	assert_int_equal(came(B, 1), 1);
	assert_true(endpoint_is_equal(&peer_of(B)->endpoint, &elsewhere));
	assert_false(is_proved(B, ELSEWHERE));
}

/* -- how long a peer has been asked -- */

QUESTION_TEST(peer_is_asked_from_its_first_initiation_until_it_is_heard)
{
	world->latency_ns = NS_PER_MS;
	ping(A, 1);
	assert_int_equal(peer_of(A)->asked_ns, WORLD_BEGIN_NS);
	clear_wire();
	world_sleep(SECONDS(6));
	assert_int_equal(initiations(), 2);
	assert_int_equal(peer_of(A)->asked_ns, 0); /* the second was answered */
	assert_int_equal(peer_of(A)->known_ns, WORLD_BEGIN_NS);
}

QUESTION_TEST(peer_is_asked_from_its_first_initiation_on_however_many_follow)
{
	union endpoint nowhere = endpoint_from(ELSEWHERE, 51890);

	tunnel_set_endpoint(&world->nodes[A].tunnel, world->nodes[A].peer, &nowhere);
	ping(A, 1);
	world_sleep(SECONDS(12));
	assert_true(initiations() >= 3);
	assert_int_equal(peer_of(A)->asked_ns, WORLD_BEGIN_NS);
}

/* -- questions -- */

LATER_TEST(question_leaves_endpoint_and_source_as_they_are_and_its_answer_is_noted)
{
	union endpoint endpoint = peer_of(A)->endpoint;
	struct local_source source = {.address = peer_of(A)->source.address, .ifindex = 7};

	peer_of(A)->source = source;
	world->nodes[B].address = endpoint_from(ELSEWHERE, 51890);
	assert_true(ask(ELSEWHERE));
	assert_int_equal(place_at(A, ELSEWHERE).asked_ns, world->now_ns);
	(void)receive_arrived(&world->nodes[B]); /* it answers from there */
	assert_int_equal(world->nodes[B].sent[MESSAGE_RESPONSE], 2);
	world->nodes[B].address = endpoint;
	world_settle();
	assert_true(is_proved(A, ELSEWHERE));
	assert_int_equal(place_at(A, ELSEWHERE).asked_ns, 0);
	assert_true(endpoint_is_equal(&peer_of(A)->endpoint, &endpoint));
	assert_memory_equal(&peer_of(A)->source, &source, sizeof(source));
}

LATER_TEST(unanswered_question_changes_nothing)
{
	struct peer before = *peer_of(A);

	assert_true(ask(ELSEWHERE));
	assert_false(is_proved(A, ELSEWHERE));
	assert_int_equal(place_at(A, ELSEWHERE).asked_count, 1);
	assert_true(endpoint_is_equal(&peer_of(A)->endpoint, &before.endpoint));
	assert_int_equal(peer_of(A)->unanswered, before.unanswered);
	assert_int_equal(peer_of(A)->asked_ns, before.asked_ns);
	assert_int_equal(peer_of(A)->current, before.current);
}

LATER_TEST(question_is_not_tried_again_by_itself)
{
	unsigned int before = initiations();

	assert_true(ask(ELSEWHERE));
	world_sleep(SECONDS(60));
	assert_int_equal(initiations(), before + 1);
}

LATER_TEST(question_makes_a_session_in_which_no_packet_is_lost)
{
	for (uint32_t i = 0; i < 50; i++) {
		ask_elsewhere();
		ping(A, 2 * i);
		ping(B, 2 * i + 1);
		assert_int_equal(came(B, 2 * i), 1);
		assert_int_equal(came(A, 2 * i + 1), 1);
		world_sleep(100 * NS_PER_MS);
	}
	assert_int_equal(all_drops(A) + all_drops(B), 0);
}

LATER_TEST(question_in_vain_loses_no_packet_either)
{
	for (uint32_t i = 0; i < 50; i++) {
		assert_true(ask(ELSEWHERE));
		ping(A, 2 * i);
		ping(B, 2 * i + 1);
		assert_int_equal(came(B, 2 * i), 1);
		assert_int_equal(came(A, 2 * i + 1), 1);
		world_sleep(100 * NS_PER_MS);
	}
	assert_int_equal(all_drops(A) + all_drops(B), 0);
}

QUESTION_TEST(question_waits_100_ms_for_the_answer_to_the_one_before)
{
	assert_true(ask(ELSEWHERE));
	assert_false(ask(ELSEWHERE));
	pass_time(QUESTION_WAIT_NS - 1);
	assert_false(ask(ELSEWHERE));
	assert_false(ask("192.0.2.78"));
	assert_int_equal(place_at(A, "192.0.2.78").asked_count, 0);
	pass_time(1);
	assert_true(ask(ELSEWHERE));
	assert_int_equal(place_at(A, ELSEWHERE).asked_count, 2);
}

QUESTION_TEST(question_follows_an_answered_one_after_25_ms)
{
	ask_elsewhere();
	assert_true(is_proved(A, ELSEWHERE));
	pass_time(QUESTION_SPACING_NS - 1);
	assert_false(ask("192.0.2.78"));
	pass_time(1);
	assert_true(ask("192.0.2.78"));
}

/* Its answer would come to nothing. */
QUESTION_TEST(question_waits_300_ms_for_an_initiation_under_way)
{
	world->latency_ns = SECONDS(1);
	ping(A, 1);
	assert_false(ask(ELSEWHERE));
	pass_time(QUESTION_PATIENCE_NS - 1);
	assert_false(ask(ELSEWHERE));
	pass_time(1);
	assert_true(ask(ELSEWHERE));
}

QUESTION_TEST(question_does_not_wait_for_an_initiation_that_was_answered)
{
	ping(A, 1);
	assert_true(ask(ELSEWHERE));
}

QUESTION_TEST(question_does_not_delay_a_handshake_with_the_endpoint)
{
	assert_true(ask(ELSEWHERE));
	ping(A, 1);
	assert_int_equal(came(B, 1), 1);
	assert_int_equal(initiations(), 2);
}

QUESTION_TEST(questions_do_not_delay_the_retries_of_a_handshake)
{
	union endpoint nowhere = endpoint_from("192.0.2.88", 51890);
	uint32_t tries;

	tunnel_set_endpoint(&world->nodes[A].tunnel, world->nodes[A].peer, &nowhere);
	ping(A, 1);
	for (unsigned int i = 0; i < 60; i++) {
		world_sleep(QUESTION_PATIENCE_NS);
		(void)ask(ELSEWHERE);
	}
	tries = place_at(A, "192.0.2.88").asked_count;
	assert_in_range(tries, 3, 4); /* in 18 seconds */
	assert_int_equal(place_at(A, ELSEWHERE).asked_count, initiations() - tries);
}

LATER_TEST(question_answered_is_the_answer_to_nothing_else)
{
	union endpoint endpoint = peer_of(A)->endpoint;
	uint64_t later;

	ask_elsewhere();
	later = place_at(A, ELSEWHERE).proved_ns;
	assert_int_equal(later, world->now_ns);
	pass_time(SECONDS(6));
	peer_of(A)->timers.last_initiation_sent_ns = 0;
	assert_true(send_initiation(&world->nodes[A].tunnel, world->nodes[A].peer, false));
	tunnel_flush(&world->nodes[A].tunnel);
	world_settle();
	assert_int_equal(place_at(A, ELSEWHERE).answered_ns, later);
	assert_int_equal(place_at(A, "192.0.2.2").answered_ns, world->now_ns);
	assert_true(endpoint_is_equal(&peer_of(A)->endpoint, &endpoint));
}

/* An initiation to the endpoint follows where its answer comes from, also after a question. */
LATER_TEST(handshake_after_a_question_follows_the_peer_as_ever)
{
	union endpoint moved = endpoint_from("192.0.2.99", 51890);

	assert_true(ask(ELSEWHERE));
	pass_time(SECONDS(6));
	peer_of(A)->timers.last_initiation_sent_ns = 0;
	assert_true(send_initiation(&world->nodes[A].tunnel, world->nodes[A].peer, false));
	tunnel_flush(&world->nodes[A].tunnel);
	world->nodes[B].address = moved;
	world_settle();
	assert_true(endpoint_is_equal(&peer_of(A)->endpoint, &moved));
}

QUESTION_TEST(question_is_not_sent_without_a_key)
{
	tunnel_set_private_key(&world->nodes[A].tunnel, KEY_CURRENT, NULL);
	assert_false(ask(ELSEWHERE));
	assert_int_equal(place_at(A, ELSEWHERE).asked_count, 0);
}

QUESTION_TEST(question_is_sent_to_a_peer_without_an_endpoint)
{
	peer_of(A)->has_endpoint = false;
	assert_true(ask(ELSEWHERE));
	assert_false(peer_of(A)->has_endpoint);
}

QUESTION_TEST(unanswered_question_is_wiped_from_memory_after_540_seconds)
{
	assert_true(ask(ELSEWHERE));
	assert_int_equal(pair_of(A)->state, HANDSHAKE_INITIATION_SENT);
	world_sleep(SECONDS(541));
	assert_int_not_equal(pair_of(A)->state, HANDSHAKE_INITIATION_SENT);
}
