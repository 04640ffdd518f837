#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The boot guard of deploy/: once it is loaded, no packet with a pod's address is on the wire in
# cleartext, while traffic between pods of the same node and masqueraded traffic continue.
# podveil-keyd removes the guard when its programs are attached and it knows the peers, but not when
# it fails to start or has no tunnel. `podveil cleanup` removes the guard too, and neither touches
# another program's table.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/cni.bash
. "$(dirname "$0")/cni.bash"

GUARD=$ROOT/deploy/podveil-boot-guard.nft
UNIT=$ROOT/deploy/podveil-boot-guard.service

pod_add() { cni_add "$1" "$2" "$(bridge_config "$1")"; }

# With what the unit grants and no more.
load_guard() { # I
	local granted
	granted=$(sed -n 's/^CapabilityBoundingSet=CAP_/+/p' "$UNIT" | tr '[:upper:]' '[:lower:]')
	in_ns "n$1" setpriv --bounding-set="-all,$granted" -- /usr/sbin/nft -f "$GUARD"
}
guard_stands() { in_ns "n$1" nft list table inet podveil_boot_guard; }   # I
guard_is_gone() { ! in_ns "n$1" nft list table inet podveil_boot_guard; } # I
guard_dropped() { # I CHAIN: packets
	in_ns "n$1" nft -j list chain inet podveil_boot_guard "$2" |
		jq '[.nftables[].rule?.expr[]? | .counter?.packets // 0] | add'
}

unit_is_sound() { # but for the file's folder, it is as systemd will read it
	! systemd-analyze verify "$UNIT" 2>&1 | grep -F podveil-boot-guard &&
		[ "$(sed -n 's/^ExecStart=//p' "$UNIT")" = "/usr/sbin/nft -f /etc/podveil/boot-guard.nft" ]
}

# No receiver is needed: the question is whether the packet leaves the node.
pods_try() {
	local to
	for to in "p1 $(pod_v4 2)" "p2 $(pod_v4 1)" "p1 [$(pod_v6 2)]" "p2 [$(pod_v6 1)]"; do
		in_ns "${to% *}" "$BUILD/tools/flow" udp-send --to "${to#* }:9300" --rate 200 --count 100 --marker "$MARKER"
	done
	in_ns n1 ping -c 2 -i 0.1 -W 1 -q "$(pod_v4 2)" # the node itself, to a remote pod
	in_ns n1 ping -c 1 -W 1 -q "$(node_v4 2)"       # something to see
}

nothing_leaves() {
	shape_watch_start "$MARKER"
	pods_try >/dev/null 2>&1
	watch_stop
	watch_saw_nothing
}

local_pods_talk() {
	pings p1 "${POD_V4[q1]}" && pings q1 "$(pod_v6 1)" && pings n1 "$(pod_v4 1)" && pings n1 "${POD_V6[q1]}" &&
		pings p1 10.244.1.1
}
pods_talk() { pings p1 "$(pod_v4 2)" && pings p2 "$(pod_v6 1)"; }
is_dropped_on_the_way_in() { # from a node without a guard
	local before
	in_ns n2 nft delete table inet podveil_boot_guard || return 1
	before=$(guard_dropped 1 enters)
	in_ns p2 "$BUILD/tools/flow" udp-send --to "$(pod_v4 1):9300" --rate 200 --count 100 --marker "$MARKER"
	[ $(($(guard_dropped 1 enters) - before)) -ge 100 ] && load_guard 2
}

keyd_fails_to_start() {
	in_ns n1 "$BUILD/podveil-keyd" --node n1 --registry "file:$RUN_DIR/nowhere" --cluster-cidr 10.244.0.0/16 \
		--control "$(agent_dir 1)/keyd.sock" --bpffs "$(agent_bpffs 1)" --pod-cidr "$(pods_v4 1)"
	[ $? -ne 0 ] && guard_stands 1
}
hooks_stand() { grep -q "to_wire is attached to eth0" "$(agent_dir 1)/keyd.log"; }
cleanup_takes_it() {
	kill_agent 1
	load_guard 1
	in_ns n1 "$BUILD/podveil" cleanup --control "$(agent_dir 1)/keyd.sock" --bpffs "$(agent_bpffs 1)" \
		>"$RUN_DIR/cleanup.txt" || return 1
	cat "$RUN_DIR/cleanup.txt"
	grep -q "boot guard" "$RUN_DIR/cleanup.txt" && guard_is_gone 1
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
needs_cni bridge host-local
cluster_up 2
in_ns n1 nft add table inet somebody || skip_all "needs nf_tables"
pod_add 1 q1
masquerade 1
if command -v systemd-analyze >/dev/null; then
	check "the unit is sound" unit_is_sound
else
	skip "the unit is sound" "needs systemd-analyze"
fi
check "without the guard the detector sees the pods' traffic" shape_is_seen_in_clear
check "the guard loads with the privileges of its unit" eval 'load_guard 1 && load_guard 2'
check "and may be loaded again" load_guard 1
check "now nothing of the pods leaves, in either family or direction" nothing_leaves
check "which is the guard's doing, and counted there" test "$(guard_dropped 1 judge)" -ge 200
check "pods of the same node, and the node with them, go on" local_pods_talk
check "masqueraded traffic continues: the detector sees it" masqueraded_flow_is_seen p1 2
check "cleartext from another node's pod is dropped" is_dropped_on_the_way_in

mkdir -p "$(agent_dir 1)"
check "podveil-keyd that fails to start leaves it where it is" keyd_fails_to_start
spawn_keyd 1
check "podveil-keyd without a tunnel has its hooks" wait_until 10 hooks_stand
sleep 0.5
check "and leaves it where it is" guard_stands 1
start_tunnel 1
check "with the tunnel it is taken away" wait_until 5 guard_is_gone 1
check "the other's table is not" in_ns n1 nft list table inet somebody
check "nothing leaves" nothing_leaves
check "the other node's agent takes its own away" eval 'start_agent 2 && wait_until 5 guard_is_gone 2'
check "the pods talk" wait_until 10 pods_talk
check "and none of it is on the wire in cleartext" nothing_leaves
check "cleanup takes it away" cleanup_takes_it
check "and leaves the other's table" in_ns n1 nft list table inet somebody
done_testing
