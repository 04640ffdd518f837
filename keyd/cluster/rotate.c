// SPDX-License-Identifier: Apache-2.0
/*
 * Chooses the next step in the life of this node's keys. A rotation is: make next, publish, wait
 * for the proofs, promote, publish, wipe previous, publish. The phase is never stored; it is read
 * from the slots: a key in next means that a rotation is running, a key in previous means that one
 * has not finished.
 */
#include "rotate.h"

void rotate_init(struct rotate *rotate, const char *uid, const struct rotate_settings *settings)
{
	*rotate = (struct rotate){.settings = *settings};
	copy_text(rotate->uid, sizeof(rotate->uid), uid);
}

static bool is_far_ahead(uint64_t epoch, struct rotate_now now)
{
	return epoch > now.wall_ms + EPOCH_AHEAD_MAX_MS;
}

static void note_epoch(struct rotate *rotate, uint64_t epoch)
{
	rotate->last_epoch = MAX(rotate->last_epoch, epoch);
}

static bool keys_are_equal(const struct rotate_identity *a, const struct rotate_identity *b)
{
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
		if (a->has_key[slot] != b->has_key[slot] ||
		    (a->has_key[slot] && !public_key_is_equal(&a->keys[slot], &b->keys[slot])))
			return false;
	return true;
}

static bool is_ours(const struct rotate *rotate)
{
	return rotate->armed.epoch && rotate->armed.has_key[KEY_CURRENT] &&
	       !strcmp(rotate->armed.uid, rotate->uid);
}

/* A record was published under our name and uid that our tunnel does not have: the peers may have
 * accepted it, and would ignore one that is not newer. */
static bool is_overtaken(const struct rotate *rotate)
{
	return rotate->armed.epoch < rotate->last_epoch ||
	       (rotate->armed.epoch == rotate->published.epoch &&
		!keys_are_equal(&rotate->armed, &rotate->published));
}

static bool is_usable(const struct rotate *rotate)
{
	return rotate->is_tunnel_there && is_ours(rotate) && !is_overtaken(rotate);
}

static bool is_published(const struct rotate *rotate)
{
	return rotate->published.epoch == rotate->armed.epoch;
}

static bool is_running(const struct rotate *rotate)
{
	return rotate->armed.has_key[KEY_NEXT];
}

/* -- events -- */

void rotate_record_seen(struct rotate *rotate, const struct annotation *annotation,
			struct rotate_now now)
{
	struct rotate_identity *published = &rotate->published;

	if (strcmp(annotation->uid, rotate->uid) || annotation->epoch < published->epoch ||
	    is_far_ahead(annotation->epoch, now))
		return;
	if (annotation->epoch > published->epoch)
		rotate->published_at_ms = now.mono_ms;
	note_epoch(rotate, annotation->epoch);
	copy_text(published->uid, sizeof(published->uid), annotation->uid);
	published->epoch = annotation->epoch;
	memcpy(published->has_key, annotation->has_key, sizeof(published->has_key));
	memcpy(published->keys, annotation->keys, sizeof(published->keys));
}

void rotate_published(struct rotate *rotate, struct rotate_now now)
{
	if (!is_published(rotate))
		rotate->published_at_ms = now.mono_ms;
	rotate->published = rotate->armed;
}

/* A change of keys takes its epoch from the clock, so the epoch tells the time of the change: a
 * program that keeps restarting does not prolong the overlap. */
static int64_t time_of_epoch(uint64_t epoch, struct rotate_now now)
{
	return now.mono_ms - (epoch < now.wall_ms ? (int64_t)(now.wall_ms - epoch) : 0);
}

void rotate_tunnel_found(struct rotate *rotate, const struct rotate_identity *identity,
			 struct rotate_now now)
{
	int64_t at_ms = time_of_epoch(identity->epoch, now);

	rotate->is_tunnel_there = true;
	rotate->has_census = false;
	rotate->armed = *identity;
	if (is_far_ahead(identity->epoch, now))
		rotate->armed.epoch = 0;
	else if (!strcmp(identity->uid, rotate->uid))
		note_epoch(rotate, identity->epoch);
	rotate->changed_at_ms = rotate->current_at_ms = rotate->next_at_ms = at_ms;
	rotate->previous_at_ms = at_ms;
	/* A rotation was already running, and serves the pending request. */
	if (is_usable(rotate) && is_running(rotate))
		rotate->is_wanted = false;
}

void rotate_tunnel_lost(struct rotate *rotate)
{
	rotate->is_tunnel_there = false;
	rotate->has_census = false;
	rotate->armed = (struct rotate_identity){0};
}

