/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The contract between the BPF programs and podveil-keyd: keys and values of the pinned maps. In
 * user space only keyd/datapath/datapath.c writes them; the programs write only counters. Maps are
 * pinned by name in <bpffs>/maps, so the meaning of a field may change only together with
 * MAP_ABI_VERSION.
 */
#pragma once

#include <linux/types.h>

#include "drop_reason.h"

#define MAP_ABI_VERSION 2

#define PREFIXES_MAX	131072
#define MAP_PEERS_MAX	16384
/* More than there are reasons, so that a new one does not change the pinned map's shape. */
#define DROPS_MAX	  256
#define BYPASSES_MAX	  1024
#define ENDPOINTS_MAX	  65536
#define OVERLAY_PORTS_MAX 4
/* On a packet that keyd's guard drops (keyd/guard/guard.h): "pvgd". */
#define GUARD_MARK 0x70766764
/* On the packets of keyd's own probes of API servers (SO_MARK). It shares no bit with the marks
 * that kube-proxy (0xc000), Calico (0xff0000), Cilium (0xf00) and Amazon's CNI (0x80) read or
 * change. */
#define PROBE_MARK    0x70003076
#define NODE_NAME_LEN 254 /* a DNS subdomain has at most 253 characters */

/* Key of `prefixes` (LPM trie, both families). An IPv4 prefix is stored as ::ffff:a.b.c.d with 96
 * added to its length. */
struct prefix_key {
	__u32 prefix_len; /* 0..128 */
	__u8 address[16];
};

/* The class of an address, from its longest matching prefix. The programs ignore unmatched
 * addresses. */
enum prefix_class {
	PREFIX_CLUSTER = 1, /* in the cluster's pod range, claimed by no node: drop */
	PREFIX_LOCAL = 2,   /* this node's own pods */
	PREFIX_SELF = 3,    /* an address of this node */
	PREFIX_PEER = 4,    /* pods of the node peer_id */
	PREFIX_NODE = 5,    /* an address of the node peer_id */
	PREFIX_EXCEPT = 6,  /* in the cluster range, but excepted from it by --except-cidr */
	/* An address of the node peer_id, inside the cluster range, that may be a pod's
	 * (keyd/cluster/claim.h, claims_is_contested). Packets to it always go into the tunnel, but
	 * its cleartext is accepted as that of a node. */
	PREFIX_CONTESTED = 7,
};

struct prefix_value {
	__u32 class;   /* enum prefix_class */
	__u32 peer_id; /* with PREFIX_PEER, PREFIX_NODE and PREFIX_CONTESTED, else 0 */
};

/* Value of `peers` (hash, key: __u32 peer id, never 0). keyd assigns the ids, and they outlive it:
 * it finds them again by name. */
struct peer_value {
	__u32 is_usable; /* the tunnel has a key and an endpoint: packets may be redirected */
	/* A handshake has completed at least once: never send cleartext to this node again, in any
	 * mode. */
	__u32 was_reached;
	char node[NODE_NAME_LEN + 2];
};

struct traffic {
	__u64 packets; /* a super-packet counts its segments */
	__u64 bytes;   /* of IP packets */
};

/* Value of `peer_traffic` (per-CPU hash, key: __u32 peer id). keyd creates the entries, the
 * programs add to them. Id 0 is for every address in the cluster range that no node claims. */
struct peer_traffic {
	struct traffic to_tunnel;
	struct traffic from_tunnel;
	struct traffic clear_out, clear_in; /* passed in cleartext because the mode is permissive */
};

/* Key of `bypass` (hash, value: __u8, an enum bypass_value): an address and port that bypass the
 * tunnel. The programs look here only while datapath_config.bypass_count is not 0. */
struct bypass_key {
	__u8 address[16]; /* IPv4 as ::ffff:a.b.c.d */
	__be16 port;
	__u16 zero;
};

/* Any other value allows nothing. Agents older than these values wrote 1 for every bypass. */
enum bypass_value {
	BYPASS_TCP_UDP = 1, /* both protocols, both directions: --bypass */
	BYPASS_TCP = 2,	    /* TCP, both directions: an API server */
	/* A possible API server: only TCP of this node's own addresses, and outgoing packets only
	 * with PROBE_MARK. */
	BYPASS_PROBE = 3,
};

/* Key of `endpoints` (hash, value: __u8, always 1). The tunnel's own datagrams to this address and
 * port always leave, since they are ciphertext, regardless of the class of the address in
 * `prefixes`. It holds only endpoints inside the cluster range: the programs pass the others
 * anyway. */
struct endpoint_key {
	__u8 address[16]; /* IPv4 as ::ffff:a.b.c.d */
	__be16 port;
	__u16 zero;
};

/* Key of `ratchet` (hash, MAP_PEERS_MAX entries, value: __u8, always 1): a node with which a
 * handshake has completed. Only keyd reads and writes it, and never removes an entry: peers come
 * and go, and their ids with them. */
struct ratchet_key {
	char node[NODE_NAME_LEN + 2]; /* padded with zeros */
};

enum datapath_mode {
	MODE_STRICT = 0,     /* encrypted or dropped */
	MODE_PERMISSIVE = 1, /* cleartext to and from nodes that were never reached */
};

/* The single value of `config` (array), always written as a whole. tunnel_ifindex 0: there is no
 * tunnel, so drop. */
struct datapath_config {
	__u32 abi_version;
	__u32 tunnel_ifindex;
	__u32 tunnel_mtu;  /* inner MTU: TCP's MSS is clamped to it */
	__u32 tunnel_port; /* UDP, host order */
	__u32 mode;	   /* enum datapath_mode; any value but MODE_PERMISSIVE is strict */
	__u32 bypass_count;
	/* The overlays' UDP ports on this machine, host order; 0: unused. wire_guard and from_wire
	 * look inside packets to these ports. */
	__u16 vxlan_ports[OVERLAY_PORTS_MAX];
	__u16 geneve_ports[OVERLAY_PORTS_MAX];
};

/* `drops`: per-CPU array of struct traffic, indexed by enum drop_reason. */
_Static_assert(DROP_REASON_COUNT <= DROPS_MAX, "the map has room for every reason");
