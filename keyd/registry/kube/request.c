// SPDX-License-Identifier: Apache-2.0
/*
 * Encodes JSON for the API server, in the form of the API's own patches and objects. A patch names
 * the state that it expects (uid and resourceVersion, the taint), so that the server refuses it
 * after another client's change instead of undoing that change.
 */
#include "request.h"

#include <errno.h>

#include "node_object.h"

/* Takes ownership of the document, which may be NULL. */
static ssize_t dump(char *ret_text, size_t size, json_t *document)
{
	json_auto_t *root = document;
	size_t len = root ? json_dumpb(root, ret_text, size, JSON_COMPACT) : 0;

	if (!root)
		return -ENOMEM;
	if (!len || len >= size)
		return -ENOSPC;
	ret_text[len] = '\0';
	return (ssize_t)len;
}

ssize_t request_encode_annotation_patch(char *ret_text, size_t size, const struct object_meta *meta,
					const char *annotation, const char *value)
{
	if (!meta)
		return dump(
			ret_text, size,
			json_pack("{s:{s:{s:s}}}", "metadata", "annotations", annotation, value));
	return dump(ret_text, size,
		    json_pack("{s:{s:s, s:s, s:{s:s}}}", "metadata", "uid", meta->uid,
			      "resourceVersion", meta->version, "annotations", annotation, value));
}

ssize_t request_encode_taint_patch(char *ret_text, size_t size, const char *uid, int taint)
{
	char whole[32], key[sizeof(whole) + 4];

	snprintf(whole, sizeof(whole), "/spec/taints/%d", taint);
	snprintf(key, sizeof(key), "%s/key", whole);
	return dump(ret_text, size,
		    json_pack("[{s:s, s:s, s:s}, {s:s, s:s, s:s}, {s:s, s:s}]", "op", "test",
			      "path", "/metadata/uid", "value", uid, "op", "test", "path", key,
			      "value", STARTUP_TAINT, "op", "remove", "path", whole));
}

/* In `default`, where kubectl describe looks for the Events of cluster-scoped objects. */
ssize_t request_encode_event(char *ret_text, size_t size, const struct request_event *event)
{
	char when[NODE_TIME_LEN];

	node_format_time(when, event->unix_s);
	return dump(
		ret_text, size,
		json_pack(
			"{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s, s:s, s:s}, s:s, s:s, s:s, s:s, s:s, "
			"s:i, s:{s:s, s:s}}",
			"apiVersion", "v1", "kind", "Event", "metadata", "generateName", "podveil-",
			"namespace", "default", "involvedObject", "apiVersion", "v1", "kind",
			"Node", "name", event->node, "uid", event->uid, "type", "Warning", "reason",
			event->reason, "message", event->text, "firstTimestamp", when,
			"lastTimestamp", when, "count", 1, "source", "component", "podveil", "host",
			event->node));
}

bool request_escape(char *ret_text, size_t size, const char *text)
{
	static const char digits[] = "0123456789ABCDEF";
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	size_t used = 0;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (used + 4 > size)
			return false;
		if (strchr(plain, *text)) {
			ret_text[used++] = *text;
			continue;
		}
		ret_text[used++] = '%';
		ret_text[used++] = digits[c >> 4];
		ret_text[used++] = digits[c & 15];
	}
	ret_text[used] = '\0';
	return true;
}
