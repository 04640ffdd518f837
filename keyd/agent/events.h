/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events for the administrators of the cluster, sent through the registry, beside this node's own
 * log and status. SHELL.
 */
#pragma once

#include "datapath/datapath.h"
#include "datapath/watch.h"
#include "registry/registry.h"

#define EVENTS_LEAKS 4 /* drop reasons that count cleartext */

struct events {
	bool has_leaks; /* `leaks` holds the counts of the last look */
	uint64_t leaks[EVENTS_LEAKS];
};

PRINTF(3, 4)
void events_send(struct registry *registry, enum registry_event event, const char *format, ...);

/* Sends an Event for cleartext and for repaired hooks since the last call; the first call only
 * takes the counts. */
void events_look(struct events *events, const struct datapath *datapath, struct watch *watch,
		 struct registry *registry);
