/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the BPF programs and podveil-keyd agree on: the pinned maps' keys and values. keyd/datapath.c is the only
 * writer in user space; the programs write counters and nothing else. Maps are pinned by their names below
 * <bpffs>/maps, so a field changes its meaning only together with MAP_ABI_VERSION.
 */
#pragma once

#include <linux/types.h>

#include "drop_reason.h"

#define MAP_ABI_VERSION 1

#define PREFIXES_MAX	131072
#define MAP_PEERS_MAX	16384
#define DROPS_MAX \
	256 /* more than there are reasons, so that a new one does not change the pinned map's shape */
#define NODE_NAME_LEN 254 /* a DNS subdomain has at most 253 characters */

/* Key of `prefixes` (LPM trie, both families): an IPv4 prefix is held as ::ffff:a.b.c.d with 96 added to its length. */
struct prefix_key {
	__u32 prefix_len; /* 0..128 */
	__u8 address[16];
};

/* What the longest matching prefix says of an address. Anything unmatched is none of our business. */
enum prefix_class {
	PREFIX_CLUSTER = 1, /* in the cluster's pod range, claimed by nobody: drop */
	PREFIX_LOCAL = 2,   /* this node's own pods */
	PREFIX_SELF = 3,    /* an address of this node */
	PREFIX_PEER = 4,    /* pods of the node peer_id */
	PREFIX_NODE = 5,    /* an address of the node peer_id */
};

struct prefix_value {
	__u32 class;   /* enum prefix_class */
	__u32 peer_id; /* with PREFIX_PEER and PREFIX_NODE, else 0 */
};

/* Value of `peers` (hash, key: __u32 peer id, never 0). Ids are keyd's and outlive it: the name finds them again. */
struct peer_value {
	__u32 is_usable; /* the tunnel knows a key and an endpoint: packets may be redirected */
	char node[NODE_NAME_LEN + 2];
};

struct traffic {
	__u64 packets; /* a super-packet counts its segments */
	__u64 bytes;   /* of IP */
};

/* Value of `peer_traffic` (per-CPU hash, key: __u32 peer id). keyd makes the entries, the programs add to them. */
struct peer_traffic {
	struct traffic to_tunnel;
	struct traffic from_tunnel;
};

/* The single value of `config` (array). Written whole; tunnel_ifindex 0 means there is no tunnel: drop. */
struct datapath_config {
	__u32 abi_version;
	__u32 tunnel_ifindex;
	__u32 tunnel_mtu;  /* inner MTU: TCP's MSS is clamped to it */
	__u32 tunnel_port; /* UDP, host order */
};

/* `drops`: per-CPU array of struct traffic, indexed by enum drop_reason. */
_Static_assert(DROP_REASON_COUNT <= DROPS_MAX, "the map has room for every reason");
