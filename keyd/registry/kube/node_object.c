// SPDX-License-Identifier: Apache-2.0
/*
 * Decodes Node objects as struct node, and the other settings that a Node holds for us. Any client
 * that may write a Node can put anything into it: if only the annotation is bad, the Node's pods
 * and addresses remain known, so that their traffic is dropped and not forgotten.
 */
#include "node_object.h"

#include "cluster/field.h"

static const json_t *find_annotation(const json_t *object, const char *name)
{
	return json_object_get(json_object_get(json_object_get(object, "metadata"), "annotations"),
			       name);
}

static bool has_exclude_label(const json_t *object)
{
	const json_t *labels = json_object_get(json_object_get(object, "metadata"), "labels");
	const char *value = json_string_value(json_object_get(labels, EXCLUDE_LABEL));

	return value && strcmp(value, "false");
}

void node_object_digest_record(const char *text, size_t len, bool is_excluded,
			       uint8_t ret_digest[static NODE_DIGEST_LEN])
{
	const uint8_t marks[2] = {text != NULL, is_excluded};
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, NODE_DIGEST_LEN);
	crypto_generichash_update(&state, marks, sizeof(marks));
	if (text)
		crypto_generichash_update(&state, (const uint8_t *)text, len);
	crypto_generichash_final(&state, ret_digest, NODE_DIGEST_LEN);
}

static void digest_node(const json_t *object, uint8_t digest[static NODE_DIGEST_LEN])
{
	const json_t *value = find_annotation(object, ANNOTATION_NAME);

	node_object_digest_record(value ? json_string_value(value) ? json_string_value(value) : ""
					: NULL,
				  json_string_length(value), has_exclude_label(object), digest);
}

static bool parse_ask(char ret_value[static NODE_REQUEST_MAX + 1], const json_t *object,
		      const char *name)
{
	const json_t *annotations =
		json_object_get(json_object_get(object, "metadata"), "annotations");

	return field_copy_text(ret_value, NODE_REQUEST_MAX + 1, annotations, name);
}

void node_object_decode_asks(const json_t *object, struct node_asks *ret_asks)
{
	*ret_asks = (struct node_asks){0};
	digest_node(object, ret_asks->digest);
	ret_asks->is_too_long = !parse_ask(ret_asks->requested, object, ROTATE_REQUESTED_NAME) &&
				find_annotation(object, ROTATE_REQUESTED_NAME);
	parse_ask(ret_asks->served, object, ROTATE_SERVED_NAME);
}

static bool decode_identity(struct node *node, const json_t *object, struct refusal *refusal)
{
	const json_t *metadata = json_object_get(object, "metadata");
	struct object_meta meta;
	struct quote quoted;
	const char *created;

	if (!object_decode_meta(object, &meta, refusal) ||
	    !field_text(metadata, "creationTimestamp", &created, refusal))
		return false;
	if (!meta.name[0] || !meta.uid[0])
		return refuse(refusal, "'metadata' has no valid name and uid");
	if (!node_parse_time(&node->created_s, created))
		return refuse(
			refusal,
			"'creationTimestamp' is %s: expected a time such as 2026-11-22T12:00:00Z",
			quote(&quoted, created));
	copy_text(node->name, sizeof(node->name), meta.name);
	copy_text(node->uid, sizeof(node->uid), meta.uid);
	return true;
}

/* Only the node's own addresses. An ExternalIP may belong to a NAT in front of it, where the tunnel
 * would not help. */
static bool decode_addresses(struct node *node, const json_t *object, struct refusal *refusal)
{
	const json_t *array = json_object_get(json_object_get(object, "status"), "addresses");
	struct quote quoted;
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)array, i, item) {
		const char *type = json_string_value(json_object_get(item, "type"));
		const char *text = json_string_value(json_object_get(item, "address"));

		if (!type || strcmp(type, "InternalIP"))
			continue;
		if (node->address_count == NODE_ADDRESSES_MAX)
			return refuse(refusal, "'addresses' has more than %d items",
				      NODE_ADDRESSES_MAX);
		if (!text || !address_parse(&node->addresses[node->address_count++], text))
			return refuse(refusal, "'addresses' holds %s: expected IP addresses",
				      quote(&quoted, text ? text : ""));
	}
	return true;
}

bool node_object_decode(const json_t *object, struct node *ret_node,
			struct cidr pods[static ANNOTATION_PODS_MAX], struct refusal *refusal)
{
	struct node node = {0};

	if (!decode_identity(&node, object, refusal) ||
	    !field_cidrs(json_object_get(object, "spec"), "podCIDRs", NODE_POD_CIDRS_MAX,
			 node.pod_cidrs, &node.pod_cidr_count, refusal) ||
	    !decode_addresses(&node, object, refusal))
		return false;
	node.is_excluded = has_exclude_label(object);
	node_decode_record(&node, pods, find_annotation(object, ANNOTATION_NAME));
	*ret_node = node;
	return true;
}

void node_object_digest_places(const struct annotation *annotation,
			       uint8_t ret_digest[static NODE_DIGEST_LEN])
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, NODE_DIGEST_LEN);
	crypto_generichash_update(&state, (const uint8_t *)&annotation->endpoint_count,
				  sizeof(annotation->endpoint_count));
	crypto_generichash_update(&state, (const uint8_t *)annotation->endpoints,
				  annotation->endpoint_count * sizeof(*annotation->endpoints));
	crypto_generichash_update(&state, (const uint8_t *)annotation->pods,
				  annotation->pod_count * sizeof(*annotation->pods));
	crypto_generichash_final(&state, ret_digest, NODE_DIGEST_LEN);
}

int node_object_find_startup_taint(const json_t *object)
{
	const json_t *taints = json_object_get(json_object_get(object, "spec"), "taints");
	json_t *taint;
	size_t i;

	json_array_foreach((json_t *)taints, i, taint) {
		const char *key = json_string_value(json_object_get(taint, "key"));

		if (key && !strcmp(key, STARTUP_TAINT) && i <= INT32_MAX)
			return (int)i;
	}
	return -1;
}
