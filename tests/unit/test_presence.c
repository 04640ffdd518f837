// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/cluster/presence.c: from the tunnel's figures of a peer to the state of its node: heard,
 * silent, and the addresses that it has left.
 */
#include "cluster/presence.h"
#include "test.h"

#define NOW_NS (10000 * NS_PER_S)
#define NEVER  UINT64_MAX

static struct control_peer_status status;
static struct cluster_member member;

/* Of a peer that the tunnel has had for an hour, and has neither asked nor heard. */
static int begin(void **state)
{
	memset(&member, 0, sizeof(member));
	memset(&status, 0, sizeof(status));
	status.id = 1;
	status.known_age_ns = 3600 * NS_PER_S;
	status.last_received_age_ns = status.asked_age_ns = NEVER;
	return 0;
}

static void note(void)
{
	presence_note(&member, &status, NOW_NS);
}

static struct control_place *add_place(const char *text)
{
	struct control_place *place = &status.places[status.place_count++];

	assert_true(address_parse(&place->address, text));
	return place;
}

/* At this address it was asked so often, for the first time so long ago. */
static struct control_place *add_asked_place(const char *text, uint32_t tries, uint64_t age_ns)
{
	struct control_place *place = add_place(text);

	place->asked_count = tries;
	place->asked_ns = NOW_NS - age_ns;
	return place;
}

/* -- the node -- */

TEST(node_that_was_never_asked_is_quiet_but_not_silent, begin)
{
	note();
	assert_true(presence_is_quiet(&status));
	assert_false(member.is_silent);
	status.last_received_age_ns = PRESENCE_SILENT_NS;
	note();
	assert_true(presence_is_quiet(&status));
	assert_false(member.is_silent);
}

TEST(node_is_silent_where_it_was_asked_five_seconds_in_vain, begin)
{
	status.asked_age_ns = PRESENCE_PATIENCE_NS - 1;
	note();
	assert_false(member.is_silent);
	status.asked_age_ns = PRESENCE_PATIENCE_NS;
	note();
	assert_true(member.is_silent);
}

TEST(node_that_was_heard_within_180_seconds_is_not_silent_however_long_it_was_asked, begin)
{
	status.asked_age_ns = 100 * NS_PER_S;
	status.last_received_age_ns = PRESENCE_SILENT_NS - 1;
	note();
	assert_false(member.is_silent || presence_is_quiet(&status));
}

/* A tunnel that has just been started knows nothing of the three minutes before. */
TEST(node_is_not_silent_before_the_tunnel_has_known_it_for_180_seconds, begin)
{
	status.asked_age_ns = 100 * NS_PER_S;
	status.known_age_ns = PRESENCE_SILENT_NS - 1;
	note();
	assert_false(member.is_silent || presence_is_quiet(&status));
	status.known_age_ns = PRESENCE_SILENT_NS;
	note();
	assert_true(member.is_silent && presence_is_quiet(&status));
}

TEST(node_without_a_peer_is_neither_quiet_nor_silent, begin)
{
	status.id = 0;
	status.asked_age_ns = 100 * NS_PER_S;
	note();
	assert_false(member.is_silent || presence_is_quiet(&status));
}

TEST(node_that_is_heard_again_is_silent_no_more, begin)
{
	status.asked_age_ns = PRESENCE_PATIENCE_NS;
	note();
	assert_true(member.is_silent);
	status.asked_age_ns = NEVER;
	status.last_received_age_ns = 0;
	note();
	assert_false(member.is_silent);
}

TEST(node_will_be_quiet_when_the_rest_of_180_seconds_is_over, begin)
{
	assert_int_equal(presence_quiet_in_ns(&status), 0);
	status.last_received_age_ns = 30 * NS_PER_S;
	assert_int_equal(presence_quiet_in_ns(&status), 150 * NS_PER_S);
	status.last_received_age_ns = NEVER;
	status.known_age_ns = PRESENCE_SILENT_NS - 1;
	assert_int_equal(presence_quiet_in_ns(&status), 1);
}

/* -- its addresses -- */

TEST(places_are_reported_as_the_tunnel_has_them, begin)
{
	struct control_place *place = add_place("192.0.2.1");

	place->proved_ns = 5;
	place->answered_ns = 7;
	add_place("fd00::1");
	note();
	assert_int_equal(member.place_count, 2);
	assert_true(address_is_equal(&member.places[0].address, &place->address));
	assert_int_equal(member.places[0].proved_ns, 5);
	assert_int_equal(member.places[0].answered_ns, 7);
	assert_int_equal(member.places[0].left_ns, 0);
	assert_int_equal(member.places[1].proved_ns, 0);
	status.place_count = 0;
	note();
	assert_int_equal(member.place_count, 0);
}

