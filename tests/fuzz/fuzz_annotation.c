// SPDX-License-Identifier: Apache-2.0
/*
 * An annotation as written by anyone with write access to a Node. An accepted one is within its
 * bounds and is the same after it was encoded and decoded again. A refusal is one printable line
 * and leaves the result untouched.
 */
#include "cluster/annotation.h"
#include "cursor.h"

static struct cidr pods[ANNOTATION_PODS_MAX], pods_again[ANNOTATION_PODS_MAX];
static char text[2 * ANNOTATION_TEXT_MAX];

static void check_refusal(const struct refusal *refusal)
{
	MUST(refusal->text[0]);
	for (const char *c = refusal->text; *c; c++)
		MUST(*c >= 0x20 && *c < 0x7f);
}

static void check_bounds(const struct annotation *annotation)
{
	MUST(annotation->epoch && annotation->port && annotation->has_key[KEY_CURRENT]);
	MUST(annotation_is_uid(annotation->uid));
	MUST(annotation->pod_count <= ANNOTATION_PODS_MAX);
	MUST(annotation->endpoint_count <= ANNOTATION_ENDPOINTS_MAX);
	MUST(annotation->secrets.count <= SECRET_IDS_MAX);
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
		MUST(!annotation->has_key[slot] ||
		     !public_key_is_low_order(&annotation->keys[slot]));
}

static void check_round_trip(const struct annotation *annotation)
{
	struct annotation again = {0};
	struct refusal refusal;
	ssize_t len = annotation_encode(text, sizeof(text), annotation);

	MUST(len > 0 && (size_t)len == strlen(text));
	if (len > ANNOTATION_TEXT_MAX) /* many short prefixes, written out */
		return;
	MUST(annotation_decode(&again, pods_again, text, (size_t)len, &refusal));
	MUST(!memcmp(pods, pods_again, again.pod_count * sizeof(pods[0])));
	again.pods = annotation->pods;
	MUST(again.pod_count == annotation->pod_count && again.epoch == annotation->epoch);
	MUST(!strcmp(again.uid, annotation->uid) && again.port == annotation->port);
	MUST(!memcmp(again.keys, annotation->keys, sizeof(again.keys)));
	MUST(!memcmp(again.endpoints, annotation->endpoints, sizeof(again.endpoints)));
	MUST(!memcmp(&again.secrets, &annotation->secrets, sizeof(again.secrets)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct annotation untouched;
	struct annotation annotation = {0};
	struct refusal refusal = {0};
	char *copy = (char *)copy_bytes(data, len);

	if (annotation_decode(&annotation, pods, copy, len, &refusal)) {
		check_bounds(&annotation);
		check_round_trip(&annotation);
	} else {
		check_refusal(&refusal);
		MUST(!memcmp(&annotation, &untouched, sizeof(untouched)));
	}
	free(copy);
	return 0;
}
