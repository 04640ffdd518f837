/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data of one resolution, shared by the steps of cluster.h: this node, the other nodes with what is known of them and
 * what comes out for them, and the storage to work in.
 */
#pragma once

#include <stdarg.h>

#include "claim.h"
#include "host/route.h"
#include "node.h"

#define CLUSTER_CIDRS_MAX	  64
#define CLUSTER_OWN_ADDRESSES_MAX 256
#define CLUSTER_HOLES_MAX	  1024
#define CLUSTER_PROVED_MAX	  4 /* keys remembered of each node */
#define CLUSTER_PLACES_MAX	  24 /* addresses of each node where the tunnel asked it, or reached it */
#define CLUSTER_KEY_TURN_MS	  2000 /* for each node that claims a key which none has proved */
/* Of its addresses the first ones can be asked about, and all endpoints: with those in use they fit the places. */
#define CLUSTER_ASKED_ADDRESSES_MAX 14
#define CLUSTER_QUESTIONS_MAX	    (CLUSTER_ASKED_ADDRESSES_MAX + ANNOTATION_ENDPOINTS_MAX)

/* This node: settings and what its kernel shows. */
struct cluster_self {
	uint64_t now_ms; /* Unix time */
	uint32_t range_count, pod_count, address_count;
	struct cidr ranges[CLUSTER_CIDRS_MAX];
	struct cidr pods[ANNOTATION_PODS_MAX];
	uint32_t hole_count;
	struct cidr holes[CLUSTER_HOLES_MAX]; /* of our pods: pods_find_holes */
	uint32_t route_count;
	const struct route *routes; /* of this machine; the caller's */
	struct address addresses[CLUSTER_OWN_ADDRESSES_MAX];
	bool has_ipv4, has_ipv6; /* families of our endpoints */
	uint16_t port;		 /* of our tunnel: by another one no node proves where it is */
	uint32_t entry_count;
	const struct prefix_entry *entries; /* what the maps hold so far, settled; the caller's */
	bool has_given_pod_cidrs; /* the Nodes' podCIDRs are the control plane's word, not each node's own */
	bool has_key[KEY_SLOTS];
	struct public_key keys[KEY_SLOTS];
	struct secret_ids secrets; /* what the peers are told of ours */
};

enum member_state {
	MEMBER_WAITING, /* nothing usable published yet */
	MEMBER_USABLE,
	MEMBER_REFUSED, /* what it published is bad, and there is nothing good from before */
};

/* What the tunnel knows of an address of a node: see struct claim_evidence. */
struct cluster_place {
	struct address address;
	uint64_t proved_ns, answered_ns, left_ns;
	bool has_lapsed; /* the node was heard since, but does not answer there any more: its proof counts no longer */
};

/* One other node. */
struct cluster_member {
	/* In; the caller's. */
	char name[NODE_NAME_LEN];
	uint32_t id;		 /* in the BPF maps and the tunnel */
	const struct node *seen; /* newest record that could be read; NULL: none yet */
	const struct node *good; /* the one in use so far; NULL: none */
	bool is_good_tentative; /* it is in use only because it was this node's turn to show that it has the key */
	struct refusal unreadable; /* why the newest record could not be read; empty: it could */
	const struct annotation *
		floor; /* of seen's uid, from when it was in use before the node left or was another;
					   NULL: none. Without pods. */
	/* Of the newest record that the tunnel was told, which outlives the agent that told it; uid empty: none. */
	char told_uid[NODE_UID_LEN];
	uint64_t told_epoch;
	uint32_t proved_count; /* keys under which a session was made, newest first */
	struct public_key proved_keys[CLUSTER_PROVED_MAX];
	bool was_found; /* an earlier agent on this node had it in the maps, and no record was in use since */
	/* See struct claim_evidence; presence.h. */
	bool is_silent, is_askable;
	uint32_t place_count;
	struct cluster_place places[CLUSTER_PLACES_MAX];

	/* Out, from cluster_resolve. */
	const struct node *chosen; /* `seen`, `good` or NULL: whose annotation is in use */
	enum member_state state;
	bool has_lost_seen, has_lost_good; /* a key of that record is another's */
	bool has_common_secret;		   /* or the common wish for none; of the chosen record */
	uint32_t secret;	/* then the number in self->secrets; 0 where we have none */
	bool is_held;		/* leave in maps and tunnel what an earlier agent put there */
	struct refusal refusal; /* the first */
	uint32_t refusal_count;
	uint32_t endpoint_count;
	struct address endpoints[ANNOTATION_ENDPOINTS_MAX]; /* of one family, best first */
	uint32_t first_claim, claim_count;
	bool has_disputed_key; /* in its turn: it is to be asked for a handshake under it */
	bool is_in_dispute; /* another node lost a claim against it: whether it is still there matters */
};

struct cluster_key_claim {
	const struct public_key *key;
	uint32_t member; /* index, or CLAIM_SELF */
	uint32_t rank, age;
	bool is_of_seen;
};

/* Storage for one resolution; cluster_resolve says in cluster_needs how much. */
struct cluster_workspace {
	uint32_t *by_age; /* as many as members */
	struct cluster_key_claim *keys;
	struct claims claims;
};

/* Notes why something of the node's is refused; the first reason is kept, all are counted. */
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
