// SPDX-License-Identifier: Apache-2.0
/*
 * A question is a handshake, so an answer proves its sender. The tunnel counts the questions
 * without an answer; this file only knows when the next one is due. A continuing dispute costs four
 * handshakes in the first half second and hardly anything later, however many nodes claim an
 * address.
 */
#include "questions.h"

#include "cluster/presence.h"
#include "host/clock.h"

#define ANSWER_NS   (25 * NS_PER_MS)  /* an answer arrives within this time on most networks */
#define KEY_LOOK_NS (500 * NS_PER_MS) /* several within the turn of each claimant */
/* The tunnel rejected a question because the last one is too recent. */
#define QUESTION_RETRY_NS (30 * NS_PER_MS)

static const struct control_place *find_place(const struct control_peer_status *status,
					      const struct address *address)
{
	for (uint32_t i = 0; i < status->place_count; i++)
		if (address_is_equal(&status->places[i].address, address))
			return &status->places[i];
	return NULL;
}

struct asking {
	const struct members *members;
	struct connection *connection;
	struct schedule *schedule;
	uint64_t now_ns;
};

static void want_pass(const struct asking *asking, uint64_t due_ns)
{
	struct schedule *schedule = asking->schedule;

	if (!schedule->questions_ns || due_ns < schedule->questions_ns)
		schedule->questions_ns = due_ns;
}

/* -- is the node at this address? -- */

/* After an answer, the next question can wait for seconds. */
static uint64_t due_ns(const struct member *member, const struct member_question *question)
{
	const struct control_place *place = find_place(&member->status, &question->address);

	if (!question->asked_ns)
		return 0;
	if (place && place->proved_ns && !place->asked_ns)
		return question->asked_ns + PRESENCE_ASK_AGAIN_NS;
	return question->asked_ns + presence_ask_delay_ns(place ? place->asked_count : 1);
}

static void ask(const struct asking *asking, const struct member *member,
		struct member_question *question)
{
	union endpoint to = endpoint_of(&question->address, member->core.chosen->annotation.port);

	if (due_ns(member, question) > asking->now_ns) {
		want_pass(asking, due_ns(member, question));
	} else if (tunnel_client_ask_peer(&asking->connection->client, member->core.id, &to)) {
		want_pass(asking, asking->now_ns + QUESTION_RETRY_NS);
	} else {
		question->asked_ns = asking->now_ns;
		want_pass(asking, asking->now_ns + ANSWER_NS);
	}
}

/* Questions that are still wanted keep the time of their last request; a new one is due now. */
static void renew_questions(struct member *member, const struct address *wanted, uint32_t count)
{
	struct member_question renewed[CLUSTER_QUESTIONS_MAX] = {0};

	for (uint32_t i = 0; i < count; i++) {
		renewed[i].address = wanted[i];
		for (uint32_t k = 0; k < member->question_count; k++)
			if (address_is_equal(&member->questions[k].address, &wanted[i]))
				renewed[i] = member->questions[k];
	}
	memcpy(member->questions, renewed, sizeof(renewed));
	member->question_count = count;
}

static void ask_at_addresses(const struct asking *asking, struct member *member)
{
	struct address wanted[CLUSTER_QUESTIONS_MAX];
	uint32_t count = cluster_list_questions(&asking->members->workspace, &member->core, wanted,
						CLUSTER_QUESTIONS_MAX);

	renew_questions(member, wanted, count);
	for (uint32_t i = 0; i < count; i++)
		ask(asking, member, &member->questions[i]);
}

/* -- is the node alive? -- */

static void ask_whether_alive(const struct asking *asking, struct member *member)
{
	if (!member->core.is_in_dispute)
		return;
	if (!presence_is_quiet(&member->status)) {
		want_pass(asking, asking->now_ns + presence_quiet_in_ns(&member->status));
		return;
	}
	if (member->alive_ns <= asking->now_ns) {
		(void)!tunnel_client_try_peer(&asking->connection->client, member->core.id);
		member->alive_ns = asking->now_ns + PRESENCE_PATIENCE_NS;
	}
	want_pass(asking, member->alive_ns);
}

/* -- does the node have the key that it publishes? -- */

static void ask_for_key(const struct asking *asking, struct member *member)
{
	if (!member->core.has_disputed_key)
		return;
	if (asking->now_ns - member->key_asked_ns >= KEY_LOOK_NS) {
		(void)!tunnel_client_try_peer(&asking->connection->client, member->core.id);
		member->key_asked_ns = asking->now_ns;
		want_pass(asking, asking->now_ns + ANSWER_NS);
	}
	want_pass(asking, member->key_asked_ns + KEY_LOOK_NS);
}

/* -- addresses that are not claimed any more -- */

static void forget_places(const struct asking *asking, struct member *member)
{
	const struct control_peer_status *status = &member->status;

	for (uint32_t i = 0; i < status->place_count; i++)
		if (!cluster_claims_address(&asking->members->workspace, &member->core,
					    &status->places[i].address))
			(void)!tunnel_client_forget_place(&asking->connection->client,
							  member->core.id,
							  &status->places[i].address);
}

/* The tunnel learned of the node in this pass, so its status is not known yet. */
static void look_again_at_new(const struct asking *asking, const struct member *member)
{
	struct address wanted[CLUSTER_QUESTIONS_MAX];

	if (member->core.is_in_dispute ||
	    cluster_list_questions(&asking->members->workspace, &member->core, wanted,
				   CLUSTER_QUESTIONS_MAX))
		want_pass(asking, asking->now_ns + KEY_LOOK_NS);
}

void questions_ask(struct members *members, struct connection *connection,
		   struct schedule *schedule)
{
	struct asking asking = {members, connection, schedule, boot_ns()};

	schedule->questions_ns = 0;
	for (uint32_t i = 0; i < members->count; i++) {
		struct member *member = member_of(members->items[i]);

		if (member->core.state != MEMBER_USABLE || !connection_is_open(connection))
			continue;
		ask_for_key(&asking, member);
		if (!member->status.id) {
			look_again_at_new(&asking, member);
			continue;
		}
		forget_places(&asking, member);
		ask_at_addresses(&asking, member);
		ask_whether_alive(&asking, member);
	}
}
