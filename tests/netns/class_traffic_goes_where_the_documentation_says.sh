#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Every row of the table "What goes where" in docs/traffic.md, in both families and both directions, over the wire of a
# cluster whose pods are made by the real CNI plugins. Tunnelled packets arrive and are not seen in cleartext; packets
# outside the tunnel arrive and are seen; dropped packets are counted under the promised reason and do not arrive. A row
# without a case fails, and so does a case without a row. First everything runs without agents: the detector must see
# each case.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/cni.bash
. "$(dirname "$0")/cni.bash"
# shellcheck source=tests/netns/class.bash
. "$(dirname "$0")/class.bash"

AGENTS_RUN=
unclaimed_v4=10.244.77.7 unclaimed_v6=fd00:10:244:77::7
keyless_v4=10.244.3.7 keyless_v6=fd00:10:244:3::7
disputed_v4=10.244.3.200 disputed_v6=fd00:10:244:3::c8 # n2's, among the pods of n3
excepted_v4=10.244.200.9 excepted_v6=fd00:10:244:200::9
former_v4=10.244.5.7 former_v6=fd00:10:244:5::7 # n2's until its keyd is started anew

agent_flags() { # I
	echo "--except-cidr 10.244.200.0/24 --except-cidr fd00:10:244:200::/64"
	echo "--bypass $(node_v4 2):$BYPASSED --bypass [$(node_v6 2)]:$BYPASSED"
	[ "$1" -ne 2 ] || echo "$FORMER_PREFIXES"
}
FORMER_PREFIXES="--pod-cidr 10.244.5.0/24 --pod-cidr fd00:10:244:5::/64"

both_ways() { # COMMAND FAMILY A B [ARGUMENT...]
	local command=$1 family=$2 a=$3 b=$4
	shift 4
	"$command" "$family" "$a" "$b" "$@"
	"$command" "$family" "$b" "$a" "$@"
}

# To a port without a listener: the refusal comes from the other's stack, by ICMP.
ask_closed() { # FAMILY FROM TO
	run_case "IPv$1, of $3 to $2, port unreachable" error n2 "$2" in_ns "$2" "$BUILD/tools/answer" ask \
		--to "$(address_of "$1" "$3")" --port $CLOSED --count $PACKETS --wait $((300 * SLOW))
}

# With one hop too few for the other node to forward it.
let_expire() { # FAMILY FROM TO NODE [HOPS]
	craft "IPv$1, of $4 to $2, time exceeded" error n2 "$2" "$2" "$(address_of "$1" "$2")" \
		"$(address_of "$1" "$3")" --shape udp --ttl "${5:-2}"
}

cases_of_pods() { # FAMILY
	row "pod → pod on another node"
	both_ways ask "$1" p1 p2
	both_ways ask "$1" q1 q2
	row "pod masqueraded by its CNI even towards pods (ipMasq) → pod on another node"
	ask "$1" m1 p2
	ask "$1" m2 p1
	row "process on a node → pod on another node, and the replies"
	ask "$1" n1 p2
	ask "$1" n2 p1
	row "pod → another node's address, not masqueraded"
	ask "$1" q1 n2
	ask "$1" q2 n1
	row "a node's own address in the pod range (a bridge's) → another node's address"
	own_address "$1" 1 n2
	own_address "$1" 2 n1
	row "pod → another node's address, masqueraded"
	ask "$1" p1 n2
	ask "$1" p2 n1
	row "node → another node's address"
	both_ways ask "$1" n1 n2
	row "node → another node's address in the cluster range that lies among a node's pods or has a second claimant"
	ask "$1" n1 n2 "$(of "$1" $disputed_v4 $disputed_v6)"
	row "pod → pod on the same node"
	ask "$1" p1 q1 "$(address_of "$1" q1)" $PORT n1
	ask "$1" q2 p2
}