bool rotate_ask(struct rotate *rotate, enum rotate_asker asker, bool revokes, struct rotate_now now)
{
	bool is_merged = rotate->is_wanted || is_running(rotate);
	int64_t begin_ms = now.mono_ms;

	if (asker == ROTATE_BY_REGISTRY && rotate->was_begun)
		begin_ms = MAX(begin_ms, rotate->begun_at_ms + ROTATE_REQUEST_SPACING_MS);
	rotate->not_before_ms = rotate->is_wanted ? MIN(rotate->not_before_ms, begin_ms) : begin_ms;
	rotate->is_wanted |= !is_running(rotate);
	rotate->revokes |= revokes;
	return is_merged;
}

void rotate_census_add(struct rotate_census *census, const struct rotate_peer *peer)
{
	census->known++;
	census->known_with_current += peer->has_proved[KEY_CURRENT];
	if (!rotate_is_live(peer))
		return;
	census->live++;
	census->live_with_current += peer->has_proved[KEY_CURRENT];
	census->live_with_next += peer->has_proved[KEY_NEXT];
}

void rotate_peers_counted(struct rotate *rotate, const struct rotate_census *census)
{
	rotate->has_census = true;
	rotate->census = *census;
}

static void key_made(struct rotate *rotate, enum key_slot slot, const struct public_key *key,
		     struct rotate_now now)
{
	copy_text(rotate->armed.uid, sizeof(rotate->armed.uid), rotate->uid);
	rotate->armed.has_key[slot] = true;
	rotate->armed.keys[slot] = *key;
	rotate->is_wanted = false;
	rotate->next_at_ms = rotate->begun_at_ms = now.mono_ms;
	rotate->was_begun = true;
	if (slot == KEY_CURRENT) {
		rotate->current_at_ms = now.mono_ms;
		rotate->revokes = false; /* the sessions of the old keys are gone with them */
	}
}

static void key_promoted(struct rotate *rotate, struct rotate_now now)
{
	struct rotate_identity *armed = &rotate->armed;

	armed->has_key[KEY_PREVIOUS] = true;
	armed->keys[KEY_PREVIOUS] = armed->keys[KEY_CURRENT];
	armed->keys[KEY_CURRENT] = armed->keys[KEY_NEXT];
	armed->has_key[KEY_NEXT] = false;
	rotate->current_at_ms = rotate->next_at_ms;
	rotate->previous_at_ms = now.mono_ms;
}

void rotate_step_done(struct rotate *rotate, const struct rotate_action *action,
		      const struct public_key *key, struct rotate_now now)
{
	rotate->has_census = false;
	rotate->armed.epoch = action->epoch;
	rotate->changed_at_ms = now.mono_ms;
	switch (action->step) {
	case ROTATE_WAIT:
		break;
	case ROTATE_MAKE_KEY:
		key_made(rotate, action->slot, key, now);
		/* an epoch far ahead of the clock is no longer a lower bound */
		rotate->last_epoch = 0;
		break;
	case ROTATE_PROMOTE:
		key_promoted(rotate, now);
		break;
	case ROTATE_CLEAR_KEY:
		rotate->armed.has_key[action->slot] = false;
		rotate->revokes &= !action->ends_sessions;
		break;
	}
	note_epoch(rotate, action->epoch);
}

/* -- the next step -- */

static uint64_t new_epoch(const struct rotate *rotate, struct rotate_now now)
{
	return is_far_ahead(rotate->last_epoch, now) ? now.wall_ms
						     : MAX(rotate->last_epoch + 1, now.wall_ms);
}

/* The current keys cannot be used. Empties the other slots first, under their present epoch: a
 * crash in between leaves keys that are still unusable, never half a rotation. */
static struct rotate_action replace_keys(const struct rotate *rotate, struct rotate_now now)
{
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
		if (slot != KEY_CURRENT && rotate->armed.has_key[slot])
			return (struct rotate_action){.step = ROTATE_CLEAR_KEY,
						      .slot = (enum key_slot)slot,
						      .epoch = rotate->armed.epoch};
	return (struct rotate_action){
		.step = ROTATE_MAKE_KEY, .slot = KEY_CURRENT, .epoch = new_epoch(rotate, now)};
}

static bool is_overlap_over(const struct rotate *rotate, struct rotate_now now)
{
	return now.mono_ms >= rotate->previous_at_ms + rotate->settings.overlap_ms;
}

/* A revoked key is cleared at once: it is the key that the requested rotation moved to previous. */
static bool must_end_previous(const struct rotate *rotate)
{
	return rotate->revokes && !rotate->is_wanted && !is_running(rotate);
}

static bool may_clear_previous(const struct rotate *rotate, struct rotate_now now)
{
	const struct rotate_census *census = &rotate->census;

	if (!rotate->armed.has_key[KEY_PREVIOUS])
		return false;
	if (must_end_previous(rotate))
		return true;
	if (!is_published(rotate))
		return false;
	if (is_overlap_over(rotate, now) && rotate->settings.is_strict)
		return true;
	if (!rotate->has_census)
		return false;
	return census->known == census->known_with_current ||
	       (is_overlap_over(rotate, now) && census->live == census->live_with_current);
}

