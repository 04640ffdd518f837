#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A host route to each pod, no subnet on the node, and addresses that do not follow the Node's
# podCIDRs: Calico's shape. Made by the ptp plugin, whose pods use a gateway for every destination;
# each node has blocks, marked by a blackhole route, and pods outside of them. keyd reads the
# prefixes from the kernel (`--pod-cidrs local`), and `auto` detects this by itself.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/cni.bash
. "$(dirname "$0")/cni.bash"

# Blocks of 64 addresses, as Calico's IPAM gives them; node 1 has .64/26, node 2 has .128/26 of the same /24.
block_v4() { echo "10.244.7.$(($1 * 64))/26"; }
block_v6() { echo "fd00:10:244:7::$1:0/112"; }

pod_add() { cni_add "$1" "$2" "$(ptp_config "$1" '[[{"subnet": "'"$(block_v4 "$1")"'"}], [{"subnet": "'"$(block_v6 "$1")"'"}]]')"; }

node_prepare() {
	masquerade "$1"
	in_ns "n$1" ip route add blackhole "$(block_v4 "$1")" &&
		in_ns "n$1" ip route add blackhole "$(block_v6 "$1")" || bail "no blackhole routes"
	in_ns "n$1" sysctl -q -w net.ipv4.conf.default.proxy_arp=1
}

node_route() { # FROM TO
	in_ns "n$1" ip route add "$(block_v4 "$2")" via "$(node_v4 "$2")" &&
		in_ns "n$1" ip route add "$(block_v6 "$2")" via "$(node_v6 "$2")"
}

spawn_keyd() { spawn_keyd_from "$1" local; }

host_device() { jq -r '.interfaces[] | select(.sandbox == null or .sandbox == "") | .name' "$RUN_DIR/$1.cni"; } # POD

# A pod outside of every block of its node, as after its pool ran dry.
stray_add() {
	cni_add 1 stray "$(ptp_config 1 '[[{"subnet": "10.244.99.0/28"}], [{"subnet": "fd00:10:244:99::/112"}]]')" &&
		in_ns n2 ip route add "${POD_V4[stray]}/32" via "$(node_v4 1)" &&
		in_ns n2 ip route add "${POD_V6[stray]}/128" via "$(node_v6 1)"
}
stray_is_published() { publishes 1 "$(block_v4 1)" "$(block_v6 1)" "${POD_V4[stray]}/32" "${POD_V6[stray]}/128"; }
stray_is_a_peers() {
	podveil 2 -o json peers | jq -e --arg cidr "${POD_V4[stray]}/32" '.peers[] | select(.node == "n1") | .pods | index($cidr)'
}
stray_is_forgotten() { publishes 1 "$(block_v4 1)" "$(block_v6 1)"; }

# An address of node 1's block on node 2: Calico lends them where its pool runs dry.
lend() {
	cni_add 2 lent "$(ptp_config 2 '[[{"subnet": "'"$(block_v4 1)"'", "rangeStart": "10.244.7.100"}]]' | jq '.name = "lent"')" &&
		in_ns n1 ip route add "${POD_V4[lent]}/32" via "$(node_v4 2)"
}
block_is_given_up() { publishes 1 "$(pod_v4 1)/32" "$(block_v6 1)"; }
pod_reaches() { in_ns "$1" ping -c 1 -W 1 -q "$2"; }

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
needs_cni ptp host-local
cluster_up 2
check "the detector sees the pods' traffic while no agent runs" shape_is_seen_in_clear
check "agents start and protect both nodes" start_agents
check "a pod's veth is known to lead to it" leads_to_pods 1 "$(host_device p1)"
check "the NIC, a veth itself, does not" is_uplink 1 eth0
check "the blocks are what the node publishes" publishes 1 "$(block_v4 1)" "$(block_v6 1)"
shape_carries
check "traffic that the CNI masquerades to a node's address is outside, and seen" masqueraded_flow_is_seen p1 2

shape_watch_start "$MARKER"
check "a pod outside of the node's blocks starts" stray_add
check "its address is published" wait_until 5 stray_is_published
check "the other node's agent follows" wait_until 5 stray_is_a_peers
check "it reaches the other node's pod over IPv4" wait_until 5 pings stray "$(pod_v4 2)"
check "it reaches the other node's pod over IPv6" wait_until 5 pings stray "$(pod_v6 2)"
check "the other node's pod reaches it" pings p2 "${POD_V4[stray]}"
check "it ends" cni_del 1 stray
check "its address is published no more" wait_until 5 stray_is_forgotten

kill -STOP "$(keyd_pid 1)"
check "a pod starts that keyd does not get to see" eval 'stray_add || ip -n "$(ns stray)" link show eth0'
check "the guard lets the pods and the node of its own reach it" eval 'pings p1 "${POD_V4[stray]}" && pings n1 "${POD_V6[stray]}"'
kill -CONT "$(keyd_pid 1)"
check "it ends too" cni_del 1 stray
check "its address is forgotten" wait_until 5 stray_is_forgotten

check "node 2 starts a pod with an address of node 1's block" lend
check "node 1 does not publish that block as a whole any more" wait_until 5 block_is_given_up
check "the lent address is reached through the tunnel" wait_until 5 pod_reaches p1 "${POD_V4[lent]}"
check "and the pods that stayed still are" udp_arrives
watch_stop
check "none of this was on the wire in cleartext" watch_saw_nothing

# auto: the registry says one thing, the kernel shows another.
stop_keyd 1
jq '.podCIDRs = ["10.244.1.0/24", "fd00:10:244:1::/64"]' "$RUN_DIR/registry/n1.json" >"$RUN_DIR/n1.json" &&
	mv "$RUN_DIR/n1.json" "$RUN_DIR/registry/n1.json"
spawn_keyd() { spawn_keyd_from "$1" auto; }
check "keyd with auto takes over on a node with podCIDRs that are not its pods'" start_keyd 1
check "it moves to the kernel's word" wait_until 5 pods_from 1 local
check "and says so" grep -q 'warning: the pods of this node are not those of its podCIDRs' "$(agent_dir 1)/keyd.log"
check "it publishes what the kernel shows" block_is_given_up
keeps_podcidrs() { jq -e '.podCIDRs == ["10.244.1.0/24", "fd00:10:244:1::/64"]' "$RUN_DIR/registry/n1.json"; }
check "and leaves the registry's podCIDRs as they are" keeps_podcidrs
check "traffic is as before" udp_arrives
shape_done
