#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# One wire loses, duplicates or corrupts datagrams, or does all three (TC programs,
# tools/faults.bpf.c: one datagram in twenty, both ways); another delays and reorders them
# (tools/wire.c). On each of them a TCP stream through the tunnel arrives whole, and numbered
# datagrams arrive unchanged and at most once; no datagram is lost except those that the wire lost
# or corrupted. The tunnel counts each fault of the wire under its own reason. Positive control:
# each wire reports its faults.

# shellcheck source=tests/netns/wires.bash
. "$(dirname "$0")/wires.bash"

# -- the wires --

spoil() { # FAULT
	local side
	for side in "${SIDES[@]}"; do
		in_ns "$side" tc qdisc replace dev wire0 clsact &&
			in_ns "$side" tc filter replace dev wire0 ingress pref 1 handle 1 bpf direct-action obj \
				"$BUILD/tools/faults.bpf.o" sec "$1" || return 1
	done
}

mend() { for side in "${SIDES[@]}"; do in_ns "$side" tc qdisc delete dev wire0 clsact; done; }

faults_at() { # SIDE N: 0 lost, 1 duplicated, 2 corrupted
	local program map
	program=$(in_ns "$1" tc -j filter show dev wire0 ingress | jq '[.. | .prog? // empty | .id] | first')
	map=$(bpftool -j prog show id "$program" | jq '.map_ids[0]')
	bpftool -j map dump id "$map" | jq "[.[] | .formatted | select(.key == $2) | .value] | add"
}

faults() { echo $(($(faults_at a "$1") + $(faults_at b "$1"))); } # N

# Another cable, by way of a namespace of its own. Frames are forwarded as they are: whole, and with their checksums.
long_cable_up() {
	local side
	ns_add w
	for side in "${SIDES[@]}"; do
		link_add "$side" wire1 w "to_$side"
		address_add "$side" wire1 "192.168.61.$(number "$side")/24"
	done
	cut_super_packets wire1 tx off
}

counts_what_was_spoilt() {
	local counted
	counted=$(drops bad_tag bad_type bad_mac1 unknown_index bad_handshake session_expired replayed)
	echo "$(faults 2) corrupted, $counted counted"
	[ "$(faults 2)" -gt 100 ] && [ "$counted" -ge $(($(faults 2) * 9 / 10)) ]
}

counts_what_was_doubled() {
	local counted
	counted=$(($(drops replayed) - BEFORE))
	echo "$(faults 1) duplicated, $counted counted"
	[ "$(faults 1)" -gt 100 ] && [ "$counted" -ge $(($(faults 1) * 9 / 10)) ] && [ "$counted" -le "$(faults 1)" ]
}

begin_wireguard
needs tools/flow tools/drops tools/wire
[ -r "$BUILD/tools/faults.bpf.o" ] || bail "$BUILD/tools/faults.bpf.o is missing: run make all tools"
cable_up
cut_super_packets wire0
start_ours a && start_ours b && introduce && point_to_other a v4 || bail "no two ends to try"
pings a v4 >/dev/null || bail "the two ends do not reach each other"

# At most twice the expected number: one in twenty of 4,000 is 200, and all faults at once hit one
# in ten.
spoil lose || skip_all "this kernel takes no TC programs"
passes "loss" $((DATAGRAMS / 10))
check "loss: the wire lost" test "$(faults 0)" -gt 100
BEFORE=$(drops replayed)
spoil duplicate
passes "duplication" 0
check "duplication: the wire doubled, and the tunnel counts it" counts_what_was_doubled
spoil corrupt
passes "corruption" $((DATAGRAMS / 10))
check "corruption: the wire spoilt, and the tunnel counts it" counts_what_was_spoilt
spoil all
passes "all three" $((DATAGRAMS / 5))
mend

long_cable_up
wg set "$(device a)" peer "$(public_key b)" endpoint 192.168.61.2:51902
long_cable_start 10 20 || bail "no long cable: $(cat "$RUN_DIR/wire.json.err")"
passes "delay and reordering" 0
check "delay and reordering: the datagrams themselves were reordered" jq -e '.reordered > 100' "$RUN_DIR/received.json"
check "delay and reordering: the wire lost nothing by itself" long_cable_stop
[ "$TESTS_FAILED" -eq 0 ] || diag_file "$RUN_DIR/a.log.err" "podveil-tunnel"
done_testing
