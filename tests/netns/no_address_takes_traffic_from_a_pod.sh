#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A node that claims a pod of another node, or a router, as an address of its own takes nothing from anybody: traffic to
# that pod from pods and from processes of a third node arrives, in the tunnel, and the claimant alone is named. The
# registry is file:DIR; the same through an API server is kube_no_address_takes_traffic_from_a_pod.sh.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/claims.bash
. "$(dirname "$0")/claims.bash"

# Node x, which does not answer: made in year $1, with these addresses, and a record or none.
record_x() { # YEAR ADDRESSES WITH_RECORD
	jq --arg created "$1-01-01T00:00:00Z" --argjson addresses "$2" --argjson has_record "$3" --arg key "$X_KEY" '
		.name = "x" | .uid = "uid-x" | .created = $created | .podCIDRs = ["10.244.66.0/24"] | .addresses = $addresses
		| if $has_record then .annotations["podveil.io/tunnel"] |= (fromjson | .uid = "uid-x" | .current = $key | del(.next)
			| del(.previous) | .pods = ["10.244.66.0/24"] | .endpoints = ["192.168.50.66"] | tojson)
		  else .annotations = {} end' "$RUN_DIR/registry/n2.json" >"$RUN_DIR/registry/.x.tmp" &&
		mv "$RUN_DIR/registry/.x.tmp" "$RUN_DIR/registry/x.json"
}
x_leaves() { rm "$RUN_DIR/registry/x.json"; }

pod_addresses() { echo "[\"$(pod_v4 2)\", \"$(pod_v6 2)\"]"; }
pod_is_named() { names 1 "$1" "$(pod_v4 2)/32 overlaps $(pods_v4 2), which belongs to node n2"; } # NODE

node_3_adds() {
	in_ns n3 ip address add "$(pod_v4 2)/32" dev eth0 && in_ns n3 ip address add "$(pod_v6 2)/128" dev eth0
}
node_3_removes() {
	in_ns n3 ip address del "$(pod_v4 2)/32" dev eth0 && in_ns n3 ip address del "$(pod_v6 2)/128" dev eth0
}
node_3_is_named() { pod_is_named n3; }

x_adds() { record_x 2030 "$(pod_addresses)" true; }
x_adds_without_a_record() { record_x 2030 "$(pod_addresses)" false; }
x_is_named() { pod_is_named x; }

x_adds_router() { record_x 2030 "[\"$ROUTER_V4\", \"$ROUTER_V6\"]" "$1" && through_router; }
x_adds_router_with_a_record() { x_adds_router true; }
x_adds_router_without_a_record() { x_adds_router false; }
x_has_router() { peer_of 1 x | jq -e '.addresses | index("'$ROUTER_V4'")'; }

older_x_adds() { record_x 2020 "$(pod_addresses)" true; }
older_x_is_heard() { peer_of 1 x | jq -e '.state == "usable"'; }

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
cluster_up 3
X_KEY=$(wg genkey | wg pubkey)
router_add
claim_traffic_start
check "the detector sees the traffic while no agent runs" wire_shows_plaintext
claim_traffic_stop
check "agents start and protect three nodes" start_agents

claim_case "a younger node adds a pod's address" node_3_adds node_3_removes node_3_is_named
claim_case "a younger node that never answers adds it" x_adds x_leaves x_is_named
claim_case "a node without a record adds it" x_adds_without_a_record x_leaves x_is_named
claim_case "a node adds the router's address" x_adds_router_with_a_record x_leaves x_has_router
claim_case "a node without a record adds the router's address" x_adds_router_without_a_record x_leaves x_has_router

# podCIDRs are each node's own word here, so the older of two nodes is believed: in the tunnel or not at all.
watch_start "$MARKER"
claim_traffic_start
check "an older node adds a pod's address" older_x_adds
check "node 1 hears of it" wait_until 5 older_x_is_heard
sleep 0.5
claim_traffic_stop
watch_stop
check "an older node adds a pod's address: nothing was in cleartext" watch_saw_nothing
claim_figures "an older node adds a pod's address"
done_testing
