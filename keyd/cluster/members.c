// SPDX-License-Identifier: Apache-2.0
/*
 * Storage for the records that cluster.c judges. A record is in memory once, as `seen`, `good` or
 * both, and is freed when it is neither any more.
 */
#include "members.h"

#include <errno.h>

struct member *members_find(const struct members *members, const char *name)
{
	for (uint32_t i = 0; i < members->count; i++)
		if (!strcmp(members->items[i]->name, name))
			return member_of(members->items[i]);
	return NULL;
}

struct member *members_find_id(const struct members *members, uint32_t id)
{
	for (uint32_t i = 0; i < members->count; i++)
		if (members->items[i]->id == id)
			return member_of(members->items[i]);
	return NULL;
}

struct member *members_add(struct members *members, const char *name)
{
	struct member *member = members_find(members, name);

	if (member)
		return member;
	if (members->count == members->capacity) {
		uint32_t capacity = MAX(64U, 2 * members->capacity);
		void *grown = realloc(members->items, capacity * sizeof(struct cluster_member *));

		if (!grown)
			return NULL;
		members->items = grown;
		members->capacity = capacity;
	}
	member = calloc(1, sizeof(*member));
	if (!member)
		return NULL;
	copy_text(member->core.name, sizeof(member->core.name), name);
	members->items[members->count++] = &member->core;
	return member;
}

/* -- records that were in use once -- */

static struct annotation *find_floor(const struct members *members, const char *uid)
{
	for (uint32_t i = 0; i < members->floor_count; i++)
		if (!strcmp(members->floors[i].uid, uid))
			return &members->floors[i];
	return NULL;
}

static void remember(struct members *members, const struct node *node)
{
	struct annotation *floor = find_floor(members, node->uid);

	if (!members->floors)
		members->floors = calloc(MEMBERS_FLOORS_MAX, sizeof(*members->floors));
	if (!members->floors)
		return; /* then it is unknown, as after a restart */
	if (!floor) {
		floor = &members->floors[members->floor_next];
		members->floor_next = (members->floor_next + 1) % MEMBERS_FLOORS_MAX;
		members->floor_count = MIN(members->floor_count + 1, (uint32_t)MEMBERS_FLOORS_MAX);
	}
	*floor = node->annotation;
	floor->pods = NULL;
	floor->pod_count = 0;
}

static void member_free(struct cluster_member *member)
{
	if (member->good != member->seen)
		free((void *)member->good);
	free((void *)member->seen);
	free(member_of(member));
}

void members_remove(struct members *members, const char *name)
{
	for (uint32_t i = 0; i < members->count; i++)
		if (!strcmp(members->items[i]->name, name)) {
			if (members->items[i]->good)
				remember(members, members->items[i]->good);
			member_free(members->items[i]);
			members->items[i] = members->items[--members->count];
			return;
		}
}

void members_clear(struct members *members)
{
	for (uint32_t i = 0; i < members->count; i++)
		member_free(members->items[i]);
	free(members->items);
	free(members->workspace.by_age);
	free(members->workspace.keys);
	free(members->workspace.claims.items);
	free(members->workspace.claims.order);
	free(members->workspace.claims.places);
	free(members->entries);
	free(members->floors);
	*members = (struct members){0};
}

void members_set_record(struct member *member, struct node *node)
{
	if (member->core.seen != member->core.good)
		free((void *)member->core.seen);
	member->core.seen = node;
	member->core.unreadable = (struct refusal){0};
}

void members_set_error(struct member *member, const struct refusal *refusal)
{
	member->core.unreadable = *refusal;
}

/* Frees the old memory in any case: nothing in it outlives a resolution. */
static bool renew(void *storage, size_t count, size_t item_len)
{
	void **memory = storage;

	free(*memory);
	*memory = calloc(count + 1, item_len);
	return *memory;
}

