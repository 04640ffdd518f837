/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads fields of a JSON object with the expected type and bounds, or refuses and names the field;
 * and builds the lists of addresses and prefixes that we write. Values stay owned by the document.
 * The documents are hostile bytes.
 */
#pragma once

#include <jansson.h>

#include "address.h"
#include "refusal.h"

static inline const char *field_type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a fraction";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	case JSON_NULL:
		return "null";
	}
	return "nothing";
}

/* Parses a whole document whose root must be an object. NULL: refused. */
static inline json_t *field_load_object(const char *text, size_t len, size_t max_len,
					struct refusal *refusal)
{
	struct quote quoted;
	json_error_t error;
	json_t *root;

	if (len > max_len) {
		refusal_write(refusal, "it has %zu bytes: expected at most %zu", len, max_len);
		return NULL;
	}
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (!root) {
		refusal_write(refusal, "not JSON (line %d, column %d): %s", error.line,
			      error.column, quote(&quoted, error.text));
		return NULL;
	}
	if (json_is_object(root))
		return root;
	refusal_write(refusal, "it is %s: expected a JSON object", field_type_name(root));
	json_decref(root);
	return NULL;
}

/* If the field is missing, *ret_value is NULL and nothing is refused. */
static inline bool field_find(const json_t *root, const char *name, json_type type,
			      const char *expected, json_t **ret_value, struct refusal *refusal)
{
	json_t *value = json_object_get(root, name);

	if (value && json_typeof(value) != type)
		return refuse(refusal, "'%s' is %s: expected %s", name, field_type_name(value),
			      expected);
	*ret_value = value;
	return true;
}

static inline bool field_text(const json_t *root, const char *name, const char **ret_text,
			      struct refusal *refusal)
{
	json_t *value;

	if (!field_find(root, name, JSON_STRING, "a string", &value, refusal))
		return false;
	if (!value)
		return refuse(refusal, "'%s' is missing: expected a string", name);
	*ret_text = json_string_value(value);
	return true;
}

/* Missing, too long, of another type, or containing a zero: false, and *ret_text is untouched. */
static inline bool field_copy_text(char *ret_text, size_t size, const json_t *root,
				   const char *name)
{
	const json_t *value = json_object_get(root, name);
	const char *text = json_string_value(value);

	if (!text || strlen(text) != json_string_length(value) || strlen(text) >= size)
		return false;
	copy_text(ret_text, size, text);
	return true;
}

static inline bool field_integer(const json_t *root, const char *name, json_int_t lowest,
				 json_int_t highest, json_int_t *ret_value, struct refusal *refusal)
{
	json_int_t integer;
	json_t *value;

	if (!field_find(root, name, JSON_INTEGER, "an integer", &value, refusal))
		return false;
	if (!value)
		return refuse(refusal, "'%s' is missing: expected an integer", name);
	integer = json_integer_value(value);
	if (integer < lowest || integer > highest)
		return refuse(refusal,
			      "'%s' is %" JSON_INTEGER_FORMAT ": expected %" JSON_INTEGER_FORMAT
			      " to %" JSON_INTEGER_FORMAT,
			      name, integer, lowest, highest);
	*ret_value = integer;
	return true;
}

/* An array of at most `max` strings; a missing one counts as empty (*ret_array is NULL, for which
 * jansson returns size 0). */
static inline bool field_strings(const json_t *root, const char *name, size_t max,
				 json_t **ret_array, struct refusal *refusal)
{
	json_t *array, *item;
	size_t i;

	if (!field_find(root, name, JSON_ARRAY, "an array of strings", &array, refusal))
		return false;
	if (json_array_size(array) > max)
		return refuse(refusal, "'%s' has %zu items: expected at most %zu", name,
			      json_array_size(array), max);
	json_array_foreach(array, i, item)
		if (!json_is_string(item))
			return refuse(refusal, "'%s' holds %s: expected strings", name,
				      field_type_name(item));
	*ret_array = array;
	return true;
}

static inline bool field_addresses(const json_t *root, const char *name, size_t max,
				   struct address *ret_addresses, uint32_t *ret_count,
				   struct refusal *refusal)
{
	json_t *array, *item;
	struct quote quoted;
	size_t i;

	if (!field_strings(root, name, max, &array, refusal))
		return false;
	json_array_foreach(array, i, item)
		if (!address_parse(&ret_addresses[i], json_string_value(item)))
			return refuse(refusal, "'%s' holds %s: expected IP addresses", name,
				      quote(&quoted, json_string_value(item)));
	*ret_count = (uint32_t)json_array_size(array);
	return true;
}

static inline bool field_cidrs(const json_t *root, const char *name, size_t max,
			       struct cidr *ret_cidrs, uint32_t *ret_count, struct refusal *refusal)
{
	json_t *array, *item;
	struct quote quoted;
	size_t i;

	if (!field_strings(root, name, max, &array, refusal))
		return false;
	json_array_foreach(array, i, item)
		if (!cidr_parse(&ret_cidrs[i], json_string_value(item)))
			return refuse(refusal,
				      "'%s' holds %s: expected prefixes such as 10.244.1.0/24",
				      name, quote(&quoted, json_string_value(item)));
	*ret_count = (uint32_t)json_array_size(array);
	return true;
}

/* If memory is short, *array is released and becomes NULL: a partial list is worse than none. */
static inline void field_append_text(json_t **array, const char *text)
{
	if (!json_array_append_new(*array, json_string(text)))
		return;
	json_decref(*array);
	*array = NULL;
}

/* For json_object_set_new and the like. NULL: no memory. */
static inline json_t *field_of_addresses(const struct address *addresses, uint32_t count)
{
	json_t *array = json_array();
	char text[ADDRESS_TEXT_LEN];

	for (uint32_t i = 0; i < count; i++)
		field_append_text(&array, address_format(text, &addresses[i]));
	return array;
}

static inline json_t *field_of_cidrs(const struct cidr *cidrs, uint32_t count)
{
	json_t *array = json_array();
	char text[CIDR_TEXT_LEN];

	for (uint32_t i = 0; i < count; i++)
		field_append_text(&array, cidr_format(text, &cidrs[i]));
	return array;
}
