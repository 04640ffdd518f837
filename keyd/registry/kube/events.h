/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events attached to our own Node, for administrators watching the cluster and not this node's log.
 * SHELL. Best effort: an Event that cannot be posted within minutes is dropped.
 */
#pragma once

#include "kube.h"

#define EVENTS_MAX	20 /* within EVENTS_SPAN_NS */
#define EVENTS_SPAN_NS	(600 * NS_PER_S)
#define EVENTS_TEXT_LEN 512

struct events_said {
	uint64_t at_ns; /* 0: free */
	enum registry_event event;
	char text[EVENTS_TEXT_LEN];
	bool is_waiting;
};

struct events {
	struct kube *kube;
	struct events_said items[EVENTS_MAX];
	int handle;
	uint64_t posted_ns; /* the at_ns of the Event being posted */
	uint64_t not_before_ns;
	uint32_t failures;
	bool is_forbidden; /* already logged */
};

void events_init(struct events *events, struct kube *kube);
void events_clear(struct events *events);

/* Posts the same text once in ten minutes, and at most twenty texts. */
void events_add(struct events *events, enum registry_event event, const char *text);

/* `uid` of our own Node. Returns the time of the next call, in boot_ns. */
uint64_t events_drive(struct events *events, const char *uid);
