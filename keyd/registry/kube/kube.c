// SPDX-License-Identifier: Apache-2.0
/*
 * The queue of changes, and small helpers. The agent drains the queue before anything else is
 * requested from the API server, so it holds at most one page of a list.
 */
#include "kube.h"

#include <errno.h>

#include "log.h"

#define FAILURES_MAX 6

void kube_tell(struct kube *kube, const struct registry_change *change)
{
	if (kube->change_count == kube->change_capacity) {
		size_t capacity = MAX((size_t)16, 2 * kube->change_capacity);
		void *grown = realloc(kube->changes, capacity * sizeof(*kube->changes));

		if (!grown) {
			log_error("not enough memory for the API server's report about %s",
				  change->name);
			free(change->node);
			return;
		}
		kube->changes = grown;
		kube->change_capacity = capacity;
	}
	kube->changes[kube->change_count++] = *change;
}

void kube_tell_node(struct kube *kube, enum registry_change_kind kind, const struct node *node)
{
	struct registry_change change = {.kind = kind, .node = node_copy(node)};

	copy_text(change.name, sizeof(change.name), node->name);
	if (change.node)
		kube_tell(kube, &change);
	else
		log_error("not enough memory for node %s", node->name);
}

bool kube_has_changes(const struct kube *kube)
{
	return kube->change_next < kube->change_count;
}

void kube_clear_changes(struct kube *kube)
{
	while (kube_has_changes(kube))
		free(kube->changes[kube->change_next++].node);
	free(kube->changes);
	kube->changes = NULL;
	kube->change_next = kube->change_count = kube->change_capacity = 0;
}

bool kube_next_change(struct kube *kube, struct registry_change *ret_change)
{
	if (!kube_has_changes(kube)) {
		kube_clear_changes(kube);
		return false;
	}
	*ret_change = kube->changes[kube->change_next++];
	return true;
}

void kube_note_contact(struct kube *kube)
{
	kube->contact_s = (int64_t)(wall_ms() / 1000);
}

bool kube_note_result(struct kube *kube, const struct http_result *result)
{
	if (!result->error)
		kube_note_contact(kube);
	return !result->error && http_is_success(result->status);
}

void kube_describe(struct refusal *ret_text, const struct http_result *result)
{
	struct object_status status;

	if (result->error) {
		refusal_write(ret_text, "%s",
			      result->reason[0] ? result->reason : strerror(-result->error));
		return;
	}
	object_read_status(result->body ? result->body : "", result->body_len, &status);
	refusal_write(ret_text, "it answers %ld%s%.200s", result->status,
		      status.text.text[0] ? ": " : "", status.text.text);
}

struct reflect_failure kube_failure(const struct http_result *result)
{
	return (struct reflect_failure){.error = result->error,
					.status = result->error ? 0 : result->status,
					.retry_after_s = result->retry_after_s};
}

const char *kube_node_path(char path[static KUBE_PATH_LEN], const char *name, const char *query)
{
	snprintf(path, KUBE_PATH_LEN, "/api/v1/nodes/%s%s", name, query);
	return path;
}

uint64_t kube_back_off_ns(uint32_t failures, const struct http_result *result)
{
	uint64_t span_ms =
		MIN(1000U << MIN(failures, (uint32_t)FAILURES_MAX), REFLECT_BACKOFF_S * 1000U);
	uint64_t wait_ns = NS_PER_MS * (1 + randombytes_uniform((uint32_t)span_ms));

	if (result && result->retry_after_s > 0)
		wait_ns += (uint64_t)MIN(result->retry_after_s, REFLECT_RETRY_MAX_S) * NS_PER_S;
	return boot_ns() + wait_ns;
}
