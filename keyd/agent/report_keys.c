// SPDX-License-Identifier: Apache-2.0
/*
 * The answer to `key-status`: the state of every node's rotation; that of the other nodes as far as
 * their records show it. Of keys, only the first characters of public halves are shown.
 */
#include "report_parts.h"
#include "rotate_clock.h"

static json_t *seconds(int64_t ms)
{
	return json_real((double)MAX(ms, 0) / 1000);
}

static json_t *wall_time(uint64_t wall_ms)
{
	char text[NODE_TIME_LEN];

	return json_string(node_format_time(text, (int64_t)(wall_ms / 1000)));
}

/* A change of keys takes its epoch from the clock, so the epoch is the time of the change. */
static json_t *age_of_epoch(uint64_t epoch, struct rotate_now now)
{
	return epoch && epoch <= now.wall_ms ? seconds((int64_t)(now.wall_ms - epoch))
					     : json_null();
}

/* The other fields, which a node knows only of itself, are null. */
static json_t *key(const char *node, bool is_self, const char *state, const char *reason)
{
	return json_pack("{s:s, s:b, s:s, s:s, s:n, s:n, s:n, s:n, s:n, s:[]}", "node", node,
			 "is_self", is_self, "state", state, "reason", reason, "age", "since",
			 "peers_proved", "peers_live", "time_left", "stragglers");
}

static void add_keys(json_t *answer, uint64_t epoch, const bool has_key[static KEY_SLOTS],
		     const struct public_key keys[static KEY_SLOTS])
{
	json_object_set_new(answer, "epoch", json_integer((json_int_t)epoch));
	json_object_set_new(answer, "fingerprint", report_fingerprint(&keys[KEY_CURRENT]));
	json_object_set_new(answer, "next",
			    report_fingerprint(has_key[KEY_NEXT] ? &keys[KEY_NEXT] : NULL));
}

static void add_no_keys(json_t *answer)
{
	static const struct public_key none[KEY_SLOTS];
	static const bool has_none[KEY_SLOTS];

	add_keys(answer, 0, has_none, none);
	json_object_set_new(answer, "fingerprint", json_string(""));
}

static json_t *member_key(const struct member *member, struct rotate_now now)
{
	const struct cluster_member *core = &member->core;
	const struct annotation *annotation = core->chosen ? &core->chosen->annotation : NULL;
	const char *state = core->state == MEMBER_REFUSED ? "refused" : "unknown";
	json_t *answer;

	if (annotation)
		state = rotate_state_name(annotation->has_key[KEY_NEXT]	      ? ROTATE_PROVING
					  : annotation->has_key[KEY_PREVIOUS] ? ROTATE_OVERLAPPING
									      : ROTATE_CURRENT);
	answer = key(core->name, false, state, core->refusal.text);
	if (!annotation) {
		add_no_keys(answer);
		return answer;
	}
	add_keys(answer, annotation->epoch, annotation->has_key, annotation->keys);
	json_object_set_new(answer, "age", age_of_epoch(member->current_epoch, now));
	json_object_set_new(answer, "since", wall_time(annotation->epoch));
	return answer;
}

static void add_proofs(json_t *answer, const struct agent *agent)
{
	json_t *stragglers = json_object_get(answer, "stragglers");
	struct rotate_peer peer;
	json_int_t live = 0, waiting = 0;

	for (uint32_t i = 0; i < agent->members.count; i++) {
		const struct member *member = member_of(agent->members.items[i]);

		if (!keys_judge_peer(member, &peer) || !rotate_is_live(&peer))
			continue;
		live++;
		if (!rotate_waits_for(&agent->keys.rotate, &peer))
			continue;
		waiting++;
		json_array_append_new(stragglers, json_string(member->core.name));
	}
	json_object_set_new(answer, "peers_live", json_integer(live));
	json_object_set_new(answer, "peers_proved", json_integer(live - waiting));
}

/* Why a rotation makes no progress; empty: it does. */
static const char *own_key_reason(const struct agent *agent, bool has_key, enum rotate_state state)
{
	if (!has_key)
		return "podveil-tunnel has no key of this node";
	return state == ROTATE_PREPARING ? agent->registry->away.text : "";
}

static json_t *own_key(struct agent *agent, struct rotate_now now)
{
	const struct rotate *rotate = &agent->keys.rotate;
	const struct rotate_identity *own = rotate_publishable(rotate);
	enum rotate_state state = rotate_state(rotate, now);
	int64_t since_ms = rotate_state_since(rotate, state);
	json_t *answer = key(agent->settings->node, true, rotate_state_name(state),
			     own_key_reason(agent, own, state));

	if (!own) {
		add_no_keys(answer);
		return answer;
	}
	add_keys(answer, own->epoch, own->has_key, own->keys);
	json_object_set_new(answer, "age", seconds(now.mono_ms - rotate->current_at_ms));
	json_object_set_new(answer, "since",
			    wall_time(now.wall_ms - (uint64_t)MAX(now.mono_ms - since_ms, 0)));
	if (state == ROTATE_PROVING || state == ROTATE_OVERLAPPING || state == ROTATE_DEGRADED)
		add_proofs(answer, agent);
	if (state == ROTATE_PROVING || state == ROTATE_OVERLAPPING)
		json_object_set_new(answer, "time_left",
				    seconds(rotate_state_end(rotate, state) - now.mono_ms));
	return answer;
}

json_t *report_key_status(struct agent *agent, const json_t *request)
{
	struct rotate_now now = rotate_clock_now();
	json_t *list = json_array();

	(void)request;
	peers_refresh_status(&agent->members, &agent->connection);
	json_array_append_new(list, own_key(agent, now));
	for (uint32_t i = 0; i < agent->members.count; i++)
		json_array_append_new(list, member_key(member_of(agent->members.items[i]), now));
	return json_pack("{s:o}", "keys", list);
}
