/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This node as it is now: its devices and addresses, and its description, against which the records
 * of the other nodes are judged. SHELL.
 */
#pragma once

#include "cluster/cluster.h"
#include "cluster/rotate.h"
#include "datapath/datapath.h"
#include "host/underlay.h"
#include "pod_cidrs.h"
#include "registry/registry.h"
#include "settings.h"
#include "verdict.h"

struct facts {
	struct cluster_self self;
	struct underlay_view view;
	struct underlay underlay; /* points into `view` */
	/* The underlay of the last pass; large, and only used by facts_read. */
	struct underlay before;
};

/* Once, when the registry is open. False after a logged line: this node's pod prefixes cannot be
 * known, or are unfit. */
MUST_CHECK bool facts_begin(struct facts *facts, struct pod_cidrs *pod_cidrs,
			    const struct settings *settings, const struct registry *registry);
void facts_clear(struct facts *facts);

/* Judges the devices of *view, by the pod prefixes of the last facts_read. */
void facts_judge(const struct facts *facts, const struct pod_cidrs *pod_cidrs,
		 const struct settings *settings, struct underlay_view *view,
		 struct underlay *ret_underlay);

/* Reads devices, addresses and own pods from the kernel. If they cannot be read, the last ones
 * stay. */
void facts_read(struct facts *facts, struct pod_cidrs *pod_cidrs, const struct settings *settings,
		struct registry *registry, struct verdict *verdict);

/* Fills `self` from the last facts_read, the maps, this node's keys (`own`; NULL: none) and the
 * cluster secret (NULL: none). */
void facts_describe(struct facts *facts, const struct settings *settings,
		    const struct datapath *datapath, const struct rotate_identity *own,
		    const struct secrets *secrets);

/* Adds a reason for each device or address that this node lacks and needs to be reachable. */
void facts_report_devices(const struct facts *facts, const struct settings *settings,
			  struct verdict *verdict);
