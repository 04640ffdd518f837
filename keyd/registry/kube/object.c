// SPDX-License-Identifier: Apache-2.0
/*
 * Objects of the API server, of any kind. A list is decoded item by item: a hundred Nodes as one
 * tree would take twenty times the memory of their text. Strings may contain zeros
 * (JSON_ALLOW_NUL): if one made us refuse the document, the owner of a single annotation could keep
 * every agent from reading the list.
 */
#include "object.h"

#include "cluster/field.h"

#define DEPTH_MAX  512 /* nested objects and arrays */
#define LOAD_FLAGS (JSON_ALLOW_NUL)

/* -- text without a tree -- */

static const char *skip_space(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
		at++;
	return at;
}

/* `at` is behind the opening quote. NULL: there is no closing quote. */
static const char *skip_string(const char *at, const char *end)
{
	for (; at < end; at++) {
		if (*at == '"')
			return at + 1;
		if (*at == '\\')
			at++;
	}
	return NULL;
}

static const char *skip_nested(const char *at, const char *end)
{
	unsigned int depth = 0;

	while (at && at < end) {
		char c = *at++;

		if (c == '"')
			at = skip_string(at, end);
		else if ((c == '{' || c == '[') && ++depth > DEPTH_MAX)
			return NULL;
		else if ((c == '}' || c == ']') && !--depth)
			return at;
	}
	return NULL;
}

/* Returns the end of any value that starts at `at`; jansson validates it later. NULL: it has no
 * end. */
static const char *skip_value(const char *at, const char *end)
{
	const char *begin = at;

	if (at == end)
		return NULL;
	if (*at == '"')
		return skip_string(at + 1, end);
	if (*at == '{' || *at == '[')
		return skip_nested(at, end);
	while (at < end && !strchr(",]} \t\r\n", *at))
		at++;
	return at == begin ? NULL : at;
}

json_t *object_load(const char *text, size_t len, struct refusal *refusal)
{
	struct quote quoted;
	json_error_t error;
	json_t *root = json_loadb(text, len, LOAD_FLAGS, &error);

	if (root && json_is_object(root))
		return root;
	if (root)
		refusal_write(refusal, "it is %s: expected a JSON object", field_type_name(root));
	else
		refusal_write(refusal, "not JSON (position %d): %s", error.position,
			      quote(&quoted, error.text));
	json_decref(root);
	return NULL;
}

/* -- metadata -- */

bool object_decode_meta(const json_t *object, struct object_meta *ret_meta, struct refusal *refusal)
{
	const json_t *metadata = json_object_get(object, "metadata");
	struct object_meta meta = {0};
	struct quote quoted;

	if (!field_copy_text(meta.version, sizeof(meta.version), metadata, "resourceVersion"))
		return refuse(refusal, "'metadata' has no valid resourceVersion");
	if (field_copy_text(meta.name, sizeof(meta.name), metadata, "name") &&
	    !node_is_name(meta.name))
		return refuse(refusal, "'name' is %s: expected a name of a-z, 0-9, '.' and '-'",
			      quote(&quoted, meta.name));
	if (field_copy_text(meta.uid, sizeof(meta.uid), metadata, "uid") &&
	    !annotation_is_uid(meta.uid))
		return refuse(refusal,
			      "'uid' is %s: expected 1 to %d letters, digits, '.', '_' or '-'",
			      quote(&quoted, meta.uid), NODE_UID_LEN - 1);
	*ret_meta = meta;
	return true;
}

enum object_naming object_find_name(const json_t *object, char ret_name[static NODE_NAME_LEN])
{
	const json_t *value = json_object_get(json_object_get(object, "metadata"), "name");
	const char *name = json_string_value(value);

	if (!name || !json_string_length(value))
		return OBJECT_UNNAMED;
	if (strlen(name) != json_string_length(value) || !node_is_name(name))
		return OBJECT_MISNAMED;
	copy_text(ret_name, NODE_NAME_LEN, name);
	return OBJECT_NAMED;
}

/* Current servers use numbers as resource versions; versions of older servers that are not numbers
 * have no order. */
static bool is_number(const char *text)
{
	return *text && !text[strspn(text, "0123456789")];
}

int object_compare_versions(const char *a, const char *b)
{
	size_t a_len, b_len;

	if (!is_number(a) || !is_number(b))
		return 0;
	a += strspn(a, "0");
	b += strspn(b, "0");
	a_len = strlen(a);
	b_len = strlen(b);
	return a_len == b_len ? strcmp(a, b) : a_len < b_len ? -1 : 1;
}

/* -- lists -- */

static bool parse_list_meta(struct object_list *list, const char *text, size_t len,
			    struct refusal *refusal)
{
	json_auto_t *metadata = object_load(text, len, refusal);
	const json_t *next = json_object_get(metadata, "continue");

	if (!metadata)
		return false;
	if (!field_copy_text(list->version, sizeof(list->version), metadata, "resourceVersion"))
		return refuse(refusal, "the list has no valid resourceVersion");
	if (next && !field_copy_text(list->next, sizeof(list->next), metadata, "continue"))
		return refuse(refusal,
			      "the list's 'continue' is not valid: expected a string of at most %d "
			      "characters",
			      OBJECT_NEXT_LEN - 1);
	return true;
}

static bool is_key(const char *key, size_t len, const char *name)
{
	return len == strlen(name) && !memcmp(key, name, len);
}

/* Decodes one `"key": value` of the page and advances *at behind it. */
static bool parse_member(struct object_list *list, const char **at, const char *end, bool *has_meta,
			 struct refusal *refusal)
{
	const char *key = *at + 1, *key_end = NULL, *value = NULL, *value_end = NULL;

