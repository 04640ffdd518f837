/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the parts of the registry `kubernetes`: the connection to the API server, and the queue
 * of changes for the agent. SHELL.
 */
#pragma once

#include <sodium.h>

#include "host/clock.h"
#include "http.h"
#include "reflect.h"
#include "registry/registry.h"

#define KUBE_ANSWER_S 30 /* for a single object */

struct kube {
	struct http *http;
	char node_name[NODE_NAME_LEN];
	char namespace[NODE_NAME_LEN];
	struct cidr *pods; /* ANNOTATION_PODS_MAX: storage for one decoding at a time */
	/* The changes that `next` has not reported yet. */
	struct registry_change *changes;
	size_t change_count, change_capacity, change_next;
	int64_t contact_s; /* Unix time of the last answer; 0: none yet */
};

static inline struct reflect_now kube_now(void)
{
	return (struct reflect_now){.ns = boot_ns(), .random = randombytes_random()};
}

/* Takes ownership of change->node. */
void kube_tell(struct kube *kube, const struct registry_change *change);
/* Reports a copy of the node, which remains the caller's, under its own name. */
void kube_tell_node(struct kube *kube, enum registry_change_kind kind, const struct node *node);
/* False: there is no change. */
bool kube_next_change(struct kube *kube, struct registry_change *ret_change);
bool kube_has_changes(const struct kube *kube);
void kube_clear_changes(struct kube *kube);

/* The server has answered. */
void kube_note_contact(struct kube *kube);
/* Call it with every result: notes that the server is reachable. True: the answer is a success. */
bool kube_note_result(struct kube *kube, const struct http_result *result);
/* Describes a failure in one line, for people. */
void kube_describe(struct refusal *ret_text, const struct http_result *result);
/* The result's error, status and Retry-After, as reflect.h needs them. */
struct reflect_failure kube_failure(const struct http_result *result);

/* "/api/v1/nodes/NAME" and `query`. A node's name needs no escapes. */
#define KUBE_PATH_LEN (NODE_NAME_LEN + 64)
const char *kube_node_path(char path[static KUBE_PATH_LEN], const char *name, const char *query);

/* The time until which to wait after `failures` in a row, in boot_ns: exponential back-off with
 * full jitter, up to a minute, plus the server's Retry-After. */
uint64_t kube_back_off_ns(uint32_t failures, const struct http_result *result);
