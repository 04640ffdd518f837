/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reasons why this node is not protected, the warnings, and the verdict that follows. CORE.
 * A reason is about this node: only reasons decide state, exit status, readiness and startup taint.
 * A warning is about another node, or about a choice of the administrator: it is listed and
 * counted, and decides nothing. The two are in separate lists, so that no number of warnings hides
 * a reason. Texts are for people; code compares kinds.
 */
#pragma once

#include "bpf_abi.h"
#include "refusal.h"

#define REASONS_MAX	64 /* listed; more are counted */
#define REASON_TEXT_LEN (REFUSAL_LEN + NODE_NAME_LEN)

enum reason_kind {
	/* of this node */
	REASON_MODE, /* it is permissive */
	REASON_MEMORY,
	REASON_LINKS,	    /* devices and addresses cannot be read */
	REASON_UPLINK,	    /* no device leads to other nodes, or one of the flags does not exist */
	REASON_ENDPOINT,    /* no address to publish */
	REASON_DEVICE,	    /* the tunnel's device cannot be set up */
	REASON_OVERLAY,	    /* more ports of overlays than the programs can inspect */
	REASON_ATTACHMENT,  /* a program is not attached to all its devices */
	REASON_HOOK,	    /* a hook is detached repeatedly; subject: program and device */
	REASON_GUARD,	    /* the nf_tables guard is changed repeatedly */
	REASON_BOOT_GUARD,  /* it cannot be removed */
	REASON_MAPS,	    /* the BPF maps cannot be written */
	REASON_TUNNEL,	    /* podveil-tunnel does not answer, or has another device or version */
	REASON_PORT,	    /* its UDP port cannot be opened */
	REASON_KEYS,	    /* it rejects a change of this node's keys */
	REASON_SECRET,	    /* the file of the cluster secret cannot be used */
	REASON_PODS,	    /* this node's pod prefixes are unknown, or unfit */
	REASON_PODS_ROUTED, /* one of them is routed to another machine; subject: the prefix */
	REASON_PODS_CUT,    /* there are more than can be published */
	REASON_RECORD,	    /* this node's record cannot be published */
	REASON_REGISTRY,    /* it cannot be reached */
	/* warnings */
	WARNING_RECORD,	   /* a record is refused, in whole or in part; subject: its node */
	WARNING_PEER,	   /* podveil-tunnel rejects another node; subject: the node */
	WARNING_STRAGGLER, /* another node does not follow a rotation; subject: the node */
	WARNING_STRAY,	   /* entries of the registry that name no node */
	WARNING_SECRET,	   /* nodes without the secret are accepted, or others can read its file */
	WARNING_REGISTRY,  /* it allows too much, or does not report its own addresses */
	WARNING_NO_GUARD,  /* this kernel has no nf_tables */
	REASON_KINDS
};

struct reason {
	enum reason_kind kind;
	char subject[NODE_NAME_LEN]; /* empty: the kind is enough */
	char text[REASON_TEXT_LEN];
};

struct reasons {
	uint32_t count, surplus; /* listed; counted for lack of room */
	struct reason items[REASONS_MAX];
};

/* The state of this node, in one word. */
enum reason_verdict {
	VERDICT_STARTING, /* registry or tunnel have not reported everything yet */
	VERDICT_PROTECTED,
	VERDICT_PERMISSIVE, /* the mode is the only reason why it is not protected */
	VERDICT_DEGRADED,
};

/* "mode", "maps": part of the answer to `status`, so never renamed. */
const char *reason_kind_name(enum reason_kind kind);
static inline bool reason_kind_is_warning(enum reason_kind kind)
{
	return kind >= WARNING_RECORD;
}

void reasons_clear(struct reasons *reasons);
/* Of several with the same kind and subject, the first one is kept. A subject that is too long
 * is cut. */
PRINTF(4, 5)
void reasons_add(struct reasons *reasons, enum reason_kind kind, const char *subject,
		 const char *format, ...);
PRINTF(4, 0)
void reasons_add_by(struct reasons *reasons, enum reason_kind kind, const char *subject,
		    const char *format, va_list arguments);
/* A reason with the same kind, subject and text is in the list. */
bool reasons_have(const struct reasons *reasons, const struct reason *reason);
static inline uint32_t reasons_total(const struct reasons *reasons)
{
	return reasons->count + reasons->surplus;
}

/* `own` contains no warnings. is_whole: registry and tunnel are connected and have reported
 * everything. has_settled: that has been so once since the start. */
enum reason_verdict reasons_judge(const struct reasons *own, bool is_whole, bool has_settled);
const char *reason_verdict_name(enum reason_verdict verdict);
