/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps, each with its one writer; include/bpf_abi.h has their keys and values. What user space writes the verifier
 * keeps read-only here. Large maps allocate as they fill: a small cluster must not pay for the greatest one.
 * Also the choices that are fixed when the programs are loaded.
 */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "bpf_abi.h"

/* Written by keyd/datapath/datapath.c: whole, whenever the tunnel's device, MTU or port changes. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, struct datapath_config);
} config SEC(".maps");

/* Written by keyd/datapath/datapath.c: the cluster's, the node's and the peers' prefixes. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, PREFIXES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct prefix_key);
	__type(value, struct prefix_value);
} prefixes SEC(".maps");

/* Written by keyd/datapath/datapath.c: which peers can be talked to. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAP_PEERS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, struct peer_value);
} peers SEC(".maps");

/* Entries made and removed by keyd/datapath/datapath.c; their numbers written by verdict.h alone. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, MAP_PEERS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct peer_traffic);
} peer_traffic SEC(".maps");

/* Written by verdict.h alone. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DROPS_MAX);
	__type(key, __u32);
	__type(value, struct traffic);
} drops SEC(".maps");

/* Written by keyd/datapath/datapath.c: the endpoints of --bypass and of API servers, and those that keyd probes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BYPASSES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct bypass_key);
	__type(value, __u8);
} bypass SEC(".maps");

/* Written by keyd/datapath/datapath.c: where the tunnel sends its datagrams inside the cluster range. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENDPOINTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct endpoint_key);
	__type(value, __u8);
} endpoints SEC(".maps");

/* Written and read by keyd alone, and here only because it must outlive keyd as the other maps do: the nodes with which
 * a handshake was completed once, by name, so that a peer that is made anew under another id is never in clear again. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAP_PEERS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct ratchet_key);
	__type(value, __u8);
} ratchet SEC(".maps");

/* Lower the MSS of TCP connections to what fits into the tunnel. */
const volatile bool clamp_mss = true;

/* Bytes before the IP header on a device without an Ethernet header. BPF_PROG_TEST_RUN cannot make such a packet, so
 * the tests load the programs with another value. */
const volatile __u32 bare_header_len = 0;
