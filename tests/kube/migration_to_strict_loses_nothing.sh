#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A live cluster goes over to strict: deploy/overlays/migrate, the agents one node after the other, then deploy/ itself.
# Connections that were open before the first agent go on, numbered datagrams come all, and the ConfigMap's mode is that of
# every node within seconds. A word that is no mode changes nothing and is named.

# shellcheck source=tests/kube/agents.bash
. "$(dirname "$0")/agents.bash"

UDP_RATE=500 # so that the queue of podveil0 outlasts a second in which the machine does something else
MARKER=$(new_marker)

# The kernel stops a device for some microseconds while it gets its first clsact qdisc, and drops
# packets sent then. An agent that does not know yet which devices lead to pods watches all of them.
add_clsact() { in_ns "n$1" tc qdisc add dev eth0 clsact && in_ns "n$1" tc qdisc add dev pods0 clsact; } # I

have_reached_each_other() { peer_says 1 2 .was_reached && peer_says 2 1 .was_reached; }

all_are() { # MODE
	local i
	for i in $(seq "$NODES"); do
		status_says "$i" '.mode == "'"$1"'"' || return 1
	done
}

status_exits() { podveil "$1" status >/dev/null 2>&1; [ $? -eq "$2" ]; } # I STATUS

there_and_back() {
	for _ in 1 2 3; do
		set_mode permissive && wait_until 5 all_are permissive && set_mode strict && wait_until 5 all_are strict || return 1
	done
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
needs_kube kube-apiserver kubectl
deploy_apply() { overlay_apply overlays/migrate >/dev/null && set_range || bail "kubectl apply -k: $(cat "$KUBE_DIR/deploy")"; }
kube_cluster_up 2
add_clsact 1 && add_clsact 2 || bail "this kernel has no clsact"
udp_start move 1 2
tcp_start move 1 2 1000000
check "before the agents come the detector sees the traffic" wire_shows_plaintext
start_agent 1 || bail "no agent"
check "the ConfigMap of overlays/migrate says permissive, and the node is" wait_until 10 status_says 1 '.mode == "permissive"'
check "traffic to a node without an agent still passes in cleartext" wire_shows_plaintext
check "that is no failure of the agent's: its probe says ready" wait_until 10 status_exits 1 0
check "the startup taint goes: pods may come, as before" wait_until 15 has_no_taint 1
start_agent 2 || bail "no agent"
check "the other agent comes: both nodes reach each other" wait_until 15 have_reached_each_other
sleep 0.3
check "from then on nothing of it is in cleartext" wire_shows_nothing
check "kubectl apply -k deploy/" overlay_apply .
check "makes all nodes strict within seconds" wait_until 10 all_are strict
check "which protect their pods" wait_until 10 agents_are_ready
sleep 0.5
check "the traffic ran all the time" traffic_runs
traffic_stop
check "no datagram was lost on the way from clear to strict" udp_lost_nothing move 1000
check "no connection was reset, nor lost a byte" tcp_lost_nothing move

udp_start switch 1 2
tcp_start switch 1 2 1000000
check "the mode goes there and back by the ConfigMap, on all nodes" there_and_back
set_mode maybe
check "a word that is no mode is named" wait_until 5 log_says 1 'maybe.*strict or permissive'
check "and the last good one stays" all_are strict
check "a command does not win over the ConfigMap" eval '! podveil 1 mode permissive || ! sleep 1 || all_are strict'
kubectl -n $NAMESPACE delete configmap podveil >/dev/null
sleep 1
check "without a ConfigMap the last mode stays" all_are strict
check "nothing was in cleartext" wire_shows_nothing
traffic_stop
check "no datagram was lost by it" udp_lost_nothing switch 400
check "no connection was disturbed" tcp_lost_nothing switch
agents_done
