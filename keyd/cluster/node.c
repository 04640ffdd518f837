// SPDX-License-Identifier: Apache-2.0
/*
 * Encodes and decodes the registry's record of one node. A malformed record is refused as a whole;
 * if only its annotation is bad, the record still tells which pods and addresses belong to the
 * node, so that their traffic is dropped and not forgotten. Times are computed here and not by
 * libc, whose calendar reads files and the environment.
 */
#include "node.h"

#include <errno.h>

#include "field.h"

bool node_is_name(const char *text)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-");

	return len && len < NODE_NAME_LEN && !text[len] && text[0] != '.' && text[0] != '-';
}

static bool is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned int days_in_month(int64_t year, unsigned int month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap(year) ? 1U : 0U);
}

static int64_t days_before_year(int64_t year)
{
	int64_t past = year - 1;

	return 365 * past + past / 4 - past / 100 + past / 400 -
	       719162; /* days from 1 January 1 to 1970 */
}

/* Reads `width` digits at *text and advances it; then `separator` (0: none). */
static bool parse_digits(const char **text, unsigned int width, char separator,
			 unsigned int *ret_value)
{
	unsigned int value = 0;

	for (unsigned int i = 0; i < width; i++, ++*text) {
		if (**text < '0' || **text > '9')
			return false;
		value = 10 * value + (unsigned int)(**text - '0');
	}
	if (separator && *(*text)++ != separator)
		return false;
	*ret_value = value;
	return true;
}

bool node_parse_time(int64_t *ret_s, const char *text)
{
	unsigned int year, month, day, hour, minute, second;
	int64_t days;

	if (!parse_digits(&text, 4, '-', &year) || !parse_digits(&text, 2, '-', &month) ||
	    !parse_digits(&text, 2, 'T', &day) || !parse_digits(&text, 2, ':', &hour) ||
	    !parse_digits(&text, 2, ':', &minute) || !parse_digits(&text, 2, 0, &second))
		return false;
	if (*text == '.')
		text += 1 + strspn(text + 1, "0123456789");
	if (strcmp(text, "Z") || year < 1970 || month < 1 || month > 12 || day < 1 ||
	    day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 60)
		return false;
	days = days_before_year(year) + day - 1;
	for (unsigned int m = 1; m < month; m++)
		days += days_in_month(year, m);
	*ret_s = 86400 * days + 3600 * hour + 60 * minute + second;
	return true;
}

const char *node_format_time(char text[static NODE_TIME_LEN], int64_t unix_s)
{
	int64_t days = unix_s / 86400, rest = unix_s % 86400, year = 1970;
	unsigned int month = 1;

	while (year < 9999 && days_before_year(year + 1) <= days)
		year++;
	days -= days_before_year(year);
	for (; days >= days_in_month(year, month) && month < 12; month++)
		days -= days_in_month(year, month);
	snprintf(text, NODE_TIME_LEN, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned int)year % 10000,
		 month % 100, (unsigned int)(days + 1) % 100, (unsigned int)(rest / 3600) % 100,
		 (unsigned int)(rest / 60 % 60), (unsigned int)(rest % 60));
	return text;
}

static bool decode_identity(struct node *node, const json_t *root, struct refusal *refusal)
{
	const char *name, *uid, *created;
	struct quote quoted;

	if (!field_text(root, "name", &name, refusal) || !field_text(root, "uid", &uid, refusal) ||
	    !field_text(root, "created", &created, refusal))
		return false;
	if (!node_is_name(name))
		return refuse(refusal,
			      "'name' is %s: expected a node's name of a-z, 0-9, '.' and '-'",
			      quote(&quoted, name));
	if (!annotation_is_uid(uid))
		return refuse(refusal,
			      "'uid' is %s: expected 1 to %d letters, digits, '.', '_' or '-'",
			      quote(&quoted, uid), NODE_UID_LEN - 1);
	if (!node_parse_time(&node->created_s, created))
		return refuse(refusal,
			      "'created' is %s: expected a time such as 2026-11-22T12:00:00Z",
			      quote(&quoted, created));
	copy_text(node->name, sizeof(node->name), name);
	copy_text(node->uid, sizeof(node->uid), uid);
	return true;
}

void node_decode_record(struct node *node, struct cidr pods[static ANNOTATION_PODS_MAX],
			const json_t *value)
{
	if (!value)
		return;
	node->record = RECORD_INVALID;
	if (!json_is_string(value))
		refusal_write(&node->refusal, "it is %s: expected a string",
			      field_type_name(value));
	else if (annotation_decode(&node->annotation, pods, json_string_value(value),
				   json_string_length(value), &node->refusal))
		node->record = RECORD_VALID;
}

bool node_decode(struct node *ret_node, struct cidr pods[static ANNOTATION_PODS_MAX],
		 const char *text, size_t len, struct refusal *refusal)
{
	json_auto_t *root = field_load_object(text, len, NODE_TEXT_MAX, refusal);
	struct node node = {0};
	json_t *annotations;

	if (!root || !decode_identity(&node, root, refusal) ||
	    !field_cidrs(root, "podCIDRs", NODE_POD_CIDRS_MAX, node.pod_cidrs, &node.pod_cidr_count,
			 refusal) ||
	    !field_addresses(root, "addresses", NODE_ADDRESSES_MAX, node.addresses,
			     &node.address_count, refusal) ||
	    !field_find(root, "annotations", JSON_OBJECT, "an object", &annotations, refusal))
		return false;
	node_decode_record(&node, pods, json_object_get(annotations, ANNOTATION_NAME));
	*ret_node = node;
	return true;
}

ssize_t node_encode(char *ret_text, size_t size, const struct node *node)
{
	json_auto_t *root = json_object();
	json_t *annotations = json_object();
	char created[NODE_TIME_LEN];
	int error;
	size_t len;

	error = json_object_set_new(root, "name", json_string(node->name));
	error |= json_object_set_new(root, "uid", json_string(node->uid));
	error |= json_object_set_new(root, "created",
				     json_string(node_format_time(created, node->created_s)));
	error |= json_object_set_new(root, "podCIDRs",
				     field_of_cidrs(node->pod_cidrs, node->pod_cidr_count));
	error |= json_object_set_new(root, "addresses",
				     field_of_addresses(node->addresses, node->address_count));
	error |= json_object_set(root, "annotations", annotations);
	if (node->record == RECORD_VALID) {
		/* The caller's buffer first holds the inner text, then the whole record. */
		ssize_t inner = annotation_encode(ret_text, size, &node->annotation);

		error |= inner < 0 ||
			 json_object_set_new(annotations, ANNOTATION_NAME, json_string(ret_text));
	}
	json_decref(annotations);
	if (error)
		return -ENOMEM;
	len = json_dumpb(root, ret_text, size, JSON_INDENT(2));
	if (!len || len >= size)
		return -ENOSPC;
	ret_text[len] = '\0';
	return (ssize_t)len;
}
