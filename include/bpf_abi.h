/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the BPF programs and podveil-keyd agree on: the pinned maps' keys and values. keyd/datapath/datapath.c is the only
 * writer in user space; the programs write counters and nothing else. Maps are pinned by their names below
 * <bpffs>/maps, so a field changes its meaning only together with MAP_ABI_VERSION.
 */
#pragma once

#include <linux/types.h>

#include "drop_reason.h"

#define MAP_ABI_VERSION 2

#define PREFIXES_MAX	131072
#define MAP_PEERS_MAX	16384
#define DROPS_MAX \
	256 /* more than there are reasons, so that a new one does not change the pinned map's shape */
#define BYPASSES_MAX	  1024
#define ENDPOINTS_MAX	  65536
#define OVERLAY_PORTS_MAX 4
#define GUARD_MARK	  0x70766764 /* on a packet that keyd's guard drops, see keyd/guard/guard.h: "pvgd" */
/* On the packets of keyd's own probes of API servers (SO_MARK). The bits of it are none that kube-proxy (0xc000), Calico
 * (0xff0000), Cilium (0xf00) or Amazon's CNI (0x80) reads or changes. */
#define PROBE_MARK    0x70003076
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
	PREFIX_EXCEPT = 6,  /* inside the cluster range, but left in clear by --except-cidr */
	/* An address of the node peer_id, inside the cluster range, that may be a pod's (keyd/cluster/claim.h, claims_is_contested):
	 * into the tunnel, whoever sends, but believed in cleartext as a node's address is. */
	PREFIX_CONTESTED = 7,
};

struct prefix_value {
	__u32 class;   /* enum prefix_class */
	__u32 peer_id; /* with PREFIX_PEER, PREFIX_NODE and PREFIX_CONTESTED, else 0 */
};

/* Value of `peers` (hash, key: __u32 peer id, never 0). Ids are keyd's and outlive it: the name finds them again. */
struct peer_value {
	__u32 is_usable; /* the tunnel knows a key and an endpoint: packets may be redirected */
	__u32 was_reached; /* a handshake was completed once: nothing to it in clear any more, in no mode */
	char node[NODE_NAME_LEN + 2];
};

struct traffic {
	__u64 packets; /* a super-packet counts its segments */
	__u64 bytes;   /* of IP */
};

/* Value of `peer_traffic` (per-CPU hash, key: __u32 peer id). keyd makes the entries, the programs add to them. Id 0
 * stands for destinations and sources in the cluster range that no node claims. */
struct peer_traffic {
	struct traffic to_tunnel;
	struct traffic from_tunnel;
	struct traffic clear_out, clear_in; /* passed in clear because the mode is permissive */
};

/* Key of `bypass` (hash, value: __u8, an enum bypass_value): what from or to this address and port stays outside. Looked
 * at only while datapath_config.bypass_count is not 0. */
struct bypass_key {
	__u8 address[16]; /* IPv4 as ::ffff:a.b.c.d */
	__be16 port;
	__u16 zero;
};

/* Any other value opens nothing. Agents of before these values wrote 1 for every bypass. */
enum bypass_value {
	BYPASS_TCP_UDP = 1, /* both protocols, both directions: --bypass */
	BYPASS_TCP = 2,	    /* TCP, both directions: an API server */
	/* Perhaps an API server: TCP of this node's own addresses alone, and of what they send only what has PROBE_MARK. */
	BYPASS_PROBE = 3,
};

/* Key of `endpoints` (hash, value: __u8, always 1): the tunnel's own datagrams to this address and port always leave,
 * since they are ciphertext, whatever `prefixes` says of the address. Only endpoints inside the cluster range are in it:
 * those outside pass anyway. */
struct endpoint_key {
	__u8 address[16]; /* IPv4 as ::ffff:a.b.c.d */
	__be16 port;
	__u16 zero;
};

/* Key of `ratchet` (hash, MAP_PEERS_MAX entries, value: __u8, always 1): a node with which a handshake was completed. Read
 * and written by keyd alone, which never takes an entry back: peers come and go, and their ids with them. */
struct ratchet_key {
	char node[NODE_NAME_LEN + 2]; /* padded with zeros */
};

enum datapath_mode {
	MODE_STRICT = 0,     /* encrypted or dropped */
	MODE_PERMISSIVE = 1, /* clear towards and from nodes that were never reached */
};

/* The single value of `config` (array). Written whole; tunnel_ifindex 0 means there is no tunnel: drop. */
struct datapath_config {
	__u32 abi_version;
	__u32 tunnel_ifindex;
	__u32 tunnel_mtu;  /* inner MTU: TCP's MSS is clamped to it */
	__u32 tunnel_port; /* UDP, host order */
	__u32 mode;	   /* enum datapath_mode; what is not MODE_PERMISSIVE is strict */
	__u32 bypass_count;
	/* UDP, host order, 0: none. The overlays' ports on this machine, in whose packets wire_guard and from_wire look. */
	__u16 vxlan_ports[OVERLAY_PORTS_MAX];
	__u16 geneve_ports[OVERLAY_PORTS_MAX];
};

/* `drops`: per-CPU array of struct traffic, indexed by enum drop_reason. */
_Static_assert(DROP_REASON_COUNT <= DROPS_MAX, "the map has room for every reason");
