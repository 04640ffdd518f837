#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A router between two nodes has a far link that becomes narrower while traffic flows, and wide
# again. The tunnel follows: TCP continues and arrives whole, packets of pods are answered with the
# new size, IPv6 of 1280 bytes crosses in fragments, and the wire behind the router never carries a
# packet larger than its MTU. A route's own MTU counts too, padding included. A router that claims
# less than 1280 bytes is ignored.
#
#   n1 up0 (172.20.1.1, fd00:20:1::1) -- (r1) r (r2) -- (172.20.2.1, fd00:20:2::1) up0 n2

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/mtu.bash
. "$(dirname "$0")/mtu.bash"

MARKER=$(new_marker)
FORGETS_AFTER=3 # seconds: ten minutes is what the kernel takes when nobody says otherwise

endpoint_v4() { echo "172.20.$1.1"; }
endpoint_v6() { echo "fd00:20:$1::1"; }

agent_flags() { [ "$OUTER" = 4 ] && echo "--endpoint $(endpoint_v4 "$1")" || echo "--endpoint $(endpoint_v6 "$1")"; }

connect_by_router() {
	local i other
	ns_add r
	for i in 1 2; do
		other=$((3 - i))
		link_add "n$i" up0 r "r$i"
		address_add "n$i" up0 "$(endpoint_v4 $i)/24" "$(endpoint_v6 $i)/64"
		address_add r "r$i" "172.20.$i.254/24" "fd00:20:$i::fe/64"
		ip -n "$(ns "n$i")" route add "172.20.$other.0/24" via "172.20.$i.254"
		ip -n "$(ns "n$i")" route add "fd00:20:$other::/64" via "fd00:20:$i::fe"
		in_ns "n$i" ethtool -K up0 "${SEGMENTS_OFF[@]}" || bail "cannot keep n$i from sending super-packets"
		in_ns "n$i" sysctl -q -w net.ipv4.route.mtu_expires=$FORGETS_AFTER net.ipv6.route.mtu_expires=$FORGETS_AFTER
	done
	in_ns r sysctl -q -w net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
}

# The router's far link: n2 sees that by itself, n1 has to be told.
narrow() { # MTU
	ip -n "$(ns r)" link set r2 mtu "$1"
	ip -n "$(ns n2)" link set up0 mtu "$1"
}

# Packets larger than the tunnel's present MTU are answered at once. Smaller ones may be lost behind
# it, which is how the tunnel learns.
pod_is_told_now() { # INNER MTU
	local told
	forget_path 1
	in_ns p1 ping -M 'do' -c 1 -W 0.2 -q -s 1472 "$(pod_v4 2)" >/dev/null
	told=$(pod_path_mtu 1 "$(pod_v4 2)")
	[ "$told" = "$1" ] && return
	in_ns p1 ping -M 'do' -c 1 -W 0.2 -q -s $((told - 28)) "$(pod_v4 2)" >/dev/null
	return 1
}

path_becomes() { # INNER MTU [WITHIN SECONDS]
	wait_until "${2:-3}" pod_is_told_now "$1" && return
	echo "the pod was told: $(pod_path_mtu 1 "$(pod_v4 2)")"
	return 1
}

ipv6_of_1280_crosses() { pings p1 "$(pod_v6 2)" -M 'do' -s 1232; } # in one piece as far as the pods can tell

# Begun on the wide path, carried on over the narrow one.
flow_start() { # NAME ADDRESS PORT
	rm -f "$RUN_DIR/$1.ready"
	spawn p2 "$RUN_DIR/$1.recv" "$BUILD/tools/flow" tcp-recv --bind "$(address_port "$2" "$3")" --seconds 25 \
		--ready-file "$RUN_DIR/$1.ready" --marker "$MARKER"
	FLOWS+=("$SPAWNED")
	wait_until 20 test -e "$RUN_DIR/$1.ready" || bail "flow did not start: $(cat "$RUN_DIR/$1.recv.err")"
	spawn p1 "$RUN_DIR/$1.send" "$BUILD/tools/flow" tcp-send --to "$(address_port "$2" "$3")" --rate 1000000 --seconds 3 --marker "$MARKER"
	FLOWS+=("$SPAWNED")
}

flow_arrived() { # NAME
	cat "$RUN_DIR/$1.send" "$RUN_DIR/$1.recv"
	jq -s -e '.[0].bytes == .[1].bytes and .[1].corrupt == 0 and .[0].bytes > 1500000' "$RUN_DIR/$1.send" "$RUN_DIR/$1.recv"
}

follow_the_path() {
	local name="outside IPv$OUTER" overhead=$((OUTER == 4 ? 60 : 80)) flow
	check "$name: the path begins wide" path_becomes $((1500 - overhead))
	FLOWS=()
	flow_start v4 "$(pod_v4 2)" 9004
	flow_start v6 "$(pod_v6 2)" 9006
	sleep 0.5
	narrow 1320
	sleep 0.3
	wire_watch_start n2 up0
	check "$name: the pod learns the narrow path MTU" path_becomes $((1320 - overhead))
	check "$name: IPv6 packets of 1280 bytes cross it" ipv6_of_1280_crosses
	wait "${FLOWS[@]}"
	watch_stop
	for flow in v4 v6; do
		check "$name: the TCP connection inside ($flow) went on and arrived whole" flow_arrived $flow
	done
	check "$name: nothing larger crossed, and no fragment" wire_saw_whole_datagrams 1320 1300
	narrow 1500
	check "$name: the path grows again" path_becomes $((1500 - overhead)) $((FORGETS_AFTER + 4))
}

# Packets of n1 itself: a route may be narrower than the device, and no router on the path reports
# it.
route_is_obeyed() {
	ip -n "$(ns n1)" route change 172.20.2.0/24 via 172.20.1.254 mtu 1299
	check "a route's own MTU is told to the pod" path_becomes 1239
	check "the largest packet that fits it crosses" in_ns p1 ping -M 'do' -c 2 -i 0.05 -W 1 -q -s $((1239 - 28)) "$(pod_v4 2)"
	wire_watch_start r r1
	send_udp 1 "$(pod_v4 2)" $((1239 - 28))
	send_udp 1 "$(pod_v4 2)" 1400
	watch_stop
	check "padding does not exceed it" wire_saw_whole_datagrams 1299 1299
	ip -n "$(ns n1)" route change 172.20.2.0/24 via 172.20.1.254
}

# One direction: the replies are small. (An echo takes the other node's route, whose MTU has not
# changed.)
send_udp() { # POD ADDRESS BYTES
	head -c "$3" /dev/zero | in_ns "p$1" socat -u STDIN "UDP4-SENDTO:$2:9,ip-mtu-discover=0"
}

lies_are_not_believed() {
	ip -n "$(ns r)" route add 172.20.2.1/32 dev r2 mtu lock 600
	check "a path of 600 bytes is taken for one of 1280" path_becomes 1220
	ip -n "$(ns r)" route del 172.20.2.1/32 dev r2
}

paths_are_followed() {
	follow_the_path
	[ $OUTER = 6 ] || { route_is_obeyed; lies_are_not_believed; }
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/sizes tools/wirewatch
cluster_up 2
connect_by_router
with_each_underlay_family paths_are_followed
done_testing
