#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# An overlay: bridge plugin, and a VXLAN device for each family with the neighbours, forwarding entries and routes that
# flannel sets. The overlay is bypassed, so that nothing is encrypted twice, and the detector looks into it.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/cni.bash
. "$(dirname "$0")/cni.bash"

VXLAN_PORT=8472

mac() { echo "02:00:00:00:0$1:0$2"; } # I FAMILY

vxlan_add() { # I DEVICE FAMILY LOCAL ADDRESS
	ip -n "$(ns "n$1")" link add "$2" address "$(mac "$1" "$3")" mtu 1430 type vxlan id "$3" local "$4" dev eth0 \
		dstport $VXLAN_PORT nolearning || skip_all "this kernel has no VXLAN"
	address_add "n$1" "$2" "$5"
	ip -n "$(ns "n$1")" link set "$2" up
}

node_prepare() {
	masquerade "$1"
	vxlan_add "$1" flannel.4 4 "$(node_v4 "$1")" "10.244.$1.0/32"
	vxlan_add "$1" flannel.6 6 "$(node_v6 "$1")" "fd00:10:244:$1::/128"
}

pod_add() { cni_add "$1" "$2" "$(bridge_config "$1" '"mtu": 1430,')"; }

overlay_route() { # FROM TO DEVICE FAMILY NODE GATEWAY PODS
	in_ns "n$1" bridge fdb append "$(mac "$2" "$4")" dev "$3" dst "$5" &&
		in_ns "n$1" ip neigh add "$6" lladdr "$(mac "$2" "$4")" dev "$3" nud permanent &&
		in_ns "n$1" ip route add "$7" via "$6" dev "$3" onlink
}

node_route() { # FROM TO
	overlay_route "$1" "$2" flannel.4 4 "$(node_v4 "$2")" "10.244.$2.0" "$(pods_v4 "$2")" &&
		overlay_route "$1" "$2" flannel.6 6 "$(node_v6 "$2")" "fd00:10:244:$2::" "$(pods_v6 "$2")"
}

overlay_is_empty() { # over all that was sent since the agents are here
	local device
	for device in flannel.4 flannel.6; do
		ip -n "$(ns n1)" -s -j link show "$device" | jq -c '.[0].stats64.tx'
		[ "$(ip -n "$(ns n1)" -s -j link show "$device" | jq '.[0].stats64.tx.packets')" -eq "${SENT[$device]}" ] || return 1
	done
}

declare -A SENT
note_sent() {
	local device
	for device in flannel.4 flannel.6; do
		SENT[$device]=$(ip -n "$(ns n1)" -s -j link show "$device" | jq '.[0].stats64.tx.packets')
	done
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
needs_cni bridge host-local
cluster_up 2
check "the detector sees the pods' traffic in the overlay while no agent runs" shape_is_seen_in_clear
spawn_keyd() { spawn_keyd_from "$1" local; }
check "agents start and protect both nodes" start_agents
note_sent
check "the bridge is known to lead to pods" leads_to_pods 1 cni0
check "the overlay's IPv4 device is not one of them" is_uplink 1 flannel.4
check "the overlay's IPv6 device is not one of them" is_uplink 1 flannel.6
check "the node publishes the bridge's prefixes" publishes 1 "$(pods_v4 1)" "$(pods_v6 1)"
shape_carries
check "the overlay carried none of it" overlay_is_empty
check "traffic that the CNI masquerades to a node's address is outside, and seen" masqueraded_flow_is_seen p1 2
shape_done