static bool make_room(struct members *members, const struct cluster_self *self)
{
	struct cluster_needs needs = cluster_needs(self, members->items, members->count);
	struct cluster_workspace *workspace = &members->workspace;

	members->entry_count = workspace->claims.count = 0;
	for (uint32_t i = 0; i < members->count; i++)
		members->items[i]->claim_count = 0;
	return renew(&workspace->by_age, members->count, sizeof(*workspace->by_age)) &&
	       renew(&workspace->keys, needs.keys, sizeof(*workspace->keys)) &&
	       renew(&workspace->claims.items, needs.claims, sizeof(*workspace->claims.items)) &&
	       renew(&workspace->claims.order, needs.claims, sizeof(*workspace->claims.order)) &&
	       renew(&workspace->claims.places, needs.claims, sizeof(*workspace->claims.places)) &&
	       renew(&members->entries, needs.claims, sizeof(*members->entries));
}

/* The age of a key counts from the first record that had it as the current one. */
static void note_current_key(struct member *member)
{
	const struct annotation *annotation = &member->core.chosen->annotation;

	if (member->current_epoch &&
	    public_key_is_equal(&member->current_key, &annotation->keys[KEY_CURRENT]))
		return;
	member->current_key = annotation->keys[KEY_CURRENT];
	member->current_epoch = annotation->epoch;
}

static void settle(struct members *members, struct cluster_member *member)
{
	if (member->chosen) {
		member->was_found = false;
		note_current_key(member_of(member));
	}
	if (cluster_outgrew_good(member)) {
		if (strcmp(member->good->uid, member->seen->uid))
			remember(members, member->good);
		free((void *)member->good);
		member->good = NULL;
	}
	if (!member->good && member->chosen == member->seen)
		member->good = member->chosen;
	if (member->chosen && member->chosen == member->good)
		member->is_good_tentative = member->has_disputed_key;
}

/* A record that an earlier agent sent to the tunnel counts as if this one had sent it, also
 * while the tunnel is unreachable. */
static void note_told(struct member *member)
{
	const struct control_peer_status *status = &member->status;

	if (!status->id || !status->uid[0])
		return;
	copy_text(member->core.told_uid, sizeof(member->core.told_uid), status->uid);
	member->core.told_epoch = status->epoch;
}

int members_resolve(struct members *members, const struct cluster_self *self)
{
	if (!make_room(members, self))
		return -ENOMEM;
	for (uint32_t i = 0; i < members->count; i++) {
		struct cluster_member *member = members->items[i];

		member->floor = member->seen ? find_floor(members, member->seen->uid) : NULL;
		note_told(member_of(member));
	}
	cluster_resolve(self, members->items, members->count, &members->workspace);
	members->entry_count =
		cluster_list_prefixes(&members->workspace, members->items, members->entries);
	for (uint32_t i = 0; i < members->count; i++)
		settle(members, members->items[i]);
	return 0;
}

static void note_gain(struct members *members, uint32_t id)
{
	struct member *member = id ? members_find_id(members, id) : NULL;

	if (member)
		member->gains = true;
}

static void note_loss(struct members *members, uint32_t id)
{
	struct member *member = id ? members_find_id(members, id) : NULL;

	if (member)
		member->loses = true;
}

void members_rank(struct members *members, const struct prefix_entry *have, uint32_t have_count)
{
	const struct prefix_entry *wanted = members->entries;
	uint32_t w = 0, h = 0;

	for (uint32_t i = 0; i < members->count; i++)
		member_of(members->items[i])->gains = member_of(members->items[i])->loses = false;
	while (w < members->entry_count || h < have_count) {
		int order = w == members->entry_count ? 1
			    : h == have_count	      ? -1
					      : prefix_key_compare(&wanted[w].key, &have[h].key);

		if (order || wanted[w].value.peer_id != have[h].value.peer_id) {
			if (order <= 0)
				note_gain(members, wanted[w].value.peer_id);
			if (order >= 0)
				note_loss(members, have[h].value.peer_id);
		}
		w += order <= 0;
		h += order >= 0;
	}
}
