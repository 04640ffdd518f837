#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A packet that has been in the tunnel never enters it again, whichever routes are set: not when the
# route to the other node's address leads into podveil0, nor when every route does, on one node or
# on both. The proof is by counting: a packet reaches podveil0 once, and so does each datagram made
# from it, which is dropped there under its own reason. When the route is removed, traffic works as
# before.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

MARKER=$(new_marker)
PACKETS=50
ALL=$((2 * PACKETS)) # in both families
PREFIXES=(10.244.2.0/24 fd00:10:244:2::/64) # n2's pods

send() { # from the pod of n1 to that of n2
	craft "$(pod_v4 1)" "$(pod_v4 2)" && craft "$(pod_v6 1)" "$(pod_v6 2)"
}
craft() { in_ns p1 "$BUILD/tools/craft" --shape udp --from "$1" --to "$2" --marker "$MARKER" --count "$PACKETS"; } # FROM TO

tx_packets() { ip -n "$(ns "n$1")" -j -s link show podveil0 | jq '.[0].stats64.tx.packets'; }
drops_of() { podveil "$1" -o json status | jq --arg reason "$2" '[.drops[] | select(.reason == $reason) | .packets] | add // 0'; }

# Each packet, its one datagram that comes back, and a few handshake messages and refusals that come
# back too.
nothing_amplifies() { # OWN: datagrams that come back, at least
	local before after dropped
	before=$(tx_packets 1) dropped=$(drops_of 1 own_datagram)
	send
	sleep 0.5
	after=$(tx_packets 1) dropped=$(($(drops_of 1 own_datagram) - dropped))
	echo "into podveil0: $((after - before)) of $ALL packets; own datagrams dropped: $dropped"
	[ $((after - before)) -ge $ALL ] && [ $((after - before)) -le $((2 * ALL + PACKETS)) ] && [ "$dropped" -ge "$1" ]
}

route() { ip -n "$(ns "n$1")" route "${@:2}"; } # I ARGUMENT...
route_all() { # I add|del: more specific than the link's own, so that nothing goes another way
	local prefix
	for prefix in 0.0.0.0/1 128.0.0.0/1 192.168.50.0/25 ::/1 8000::/1 fd00:50::/65; do
		route "$1" "$2" $prefix dev podveil0
	done
}

pods_talk() { in_ns p1 ping -c 1 -W 1 -q "$(pod_v4 2)" && in_ns p1 ping -c 1 -W 1 -q "$(pod_v6 2)"; }

begin
needs podveil-tunnel podveil-keyd podveil tools/craft
cluster_up 2
check "agents start and protect both nodes" start_agents
check "pods talk" wait_until 5 pods_talk

route 1 add "$(node_v4 2)" dev podveil0
check "a route of the other node's address into podveil0 amplifies nothing" nothing_amplifies $ALL
route 1 del "$(node_v4 2)" dev podveil0
check "without it pods talk again" wait_until 10 pods_talk

route_all 1 add
check "routes of everything into podveil0 amplify nothing" nothing_amplifies $ALL
route_all 2 add
check "nor when both nodes have them" nothing_amplifies $ALL
route_all 1 del
route_all 2 del
check "without them pods talk again" wait_until 10 pods_talk

for prefix in "${PREFIXES[@]}"; do
	route 1 replace "$prefix" dev podveil0
done
check "routes of the other node's pods into podveil0 amplify nothing" nothing_amplifies 0
check "they lead where the packets belong anyhow" pods_talk
done_testing
