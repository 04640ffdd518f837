/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events at our own Node, for whoever looks at the cluster and not at this node's log. SHELL. Best effort: what cannot be
 * said within minutes is not worth saying any more.
 */
#pragma once

#include "kube.h"

#define NOTICES_MAX	 20 /* in ... */
#define NOTICES_SPAN_NS	 (600 * NS_PER_S)
#define NOTICES_TEXT_LEN 512

struct notices_said {
	uint64_t at_ns; /* 0: free */
	enum registry_notice notice;
	char text[NOTICES_TEXT_LEN];
	bool is_waiting;
};

struct notices {
	struct kube *kube;
	struct notices_said items[NOTICES_MAX];
	int handle;
	uint64_t posted_ns; /* when that one was said */
	uint64_t not_before_ns;
	uint32_t failures;
	bool is_forbidden; /* said once */
};

void notices_init(struct notices *notices, struct kube *kube);
void notices_clear(struct notices *notices);

/* The same text once in ten minutes, and no more than twenty texts. */
void notices_add(struct notices *notices, enum registry_notice notice, const char *text);

/* `uid` of our own Node. Returns when to call again, in boot_ns. */
uint64_t notices_drive(struct notices *notices, const char *uid);
