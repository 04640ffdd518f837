#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A node's startup taint is removed when its pods are protected and no moment earlier: a pod
# scheduled there at once never has a packet in cleartext on the wire. The taint stays while there
# is no tunnel or no device to watch, and taints of others stay for good.

# shellcheck source=tests/kube/agents.bash
. "$(dirname "$0")/agents.bash"

MARKER=$(new_marker)
UPLINK=

agent_flags() { [ "$1" -ne 1 ] || echo "$UPLINK"; } # I

taint_stays() { # I: for some seconds
	local until=$(($(now_ms) + 3000))
	while [ "$(now_ms)" -lt $until ]; do
		has_taint "$1" || return 1
	done
}

# The pod that the scheduler places there starts to talk to a pod that is already waiting.
pod_starts_when_the_taint_goes() {
	wait_until 30 has_no_taint 1 || return 1
	in_ns p1 "$BUILD/tools/flow" udp-send --to "$(pod_v4 2):9100" --rate 500 --seconds 2 --size 300 --marker "$MARKER" &&
		in_ns p1 "$BUILD/tools/flow" udp-send --to "[$(pod_v6 2)]:9100" --rate 500 --seconds 1 --size 300 --marker "$MARKER"
}

pods_are_seen_in_clear() {
	watch_start "$MARKER"
	in_ns p1 "$BUILD/tools/flow" udp-send --to "$(pod_v4 2):9100" --rate 200 --count 100 --size 300 --marker "$MARKER"
	watch_stop
	watch_saw_plaintext
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
needs_kube kube-apiserver kubectl
kube_cluster_up 2
check "without agents the detector sees the pods' traffic" pods_are_seen_in_clear
check "both nodes have the startup taint" eval 'has_taint 1 && has_taint 2'
start_agent 2 || bail "no agent"
check "it goes from the node where the agent runs" wait_until 20 has_no_taint 2
check "and stays on the other" has_taint 1

UPLINK="--uplink later0" # which does not exist
start_agent 1 || bail "no agent"
check "it stays while the agent has nowhere to put its programs" taint_stays 1
kill_agent 1
UPLINK=

spawn_keyd 1
check "podveil-keyd alone answers" wait_until 10 agent_answers 1
check "the taint stays while there is no tunnel" taint_stays 1
watch_start "$MARKER"
spawn_tunnel 1
check "the tunnel comes: the taint goes, and a pod starts to talk at once" pod_starts_when_the_taint_goes
check "status says that the node is protected" status_says 1 '.state == "protected"'
watch_stop
check "no packet of the pod was in cleartext" watch_saw_nothing
check "the tunnel carried it" peer_says 1 2 '.to_tunnel.packets > 1000'
check "somebody else's taint is still there" node_says 1 'any(.spec.taints[]; .key == "node.kubernetes.io/not-ready")'
agents_done