	if (*at < end && **at == '"')
		key_end = skip_string(key, end);
	if (key_end)
		value = skip_space(key_end, end);
	if (value && value < end && *value == ':')
		value_end = skip_value(value = skip_space(value + 1, end), end);
	if (!value_end)
		return refuse(refusal, "the list is not JSON, or is truncated");
	if (is_key(key, (size_t)(key_end - 1 - key), "metadata")) {
		*has_meta = parse_list_meta(list, value, (size_t)(value_end - value), refusal);
		if (!*has_meta)
			return false;
	} else if (is_key(key, (size_t)(key_end - 1 - key), "items") && *value == '[') {
		list->at = skip_space(value + 1, value_end);
		list->end = value_end - 1;
	}
	*at = value_end;
	return true;
}

bool object_list_open(struct object_list *ret_list, const char *text, size_t len,
		      struct refusal *refusal)
{
	const char *end = text + len, *at = skip_space(text, end);
	struct object_list list = {0};
	bool has_meta = false;

	if (at == end || *at != '{')
		return refuse(refusal, "not a list: expected a JSON object");
	do {
		at = skip_space(at + 1, end);
		if (!parse_member(&list, &at, end, &has_meta, refusal))
			return false;
		at = skip_space(at, end);
	} while (at < end && *at == ',');
	if (at == end || *at != '}' || skip_space(at + 1, end) != end)
		return refuse(refusal, "the list is not JSON, or is truncated");
	if (!has_meta)
		return refuse(refusal, "the list has no 'metadata': expected its resourceVersion");
	if (!list.at) /* Go also writes an empty list as null */
		list.at = list.end = end;
	*ret_list = list;
	return true;
}

bool object_list_has_more(const struct object_list *list)
{
	return list->at < list->end;
}

json_t *object_list_read(struct object_list *list, struct refusal *refusal)
{
	const char *begin = list->at, *end = skip_value(begin, list->end);

	if (!end) {
		list->at = list->end;
		list->is_cut = true;
		refusal_write(refusal, "the list is not JSON, or is truncated");
		return NULL;
	}
	list->at = skip_space(end, list->end);
	if (list->at < list->end && *list->at == ',')
		list->at = skip_space(list->at + 1, list->end);
	return object_load(begin, (size_t)(end - begin), refusal);
}

/* -- failures, events -- */

/* Copies as much as one line holds, without characters that could mislead a terminal. */
static void copy_line(struct refusal *ret_line, const char *text)
{
	size_t used = 0;

	for (; *text && used + 1 < sizeof(ret_line->text); text++)
		ret_line->text[used++] = *text >= 0x20 && *text < 0x7f ? *text : '?';
	ret_line->text[used] = '\0';
}

void object_decode_status(const json_t *status, struct object_status *ret_status)
{
	const json_t *after =
		json_object_get(json_object_get(status, "details"), "retryAfterSeconds");
	const char *message = json_string_value(json_object_get(status, "message"));
	const char *reason = json_string_value(json_object_get(status, "reason"));
	json_int_t code = json_integer_value(json_object_get(status, "code"));

	*ret_status = (struct object_status){.code = -1, .retry_after_s = -1};
	if (code > 0 && code < 1000)
		ret_status->code = (long)code;
	if (json_is_integer(after) && json_integer_value(after) >= 0)
		ret_status->retry_after_s = json_integer_value(after);
	copy_line(&ret_status->text, message && *message ? message : reason ? reason : "");
}

void object_read_status(const char *text, size_t len, struct object_status *ret_status)
{
	json_auto_t *root = json_loadb(text, len, LOAD_FLAGS, NULL);

	object_decode_status(root, ret_status);
}

static bool find_event_type(const json_t *root, enum object_event_type *ret_type)
{
	static const char *const names[] = {[OBJECT_ADDED] = "ADDED",
					    [OBJECT_MODIFIED] = "MODIFIED",
					    [OBJECT_DELETED] = "DELETED",
					    [OBJECT_BOOKMARK] = "BOOKMARK",
					    [OBJECT_ERROR] = "ERROR"};
	const char *type = json_string_value(json_object_get(root, "type"));

	for (unsigned int i = 0; type && i < ARRAY_SIZE(names); i++)
		if (!strcmp(type, names[i])) {
			*ret_type = (enum object_event_type)i;
			return true;
		}
	return false;
}

static bool decode_event_meta(struct object_event *event, struct refusal *refusal)
{
	struct object_meta *meta = &event->meta;

	if (!object_decode_meta(event->object, meta, &event->refusal)) {
		*refusal = event->refusal;
		return field_copy_text(meta->version, sizeof(meta->version),
				       json_object_get(event->object, "metadata"),
				       "resourceVersion");
	}
	if (event->type != OBJECT_BOOKMARK && (!meta->name[0] || !meta->uid[0]))
		refusal_write(&event->refusal, "the object of an event has no valid name and uid");
	return true;
}

static bool decode_event(const json_t *root, struct object_event *event, struct refusal *refusal)
{
	event->object = json_object_get(root, "object");
	if (!find_event_type(root, &event->type) || !json_is_object(event->object))
		return refuse(refusal,
			      "a line of the watch is not an event: expected a 'type' such as "
			      "ADDED and an 'object'");
	if (event->type == OBJECT_ERROR) {
		object_decode_status(event->object, &event->status);
		return true;
	}
	return decode_event_meta(event, refusal);
}

json_t *object_load_event(const char *line, size_t len, struct object_event *ret_event,
			  struct refusal *refusal)
{
	json_t *root = object_load(line, len, refusal);
	struct object_event event = {0};

	if (root && !decode_event(root, &event, refusal)) {
		json_decref(root);
		return NULL;
	}
	if (root)
		*ret_event = event;
	return root;
}
