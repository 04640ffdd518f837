// SPDX-License-Identifier: Apache-2.0
/*
 * Which key this node should have, and when it needs another. So far a node
 * makes a pair when its tunnel has none that its published record allows, and takes over the one it finds otherwise.
 */
#include "rotate.h"

void rotate_init(struct rotate *rotate, const char *uid)
{
	*rotate = (struct rotate){0};
	copy_text(rotate->uid, sizeof(rotate->uid), uid);
}

static void note_epoch(struct rotate *rotate, uint64_t epoch)
{
	rotate->last_epoch = MAX(rotate->last_epoch, epoch);
}

void rotate_record_seen(struct rotate *rotate, const struct annotation *annotation, uint64_t now_ms)
{
	struct rotate_identity *published = &rotate->published;

	if (strcmp(annotation->uid, rotate->uid) || annotation->epoch < published->epoch ||
	    annotation->epoch > now_ms + EPOCH_AHEAD_MAX_MS)
		return;
	note_epoch(rotate, annotation->epoch);
	copy_text(published->uid, sizeof(published->uid), annotation->uid);
	published->epoch = annotation->epoch;
	memcpy(published->has_key, annotation->has_key, sizeof(published->has_key));
	memcpy(published->keys, annotation->keys, sizeof(published->keys));
}

static bool is_ours(const struct rotate *rotate, const struct rotate_identity *identity)
{
	return identity->epoch && identity->has_key[KEY_CURRENT] &&
	       !strcmp(identity->uid, rotate->uid);
}

void rotate_tunnel_found(struct rotate *rotate, const struct rotate_identity *identity)
{
	rotate->is_tunnel_there = true;
	rotate->armed = (struct rotate_identity){0};
	if (!strcmp(identity->uid, rotate->uid))
		note_epoch(rotate, identity->epoch);
	if (is_ours(rotate, identity))
		rotate->armed = *identity;
}

void rotate_tunnel_lost(struct rotate *rotate)
{
	rotate->is_tunnel_there = false;
	rotate->armed = (struct rotate_identity){0};
}

void rotate_key_given(struct rotate *rotate, enum key_slot slot, const struct public_key *key,
		      uint64_t epoch)
{
	copy_text(rotate->armed.uid, sizeof(rotate->armed.uid), rotate->uid);
	rotate->armed.epoch = epoch;
	rotate->armed.has_key[slot] = true;
	rotate->armed.keys[slot] = *key;
	note_epoch(rotate, epoch);
}

static bool keys_are_equal(const struct rotate_identity *a, const struct rotate_identity *b)
{
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
		if (a->has_key[slot] != b->has_key[slot] ||
		    (a->has_key[slot] && !public_key_is_equal(&a->keys[slot], &b->keys[slot])))
			return false;
	return true;
}

/* Something was published under our name and uid that our tunnel does not have: the peers may have taken it, and would
 * ignore what is not newer. */
static bool is_overtaken(const struct rotate *rotate)
{
	return rotate->armed.epoch < rotate->last_epoch ||
	       (rotate->armed.epoch == rotate->published.epoch &&
		!keys_are_equal(&rotate->armed, &rotate->published));
}

struct rotate_action rotate_next(const struct rotate *rotate, uint64_t now_ms)
{
	struct rotate_action action = {.step = ROTATE_WAIT};

	if (!rotate->is_tunnel_there || (rotate->armed.epoch && !is_overtaken(rotate)))
		return action;
	action.step = ROTATE_MAKE_KEY;
	action.slot = KEY_CURRENT;
	action.epoch = MAX(rotate->last_epoch + 1, now_ms);
	return action;
}

const struct rotate_identity *rotate_publishable(const struct rotate *rotate)
{
	return rotate->armed.epoch && !is_overtaken(rotate) ? &rotate->armed : NULL;
}
