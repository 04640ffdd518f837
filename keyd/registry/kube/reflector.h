/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows one collection of the API server: makes reflect.c's steps with http.h. SHELL.
 */
#pragma once

#include "kube.h"

#define REFLECTOR_PAGE_MAX (16 * 1024 * 1024)
#define REFLECTOR_LINE_MAX (4 * 1024 * 1024)

/* The collection, and the handlers of its objects. */
struct reflector_source {
	const char *what;	  /* "Nodes" */
	const char *path;	  /* "/api/v1/nodes" */
	const char *selector;	  /* "labelSelector=a%3Db"; NULL: every object */
	const char *watch_accept; /* NULL: whole objects */
	/* The first page of a list has arrived. May be NULL. */
	void (*begin_list)(void *context);
	/* An item of a list. False: it may be any object, for the reason in *refusal, and the list
	 * proves none gone. An item never keeps the other ones from being reported. */
	bool (*handle_item)(void *context, const json_t *object, struct refusal *refusal);
	/* Every readable item was reported. */
	void (*handle_listed)(void *context, enum reflect_verdict verdict);
	/* ADDED, MODIFIED or DELETED. */
	void (*handle_event)(void *context, const struct object_event *event);
	/* The same for an unusable object, for the reason in event->refusal. False, or no function:
	 * it may be any object. */
	bool (*handle_bad_event)(void *context, const struct object_event *event);
	/* An object arrived that may be any; the list is requested again. NULL: it is logged. */
	void (*handle_lost)(void *context, const struct refusal *why);
	void *context;
};

struct reflector {
	struct kube *kube;
	struct reflector_source source;
	struct reflect reflect;
	int handle; /* of the running request; 0: none */
	char *line; /* the part of a line received so far */
	size_t line_len, line_size;
	bool has_ending; /* we end the watch ourselves, with ... */
	struct reflect_failure ending;
	bool was_reached;  /* at least once since the start */
	bool is_forbidden; /* the last answer to a list was 403 */
	uint32_t troubles; /* in a row */
	/* the last watch was refused: a successful list does not end the trouble */
	bool is_watch_refused;
	struct refusal trouble; /* the latest trouble; empty: none */
};

void reflector_init(struct reflector *reflector, struct kube *kube,
		    const struct reflector_source *source);
/* Makes the steps that are due. Returns the time of the next call, in boot_ns. */
uint64_t reflector_drive(struct reflector *reflector);
/* Why it makes no progress, if that is more than a passing failure; NULL: it does. */
const char *reflector_complaint(const struct reflector *reflector);
void reflector_clear(struct reflector *reflector);
