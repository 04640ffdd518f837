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

struct events_said {
	uint64_t at_ns; /* 0: free */
	enum registry_event event;
	char text[NOTICES_TEXT_LEN];
	bool is_waiting;
};

struct events {
	struct kube *kube;
	struct events_said items[NOTICES_MAX];
	int handle;
	uint64_t posted_ns; /* when that one was said */
	uint64_t not_before_ns;
	uint32_t failures;
	bool is_forbidden; /* said once */
};

void events_init(struct events *events, struct kube *kube);
void events_clear(struct events *events);

/* The same text once in ten minutes, and no more than twenty texts. */
void events_add(struct events *events, enum registry_event event, const char *text);

/* `uid` of our own Node. Returns when to call again, in boot_ns. */
uint64_t events_drive(struct events *events, const char *uid);
