// SPDX-License-Identifier: Apache-2.0
/*
 * Counts the nodes at each step. A node has rotated as soon as its fingerprint has changed. Only
 * the record of another node is known, so its peers' proofs are visible only through the promotion
 * that follows them.
 */
#include "progress.h"

static const char *text_of(const json_t *object, const char *field)
{
	const char *text = json_string_value(json_object_get(object, field));

	return text ? text : "";
}

static const json_t *find_node(const json_t *list, const char *node)
{
	const json_t *entry;
	size_t index;

	json_array_foreach((json_t *)list, index, entry)
		if (!strcmp(text_of(entry, "node"), node))
			return entry;
	return NULL;
}

static void add_name(json_t *names, const char *name)
{
	const json_t *known;
	size_t index;

	json_array_foreach(names, index, known)
		if (!strcmp(json_string_value(known), name))
			return;
	json_array_append_new(names, json_string(name));
}

static bool is_done(const json_t *key, const char *before)
{
	const char *fingerprint = text_of(key, "fingerprint");

	return *fingerprint && strcmp(fingerprint, before);
}

static bool is_proved(const json_t *key)
{
	const json_t *proved = json_object_get(key, "peers_proved");
	const json_t *live = json_object_get(key, "peers_live");

	return json_is_integer(proved) && json_is_integer(live) && *text_of(key, "next") &&
	       json_integer_value(proved) >= json_integer_value(live);
}

static void count_own(struct progress *progress, const json_t *key)
{
	const json_t *time_left = json_object_get(key, "time_left"), *name;
	size_t index;

	if (json_is_number(time_left))
		progress->time_left = json_number_value(time_left);
	json_array_foreach(json_object_get(key, "stragglers"), index, name)
		if (json_is_string(name))
			add_name(progress->stragglers, json_string_value(name));
}

static void count_node(struct progress *progress, const json_t *asked, const json_t *key_status)
{
	const char *node = text_of(asked, "node");
	const json_t *key = find_node(json_object_get(key_status, "keys"), node);
	bool done = is_done(key, text_of(asked, "fingerprint"));
	bool proved = done || is_proved(key);

	progress->nodes++;
	progress->done += done;
	progress->proved += proved;
	progress->prepared += proved || *text_of(key, "next");
	if (done)
		return;
	add_name(progress->stragglers, node);
	if (json_is_true(json_object_get(key, "is_self")))
		count_own(progress, key);
}

void progress_count(struct progress *ret_progress, const json_t *asked, const json_t *failed,
		    const json_t *key_status)
{
	const json_t *entry;
	size_t index;

	*ret_progress = (struct progress){.time_left = -1, .stragglers = json_array()};
	json_array_foreach((json_t *)asked, index, entry)
		count_node(ret_progress, entry, key_status);
	json_array_foreach((json_t *)failed, index, entry) {
		ret_progress->nodes++;
		add_name(ret_progress->stragglers, text_of(entry, "node"));
	}
}

void progress_clear(struct progress *progress)
{
	json_decref(progress->stragglers);
	*progress = (struct progress){0};
}
