// SPDX-License-Identifier: Apache-2.0
/*
 * Storage for what cluster.c judges. A record is in memory once, as `seen`, `good` or both, and is freed when it is
 * neither any more.
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
	free(members->entries);
	*members = (struct members){0};
}

void members_see(struct member *member, struct node *node)
{
	if (member->core.seen != member->core.good)
		free((void *)member->core.seen);
	member->core.seen = node;
	member->core.unreadable = (struct refusal){0};
}

void members_refuse(struct member *member, const struct refusal *refusal)
{
	member->core.unreadable = *refusal;
}

/* The old memory is gone in any case: nothing in it outlives a resolution. */
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
	       renew(&members->entries, needs.claims, sizeof(*members->entries));
}

static void settle(struct cluster_member *member)
{
	if (member->chosen)
		member->was_found = false;
	if (cluster_outgrew_good(member)) {
		free((void *)member->good);
		member->good = NULL;
	}
	if (!member->good && member->chosen == member->seen)
		member->good = member->chosen;
}

int members_resolve(struct members *members, const struct cluster_self *self)
{
	if (!make_room(members, self))
		return -ENOMEM;
	cluster_resolve(self, members->items, members->count, &members->workspace);
	members->entry_count =
		cluster_list_prefixes(&members->workspace, members->items, members->entries);
	for (uint32_t i = 0; i < members->count; i++)
		settle(members->items[i]);
	return 0;
}
