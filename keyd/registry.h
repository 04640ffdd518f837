/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where nodes publish themselves and find each other, as the rest of keyd sees it: one record of our own, a stream of
 * what the others publish. SHELL. A third implementation beside `file:DIR` and `kubernetes` touches nothing but this.
 */
#pragma once

#include "node.h"

enum registry_event {
	REGISTRY_SEEN,	 /* `name` has this record now; also said of records that did not change */
	REGISTRY_BAD,	 /* `name` has a record that cannot be read, for `refusal` */
	REGISTRY_GONE,	 /* `name` left */
	REGISTRY_OWN,	 /* our own record, or what somebody made of it */
	REGISTRY_LISTED, /* every record there was has been told once */
	REGISTRY_REQUESTED, /* somebody, anybody, asks our own node to rotate its key */
};

struct registry_change {
	enum registry_event event;
	char name[NODE_NAME_LEN];
	struct node *node; /* SEEN and OWN; the receiver's, from node_copy */
	struct refusal refusal;
};

struct registry;

struct registry_operations {
	/* Makes the record what the others see. 1: it was written, 0: it is there already, or -errno. */
	int (*publish)(struct registry *registry, const struct node *own);
	/* 1: *ret_change holds; 0: nothing for now, wait for `fd`; or -errno. Also to be called now and then without a
	 * word from `fd`: a registry that went away is looked for again. */
	int (*next)(struct registry *registry, struct registry_change *ret_change);
	/* Asks a node, also our own, to rotate its key. 0 or -errno. */
	int (*request)(struct registry *registry, const char *node_name);
	/* The request that was told is served: it is told no more, also not after a restart. A newer one is. */
	void (*settle_request)(struct registry *registry);
	void (*close)(struct registry *registry);
};

struct registry {
	const struct registry_operations *operations;
	int fd;			/* readable: call next; -1 while the registry is away */
	char uid[NODE_UID_LEN]; /* of our own node */
	int64_t created_s;
	struct node *found; /* our own record as it was at the start, or NULL */
};

/* "file:DIR". Logs one line on failure. */
MUST_CHECK int registry_file_open(struct registry **ret_registry, const char *folder,
				  const char *node_name);

/* One allocation for node and prefixes; free() it. NULL: no memory. */
struct node *node_copy(const struct node *node);
