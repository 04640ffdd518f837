/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps, each with its one writer, and the settings that are fixed when the programs are loaded.
 * include/bpf_abi.h has the maps' keys and values. The verifier makes the maps that user space
 * writes read-only for the programs. Large maps allocate as they fill, so that a small cluster does
 * not pay for the largest.
 */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "bpf_abi.h"

/* Written by keyd/datapath/datapath.c as a whole, whenever the tunnel's device, MTU or port
 * changes. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, struct datapath_config);
} config SEC(".maps");

/* Written by keyd/datapath/datapath.c: the prefixes of the cluster, the node and the peers. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, PREFIXES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct prefix_key);
	__type(value, struct prefix_value);
} prefixes SEC(".maps");

/* Written by keyd/datapath/datapath.c: the peers, and which of them are usable. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAP_PEERS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, struct peer_value);
} peers SEC(".maps");

/* keyd/datapath/datapath.c adds and removes the entries; only verdict.h writes their counters. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, MAP_PEERS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct peer_traffic);
} peer_traffic SEC(".maps");

/* Written by verdict.h only. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DROPS_MAX);
	__type(key, __u32);
	__type(value, struct traffic);
} drops SEC(".maps");

/* Written by keyd/datapath/datapath.c: the endpoints of --bypass and of API servers, and those that
 * keyd probes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BYPASSES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct bypass_key);
	__type(value, __u8);
} bypass SEC(".maps");

/* Written by keyd/datapath/datapath.c: the peers' endpoints inside the cluster range. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENDPOINTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct endpoint_key);
	__type(value, __u8);
} endpoints SEC(".maps");

/* Only keyd reads and writes this map. It is here because it must outlive keyd as the other maps
 * do. It holds the names of the nodes with which a handshake has completed at least once, so that a
 * peer that returns under another id is never sent cleartext again. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAP_PEERS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct ratchet_key);
	__type(value, __u8);
} ratchet SEC(".maps");

/* Lower the MSS of TCP connections to fit into the tunnel. */
const volatile bool clamp_mss = true;

/* Bytes before the IP header on a device without an Ethernet header. BPF_PROG_TEST_RUN cannot make
 * such a packet, so the tests load the programs with another value. */
const volatile __u32 bare_header_len = 0;
