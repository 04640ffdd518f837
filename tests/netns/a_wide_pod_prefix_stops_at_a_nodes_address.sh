#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The cluster range contains the nodes' own subnet, and an older node claims that whole subnet for
# its pods. The other nodes keep talking to each other: their pods, and their processes, whose
# traffic uses the tunnel from then on. The same holds for a node whose agent starts later, and for
# two nodes that have never talked before.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/claims.bash
. "$(dirname "$0")/claims.bash"

PODS=("${CLUSTER_CIDRS[@]}") # what the detector looks for beside the marker: the nodes' own addresses are on the wire anyway
CLUSTER_CIDRS+=(192.168.50.0/24 fd00:50::/64)

wide_flows_start() {
	SENDERS=() RECEIVERS=()
	claim_flow pod4 p1 p2 "$(pod_v4 2)" 9001
	claim_flow pod6 p1 p2 "[$(pod_v6 2)]" 9002
	claim_flow host4 n1 n2 "$(node_v4 2)" 9003
	claim_flow host6 n1 n2 "[$(node_v6 2)]" 9004
	CLAIM_BEGAN=$(now_ms)
}

# Node x is older than all, does not answer, and says that its pods have all of the nodes' addresses.
x_claims_the_subnet() {
	jq --arg key "$X_KEY" '.name = "x" | .uid = "uid-x" | .created = "2020-01-01T00:00:00Z"
		| .podCIDRs = [] | .addresses = ["10.9.9.9"]
		| .annotations["podveil.io/tunnel"] |= (fromjson | .uid = "uid-x" | .current = $key | del(.next) | del(.previous)
			| .pods = ["192.168.50.0/24", "fd00:50::/64"] | .endpoints = ["10.9.9.9"] | tojson)' \
		"$RUN_DIR/registry/n2.json" >"$RUN_DIR/registry/.x.tmp" && mv "$RUN_DIR/registry/.x.tmp" "$RUN_DIR/registry/x.json"
}
x_is_named() { names 1 x "192.168.50.0/24 overlaps"; }
node_has_its_addresses() { # I: in the eyes of node 1
	peer_of 1 "n$1" | jq -e --arg v4 "$(node_v4 "$1")" --arg v6 "$(node_v6 "$1")" \
		'.state == "usable" and (.addresses | index($v4) and index($v6))'
}

watch_pods_start() {
	local CLUSTER_CIDRS=("${PODS[@]}")
	watch_start "$MARKER"
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
cluster_up 3
X_KEY=$(wg genkey | wg pubkey)
check "agents start and protect three nodes" start_agents

watch_pods_start
wide_flows_start
sleep 0.5
watch_stop
check "processes of two nodes talk in cleartext, as nodes do, and the detector sees it" eval '[ "$(watched marker)" -gt 0 ]'

check "an older node claims the nodes' subnet" x_claims_the_subnet
check "it is named" wait_until 5 x_is_named
check "node 2 has its addresses" wait_until 5 node_has_its_addresses 2
check "node 3, with which node 1 never talked, has its own" wait_until 5 node_has_its_addresses 3
watch_pods_start
sleep 1
watch_stop
check "nothing to or from a disputed address is in cleartext" watch_saw_nothing
check "node 1 starts again" eval 'kill_agent 1 && start_agent 1'
check "and learns anew who has which address" wait_until 10 eval 'node_has_its_addresses 2 && node_has_its_addresses 3'
check "pods of nodes that never talked reach each other" eval 'pings p1 "$(pod_v4 3)" && pings p1 "$(pod_v6 3)"'
check "so do their processes" eval 'pings n1 "$(node_v4 3)" && pings n1 "$(node_v6 3)"'
claim_traffic_stop
claim_figures "an older node claims the nodes' subnet, and node 1 starts anew"
rm "$RUN_DIR/registry/x.json"
wait_until 5 nobody_is_named

wide_flows_start
check "once more an older node claims the nodes' subnet" x_claims_the_subnet
check "it is named once more" wait_until 5 x_is_named
sleep 1
claim_traffic_stop
check "not one packet was lost by that" claim_lost_nothing
claim_figures "an older node claims the nodes' subnet"
done_testing
