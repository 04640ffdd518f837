#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Each node has two NICs, and the routes to the other node's pods move from one to the other and
# back while numbered datagrams run both ways in both families: none is lost, and none is on either
# wire in cleartext.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/cni.bash
. "$(dirname "$0")/cni.bash"

WATCH_MORE=(n1b n2b)

pod_add() { cni_add "$1" "$2" "$(bridge_config "$1")"; }

node_prepare() {
	ip -n "$(ns wire)" link show br1 >/dev/null 2>&1 ||
		ip -n "$(ns wire)" link add br1 type bridge forward_delay 0 mcast_snooping 0 || bail "no second wire"
	ip -n "$(ns wire)" link set br1 up
	link_add "n$1" eth1 wire "n${1}b"
	ip -n "$(ns wire)" link set "n${1}b" master br1
	address_add "n$1" eth1 "192.168.60.$1/24" "fd00:60::$1/64"
	masquerade "$1"
}

route_by() { # FROM TO NET: 50 or 60
	in_ns "n$1" ip route replace "$(pods_v4 "$2")" via "192.168.$3.$2" &&
		in_ns "n$1" ip route replace "$(pods_v6 "$2")" via "fd00:$3::$2"
}

routes_lead_by() { in_ns n1 ip route get "$(pod_v4 2)" | grep -w "dev $1" && in_ns n1 ip route get "$(pod_v6 2)" | grep -w "dev $1"; }

routes_move() { # TIMES
	local n
	for n in $(seq "$1"); do
		route_by 1 2 60 && sleep 0.3 && route_by 2 1 60 && sleep 0.3 || return 1
		routes_lead_by eth1 || return 1
		route_by 1 2 50 && sleep 0.3 && route_by 2 1 50 && sleep 0.3 || return 1
	done
	route_by 1 2 60 && route_by 2 1 60
}

seen_on_the_second_wire() {
	routes_move 0 && shape_is_seen_in_clear
	local status=$?
	route_by 1 2 50 && route_by 2 1 50 && return $status
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
needs_cni bridge host-local
cluster_up 2
check "the detector sees the pods' traffic on the first wire while no agent runs" shape_is_seen_in_clear
check "the detector sees it on the second wire too" seen_on_the_second_wire
check "agents start and protect both nodes" start_agents
check "both NICs are uplinks" eval 'is_uplink 1 eth0 && is_uplink 1 eth1'
shape_watch_start "$MARKER"
udp_start 1000 30 >/dev/null || bail "the traffic does not start"
sleep 0.5
check "the routes move from one NIC to the other and back, five times" routes_move 5
check "the peer is usable all the time" agent_is_ready 1
sleep 0.5
check "the traffic ran all the time" kill -0 "${SENDERS[@]}"
udp_stop
watch_stop
check "not one datagram was lost" udp_lost_nothing
check "neither wire saw marker or pod address" watch_saw_nothing
check "routes are by the second NIC now" routes_lead_by eth1
shape_carries
check "traffic that the CNI masquerades to a node's address is outside, and seen" masqueraded_flow_is_seen p1 2
shape_done
