/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which prefixes are this node's pods: those of the flags, those that the registry has for the
 * node, or those that the node's own kernel shows, as --pod-cidrs-from chooses. CORE.
 */
#pragma once

#include "cluster/prefix.h"
#include "host/pods.h"
#include "settings.h"

struct pod_cidrs {
	enum pods_source source; /* of the flags */
	bool has_flags;		 /* the flags list the prefixes */
	bool is_server;		 /* the registry reports them later */
	struct pods local;	 /* as the kernel shows them */
	/* As the flags or the registry say. */
	struct cidr given[NODE_POD_CIDRS_MAX];
	uint32_t given_count;
	bool are_local; /* `local` is in use, else `given` */
	/* The registry has reported our own node, first at own_seen_ns. */
	bool was_own_seen;
	uint64_t own_seen_ns;
	struct refusal refusal; /* why the registry's prefixes are not in use; empty: they are */
};

/* Once, when the registry is open; `found` is its record of this node, or NULL. False: no prefix
 * is known, and none can become known. */
MUST_CHECK bool pod_cidrs_begin(struct pod_cidrs *pod_cidrs, const struct settings *settings,
				const struct node *found, bool is_server);

/* Until the registry has reported this node: the prefixes that an earlier agent put into the
 * maps, so that no device of theirs is mistaken for one that leads elsewhere. */
void pod_cidrs_inherit(struct pod_cidrs *pod_cidrs, const struct prefix_entry *entries,
		       uint32_t count);

/* The registry's record of our own node, each time it is reported. *refusal says why its
 * prefixes cannot be used; empty: they can. */
void pod_cidrs_learn(struct pod_cidrs *pod_cidrs, const struct node *node,
		     const struct refusal *refusal, uint64_t now_ns);

/* Or at least their source is; before that, there is nothing to publish. */
bool pod_cidrs_are_known(const struct pod_cidrs *pod_cidrs);

/* Why the prefixes are read from the kernel from now on. */
enum pod_cidrs_move {
	POD_CIDRS_STAY,
	POD_CIDRS_LATE,		/* the registry has none for this node, and had time enough */
	POD_CIDRS_REFUSED,	/* it has some that cannot be used */
	POD_CIDRS_CONTRADICTED, /* the kernel shows that they are not those of our pods */
};

/* For every new view, after pods_mark_devices: reads `local` from it, and moves to it if
 * --pod-cidrs-from allows. *ret_proof is set if the view contradicts the registry. */
enum pod_cidrs_move pod_cidrs_follow(struct pod_cidrs *pod_cidrs, const struct underlay_view *view,
				     const struct cidr *ranges, uint32_t range_count,
				     uint64_t now_ns, struct cidr *ret_proof);

/* After pod_cidrs_follow: this node's pods, and the holes and routes in them, into *self. True:
 * the pods are read from the kernel, and there are more than can be published. */
bool pod_cidrs_fill(const struct pod_cidrs *pod_cidrs, const struct underlay_view *view,
		    struct cluster_self *self);

/* Why nothing can be published for lack of prefixes. */
enum pod_cidrs_trouble {
	POD_CIDRS_FINE,
	POD_CIDRS_BAD,	   /* `refusal` says why */
	POD_CIDRS_MISSING, /* the registry has none for this node yet */
};
enum pod_cidrs_trouble pod_cidrs_find_trouble(const struct pod_cidrs *pod_cidrs);

/* "flag", "node", "local". */
const char *pod_cidrs_origin(const struct pod_cidrs *pod_cidrs);
