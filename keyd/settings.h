/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the command line of podveil-keyd says. SHELL.
 */
#pragma once

#include <limits.h>

#include "cluster/bypass.h"
#include "cluster/cluster.h"
#include "flags.h"

#define SETTINGS_UPLINKS_MAX  64
#define SETTINGS_BYPASSES_MAX 64

enum pods_source { PODS_AUTO, PODS_NODE, PODS_LOCAL, PODS_FLAG };

struct settings {
	const char *node, *registry, *interface, *tunnel, *control, *bpffs;
	const char *cluster_secret; /* NULL: none */
	const char *kubeconfig;	    /* NULL: the service account of the pod */
	bool is_kubernetes, requires_admission;
	uint16_t port;
	bool is_uplink_auto;
	uint32_t uplink_count;
	char uplinks[SETTINGS_UPLINKS_MAX][IF_NAMESIZE];
	enum datapath_mode mode; /* at the start */
	enum pods_source pods_source;
	uint32_t pod_count, range_count, except_count, endpoint_count, bypass_count;
	struct cidr pods[NODE_POD_CIDRS_MAX];
	struct cidr ranges[CLUSTER_CIDRS_MAX];
	struct cidr excepts[CLUSTER_CIDRS_MAX]; /* parts of the ranges that stay in clear */
	struct bypass_key bypasses[SETTINGS_BYPASSES_MAX];
	struct address endpoints[ANNOTATION_ENDPOINTS_MAX];
	struct rotate_settings rotate;
};

/* Takes environment and command line, and looks whether they make sense together; logs what does not. With the registry
 * `kubernetes` the ranges may still be missing: then they are to be found, and settings_check_ranges to be asked. */
enum flags_outcome settings_parse(struct settings *settings, int argc, char **argv);

/* Do they make sense together? Logs what does not. */
MUST_CHECK bool settings_check(const struct settings *settings);

/* "10.244.0.0/16,fd00:10:244::/48" as the cluster's ranges; false with the reason in `refusal`. */
MUST_CHECK bool settings_take_ranges(struct settings *settings, const char *text,
				     struct refusal *refusal);

/* Do the ranges go with everything else? Logs why not. */
MUST_CHECK bool settings_check_ranges(const struct settings *settings);

/* Are the prefixes fit to be this node's pods? Else *refusal says why not. */
MUST_CHECK bool settings_judge_pods(const struct settings *settings, const struct cidr *pods,
				    uint32_t count, const char *origin, struct refusal *refusal);
/* The same, and logs why not. */
MUST_CHECK bool settings_check_pods(const struct settings *settings, const struct cidr *pods,
				    uint32_t count, const char *origin);