own_address() { # FAMILY I TO
	local source
	source=$(of "$1" "10.244.$2.1" "fd00:10:244:$2::1")
	run_case "IPv$1, n$2's cni0 to $3" ask n2 "$3" in_ns "n$2" "$BUILD/tools/answer" ask --from "$source" \
		--to "$(address_of "$1" "$3")" --port $PORT --count $PACKETS --wait $((700 * SLOW))
}

cases_of_services() { # FAMILY
	local service name
	service=$(of "$1" $service_v4 $service_v6)
	row "pod or node → ClusterIP service backed by a pod on another node"
	ask "$1" p1 p2 "$service" 80
	ask "$1" p2 p1 "$service" 80
	ask "$1" n1 p2 "$service" 80
	ask "$1" n2 p1 "$service" 80
	row "any client → NodePort of this node, forwarded to a pod on another node"
	ask "$1" x p2 "$(address_of "$1" n1)" $NODE_PORT
	ask "$1" x p1 "$(address_of "$1" n2)" $NODE_PORT n1
	ask "$1" p1 p2 "$(address_of "$1" n1)" $NODE_PORT
	ask "$1" p2 p1 "$(address_of "$1" n2)" $NODE_PORT
	row "pod, not masqueraded → hostPort or NodePort of another node"
	ask "$1" q1 h2 "$(address_of "$1" n2)" $HOST_PORT
	ask "$1" q2 h1 "$(address_of "$1" n1)" $HOST_PORT
	ask "$1" q1 p1 "$(address_of "$1" n2)" $NODE_PORT
	ask "$1" q2 p2 "$(address_of "$1" n1)" $NODE_PORT
	row "node, or masqueraded pod → hostPort of another node"
	for name in p n; do
		ask "$1" ${name}1 h2 "$(address_of "$1" n2)" $HOST_PORT
		ask "$1" ${name}2 h1 "$(address_of "$1" n1)" $HOST_PORT
	done
}

cases_of_shapes() { # FAMILY
	local shape
	row "ICMP errors from another node's stack or its pods → pod"
	ask_closed "$1" p1 p2
	ask_closed "$1" p2 p1
	ask_closed "$1" q1 n2
	let_expire "$1" p1 p2 n2
	let_expire "$1" p2 p1 n1
	row "ICMP errors from a node's stack → another node's address, about a packet to or from a pod"
	let_expire "$1" n1 p2 n2 1
	let_expire "$1" n2 p1 n1 1
	row "fragments, first and later, pod → pod on another node"
	both_ways craft_shape "$1" p1 p2 fragments
	row "IPv4 options, IPv6 extension headers, pod → pod on another node"
	both_ways craft_shape "$1" p1 p2 options
	both_ways craft_shape "$1" p1 p2 destination-options
	both_ways craft_shape "$1" p1 p2 routing
	row "SCTP, pod → pod on another node"
	both_ways craft_shape "$1" p1 p2 sctp
	row "GRE, ESP, IP in IP and unknown protocols, pod → pod on another node"
	for shape in gre esp unknown; do
		both_ways craft_shape "$1" p1 p2 $shape
	done
	both_ways craft_shape "$1" p1 p2 in-ip --inner-from "$(of "$1" 192.0.2.1 2001:db8::1)" \
		--inner-to "$(of "$1" 192.0.2.2 2001:db8::2)"
}

cases_of_the_world() { # FAMILY
	row "pod → destination outside the cluster, masqueraded"
	ask "$1" p1 x "$(address_of "$1" x)" $PORT n1
	ask "$1" p2 x
	row "source outside the cluster → pod, routed to the pod's node"
	ask "$1" x p1 "$(address_of "$1" p1)" $PORT n1
	ask "$1" x p2
	row "pod or node → unclaimed address in a range given with --except-cidr"
	ask "$1" q2 x "$(of "$1" $excepted_v4 $excepted_v6)" $PORT
	ask "$1" n1 x "$(of "$1" $excepted_v4 $excepted_v6)" $PORT n1
	row "TCP or UDP from or to an address and port given with --bypass"
	ask "$1" q1 n2 "$(address_of "$1" n2)" $BYPASSED
}

