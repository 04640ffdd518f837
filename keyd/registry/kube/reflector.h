/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One collection of the API server, followed: reflect.c's steps made with http.h. SHELL.
 */
#pragma once

#include "kube.h"

#define REFLECTOR_PAGE_MAX (16 * 1024 * 1024)
#define REFLECTOR_LINE_MAX (4 * 1024 * 1024)

/* What is followed, and who takes what comes. */
struct reflector_source {
	const char *what;	  /* "Nodes" */
	const char *path;	  /* "/api/v1/nodes" */
	const char *selector;	  /* "labelSelector=a%3Db"; NULL: all of them */
	const char *watch_accept; /* NULL: whole objects */
	/* The first page of a list has come. May be NULL. */
	void (*begin_list)(void *context);
	/* An item of a list. False: it may be any object, for *refusal, and the list proves none gone. No item keeps the others
	 * from being told. */
	bool (*take_item)(void *context, const json_t *object, struct refusal *refusal);
	/* All that can be read was told. */
	void (*take_whole)(void *context, enum reflect_verdict verdict);
	/* ADDED, MODIFIED or DELETED. */
	void (*take_event)(void *context, const struct object_event *event);
	/* The same of an object that cannot be used, for event->refusal. False, and where there is no function: it may be any. */
	bool (*take_bad_event)(void *context, const struct object_event *event);
	/* An object came that may be any; the list is asked for again. NULL: it is logged. */
	void (*take_lost)(void *context, const struct refusal *why);
	void *context;
};

struct reflector {
	struct kube *kube;
	struct reflector_source source;
	struct reflect reflect;
	int handle; /* of the request that runs; 0: none */
	char *line; /* what came of a line so far */
	size_t line_len, line_size;
	bool has_ending; /* we end the watch ourselves, because of ... */
	struct reflect_failure ending;
	bool was_reached;	/* once since the start */
	bool is_forbidden;	/* 403 was the last answer to a list */
	uint32_t troubles;	/* in a row */
	bool is_watch_refused;	/* the last watch was: that lists are to be had is no consolation */
	struct refusal trouble; /* the last of them; empty: it goes on */
};

void reflector_init(struct reflector *reflector, struct kube *kube,
		    const struct reflector_source *source);
/* Makes the steps that are due. Returns when to call again, in boot_ns. */
uint64_t reflector_drive(struct reflector *reflector);
/* Why it does not go on, where that is more than a passing failure; NULL: it does. */
const char *reflector_complaint(const struct reflector *reflector);
void reflector_clear(struct reflector *reflector);
