# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Shared by the tests of claims: numbered traffic from a pod and from a process of node 1 to the pod
# of node 2, in both families, while another node claims prefixes or addresses that it does not own;
# and a view of that traffic on the wire. Sourced after lib.sh.

CLAIM_RATE=200 CLAIM_SIZE=200
MARKER=$(new_marker)

claim_flow() { # NAME FROM TO ADDRESS PORT
	rm -f "$RUN_DIR/$1.ready"
	spawn "$3" "$RUN_DIR/$1.recv" "$BUILD/tools/flow" udp-recv --bind "$4:$5" --seconds 60 \
		--ready-file "$RUN_DIR/$1.ready" --marker "$MARKER"
	RECEIVERS+=("$SPAWNED")
	wait_until 20 test -e "$RUN_DIR/$1.ready" || bail "flow did not start: $(cat "$RUN_DIR/$1.recv.err")"
	spawn "$2" "$RUN_DIR/$1.send" "$BUILD/tools/flow" udp-send --to "$4:$5" --rate $CLAIM_RATE --seconds 60 \
		--size $CLAIM_SIZE --marker "$MARKER"
	SENDERS+=("$SPAWNED")
}

# The wire as a router between the nodes, which has an address of its own.
ROUTER_V4=192.168.50.254 ROUTER_V6=fd00:50::fe

router_add() {
	local i
	address_add wire br0 $ROUTER_V4/24 $ROUTER_V6/64
	for i in 1 2; do
		ip -n "$(ns wire)" route add "$(pods_v4 $i)" via "$(node_v4 $i)"
		ip -n "$(ns wire)" route add "$(pods_v6 $i)" via "$(node_v6 $i)"
	done
}

# Node 1 reaches the pods of node 2 by way of it.
through_router() {
	in_ns n1 ip route replace "$(pods_v4 2)" via $ROUTER_V4 && in_ns n1 ip route replace "$(pods_v6 2)" via $ROUTER_V6
}

# From pod 1 and from node 1 to pod 2.
claim_traffic_start() {
	SENDERS=() RECEIVERS=()
	claim_flow pod4 p1 p2 "$(pod_v4 2)" 9001
	claim_flow pod6 p1 p2 "[$(pod_v6 2)]" 9002
	claim_flow host4 n1 p2 "$(pod_v4 2)" 9003
	claim_flow host6 n1 p2 "[$(pod_v6 2)]" 9004
	CLAIM_BEGAN=$(now_ms)
}

claim_traffic_stop() {
	CLAIM_MS=$(($(now_ms) - CLAIM_BEGAN))
	kill -TERM "${SENDERS[@]}"
	wait "${SENDERS[@]}"
	sleep 0.3
	kill -TERM "${RECEIVERS[@]}" 2>/dev/null # those that the last datagram did not reach
	wait "${RECEIVERS[@]}"
}

claim_counts() { cat "$RUN_DIR"/{pod4,pod6,host4,host6}."$1"; } # recv or send

claim_lost_nothing() {
	claim_counts recv
	claim_counts recv | all_arrived $CLAIM_RATE "$CLAIM_MS"
}

# During a claim no packet is lost and none is in cleartext.
claim_case() { # WHAT MAKE UNMAKE EXPECT: the last is a command that is true once node 1 has judged the claim
	watch_start "$MARKER"
	claim_traffic_start
	check "$1: it is made" "$2"
	check "$1: node 1 names only the claimant" wait_until 5 "$4"
	sleep 1
	check "$1: node 2 has its prefixes, and every node keeps its state" nobody_else_is_touched
	claim_traffic_stop
	watch_stop
	check "$1: not one packet was lost" claim_lost_nothing
	check "$1: nothing was in cleartext" watch_saw_nothing
	claim_figures "$1"
	"$3"
	wait_until 5 nobody_is_named || diag "a node is still named"
}

claim_figures() { # WHAT
	local sent received
	sent=$(claim_counts send | jq -s 'map(.sent) | add')
	received=$(claim_counts recv | jq -s 'map(.received) | add')
	diag "$1: $sent datagrams sent, $((sent - received)) lost; $(watched frames) frames seen, $(watched marker) in cleartext"
}

peer_of() { podveil "$1" -o json peers | jq --arg node "$2" '.peers[] | select(.node == $node)'; } # I NODE
names() { peer_of "$1" "$2" | jq -e --arg text "$3" '.reason | contains($text)'; } # I NODE TEXT
nobody_is_named() { podveil 1 -o json peers | jq -e 'all(.peers[]; .reason == "")'; }

nobody_else_is_touched() {
	local i
	peer_of 1 n2 | jq -e --arg v4 "$(pods_v4 2)" --arg v6 "$(pods_v6 2)" \
		'.reason == "" and .state == "usable" and (.pods | index($v4) and index($v6))' || return 1
	for i in $(seq "$NODES"); do
		podveil "$i" status >"$RUN_DIR/status.txt" || { cat "$RUN_DIR/status.txt"; return 1; }
	done
}
