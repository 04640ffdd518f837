// SPDX-License-Identifier: Apache-2.0
/*
 * A record of the registry, from any bytes: facts of the Node object are accepted even if its
 * annotation is garbled, are within their bounds, and are the same after they were encoded and
 * decoded again.
 */
#include "cluster/node.h"
#include "cursor.h"

static struct cidr pods[ANNOTATION_PODS_MAX], pods_again[ANNOTATION_PODS_MAX];
static char text[NODE_TEXT_MAX];

static void check_printable(const struct refusal *refusal)
{
	MUST(refusal->text[0]);
	for (const char *c = refusal->text; *c; c++)
		MUST(*c >= 0x20 && *c < 0x7f);
}

static void check_bounds(const struct node *node)
{
	MUST(node_is_name(node->name));
	MUST(node->pod_cidr_count <= NODE_POD_CIDRS_MAX);
	MUST(node->address_count <= NODE_ADDRESSES_MAX);
	for (uint32_t i = 0; i < node->pod_cidr_count; i++) {
		const struct cidr *cidr = &node->pod_cidrs[i];
		struct cidr cleared = *cidr;

		MUST(cidr->prefix_len <= address_bits(cidr->address.family));
		cidr_clear_host_bits(&cleared);
		MUST(cidr_is_equal(cidr, &cleared));
	}
	if (node->record == RECORD_INVALID)
		check_printable(&node->refusal);
}

static void check_round_trip(const struct node *node)
{
	ssize_t len = node_encode(text, sizeof(text), node);
	struct refusal refusal;
	struct node again;

	MUST(len > 0 && (size_t)len == strlen(text));
	MUST(node_decode(&again, pods_again, text, (size_t)len, &refusal));
	MUST(!strcmp(again.name, node->name) && !strcmp(again.uid, node->uid));
	MUST(again.created_s == node->created_s);
	MUST(again.pod_cidr_count == node->pod_cidr_count);
	MUST(!memcmp(again.pod_cidrs, node->pod_cidrs, sizeof(again.pod_cidrs)));
	MUST(!memcmp(again.addresses, node->addresses, sizeof(again.addresses)));
	MUST(again.record == (node->record == RECORD_VALID ? RECORD_VALID : RECORD_MISSING));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *copy = (char *)copy_bytes(data, len);
	struct refusal refusal = {0};
	static struct node node;

	memset(&node, 0, sizeof(node));
	if (node_decode(&node, pods, copy, len, &refusal)) {
		check_bounds(&node);
		check_round_trip(&node);
	} else {
		check_printable(&refusal);
		MUST(!node.name[0] && !node.pod_cidr_count);
	}
	free(copy);
	return 0;
}
