#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Pods on a bridge, and routes by way of their nodes to the other nodes' pods: kubenet, and flannel with host-gw. Made by
# the bridge plugin, dual stack, masqueraded towards everything but pods as those do; one pod is masqueraded even towards
# other pods (the plugin's own ipMasq).

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/cni.bash
. "$(dirname "$0")/cni.bash"

pod_add() { cni_add "$1" "$2" "$(bridge_config "$1")"; }
node_prepare() { masquerade "$1"; }

masqueraded_pods_reach_pods() {
	local MARKER
	MARKER=$(new_marker)
	shape_watch_start "$MARKER"
	pings m1 "$(pod_v4 2)" && pings m1 "$(pod_v6 2)" && tcp_arrives m1 p2 "$(pod_v4 2)" && tcp_arrives m1 p2 "$(pod_v6 2)"
	local status=$?
	watch_stop
	[ $status -eq 0 ] && watch_saw_nothing
}

names_the_hole() { # a status that is not "protected" is a failure of the command
	status_of 1 >"$RUN_DIR/status.json"
	jq -e '.reasons | any(test("10.244.2.0/24 is among this node.s pod prefixes, but its route leads to another"))' \
		"$RUN_DIR/status.json"
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
needs_cni bridge host-local
cluster_up 2
cni_add 1 m1 "$(bridge_config 1 '"ipMasq": true,')"
check "the detector sees the pods' traffic while no agent runs" shape_is_seen_in_clear
check "agents start and protect both nodes" start_agents
check "the bridge is known to lead to pods" leads_to_pods 1 cni0
shape_carries
check "a pod that its plugin masquerades reaches other nodes' pods through the tunnel" masqueraded_pods_reach_pods
check "traffic that the CNI masquerades to a node's address is outside, and seen" masqueraded_flow_is_seen p1 2

spawn_keyd() { spawn_keyd_from "$1" local; }
stop_keyd 1
check "keyd that reads prefixes from the kernel takes over" start_keyd 1
check "it is protected again" wait_until 10 agent_is_ready 1
check "the node publishes the bridge's prefixes" wait_until 5 publishes 1 "$(pods_v4 1)" "$(pods_v6 1)"
check "the bridge still leads to pods" leads_to_pods 1 cni0
check "traffic is as before" udp_arrives

# 10.244.0.0/17 holds the other node's pods too: taken for local, their packets would be let through.
stop_keyd 1
agent_flags() { echo "--pod-cidr 10.244.0.0/17"; }
spawn_keyd() { spawn_keyd_from "$1" flag; }
spawn_keyd 1
check "keyd with a --pod-cidr around the other node's pods names the part that its routes reach elsewhere" \
	wait_until 10 names_the_hole
shape_watch_start "$MARKER"
udp_arrives >/dev/null 2>&1
in_ns n1 ping -c 5 -i 0.1 -q "$(node_v4 2)" >/dev/null
watch_stop
check "nothing for the other node's pods leaves in cleartext" watch_saw_nothing
shape_done
