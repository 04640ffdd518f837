/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data of one resolution, shared by the steps of cluster.h: this node, the other nodes with
 * their input and verdict, and the working storage.
 */
#pragma once

#include <stdarg.h>

#include "claim.h"
#include "host/route.h"
#include "node.h"

#define CLUSTER_CIDRS_MAX	  64
#define CLUSTER_OWN_ADDRESSES_MAX 256
#define CLUSTER_HOLES_MAX	  1024
#define CLUSTER_PROVED_MAX	  4 /* keys remembered for each node */
/* addresses of each node where the tunnel asked it or reached it */
#define CLUSTER_PLACES_MAX  24
#define CLUSTER_KEY_TURN_MS 2000 /* for each claimant of a key that no node has proved */
/* The first addresses of a node and all its endpoints can be asked about: together with the
 * addresses in use they fit into the places. */
#define CLUSTER_ASKED_ADDRESSES_MAX 14
#define CLUSTER_QUESTIONS_MAX	    (CLUSTER_ASKED_ADDRESSES_MAX + ANNOTATION_ENDPOINTS_MAX)

/* This node: its settings, and the state of its kernel. */
struct cluster_self {
	uint64_t now_ms; /* Unix time */
	uint32_t range_count, pod_count, address_count;
	struct cidr ranges[CLUSTER_CIDRS_MAX];
	struct cidr pods[ANNOTATION_PODS_MAX];
	uint32_t hole_count;
	struct cidr holes[CLUSTER_HOLES_MAX]; /* within our pods: see pods_find_holes */
	uint32_t route_count;
	const struct route *routes; /* of this machine; the caller's */
	struct address addresses[CLUSTER_OWN_ADDRESSES_MAX];
	bool has_ipv4, has_ipv6; /* families of our endpoints */
	/* of our tunnel: a node that uses another port cannot prove where it is */
	uint16_t port;
	uint32_t entry_count;
	const struct prefix_entry *entries; /* the maps' current content, settled; the caller's */
	/* the control plane assigns the Nodes' podCIDRs, not each node for itself */
	bool has_given_pod_cidrs;
	bool has_key[KEY_SLOTS];
	struct public_key keys[KEY_SLOTS];
	struct secret_ids secrets; /* as announced to the peers */
};

enum member_state {
	MEMBER_WAITING, /* no usable record published yet */
	MEMBER_USABLE,
	MEMBER_REFUSED, /* its record is bad, and there is no earlier good one */
};

/* The tunnel's knowledge of one address of a node: see struct claim_evidence. */
struct cluster_place {
	struct address address;
	uint64_t proved_ns, answered_ns, left_ns;
	/* The node was heard since, but no longer answers there: its proof no longer counts. */
	bool has_lapsed;
};

/* One other node. */
struct cluster_member {
	/* Input; the caller's. */
	char name[NODE_NAME_LEN];
	uint32_t id;		 /* in the BPF maps and in the tunnel */
	const struct node *seen; /* newest readable record; NULL: none yet */
	const struct node *good; /* the record in use so far; NULL: none */
	/* it is in use only because it was this node's turn to prove that it has the key */
	bool is_good_tentative;
	struct refusal unreadable; /* why the newest record is unreadable; empty: it is readable */
	/* An annotation of seen's uid that was in use before the node left or was replaced; NULL:
	 * none. Without pods. */
	const struct annotation *floor;
	/* The newest record given to the tunnel, which survives a restart of the agent; uid empty:
	 * none. */
	char told_uid[NODE_UID_LEN];
	uint64_t told_epoch;
	uint32_t proved_count; /* keys under which a session was made, newest first */
	struct public_key proved_keys[CLUSTER_PROVED_MAX];
	/* an earlier agent on this node left it in the maps, and no record was in use since */
	bool was_found;
	/* See struct claim_evidence and presence.h. */
	bool is_silent, is_askable;
	uint32_t place_count;
	struct cluster_place places[CLUSTER_PLACES_MAX];

	/* Output of cluster_resolve. */
	/* `seen`, `good` or NULL: its annotation is in use */
	const struct node *chosen;
	enum member_state state;
	bool has_lost_seen, has_lost_good; /* a key of that record belongs to another node */
	/* of the chosen record; true also if both sides have none */
	bool has_common_secret;
	uint32_t secret;	/* index of the common secret in self->secrets; 0 if we have none */
	bool is_held;		/* leave an earlier agent's entries in the maps and the tunnel */
	struct refusal refusal; /* the first reason */
	uint32_t refusal_count;
	uint32_t endpoint_count;
	struct address endpoints[ANNOTATION_ENDPOINTS_MAX]; /* of one family, best first */
	uint32_t first_claim, claim_count;
	/* it is this node's turn for the key: ask it for a handshake under it */
	bool has_disputed_key;
	bool is_in_dispute; /* another node lost a claim to it: check whether it is still present */
};

struct cluster_key_claim {
	const struct public_key *key;
	uint32_t member; /* index, or CLAIM_SELF */
	uint32_t rank, age;
	bool is_of_seen;
};

/* Storage for one resolution; cluster_needs gives the sizes. */
struct cluster_workspace {
	uint32_t *by_age; /* as many as members */
	struct cluster_key_claim *keys;
	struct claims claims;
};

/* Records why a part of the node's record is refused. Keeps the first reason and counts all. */
static inline void PRINTF(2, 3)
	cluster_complain(struct cluster_member *member, const char *format, ...)
{
	va_list arguments;

	if (member->refusal_count++)
		return;
	va_start(arguments, format);
	vsnprintf(member->refusal.text, sizeof(member->refusal.text), format, arguments);
	va_end(arguments);
}
