/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decodes any object that the API server sends; request.h encodes our requests to it. CORE. Any
 * client that may write an object writes hostile bytes into it, and a broken server may send
 * anything: no field is trusted, and one unreadable object does not affect the others.
 */
#pragma once

#include <jansson.h>

#include "cluster/node.h"

#define OBJECT_VERSION_LEN 64
#define OBJECT_NEXT_LEN	   4096

/* Part of every object. Empty: not present. */
struct object_meta {
	char name[NODE_NAME_LEN];
	char uid[NODE_UID_LEN];
	char version[OBJECT_VERSION_LEN]; /* resourceVersion */
};

/* One page of a list; its text remains the caller's. */
struct object_list {
	char version[OBJECT_VERSION_LEN];
	char next[OBJECT_NEXT_LEN]; /* `continue`; empty: this was the last page */
	const char *at, *end;	    /* the items not read yet */
	bool is_cut;		    /* the start of the next item cannot be found */
};

enum object_event_type {
	OBJECT_ADDED,
	OBJECT_MODIFIED,
	OBJECT_DELETED,
	OBJECT_BOOKMARK, /* only meta.version is set */
	OBJECT_ERROR,	 /* only `status` is set */
};

/* The server's own description of a failure. */
struct object_status {
	long code;
	int64_t retry_after_s; /* -1: the server did not set it */
	struct refusal text;   /* printable, one line */
};

struct object_event {
	enum object_event_type type;
	struct object_meta meta;
	struct object_status status;
	const json_t *object;	/* inside the document */
	struct refusal refusal; /* why only the version of `meta` is usable; empty: all of it is */
};

/* A page: {"metadata":{...},"items":[...]}. Items are found without building all of them in
 * memory. */
MUST_CHECK bool object_list_open(struct object_list *ret_list, const char *text, size_t len,
				 struct refusal *refusal);
bool object_list_has_more(const struct object_list *list);
/* The next item, for json_decref. NULL: it is unreadable; the one after it may be readable. */
MUST_CHECK json_t *object_list_read(struct object_list *list, struct refusal *refusal);

/* One object on its own. NULL: refused. */
MUST_CHECK json_t *object_load(const char *text, size_t len, struct refusal *refusal);
MUST_CHECK bool object_decode_meta(const json_t *object, struct object_meta *ret_meta,
				   struct refusal *refusal);

/* The name in an object whose metadata is unusable. */
enum object_naming {
	OBJECT_NAMED,
	OBJECT_MISNAMED, /* it has a name, but not one that a node can have */
	OBJECT_UNNAMED,	 /* it has no name: it may be any object */
};

/* ret_name is set if the result is OBJECT_NAMED. */
enum object_naming object_find_name(const json_t *object, char ret_name[static NODE_NAME_LEN]);

/* One line of a watch. An unusable object does not spoil it as long as its version is usable. The
 * document is for json_decref; NULL: refused. */
MUST_CHECK json_t *object_load_event(const char *line, size_t len, struct object_event *ret_event,
				     struct refusal *refusal);

/* From the body of a failure's answer, or from an ERROR event. Missing fields are -1 or empty. */
void object_decode_status(const json_t *status, struct object_status *ret_status);
void object_read_status(const char *text, size_t len, struct object_status *ret_status);

/* < 0: `a` is older. 0: equal, or not comparable. */
int object_compare_versions(const char *a, const char *b);
