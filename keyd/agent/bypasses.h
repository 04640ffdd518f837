/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills the BPF map `bypass` by the rules of bypass_rules.h, asks the registry for the missing
 * proofs, and logs the state of each address. SHELL.
 */
#pragma once

#include "cluster/bypass_rules.h"
#include "cluster/members.h"
#include "datapath/datapath.h"
#include "registry/registry.h"
#include "settings.h"

struct bypasses {
	struct bypass_table table;
	/* As the registry reported. */
	bool is_list_known, has_own_server;
	struct bypass_key own_server;
	uint32_t listed_count;
	struct bypass_key listed[REGISTRY_SERVERS_MAX];
	/* Used by one call of bypasses_settle; too large for the stack. */
	struct bypass_table before;
	struct bypass_entry entries[BYPASS_ITEMS_MAX];
	struct bypass_key unproved[BYPASS_ITEMS_MAX];
};

/* Takes over the bypasses of an earlier agent. Called once, before bypasses_settle. */
void bypasses_begin(struct bypasses *bypasses, const struct datapath *datapath, bool is_server);

/* The registry's reports REGISTRY_SERVERS and REGISTRY_PROVED. */
void bypasses_set_servers(struct bypasses *bypasses, const struct registry_change *change);
void bypasses_note_proof(struct bypasses *bypasses, const struct registry_change *change);

/* Selects the bypasses by the current verdicts on the members. 0, or -errno after a logged line. */
MUST_CHECK int bypasses_settle(struct bypasses *bypasses, const struct settings *settings,
			       const struct members *members, bool are_members_known,
			       struct registry *registry, struct datapath *datapath);

/* "in force", "kept", "not reached yet", "claimed by node n2". */
#define BYPASSING_STATE_LEN (NODE_NAME_LEN + 32)
const char *bypasses_format_state(char text[static BYPASSING_STATE_LEN],
				  const struct members *members, const struct datapath *datapath,
				  const struct bypass_item *item);
