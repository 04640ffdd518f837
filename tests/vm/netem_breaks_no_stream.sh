#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The kernel's own emulator of bad networks (sch_netem) delays and reorders the tunnel's datagrams,
# both ways, then also loses, duplicates and corrupts them. A TCP stream through the tunnel arrives
# whole, and numbered datagrams arrive unchanged and at most once.

# shellcheck source=tests/netns/wires.bash
. "$(dirname "$0")/../netns/wires.bash"

emulate() { # NETEM WORD...
	local side
	for side in "${SIDES[@]}"; do
		in_ns "$side" tc qdisc replace dev wire0 root netem limit 10000 "$@" || return 1
	done
}

passes() { # NAME MOST_LOST
	check "$1: a TCP stream over IPv4 arrives whole" stream_arrives_whole a v4
	check "$1: datagrams over IPv6 arrive once and unchanged, back" datagrams_arrive b v6 "$2"
}

begin_wireguard
needs tools/flow
cable_up
cut_super_packets wire0
start_ours a && start_ours b && introduce && point_to_other a v4 || bail "no two ends to try"
pings a v4 >/dev/null || bail "the two ends do not reach each other"
emulate delay 1ms 2>"$RUN_DIR/netem.txt" || skip_all "this kernel has no netem: $(cat "$RUN_DIR/netem.txt")"
emulate delay 20ms 10ms reorder 25% 50%
passes "delay and reordering" 0
check "delay and reordering: the datagrams were reordered" jq -e '.reordered > 0' "$RUN_DIR/received.json"
emulate delay 5ms 2ms loss 3% duplicate 3% corrupt 3%
passes "loss, duplicates and turned bits as well" $((DATAGRAMS / 5))
check "loss, duplicates and turned bits as well: datagrams were lost" jq -e '.lost > 0' "$RUN_DIR/received.json"
[ "$TESTS_FAILED" -eq 0 ] || diag_file "$RUN_DIR/a.log.err" "podveil-tunnel"
done_testing
