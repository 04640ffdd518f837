/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of podveil-keyd, parsed from its command line and environment. SHELL.
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
	enum datapath_mode mode; /* until a command or the registry changes it */
	enum pods_source pods_source;
	uint32_t pod_count, range_count, except_count, endpoint_count, bypass_count;
	struct cidr pods[NODE_POD_CIDRS_MAX];
	struct cidr ranges[CLUSTER_CIDRS_MAX];
	struct cidr excepts[CLUSTER_CIDRS_MAX]; /* parts of the ranges that stay in cleartext */
	struct bypass_key bypasses[SETTINGS_BYPASSES_MAX];
	struct address endpoints[ANNOTATION_ENDPOINTS_MAX];
	struct rotate_settings rotate;
};

/*
 * Parses environment and command line and checks them with settings_check. With the registry
 * `kubernetes` the ranges may still be missing: the caller then finds them and calls
 * settings_check_ranges.
 */
enum flags_outcome settings_parse(struct settings *settings, int argc, char **argv);

/* True if the settings are complete and consistent; logs the first error. */
MUST_CHECK bool settings_check(const struct settings *settings);

/*
 * Parses "10.244.0.0/16,fd00:10:244::/48" as the cluster's ranges; false with the reason in
 * `refusal`.
 */
MUST_CHECK bool settings_take_ranges(struct settings *settings, const char *text,
				     struct refusal *refusal);

/* True if the ranges are consistent with all other settings; logs the first error. */
MUST_CHECK bool settings_check_ranges(const struct settings *settings);

/* True if the prefixes may be this node's pods; false with the reason in `refusal`. */
MUST_CHECK bool settings_judge_pods(const struct settings *settings, const struct cidr *pods,
				    uint32_t count, const char *origin, struct refusal *refusal);
/* The same; logs the reason. */
MUST_CHECK bool settings_check_pods(const struct settings *settings, const struct cidr *pods,
				    uint32_t count, const char *origin);
