#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Public keys are public: an older node publishes the keys of two other nodes as its own. Nodes that
# already knew the owners are not affected, and an agent that starts later finds the holders of the
# private keys by handshakes.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/claims.bash
. "$(dirname "$0")/claims.bash"

key_of() { jq -r '.annotations["podveil.io/tunnel"] | fromjson | .current' "$RUN_DIR/registry/n$1.json"; } # I

# Node x, older than all, with these keys; another epoch each time.
x_copies() { # JQ_FILTER of the record; $own, $two and $three are keys
	EPOCH=$((EPOCH + 1))
	jq --arg own "$X_KEY" --arg two "$(key_of 2)" --arg three "$(key_of 3)" --argjson epoch $EPOCH '
		.name = "x" | .uid = "uid-x" | .created = "2020-01-01T00:00:00Z" | .podCIDRs = [] | .addresses = ["192.168.50.66"]
		| .annotations["podveil.io/tunnel"] |= (fromjson | .uid = "uid-x" | .epoch = $epoch | del(.next) | del(.previous)
			| .pods = ["10.244.66.0/24"] | .endpoints = ["192.168.50.66"] | '"$1"' | tojson)' \
		"$RUN_DIR/registry/n2.json" >"$RUN_DIR/registry/.x.tmp" && mv "$RUN_DIR/registry/.x.tmp" "$RUN_DIR/registry/x.json"
}
x_is_named() { peer_of 1 x | jq -e '.reason | test("a key of node n[23]")'; }
agent_1_starts_anew() { kill_agent 1 && start_agent 1; }
dead_nodes_share_a_key() { # y and z, at the same moment, with a key of which no node has the private half
	local key i=70 name
	key=$(wg genkey | wg pubkey)
	for name in y z; do
		i=$((i + 1))
		jq --arg name $name --arg key "$key" --arg i $i '.name = $name | .uid = "uid-" + $name | .podCIDRs = []
			| .addresses = ["192.168.50." + $i] | .annotations["podveil.io/tunnel"] |= (fromjson | .uid = "uid-" + $name
				| .current = $key | del(.next) | del(.previous) | .pods = ["10.244." + $i + ".0/24"]
				| .endpoints = ["192.168.50." + $i] | tojson)' "$RUN_DIR/registry/n2.json" >"$RUN_DIR/$name.json" || return 1
	done
	mv "$RUN_DIR/y.json" "$RUN_DIR/z.json" "$RUN_DIR/registry"
}
turns_change() { # four times: y's to z's and back, twice
	[ "$(grep -cE 'node [yz]: its record is accepted again' "$RUN_DIR/n1/keyd.log")" -ge 4 ]
}
nobody_was_refused_by_the_tunnel() { ! grep "podveil-tunnel rejects" "$RUN_DIR"/n?/keyd.log; }
everybody_answers() { pings p1 "$(pod_v4 2)" && pings p1 "$(pod_v6 3)"; }

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
cluster_up 3
X_KEY=$(wg genkey | wg pubkey)
check "agents start and protect three nodes" start_agents
EPOCH=$(jq '.annotations["podveil.io/tunnel"] | fromjson | .epoch' "$RUN_DIR/registry/n2.json")
watch_start "$MARKER"
claim_traffic_start
check "an older node publishes two others' keys as its next and previous" \
	x_copies '.current = $own | .next = $two | .previous = $three'
check "it is named" wait_until 5 x_is_named
sleep 1
claim_traffic_stop
check "not one packet was lost by that" claim_lost_nothing
check "an agent that starts only now reaches both at once" eval 'agent_1_starts_anew && wait_until 3 everybody_answers'
check "the older node publishes one of the keys as its current" x_copies '.current = $two'
check "an agent that starts only now reaches the owner, too" eval 'agent_1_starts_anew && wait_until 10 everybody_answers'
sleep 4 # each claimant would have had its turn
check "and goes on to" everybody_answers
check "two dead nodes publish one key" dead_nodes_share_a_key
check "they take turns" wait_until 15 turns_change
check "and the tunnel takes each turn at once" nobody_was_refused_by_the_tunnel
check "beside them traffic goes on" everybody_answers
watch_stop
claim_figures "copied keys while everybody knows the owners"
check "nothing was in cleartext" watch_saw_nothing
done_testing
