/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The place where nodes publish themselves and find each other, as the rest of keyd sees it: our
 * own record, and a stream of changes to the other nodes' records. SHELL. A third implementation
 * beside `file:DIR` and `kubernetes` needs only this interface.
 */
#pragma once

#include "cluster/bypass.h"
#include "cluster/node.h"

enum registry_change_kind {
	REGISTRY_SEEN,	 /* `name` now has this record; also reported for unchanged records */
	REGISTRY_BAD,	 /* the record of `name` is unreadable, see `refusal` */
	REGISTRY_GONE,	 /* `name` left */
	REGISTRY_OWN,	 /* our own record, perhaps rewritten by another client */
	REGISTRY_LISTED, /* every record has been reported once; are_all: and each was readable */
	REGISTRY_STRAYS, /* `stray_count` entries name no node; `refusal` describes one of them */
	REGISTRY_REQUESTED, /* a client asks our own node to rotate its key; any client can */
	/* the mode of the whole cluster is `mode`; has_mode is false if none is set */
	REGISTRY_MODE,
	REGISTRY_SERVERS, /* the registry lists `servers` as its own addresses */
	/* servers[0], one of those given to `probe`, proved to be a server of the registry */
	REGISTRY_PROVED,
};

#define REGISTRY_SERVERS_MAX 32

/* Events for the cluster's administrators, reported through the registry in addition to the log. */
enum registry_event {
	EVENT_STRAGGLER, /* a node has not followed a rotation */
	EVENT_REFUSED,	 /* this node refuses another node's record */
	EVENT_LEAK,	 /* pod traffic was seen in cleartext where it must be encrypted */
	EVENT_HOOK,	 /* another program detached a hook, or attached itself before it */
};

struct registry_change {
	enum registry_change_kind kind;
	char name[NODE_NAME_LEN];
	struct node *node; /* of SEEN and OWN; from node_copy, the receiver frees it */
	struct refusal refusal;
	bool has_mode;
	enum datapath_mode mode;
	bool are_all; /* of LISTED and SERVERS: false while some may be missing */
	uint32_t stray_count;
	/* of SERVERS: the address to which we are configured to connect is `own_server` */
	bool has_own_server;
	struct bypass_key own_server;
	uint32_t server_count;
	struct bypass_key servers[REGISTRY_SERVERS_MAX];
};

struct registry;

/* The traffic with the registry; all zero if it is not a server. */
struct registry_traffic {
	uint64_t requests, failures, sent_bytes, received_bytes;
};

struct registry_operations {
	/* Publishes our record. Returns 1 if it was written, 0 if it was already current,
	 * -EINPROGRESS while a write is pending (`next` reports a change as soon as it has
	 * succeeded or failed), -EPERM if it must not be written while `warning` is set, or another
	 * -errno. Call it again until the record is current. */
	int (*publish)(struct registry *registry, const struct node *own);
	/* 1: *ret_change is set; 0: nothing for now, wait for `fd`; or -errno. Call it now and then
	 * even if `fd` is not readable: this retries a registry that became unreachable. */
	int (*next)(struct registry *registry, struct registry_change *ret_change);
	/* Asks a node, which may be our own, to rotate its key. False: *refusal gives the reason
	 * and an alternative. */
	bool (*request)(struct registry *registry, const char *node_name, struct refusal *refusal);
	/* Marks the reported request as served. It is not reported again, even after a restart; a
	 * newer request is. */
	void (*settle_request)(struct registry *registry);
	/* Call it at each pass in which this node enforces its mode: pods may be scheduled here
	 * from now on. NULL: the registry has no startup taint. */
	void (*remove_startup_taint)(struct registry *registry);
	/* NULL: the registry has no Events. Call it once per occurrence; the registry limits
	 * repetitions. */
	void (*notify)(struct registry *registry, enum registry_event event, const char *text);
	/* Asks exactly these servers to prove that they belong to the registry, until they have, or
	 * until the next call. NULL: the registry has no servers. */
	void (*probe)(struct registry *registry, const struct bypass_key *servers, uint32_t count);
	/* This node has lost an address: connections made from it are useless. NULL: the registry
	 * has no connections. */
	void (*renew)(struct registry *registry);
	void (*close)(struct registry *registry);
};

struct registry {
	const struct registry_operations *operations;
	int fd; /* readable: call next; -1 while there is nothing to wait for */
	/* why the registry is unreachable at the moment, one line; empty: it is usable */
	struct refusal away;
	/* a permission that the registry grants us but should not, or the reverse; empty: none */
	struct refusal warning;
	bool is_server;	   /* it is reached over the network: `contact_s` and `traffic` are valid */
	int64_t contact_s; /* Unix time of its last answer; 0: none yet */
	struct registry_traffic traffic;
	char uid[NODE_UID_LEN]; /* of our own node; empty until the first REGISTRY_OWN */
	int64_t created_s;
	struct node *found; /* our own record as found at the start, or NULL */
};

/* "file:DIR". Logs one line on failure. */
MUST_CHECK int registry_file_open(struct registry **ret_registry, const char *directory,
				  const char *node_name);

/* "kubernetes". Never waits for the API server: its answers arrive through `next`. Logs one line on
 * failure (no account, an unreadable kubeconfig). kubeconfig NULL: the service account of the pod.
 * With requires_admission nothing is published while the cluster lets this node's token do more
 * than it has to. */
MUST_CHECK int registry_kubernetes_open(struct registry **ret_registry, const char *kubeconfig,
					const char *node_name, bool requires_admission);

/* One allocation for node and prefixes; free() it. NULL: no memory. */
struct node *node_copy(const struct node *node);
