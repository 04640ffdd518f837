/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reasons and warnings of a pass, the verdict on this node that follows from them, and the
 * actions that it allows. CORE.
 */
#pragma once

#include "cluster/reason.h"

struct verdict {
	struct reasons reasons, warnings;		/* of this pass */
	struct reasons reasons_before, warnings_before; /* of the last one */
	/* Warnings about the administrator's choices, listed for each answer to `status`. */
	struct reasons choices;
	enum reason_verdict word; /* of the last pass */
	bool has_settled;	  /* one whole pass with tunnel and registry is done */
	bool must_stop;		  /* the agent cannot start: the reason is logged */
	/* In this pass, every device that leads to other nodes has its programs, and the maps
	 * that keep cleartext from leaving are written. */
	bool is_tight;
	bool is_cut_short; /* there is no memory for the rest of the pass */
};

/* The state of the pass that the reasons do not name. */
struct verdict_facts {
	bool is_listed, has_identity, are_pods_known; /* from the registry */
	bool is_connected;			      /* to the tunnel */
	bool has_uplink;
};

/* A pass begins, with empty lists. */
void verdict_begin(struct verdict *verdict);

/* A fault of this node, until the next pass. */
PRINTF(4, 5)
void verdict_add_reason(struct verdict *verdict, enum reason_kind kind, const char *subject,
			const char *format, ...);
void verdict_add_map_failure(struct verdict *verdict);
/* A fault of another node, until the next pass. Only to be called in a pass: a warning that
 * finds no room is counted at each call. */
PRINTF(4, 5)
void verdict_add_warning(struct verdict *verdict, enum reason_kind kind, const char *subject,
			 const char *format, ...);

/* Registry and tunnel are connected and have reported everything. */
bool verdict_is_whole(const struct verdict_facts *facts);

/* True in the pass in which it became so. */
struct verdict_news {
	bool has_settled, is_protected;
};

/* The pass is over. Its lists are kept, to be compared with those of the next one. */
struct verdict_news verdict_judge(struct verdict *verdict, const struct verdict_facts *facts);

/* Cleartext can leave this node by no device, with or without the boot guard. A refused node or
 * the permissive mode is no reason to keep the boot guard. */
bool verdict_allows_boot_guard_removal(const struct verdict *verdict,
				       const struct verdict_facts *facts);

/* After verdict_judge: this node keeps the promise of its mode, so pods may be scheduled to it. */
bool verdict_allows_pods(const struct verdict *verdict, const struct verdict_facts *facts);
