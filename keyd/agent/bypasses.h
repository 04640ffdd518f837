/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the BPF map `bypass` as bypass_rules.h says, asks the registry for the missing proofs, and logs what became of
 * each address. SHELL.
 */
#pragma once

#include "cluster/bypass_rules.h"
#include "cluster/members.h"
#include "datapath/datapath.h"
#include "registry/registry.h"
#include "settings.h"

struct bypasses {
	struct bypass_table table;
	/* What the registry says. */
	bool is_list_known, has_own_server;
	struct bypass_key own_server;
	uint32_t listed_count;
	struct bypass_key listed[REGISTRY_SERVERS_MAX];
	/* Used by one call of bypasses_settle; too large for the stack. */
	struct bypass_table before;
	struct bypass_entry entries[BYPASS_ITEMS_MAX];
	struct bypass_key unproved[BYPASS_ITEMS_MAX];
};

/* Takes over an earlier agent's bypasses. Once, before anything is settled. */
void bypasses_begin(struct bypasses *bypasses, const struct datapath *datapath, bool is_server);

/* The registry's word: REGISTRY_SERVERS, REGISTRY_PROVED. */
void bypasses_take_servers(struct bypasses *bypasses, const struct registry_change *change);
void bypasses_take_proof(struct bypasses *bypasses, const struct registry_change *change);

/* As the members are judged at this moment. 0, or -errno after a logged line. */
MUST_CHECK int bypasses_settle(struct bypasses *bypasses, const struct settings *settings,
			       const struct members *members, bool are_members_known,
			       struct registry *registry, struct datapath *datapath);

/* "in force", "kept", "not reached yet", "claimed by node n2". */
#define BYPASSING_STATE_LEN (NODE_NAME_LEN + 32)
const char *bypasses_format_state(char text[static BYPASSING_STATE_LEN],
				  const struct members *members, const struct datapath *datapath,
				  const struct bypass_item *item);
