/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where nodes publish themselves and find each other, as the rest of keyd sees it: one record of our own, a stream of
 * what the others publish. SHELL. A third implementation beside `file:DIR` and `kubernetes` touches nothing but this.
 */
#pragma once

#include "cluster/bypass.h"
#include "cluster/node.h"

enum registry_change_kind {
	REGISTRY_SEEN, /* `name` has this record now; also said of records that did not change */
	REGISTRY_BAD,  /* `name` has a record that cannot be read, for `refusal` */
	REGISTRY_GONE, /* `name` left */
	REGISTRY_OWN,  /* our own record, or what somebody made of it */
	REGISTRY_LISTED, /* every record has been told once; are_all: and each of them could be read */
	REGISTRY_STRAYS, /* `stray_count` entries name no node; `refusal` says what is wrong with one of them */
	REGISTRY_REQUESTED, /* somebody, anybody, asks our own node to rotate its key */
	REGISTRY_MODE,	    /* the whole cluster's mode is `mode`, or nobody says one: has_mode */
	REGISTRY_SERVERS,   /* the registry says that it is served from `servers` */
	REGISTRY_PROVED, /* servers[0], one of those that `probe` was given, has proved that it is the registry's */
};

#define REGISTRY_SERVERS_MAX 32

/* What people who look after the cluster are told through the registry, beside the log. */
enum registry_event {
	EVENT_STRAGGLER, /* a node has not followed a rotation */
	EVENT_REFUSED,	 /* another node's record is refused */
	EVENT_LEAK,	 /* clear pod traffic was seen where it must not be */
	EVENT_HOOK,	 /* somebody took a hook away, or put a program before it */
};

struct registry_change {
	enum registry_change_kind kind;
	char name[NODE_NAME_LEN];
	struct node *node; /* SEEN and OWN; the receiver's, from node_copy */
	struct refusal refusal;
	bool has_mode;
	enum datapath_mode mode;
	bool are_all; /* of LISTED and SERVERS: false while some may be missing */
	uint32_t stray_count;
	bool has_own_server; /* of SERVERS: our own way to it leads there, as it is configured */
	struct bypass_key own_server;
	uint32_t server_count;
	struct bypass_key servers[REGISTRY_SERVERS_MAX];
};

struct registry;

/* What it has cost to talk to the registry; all zero where it is no server. */
struct registry_traffic {
	uint64_t requests, failures, sent_bytes, received_bytes;
};

struct registry_operations {
	/* Makes the record what the others see. 1: it was written, 0: it is there already, -EINPROGRESS: it is on its way,
	 * and `next` has something to say as soon as it is there or has failed, -EPERM: it may not be written while
	 * `warning` holds, or another -errno. To be called again until it is there. */
	int (*publish)(struct registry *registry, const struct node *own);
	/* 1: *ret_change holds; 0: nothing for now, wait for `fd`; or -errno. Also to be called now and then without a
	 * word from `fd`: a registry that went away is looked for again. */
	int (*next)(struct registry *registry, struct registry_change *ret_change);
	/* Asks a node, also our own, to rotate its key. False: *refusal says why not, and what to do instead. */
	bool (*request)(struct registry *registry, const char *node_name, struct refusal *refusal);
	/* The request that was told is served: it is told no more, also not after a restart. A newer one is. */
	void (*settle_request)(struct registry *registry);
	/* This node does what its mode promises, from now on: pods may be sent to it. To be called at each pass while that
	 * is so. NULL: nobody waits for it. */
	void (*welcome_pods)(struct registry *registry);
	/* NULL: nobody listens. Said once per occurrence; the registry sees to it that repetitions are no flood. */
	void (*notify)(struct registry *registry, enum registry_event event, const char *text);
	/* Exactly these are asked to prove that they are the registry's servers, until they have, or the next call. NULL:
	 * there are none. */
	void (*probe)(struct registry *registry, const struct bypass_key *servers, uint32_t count);
	/* This node has left an address: connections that were made from there are of no use. NULL: there are none. */
	void (*renew)(struct registry *registry);
	void (*close)(struct registry *registry);
};

struct registry {
	const struct registry_operations *operations;
	int fd; /* readable: call next; -1 while there is nothing to wait for */
	struct refusal
		away; /* why the registry cannot be used at the moment, one line; empty: it can */
	struct refusal
		warning; /* what it lets us do and should not, or the other way round; empty: nothing */
	bool is_server;	   /* it is asked over the network: `contact_s` and `traffic` hold */
	int64_t contact_s; /* Unix time of its last answer; 0: none yet */
	struct registry_traffic traffic;
	char uid[NODE_UID_LEN]; /* of our own node; empty: not known yet, the first REGISTRY_OWN brings it */
	int64_t created_s;
	struct node *found; /* our own record as it was at the start, or NULL */
};

/* "file:DIR". Logs one line on failure. */
MUST_CHECK int registry_file_open(struct registry **ret_registry, const char *folder,
				  const char *node_name);

/* "kubernetes". Never waits for the API server: what it has to say comes through `next`. Logs one line on failure (no
 * account, a kubeconfig that cannot be read). kubeconfig NULL: the service account of the pod. With requires_admission
 * nothing is published while the cluster lets this node's token do more than it has to. */
MUST_CHECK int registry_kubernetes_open(struct registry **ret_registry, const char *kubeconfig,
					const char *node_name, bool requires_admission);

/* One allocation for node and prefixes; free() it. NULL: no memory. */
struct node *node_copy(const struct node *node);
