#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A node whose tunnel is wireguard-go, known by a handwritten record, beside a node with podveil.
# Its key is simply replaced, without an overlap: its pods are reachable again within a second of
# its record. Our rotation treats it as a straggler and costs it no packet, until a few lines of
# shell (follow_n1) pass our new keys to wg(8).

# shellcheck source=tests/netns/wireguard.bash
. "$(dirname "$0")/wireguard.bash"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"

OVERLAP=10
UDP_RATE=200
MARKER=$(new_marker)
REGISTRY=$RUN_DIR/registry
RECORD='.annotations["podveil.io/tunnel"] | fromjson'

agent_flags() { echo --overlap ${OVERLAP}s; }

# -- the node of wireguard-go: n2 --

wireguard_up() {
	start_wireguard_go n2 || return 1
	ip -n "$(ns n2)" route replace "$(pods_v4 1)" dev "$(device n2)"
	ip -n "$(ns n2)" route replace "$(pods_v6 1)" dev "$(device n2)"
	wg set "$(device n2)" listen-port $TUNNEL_PORT
}

replace_key() {
	new_keys n2
	wg set "$(device n2)" private-key "$RUN_DIR/n2.key"
}

publish_n2() {
	EPOCH=$((EPOCH + 1))
	jq -n --arg key "$(public_key n2)" --argjson epoch $EPOCH --argjson port $TUNNEL_PORT \
		--arg node "$(node_v4 2)" --arg v4 "$(pods_v4 2)" --arg v6 "$(pods_v6 2)" '{
		name: "n2", uid: "by-hand", created: "2026-01-01T00:00:00Z", podCIDRs: [$v4, $v6], addresses: [$node],
		annotations: {"podveil.io/tunnel": ({version: 1, epoch: $epoch, uid: "by-hand", current: $key, port: $port,
			endpoints: [$node], pods: [$v4, $v6]} | tojson)}}' >"$REGISTRY/.n2.new" && mv "$REGISTRY/.n2.new" "$REGISTRY/n2.json"
}

# The administrator's script for a change of n1's record: the newest key gets the prefixes, and with
# them the traffic; keys that the record no longer names are removed. The keepalive causes the
# handshake that proves the key, even without traffic.
follow_n1() {
	local newest keys peer
	newest=$(jq -r "$RECORD | .next // .current" "$REGISTRY/n1.json") || return 1
	keys=$(jq -r "$RECORD | .next, .current, .previous" "$REGISTRY/n1.json")
	wg set "$(device n2)" peer "$newest" endpoint "$(node_v4 1):$TUNNEL_PORT" persistent-keepalive 25 \
		allowed-ips "$(pods_v4 1),$(pods_v6 1)"
	for peer in $(wg show "$(device n2)" peers); do
		grep -qxF "$peer" <<<"$keys" || wg set "$(device n2)" peer "$peer" remove
	done
}

follow_n1_for_ever() {
	local seen='' now
	while :; do
		now=$(stat -c '%i %y' "$REGISTRY/n1.json")
		[ "$now" = "$seen" ] || follow_n1
		seen=$now
		sleep 0.02
	done
}

# -- what is seen of it --

pods_talk() { # FAMILY
	in_ns p1 ping -c 1 -W 3 -q "$("pod_$1" 2)" && in_ns p2 ping -c 1 -W 3 -q "$("pod_$1" 1)"
}

is_cut_off() { ! in_ns p1 ping -c 1 -W 0.3 -q "$(pod_v4 2)"; }

# MS: from the record to the first answer.
is_back_in_time() { # FROM TO
	local began
	began=$(now_ms)
	publish_n2 || return 1
	in_ns "p$1" ping -c 1 -W 5 -q "$(pod_v4 "$2")" || return 1
	MS=$(($(now_ms) - began))
	[ $MS -lt 1500 ]
}

new_key_round() { # FROM TO: who speaks first afterwards
	check "its key is replaced" replace_key
	check "without a record it is cut off" is_cut_off
	check "with the record p$1 reaches p$2 within a second or so" is_back_in_time "$1" "$2"
	diag "after $MS ms"
	check "and pods talk, IPv6 too" pods_talk v6
}

state_is() { [ "$(own_key 1 .state)" = "$1" ]; } # STATE
straggler_is() { [ "$(own_key 1 '.stragglers | join(",")')" = "$1" ]; } # NAME
is_promoted() { [ "$(own_key 1 .fingerprint)" != "$1" ]; } # OLD_FINGERPRINT

lost() { jq -s 'map(.lost) | add' "$RUN_DIR/$1"-{there,back}.recv; } # PREFIX
gaps_are_short() { # PREFIX
	jq -se 'length == 2 and all(.[]; .end_seen and .longest_gap_ms < 1000 and .corrupt == 0)' "$RUN_DIR/$1"-{there,back}.recv
}

begin_wireguard
needs podveil-keyd podveil tools/flow
WIREGUARD_GO=$("$ROOT/tests/fetch_wireguard_go.sh" 2>"$RUN_DIR/fetch.txt") || skip_all "$(cat "$RUN_DIR/fetch.txt")"
cluster_up 2
EPOCH=$(now_ms)
wireguard_up || bail "wireguard-go does not start"
replace_key
publish_n2
start_agent 1 || bail "no agent to try"
check "the agent takes a record written by hand" wait_until 10 agent_is_ready 1
check "wg(8) gives its key to wireguard-go" follow_n1
check "pods talk" pods_talk v4

new_key_round 1 2
new_key_round 2 1
new_key_round 1 2

# wireguard-go does not learn of our rotation.
udp_start straggler 1 2
sleep 0.5
old=$(own_key 1 .fingerprint)
check "our node rotates" rotate 1
check "it names the node that does not follow" wait_until 3 straggler_is n2
check "and goes on without it at the deadline" wait_until $((OVERLAP / 5 + 2)) is_promoted "$old"
check "after the overlap it still answers under the previous key" wait_until $((OVERLAP + 3)) state_is degraded
traffic_stop
check "no datagram was lost, doubled or changed" udp_lost_nothing straggler
check "wireguard-go gets the new key" follow_n1
check "then the previous one is wiped" wait_until 5 state_is current
check "and pods talk" pods_talk v4

# And now somebody does.
follow_n1_for_ever >"$RUN_DIR/follow.txt" 2>&1 &
FOLLOWER=$!
disown $FOLLOWER
udp_start followed 1 2
sleep 0.5
for n in 1 2 3; do
	check "rotation $n, which a script follows, ends without a straggler" rotate_and_wait 1
	diag "after $MS ms"
done
sleep 1
kill $FOLLOWER
traffic_stop
check "and its gap is shorter than a second" gaps_are_short followed
diag "three rotations: $(lost followed) datagrams of $UDP_RATE/s each way lost, as wg(8) moves prefixes from key to key; longest gaps: $(longest_gaps followed) ms"
check "pods talk" pods_talk v6
[ "$TESTS_FAILED" -eq 0 ] || diag_file "$RUN_DIR/follow.txt" "the script that follows"
done_testing
