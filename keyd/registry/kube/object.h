/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the API server says of any object, as values; what it is told is in request.h. CORE.
 * Whoever may write an object writes hostile bytes into it, and a server that is broken says anything at all: nothing here
 * takes a field on trust, and one object that cannot be read spoils no other.
 */
#pragma once

#include <jansson.h>

#include "cluster/node.h"

#define OBJECT_VERSION_LEN 64
#define OBJECT_NEXT_LEN	   4096

/* Every object's. Empty: the object does not say. */
struct object_meta {
	char name[NODE_NAME_LEN];
	char uid[NODE_UID_LEN];
	char version[OBJECT_VERSION_LEN]; /* resourceVersion */
};

/* One page of a list, which stays the caller's text. */
struct object_list {
	char version[OBJECT_VERSION_LEN];
	char next[OBJECT_NEXT_LEN]; /* `continue`; empty: this was the last page */
	const char *at, *end;	    /* of the items that were not read yet */
	bool is_cut;		    /* where the next one begins cannot be told */
};

enum object_event_type {
	OBJECT_ADDED,
	OBJECT_MODIFIED,
	OBJECT_DELETED,
	OBJECT_BOOKMARK, /* nothing but meta.version */
	OBJECT_ERROR,	 /* nothing but `status` */
};

/* The server's own account of a failure. */
struct object_status {
	long code;
	int64_t retry_after_s; /* -1: not said */
	struct refusal text;   /* printable, one line */
};

struct object_event {
	enum object_event_type type;
	struct object_meta meta;
	struct object_status status;
	const json_t *object;	/* inside the document */
	struct refusal refusal; /* why of `meta` only the version can be used; empty: all of it can */
};

/* A page: {"metadata":{...},"items":[...]}. Items are found without building all of them in memory. */
MUST_CHECK bool object_list_open(struct object_list *ret_list, const char *text, size_t len,
				 struct refusal *refusal);
bool object_list_has_more(const struct object_list *list);
/* The next item, for json_decref. NULL: it cannot be read; the one after it perhaps can. */
MUST_CHECK json_t *object_list_read(struct object_list *list, struct refusal *refusal);

/* One object on its own. NULL: refused. */
MUST_CHECK json_t *object_load(const char *text, size_t len, struct refusal *refusal);
MUST_CHECK bool object_decode_meta(const json_t *object, struct object_meta *ret_meta,
				   struct refusal *refusal);

/* The name of an object whose metadata cannot be used. */
enum object_naming {
	OBJECT_NAMED,
	OBJECT_MISNAMED, /* it has a name, but none that a node can have */
	OBJECT_UNNAMED,	 /* it has none: it may be any object */
};

/* ret_name is written where it is OBJECT_NAMED. */
enum object_naming object_find_name(const json_t *object, char ret_name[static NODE_NAME_LEN]);

/* One line of a watch. An object that cannot be used does not spoil it, while its version can be. The document is for json_decref; NULL: refused. */
MUST_CHECK json_t *object_load_event(const char *line, size_t len, struct object_event *ret_event,
				     struct refusal *refusal);

/* The body of an answer that is a failure, or of an ERROR event. What it does not say is -1 or empty. */
void object_decode_status(const json_t *status, struct object_status *ret_status);
void object_read_status(const char *text, size_t len, struct object_status *ret_status);

/* < 0: `a` is older. 0: equal, or not to be compared. */
int object_compare_versions(const char *a, const char *b);