cases_of_groups() { # FAMILY
	local group
	group=$(of "$1" 239.1.2.3 ff0e::1:2:3)
	row "pod → multicast group, without a multicast router on its node"
	craft "IPv$1" stay n2 p1 p2 "$(address_of "$1" p1)" "$group" --shape udp --device eth0
	craft "IPv$1" stay n2 p2 p1 "$(address_of "$1" p2)" "$group" --shape udp --device eth0
	row "multicast that leaves a node, including a pod's forwarded by a multicast router"
	craft "IPv$1, of the node" leave n2 n1 n2 "$(address_of "$1" n1)" "$group" --shape udp --device eth0
	craft "IPv$1, of a pod, sent on" leave n2 n2 n1 "$(address_of "$1" q2)" "$group" --shape udp --device eth0
}

cases_of_neighbours() { # FAMILY
	row "ARP, neighbour discovery"
	in_ns n1 ip neigh flush all
	in_ns n2 ip neigh flush all
	both_ways ask "$1" n1 n2
}

cases_of_drops() { # FAMILY
	local from
	row "any source → address in the cluster range that no node claims"
	for from in q1 q2 n1; do
		craft "IPv$1" send x "$from" x "$(address_of "$1" "$from")" "$(of "$1" $unclaimed_v4 $unclaimed_v6)" --shape udp
	done
	row "any source → pod of a node whose key is missing or refused"
	for from in q1 q2 n2; do
		craft "IPv$1" send x "$from" x "$(address_of "$1" "$from")" "$(of "$1" $keyless_v4 $keyless_v6)" --shape udp
	done
}

# A pod's packet inside another packet, on the way out of a node and in from the wire.
cases_of_overlays() { # FAMILY
	local shape outer
	for shape in in-ip in-gre in-vxlan in-geneve; do
		for outer in 4 6; do
			row "pod's cleartext packet inside VXLAN, Geneve, GRE or IP in IP, leaving a node"
			craft "IPv$1 $shape over IPv$outer" send n2 n1 n2 "$(address_of $outer n1)" "$(address_of $outer n2)" \
				--shape $shape --inner-from "$(address_of "$1" p1)" --inner-to "$(address_of "$1" p2)"
			row "the same, arriving from the wire"
			craft "IPv$1 $shape over IPv$outer" comes n2 x n2 "$(address_of $outer x)" "$(address_of $outer n2)" \
				--shape $shape --inner-from "$(address_of "$1" p1)" --inner-to "$(address_of "$1" p2)"
		done
	done
}

# What no node of the cluster sends.
cases_of_intruders() { # FAMILY
	row "cleartext packet from the wire, from the address of a pod on another node"
	craft "IPv$1" comes n2 x p2 "$(address_of "$1" p1)" "$(address_of "$1" p2)" --shape udp
	craft "IPv$1" comes n1 x p1 "$(address_of "$1" p2)" "$(address_of "$1" p1)" --shape udp
	row "datagram to the tunnel's port that is not a WireGuard message"
	craft "IPv$1" comes n2 x n2 "$(address_of "$1" x)" "$(address_of "$1" n2)" --shape udp --port $TUNNEL_PORT
	row "decrypted packet to the tunnel's own port"
	craft "IPv$1" send n2 q1 n2 "$(address_of "$1" q1)" "$(address_of "$1" n2)" --shape udp --port $TUNNEL_PORT
	craft "IPv$1" send n2 q2 n1 "$(address_of "$1" q2)" "$(address_of "$1" n1)" --shape udp --port $TUNNEL_PORT
}

# n1, with its keyd stopped, still believes that these are n2's pods.
cases_of_strangers() { # FAMILY
	row "decrypted packet whose destination is neither a local pod nor this node"
	craft "IPv$1" send n2 q1 p2 "$(address_of "$1" q1)" "$(of "$1" $former_v4 $former_v6)" --shape udp
}

run_cases() {
	local family
	for family in 4 6; do
		cases_of_neighbours $family
		cases_of_pods $family
		cases_of_services $family
		cases_of_shapes $family
		cases_of_the_world $family
		cases_of_groups $family
		cases_of_drops $family
		cases_of_overlays $family
		cases_of_intruders $family
	done
}