TEST(tunnel_cannot_report_more_places_than_a_member_holds, begin)
{
	while (status.place_count < CONTROL_PLACES_MAX)
		add_place("192.0.2.1");
	status.place_count = UINT32_MAX;
	note();
	assert_int_equal(member.place_count, CLUSTER_PLACES_MAX);
}

static uint64_t left_ns(uint32_t tries, uint64_t age_ns)
{
	begin(NULL);
	add_asked_place("192.0.2.1", tries, age_ns);
	note();
	return member.places[0].left_ns;
}

TEST(place_is_left_after_three_questions_in_vain_and_400_ms, begin)
{
	assert_int_equal(left_ns(3, PRESENCE_LEFT_NS), NOW_NS - PRESENCE_LEFT_NS);
	assert_int_equal(left_ns(PRESENCE_LEFT_TRIES - 1, 100 * NS_PER_S), 0);
	assert_int_equal(left_ns(100, PRESENCE_LEFT_NS - 1), 0);
	assert_int_equal(left_ns(0, 100 * NS_PER_S), 0);
}

TEST(place_that_answered_was_not_left, begin)
{
	struct control_place *place = add_place("192.0.2.1");

	place->proved_ns = place->answered_ns = NOW_NS;
	place->asked_count = 100; /* nothing asked since: asked_ns is 0 */
	note();
	assert_int_equal(member.places[0].left_ns, 0);
}

TEST(node_that_left_one_place_and_was_not_heard_since_has_left_all, begin)
{
	struct control_place *answered;

	add_asked_place("192.0.2.1", 3, PRESENCE_LEFT_NS);
	add_asked_place("192.0.2.2", 1, 1);
	answered = add_place("192.0.2.3");
	answered->proved_ns = answered->answered_ns = 1;
	note();
	assert_int_equal(member.places[0].left_ns, NOW_NS - PRESENCE_LEFT_NS);
	assert_int_equal(member.places[1].left_ns, NOW_NS - PRESENCE_LEFT_NS);
	assert_int_equal(member.places[2].left_ns, NOW_NS - PRESENCE_LEFT_NS);
}

TEST(node_that_left_one_place_and_was_heard_since_has_left_that_one_alone, begin)
{
	add_asked_place("192.0.2.1", 3, PRESENCE_LEFT_NS);
	add_asked_place("192.0.2.2", 1, 1);
	status.last_received_age_ns = PRESENCE_LEFT_NS - 1;
	note();
	assert_int_equal(member.places[0].left_ns, NOW_NS - PRESENCE_LEFT_NS);
	assert_int_equal(member.places[1].left_ns, 0);
}

TEST(place_where_a_node_that_is_heard_does_not_answer_has_lapsed, begin)
{
	add_asked_place("192.0.2.1", 3, PRESENCE_LEFT_NS);
	note();
	assert_false(member.places[0].has_lapsed); /* perhaps its agent starts again */
	status.last_received_age_ns = PRESENCE_LEFT_NS - 1;
	note();
	assert_true(member.places[0].has_lapsed);
	status.places[0].asked_count = 2;
	note();
	assert_false(member.places[0].has_lapsed);
}

/* -- how often to ask -- */

TEST(questions_come_quickly_at_first_and_then_ever_less_often, begin)
{
	uint64_t sum = 0;

	assert_int_equal(presence_ask_delay_ns(0), 0);
	for (uint32_t asked = 1; asked < 20; asked++) {
		assert_true(presence_ask_delay_ns(asked) >= presence_ask_delay_ns(asked - 1));
		assert_true(presence_ask_delay_ns(asked) >= 100 * NS_PER_MS); /* place.h */
	}
	assert_int_equal(presence_ask_delay_ns(1000), 15 * NS_PER_S);
	assert_int_equal(presence_ask_delay_ns(UINT32_MAX), 15 * NS_PER_S);
	for (uint32_t asked = 0; asked < PRESENCE_LEFT_TRIES; asked++)
		sum += presence_ask_delay_ns(asked);
	assert_true(sum < PRESENCE_LEFT_NS); /* so that time alone decides when the node has left */
}
