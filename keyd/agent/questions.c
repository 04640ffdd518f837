// SPDX-License-Identifier: Apache-2.0
/*
 * A question is a handshake, so an answer proves who gave it. The number of questions without an answer is the tunnel's to
 * remember; here is only when the next one is due. A dispute that goes on costs four handshakes in the first half second
 * and hardly anything later, however many nodes claim an address.
 */
#include "questions.h"

#include "cluster/presence.h"
#include "host/clock.h"

#define ANSWER_NS   (25 * NS_PER_MS)  /* until an answer has come, on most networks */
#define KEY_LOOK_NS (500 * NS_PER_MS) /* several in each turn */
#define QUESTION_RETRY_NS \
	(30 * NS_PER_MS) /* where the tunnel says that the last one is too young */

static const struct control_place *find_place(const struct control_peer_status *status,
					      const struct address *address)
{
	for (uint32_t i = 0; i < status->place_count; i++)
		if (address_is_equal(&status->places[i].address, address))
			return &status->places[i];
	return NULL;
}

static void want_pass(struct agent *agent, uint64_t due_ns)
{
	if (!agent->questions_ns || due_ns < agent->questions_ns)
		agent->questions_ns = due_ns;
}

/* -- is it there, at this address? -- */

/* An answer makes the next question a matter of seconds. */
static uint64_t due_ns(const struct member *member, const struct member_question *question)
{
	const struct control_place *place = find_place(&member->status, &question->address);

	if (!question->asked_ns)
		return 0;
	if (place && place->proved_ns && !place->asked_ns)
		return question->asked_ns + PRESENCE_ASK_AGAIN_NS;
	return question->asked_ns + presence_ask_delay_ns(place ? place->asked_count : 1);
}

static void ask(struct agent *agent, const struct member *member, struct member_question *question,
		uint64_t now_ns)
{
	union endpoint to = endpoint_of(&question->address, member->core.chosen->annotation.port);

	if (due_ns(member, question) > now_ns) {
		want_pass(agent, due_ns(member, question));
	} else if (tunnel_client_ask_peer(&agent->tunnel, member->core.id, &to)) {
		want_pass(agent, now_ns + QUESTION_RETRY_NS);
	} else {
		question->asked_ns = now_ns;
		want_pass(agent, now_ns + ANSWER_NS);
	}
}

/* Those that are still wanted keep the time at which they were asked; a new one is due now. */
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

static void ask_at_addresses(struct agent *agent, struct member *member, uint64_t now_ns)
{
	struct address wanted[CLUSTER_QUESTIONS_MAX];
	uint32_t count = cluster_list_questions(&agent->members.workspace, &member->core, wanted,
						CLUSTER_QUESTIONS_MAX);

	renew_questions(member, wanted, count);
	for (uint32_t i = 0; i < count; i++)
		ask(agent, member, &member->questions[i], now_ns);
}

/* -- is it there at all? -- */

static void ask_whether_alive(struct agent *agent, struct member *member, uint64_t now_ns)
{
	if (!member->core.is_in_dispute)
		return;
	if (!presence_is_quiet(&member->status)) {
		want_pass(agent, now_ns + presence_quiet_in_ns(&member->status));
		return;
	}
	if (member->alive_ns <= now_ns) {
		(void)!tunnel_client_try_peer(&agent->tunnel, member->core.id);
		member->alive_ns = now_ns + PRESENCE_PATIENCE_NS;
	}
	want_pass(agent, member->alive_ns);
}

/* -- does it have the key that it publishes? -- */

static void ask_for_key(struct agent *agent, struct member *member, uint64_t now_ns)
{
	if (!member->core.has_disputed_key)
		return;
	if (now_ns - member->key_asked_ns >= KEY_LOOK_NS) {
		(void)!tunnel_client_try_peer(&agent->tunnel, member->core.id);
		member->key_asked_ns = now_ns;
		want_pass(agent, now_ns + ANSWER_NS);
	}
	want_pass(agent, member->key_asked_ns + KEY_LOOK_NS);
}

/* -- what nobody claims any more -- */

static void forget_places(struct agent *agent, struct member *member)
{
	const struct control_peer_status *status = &member->status;

	for (uint32_t i = 0; i < status->place_count; i++)
		if (!cluster_claims_address(&agent->members.workspace, &member->core,
					    &status->places[i].address))
			(void)!tunnel_client_forget_place(&agent->tunnel, member->core.id,
							  &status->places[i].address);
}

/* The tunnel got it in this pass, so that its status is not known yet. */
static void look_again_at_new(struct agent *agent, const struct member *member, uint64_t now_ns)
{
	struct address wanted[CLUSTER_QUESTIONS_MAX];

	if (member->core.is_in_dispute ||
	    cluster_list_questions(&agent->members.workspace, &member->core, wanted,
				   CLUSTER_QUESTIONS_MAX))
		want_pass(agent, now_ns + KEY_LOOK_NS);
}

void questions_ask(struct agent *agent)
{
	uint64_t now_ns = boot_ns();

	agent->questions_ns = 0;
	for (uint32_t i = 0; i < agent->members.count; i++) {
		struct member *member = member_of(agent->members.items[i]);

		if (member->core.state != MEMBER_USABLE ||
		    !tunnel_client_is_connected(&agent->tunnel))
			continue;
		ask_for_key(agent, member, now_ns);
		if (!member->status.id) {
			look_again_at_new(agent, member, now_ns);
			continue;
		}
		forget_places(agent, member);
		ask_at_addresses(agent, member, now_ns);
		ask_whether_alive(agent, member, now_ns);
	}
}