class_watch_start() {
	MARKER=$(new_marker)
	servers_start
	watch_start "$MARKER" --numbered
}

class_watch_stop() {
	watch_stop
	servers_stop
}

# Traffic within a node must not be seen even now.
all_are_seen_in_clear() {
	local i unseen=0
	cases_read
	for i in "${!CASE_CLASS[@]}"; do
		[ "$(verdict_of "${CASE_CLASS[$i]}")" = stays ] || is_clear "$i" && continue
		echo "not seen: ${CASE_CLASS[$i]} (${CASE_TEXT[$i]})"
		show_case "$i"
		unseen=$((unseen + 1))
	done
	[ $unseen -eq 0 ] && [ "${#CASE_CLASS[@]}" -gt 100 ] && [ "$(watched missed)" -eq 0 ]
}

keyless_node() { # as the others see it: it has joined, and no agent runs there
	echo '{"name": "n3", "uid": "n3", "created": "2026-01-01T00:00:00Z", "podCIDRs": ["10.244.3.0/24", "fd00:10:244:3::/64"],
		"addresses": ["192.168.50.3", "fd00:50::3"], "annotations": {}}' >"$RUN_DIR/registry/n3.json"
}
knows_two_others() { podveil "$1" -o json peers | jq -e '.peers | length == 2'; } # I
know_keyless_node() { knows_two_others 1 && knows_two_others 2; }

n2_forgets_prefixes() {
	stop_keyd 1 && stop_keyd 2 && FORMER_PREFIXES='' && start_keyd 2 && wait_until 10 publishes_old_prefixes_no_more
}
publishes_old_prefixes_no_more() { status_of 2 | jq -e '.pod_cidrs | length == 2'; }

every_row_has_its_case() {
	local what
	for what in "${TRAFFIC_TABLE[@]}"; do
		[ "${TRAFFIC_USED[$what]:-}" = yes ] || { echo "no case for: $what" && return 1; }
	done
}

only_ciphertext_between_the_tunnels() { jq -e '.tunnel > 100 and .missed == 0' "$RUN_DIR/watch.json"; }

begin
needs podveil-tunnel podveil-keyd podveil tools/answer tools/craft tools/wirewatch
needs_cni bridge host-local portmap
traffic_table_read
class_cluster_up
address_add x eth0 $excepted_v4/24 $excepted_v6/64
ip -n "$(ns n1)" route add 10.244.5.0/24 via "$(node_v4 2)"
ip -n "$(ns n1)" route add fd00:10:244:5::/64 via "$(node_v6 2)"
address_add n2 eth0 $disputed_v4/32 $disputed_v6/128
ip -n "$(ns n1)" route add $disputed_v4 via "$(node_v4 2)"
ip -n "$(ns n1)" route add $disputed_v6 via "$(node_v6 2)"
masquerade_not 1 10.244.1.1 fd00:10:244:1::1
masquerade_not 2 10.244.2.1 fd00:10:244:2::1

class_watch_start
run_cases
class_watch_stop
check "while no agent runs the detector sees every class of traffic that leaves a node" all_are_seen_in_clear
cases_forget

check "agents start and protect both nodes" start_agents
keyless_node
check "a node without a key is known" wait_until 5 know_keyless_node
AGENTS_RUN=yes
class_watch_start
run_cases
class_watch_stop
cases_judge
row "the tunnel's own datagrams"
check "$CLASS: $(verdict_of "$CLASS")" only_ciphertext_between_the_tunnels

cases_forget
check "n2 gives prefixes up while n1's keyd is away" n2_forgets_prefixes
agents_count() { podveil 2 -o json status; } # n1 has no keyd to ask
rm "$RUN_DIR"/sample.*
class_watch_start
for family in 4 6; do
	cases_of_strangers $family
done
class_watch_stop
cases_judge
check "every row of the documented table has its case" every_row_has_its_case
shape_done
