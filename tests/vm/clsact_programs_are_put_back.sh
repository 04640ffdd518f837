#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# On kernels without tcx, all programs are filters of clsact. If another program deletes one, keyd
# restores it in its place, and the other filter at that hook passes no cleartext in between.
# Deleting the qdisc deletes both, and keyd restores them as fast. With tcx this is
# tests/netns/hooks_are_repaired_within_a_second.sh.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/../netns/lib.sh"

MARKER=$(new_marker)
BOUND_MS=$((2000 * SLOW)) # what is promised is 1000: looking takes time as well

traffic_start() {
	local i
	for i in 1 2; do
		spawn "p$i" "$RUN_DIR/sender.$i" "$BUILD/tools/flow" udp-send --to "$(pod_v4 $((3 - i))):9004" \
			--rate 40 --seconds 600 --size 400 --marker "$MARKER"
	done
}

plaintext_leaves() {
	watch_start "$MARKER"
	sleep 1
	watch_stop
	watch_saw_plaintext
}

uses_clsact() { podveil 1 -o json status | jq -e '.datapath.mechanism == "clsact"'; }

programs() { # DEV ingress|egress: in their order
	in_ns n1 tc filter show dev "$1" "$2" | sed -n 's/.* handle 0x[0-9a-f]* \([a-z_]*\).*/\1/p' | tr '\n' ' '
}

all_stands() {
	[ "$(programs eth0 egress)" = "to_wire wire_guard " ] && [ "$(programs eth0 ingress)" = "from_wire " ] &&
		[ "$(programs podveil0 ingress)" = "from_tunnel " ]
}

delete_filters() { in_ns n1 tc filter del dev "$@"; } # DEV ingress|egress pref PRIORITY

break_and_wait() { # FAULT...
	local began
	watch_start "$MARKER"
	"$@" || return 1
	began=$(now_ms)
	wait_until 10 all_stands
	MS=$(($(now_ms) - began))
	sleep 0.5
	watch_stop
}

is_mended() { # FAULT...
	break_and_wait "$@" || return 1
	echo "all stands again after $MS ms"
	[ "$MS" -lt $BOUND_MS ]
}

is_mended_without_leak() { is_mended "$@" && watch_saw_nothing; }
repairs() { podveil 1 -o json status | jq '[.hooks[].repairs] | add'; }

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
cluster_up 2
traffic_start
check "the detector sees plaintext before the agents come" plaintext_leaves
check "agents start and protect both nodes" start_agents
uses_clsact >/dev/null || skip_all "this kernel has tcx"
check "every program stands where it belongs" wait_until 5 all_stands
check "to_wire deleted is put back, and nothing leaves" is_mended_without_leak delete_filters eth0 egress pref 1
check "wire_guard deleted is put back, and nothing leaves" is_mended_without_leak delete_filters eth0 egress pref 2
check "from_wire deleted is put back, and nothing leaves" is_mended_without_leak delete_filters eth0 ingress pref 1
check "from_tunnel deleted is put back, and nothing leaves" is_mended_without_leak delete_filters podveil0 ingress pref 1
check "a clsact that is deleted comes back with all of them" is_mended in_ns n1 tc qdisc del dev eth0 clsact
check "all of these were repairs" test "$(repairs)" -ge 5
done_testing
