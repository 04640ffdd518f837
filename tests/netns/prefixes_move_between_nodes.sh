#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A pod prefix is added, moved to another node, claimed twice and removed, and a node's address
# changes. The other nodes follow within seconds, by the same epoch, and pods of other prefixes lose
# no datagram. No wire carries cleartext at any time. The prefix is a second bridge's; the test sets
# the routes that a CNI would set.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/cni.bash
. "$(dirname "$0")/cni.bash"

MOVING_V4=10.244.50.0/24
MOVING_V6=fd00:10:244:50::/64

pod_add() { cni_add "$1" "$2" "$(bridge_config "$1")"; }
spawn_keyd() { spawn_keyd_from "$1" local; }

# A pod behind another bridge of the node, with the prefix that moves.
moving_add() { # I POD
	cni_add "$1" "$2" '{"cniVersion": "0.4.0", "name": "moving", "type": "bridge", "bridge": "moving0", "isGateway": true,
		"ipam": '"$(ipam "$1" '[[{"subnet": "'$MOVING_V4'"}], [{"subnet": "'$MOVING_V6'"}]]')"'}'
}

moving_del() { # I POD
	cni_del "$1" "$2" && ip -n "$(ns "n$1")" link del moving0
}

moving_route() { # TO FROM...
	local to=$1 from
	shift
	for from in "$@"; do
		in_ns "n$from" ip route replace $MOVING_V4 via "$(node_v4 "$to")" &&
			in_ns "n$from" ip route replace $MOVING_V6 via "$(node_v6 "$to")" || return 1
	done
}

moving_unroute() { # I: before it gets the prefix itself
	in_ns "n$1" ip route del $MOVING_V4 && in_ns "n$1" ip route del $MOVING_V6
}

has_moving() { # I NODE: in the eyes of node I
	podveil "$1" -o json peers |
		jq -e '.peers[] | select(.node == $node) | (.pods | index($v4)) and (.pods | index($v6))' \
			--arg node "n$2" --arg v4 $MOVING_V4 --arg v6 $MOVING_V6
}
nobody_has_moving() { podveil "$1" -o json peers | jq -e '[.peers[].pods[]] | index("'$MOVING_V4'") | not'; }
complains_of() { podveil "$1" -o json peers | jq -e '.peers[] | select(.node == "n'"$2"'") | .reason | test("'"$3"'")'; }
complains_not_of() { podveil "$1" -o json peers | jq -e '.peers[] | select(.node == "n'"$2"'") | .reason == ""'; }
epochs() { jq -r '.annotations["podveil.io/tunnel"] | fromjson | .epoch' "$RUN_DIR"/registry/n[123].json; }

moving_pod_answers() { pings p1 "${POD_V4[$1]}" && pings p1 "${POD_V6[$1]}" && pings "$1" "$(pod_v4 1)"; }
no_peer_drops() { status_of "$1" | jq '[.drops[] | select(.reason == "no_peer") | .packets] | add // 0'; }
is_dropped() {
	local before
	before=$(no_peer_drops 1)
	in_ns n1 ip route add 10.244.50.0/24 via "$(node_v4 2)"
	in_ns p1 ping -c 2 -i 0.05 -W 1 -q 10.244.50.2
	in_ns n1 ip route del 10.244.50.0/24
	[ "$(no_peer_drops 1)" -ge $((before + 2)) ]
}

address_changes() { # as by a new lease: first the new one, then away with the old one; the routes follow
	local from
	in_ns n2 sysctl -q -w net.ipv4.conf.all.promote_secondaries=1
	in_ns n2 ip address add 192.168.50.102/24 dev eth0 && in_ns n2 ip address add fd00:50::102/64 dev eth0 || return 1
	for from in 1 3; do
		in_ns "n$from" ip route replace "$(pods_v4 2)" via 192.168.50.102 &&
			in_ns "n$from" ip route replace "$(pods_v6 2)" via fd00:50::102 || return 1
	done
	in_ns n2 ip address del "$(node_v4 2)/24" dev eth0 && in_ns n2 ip address del "$(node_v6 2)/64" dev eth0 || return 1
	in_ns n2 ip route replace "$(pods_v4 1)" via "$(node_v4 1)" && in_ns n2 ip route replace "$(pods_v6 1)" via "$(node_v6 1)" &&
		in_ns n2 ip route replace "$(pods_v4 3)" via "$(node_v4 3)" && in_ns n2 ip route replace "$(pods_v6 3)" via "$(node_v6 3)"
}
knows_endpoint() { podveil 1 -o json peers | jq -e '.peers[] | select(.node == "n2") | .endpoints == ["192.168.50.102:51890"]'; }
pods_of_2_answer() { in_ns p1 ping -c 1 -W 1 -q "$(pod_v4 2)" && in_ns p3 ping -c 1 -W 1 -q "$(pod_v6 2)"; }

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
needs_cni bridge host-local
cluster_up 3
check "the detector sees the pods' traffic while no agent runs" shape_is_seen_in_clear
check "agents start and protect three nodes" start_agents
epochs >"$RUN_DIR/epochs"
shape_watch_start "$MARKER"
udp_start 500 60 1 2 >/dev/null || bail "the traffic does not start"

check "a prefix is added to node 2" eval 'moving_add 2 a && moving_route 2 1 3'
check "the others know it within seconds" wait_until 3 eval 'has_moving 1 2 && has_moving 3 2'
check "its pod is reached, and reaches" wait_until 3 moving_pod_answers a

check "the prefix moves to node 3" eval 'moving_del 2 a && moving_unroute 3 && moving_add 3 b && moving_route 3 1 2'
check "the others follow within seconds" wait_until 3 eval 'has_moving 1 3 && has_moving 2 3'
check "its pod is reached there, and reaches" wait_until 3 moving_pod_answers b

moving_unroute 2
check "node 2 claims it as well" moving_add 2 c
check "node 1 names node 2, to which its route does not lead" wait_until 3 complains_of 1 2 "route to .* leads to node n3"
check "node 3 names node 2, which claims a prefix of node 3" wait_until 3 complains_of 3 2 "which belongs to this node"
check "node 3 still has it" has_moving 1 3
check "its pod is still reached, and reaches" moving_pod_answers b

check "node 1's route goes over to node 2" moving_route 2 1
check "and the prefix with them" wait_until 3 eval 'has_moving 1 2 && complains_not_of 1 2'
check "now it is node 3 that is named" wait_until 3 complains_of 1 3 "10.244.50.0/24.* node n2"
check "node 3 gives it up" moving_del 3 b
check "nobody is named any more" wait_until 3 eval 'complains_not_of 1 3 && complains_not_of 1 2'
check "its pod on node 2 is reached, and reaches" wait_until 3 moving_pod_answers c

check "the prefix is removed" moving_del 2 c
moving_unroute 1
check "nobody has it any more" wait_until 3 eval 'nobody_has_moving 1 && nobody_has_moving 3'
check "what is for it is dropped and counted" is_dropped
check "the traffic ran all the time" kill -0 "${SENDERS[@]}"
udp_stop
check "pods of other prefixes lost not one datagram" udp_lost_nothing

check "a node's address changes" address_changes
check "the others know the new one within seconds" wait_until 5 knows_endpoint
check "its pods talk again within seconds" wait_until 5 pods_of_2_answer
watch_stop
check "neither marker nor pod address was on the wire" watch_saw_nothing
check "all this was published under the same epochs" diff "$RUN_DIR/epochs" <(epochs)
check "the traffic goes on" udp_arrives
shape_done