static int64_t deadline_ms(const struct rotate *rotate)
{
	return MIN(ROTATE_DEADLINE_MS, rotate->settings.overlap_ms / 5);
}

static bool may_promote(const struct rotate *rotate, struct rotate_now now)
{
	if (!is_published(rotate) || !rotate->has_census)
		return false;
	return rotate->census.live == rotate->census.live_with_next ||
	       now.mono_ms >= rotate->published_at_ms + deadline_ms(rotate);
}

/* +-10 %, different for every node and every rotation, so that nodes which started together do not
 * rotate together. */
static int64_t jittered_period(const struct rotate *rotate)
{
	int64_t every_ms = rotate->settings.every_ms;
	struct {
		char uid[NODE_UID_LEN];
		uint64_t epoch;
	} seed = {.epoch = rotate->armed.epoch};
	uint8_t digest[crypto_generichash_BYTES_MIN];

	copy_text(seed.uid, sizeof(seed.uid), rotate->uid);
	crypto_generichash(digest, sizeof(digest), (const uint8_t *)&seed, sizeof(seed), NULL, 0);
	return every_ms + every_ms / 10 * ((int64_t)(get_le32(digest) % 2001) - 1000) / 1000;
}

static bool wants_rotation(const struct rotate *rotate, struct rotate_now now)
{
	if (rotate->is_wanted && now.mono_ms >= rotate->not_before_ms)
		return true;
	return rotate->settings.every_ms &&
	       now.mono_ms >= rotate->changed_at_ms + jittered_period(rotate);
}

struct rotate_action rotate_next(const struct rotate *rotate, struct rotate_now now)
{
	struct rotate_action action = {.step = ROTATE_WAIT, .epoch = new_epoch(rotate, now)};

	if (!rotate->is_tunnel_there)
		return action;
	if (!is_usable(rotate))
		return replace_keys(rotate, now);
	if (may_clear_previous(rotate, now)) {
		action.step = ROTATE_CLEAR_KEY;
		action.slot = KEY_PREVIOUS;
		action.ends_sessions = must_end_previous(rotate);
	} else if (is_running(rotate)) {
		if (may_promote(rotate, now))
			action.step = ROTATE_PROMOTE;
	} else if (is_published(rotate) && wants_rotation(rotate, now)) {
		action.step = ROTATE_MAKE_KEY;
		action.slot = KEY_NEXT;
	}
	return action;
}

const struct rotate_identity *rotate_publishable(const struct rotate *rotate)
{
	return is_usable(rotate) ? &rotate->armed : NULL;
}

/* -- status -- */

enum rotate_state rotate_state(const struct rotate *rotate, struct rotate_now now)
{
	if (!is_usable(rotate))
		return ROTATE_UNKNOWN;
	if (is_running(rotate))
		return is_published(rotate) ? ROTATE_PROVING : ROTATE_PREPARING;
	if (rotate->is_wanted)
		return ROTATE_PREPARING;
	if (!rotate->armed.has_key[KEY_PREVIOUS])
		return ROTATE_CURRENT;
	return is_overlap_over(rotate, now) ? ROTATE_DEGRADED : ROTATE_OVERLAPPING;
}

const char *rotate_state_name(enum rotate_state state)
{
	switch (state) {
	case ROTATE_UNKNOWN:
		return "unknown";
	case ROTATE_CURRENT:
		return "current";
	case ROTATE_PREPARING:
		return "preparing";
	case ROTATE_PROVING:
		return "proving";
	case ROTATE_OVERLAPPING:
		return "overlapping";
	case ROTATE_DEGRADED:
		return "degraded";
	}
	return "unknown";
}

bool rotate_waits_for(const struct rotate *rotate, const struct rotate_peer *peer)
{
	if (!rotate_is_live(peer) || !is_usable(rotate))
		return false;
	if (is_running(rotate))
		return !peer->has_proved[KEY_NEXT];
	return rotate->armed.has_key[KEY_PREVIOUS] && !peer->has_proved[KEY_CURRENT];
}

int64_t rotate_state_since(const struct rotate *rotate, enum rotate_state state)
{
	switch (state) {
	case ROTATE_PROVING:
		return rotate->published_at_ms;
	case ROTATE_OVERLAPPING:
		return rotate->previous_at_ms;
	case ROTATE_DEGRADED:
		return rotate->previous_at_ms + rotate->settings.overlap_ms;
	case ROTATE_UNKNOWN:
	case ROTATE_CURRENT:
	case ROTATE_PREPARING:
		break;
	}
	return rotate->changed_at_ms;
}

int64_t rotate_state_end(const struct rotate *rotate, enum rotate_state state)
{
	return state == ROTATE_PROVING ? rotate->published_at_ms + deadline_ms(rotate)
				       : rotate->previous_at_ms + rotate->settings.overlap_ms;
}
