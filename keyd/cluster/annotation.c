// SPDX-License-Identifier: Apache-2.0
/*
 * Encodes and decodes the annotation's JSON. Decoding trusts nothing: sizes, types and ranges are
 * checked here, and keys down to their canonical text and order. cluster.c judges whether a claim
 * is true (the owner of a key or a prefix). Unknown fields are ignored, so that a newer agent can
 * add some.
 */
#include "annotation.h"

#include <errno.h>

#include "field.h"

bool annotation_is_uid(const char *text)
{
	size_t len =
		strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return len && len < NODE_UID_LEN && !text[len];
}

static bool decode_uid(struct annotation *annotation, const json_t *root, struct refusal *refusal)
{
	struct quote quoted;
	const char *text;

	if (!field_text(root, "uid", &text, refusal))
		return false;
	if (!annotation_is_uid(text))
		return refuse(refusal,
			      "'uid' is %s: expected 1 to %d letters, digits, '.', '_' or '-'",
			      quote(&quoted, text), NODE_UID_LEN - 1);
	copy_text(annotation->uid, sizeof(annotation->uid), text);
	return true;
}

static bool decode_key(struct public_key *ret_key, const char *name, const char *text,
		       struct refusal *refusal)
{
	struct quote quoted;

	if (!public_key_decode(ret_key, text))
		return refuse(refusal,
			      "'%s' is %s: expected a key, base64 of %d bytes in %d characters",
			      name, quote(&quoted, text), KEY_LEN, KEY_BASE64_LEN);
	if (public_key_is_low_order(ret_key))
		return refuse(refusal, "'%s' is %s: a low-order point, expected a key of X25519",
			      name, quote(&quoted, text));
	return true;
}

static bool decode_keys(struct annotation *annotation, const json_t *root, struct refusal *refusal)
{
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
		const char *name = key_slot_name((enum key_slot)slot), *text;

		if (slot != KEY_CURRENT && !json_object_get(root, name))
			continue;
		if (!field_text(root, name, &text, refusal) ||
		    !decode_key(&annotation->keys[slot], name, text, refusal))
			return false;
		annotation->has_key[slot] = true;
		for (unsigned int other = 0; other < slot; other++)
			if (annotation->has_key[other] &&
			    public_key_is_equal(&annotation->keys[other], &annotation->keys[slot]))
				return refuse(
					refusal,
					"'%s' and '%s' are the same key: expected different ones",
					key_slot_name((enum key_slot)other), name);
	}
	return true;
}

static bool decode_secrets(struct annotation *annotation, const json_t *root,
			   struct refusal *refusal)
{
	json_t *array, *item;
	struct quote quoted;
	size_t i;

	if (!field_strings(root, "secrets", SECRET_IDS_MAX, &array, refusal))
		return false;
	json_array_foreach(array, i, item) {
		const char *text = json_string_value(item);

		if (!secret_is_id(text))
			return refuse(
				refusal,
				"'secrets' holds %s: expected ids of %d hexadecimal digits, or none",
				quote(&quoted, text), SECRET_ID_LEN);
		copy_text(annotation->secrets.items[i].text, sizeof(annotation->secrets.items[i]),
			  text);
	}
	annotation->secrets.count = (uint32_t)json_array_size(array);
	return true;
}

bool annotation_decode(struct annotation *ret_annotation,
		       struct cidr pods[static ANNOTATION_PODS_MAX], const char *text, size_t len,
		       struct refusal *refusal)
{
	json_auto_t *root = field_load_object(text, len, ANNOTATION_TEXT_MAX, refusal);
	json_int_t version, epoch, port;
	struct annotation annotation = {0};

	if (!root ||
	    !field_integer(root, "version", ANNOTATION_VERSION, ANNOTATION_VERSION, &version,
			   refusal) ||
	    !field_integer(root, "epoch", 1, INT64_MAX, &epoch, refusal) ||
	    !field_integer(root, "port", 1, UINT16_MAX, &port, refusal) ||
	    !decode_uid(&annotation, root, refusal) || !decode_keys(&annotation, root, refusal) ||
	    !field_addresses(root, "endpoints", ANNOTATION_ENDPOINTS_MAX, annotation.endpoints,
			     &annotation.endpoint_count, refusal) ||
	    !field_cidrs(root, "pods", ANNOTATION_PODS_MAX, pods, &annotation.pod_count, refusal) ||
	    !decode_secrets(&annotation, root, refusal))
		return false;
	annotation.epoch = (uint64_t)epoch;
	annotation.port = (uint16_t)port;
	annotation.pods = pods;
	*ret_annotation = annotation;
	return true;
}

static json_t *encode_secrets(const struct annotation *annotation)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < annotation->secrets.count; i++)
		field_append_text(&array, annotation->secrets.items[i].text);
	return array;
}

static int encode_keys(json_t *root, const struct annotation *annotation)
{
	static const enum key_slot order[] = {KEY_CURRENT, KEY_NEXT, KEY_PREVIOUS};
	char text[KEY_BASE64_LEN + 1];
	int error = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(order); i++) {
		if (!annotation->has_key[order[i]])
			continue;
		public_key_encode(text, &annotation->keys[order[i]]);
		error |= json_object_set_new(root, key_slot_name(order[i]), json_string(text));
	}
	return error;
}

ssize_t annotation_encode(char *ret_text, size_t size, const struct annotation *annotation)
{
	json_auto_t *root = json_object();
	size_t len;
	int error;

	error = json_object_set_new(root, "version", json_integer(ANNOTATION_VERSION));
	error |= json_object_set_new(root, "epoch", json_integer((json_int_t)annotation->epoch));
	error |= json_object_set_new(root, "uid", json_string(annotation->uid));
	error |= encode_keys(root, annotation);
	error |= json_object_set_new(root, "port", json_integer(annotation->port));
	error |= json_object_set_new(
		root, "endpoints",
		field_of_addresses(annotation->endpoints, annotation->endpoint_count));
	error |= json_object_set_new(root, "pods",
				     field_of_cidrs(annotation->pods, annotation->pod_count));
	error |= json_object_set_new(root, "secrets", encode_secrets(annotation));
	if (error)
		return -ENOMEM;
	len = json_dumpb(root, ret_text, size, JSON_COMPACT);
	if (!len || len >= size)
		return -ENOSPC;
	ret_text[len] = '\0';
	return (ssize_t)len;
}
