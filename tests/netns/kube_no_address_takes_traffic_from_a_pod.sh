#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# As no_address_takes_traffic_from_a_pod.sh, with Nodes of an API server: a kubelet may write any
# address into its own Node's status. There the control plane assigns the podCIDRs, so that even an
# older node cannot take a pod of another; and where the CNI ignores podCIDRs, a node's block inside
# another's unused podCIDR is not an error.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"
# shellcheck source=tests/netns/kube.bash
. "$(dirname "$0")/kube.bash"
# shellcheck source=tests/netns/claims.bash
. "$(dirname "$0")/claims.bash"

# Node x, which does not answer, with these addresses: as the filter changes it.
x_joins() { # ADDRESSES [JQ_FILTER]
	newcomer_object 66 | jq --argjson more "$1" '.status.addresses += [$more[] | {type: "InternalIP", address: .}] | '"${2:-.}" \
		>"$RUN_DIR/x.json" && tell PUT /objects/nodes/x "@$RUN_DIR/x.json" >/dev/null
}
x_leaves() { tell DELETE /objects/nodes/x >/dev/null; }

pod_addresses() { echo "[\"$(pod_v4 2)\", \"$(pod_v6 2)\"]"; }
x_is_named() { names 1 x "$(pod_v4 2)/32 overlaps $(pods_v4 2), which belongs to node n2"; }

x_adds() { x_joins "$(pod_addresses)"; }
x_adds_without_a_record() { x_joins "$(pod_addresses)" '.metadata.annotations = {}'; }
older_x_adds() { x_joins "$(pod_addresses)" '.metadata.creationTimestamp = "2020-01-01T00:00:00Z"'; }
older_x_adds_router() {
	x_joins "[\"$ROUTER_V4\", \"$ROUTER_V6\"]" '.metadata.creationTimestamp = "2020-01-01T00:00:00Z"' && through_router
}
x_has_router() { peer_of 1 x | jq -e '.addresses | index("'$ROUTER_V4'")'; }

# Each node's pods as its CNI assigns them, independent of its Node's podCIDRs.
calicos_shape() {
	local i
	x_leaves
	for i in 1 2; do
		stop_keyd $i
	done
	agent_flags() { echo "--pod-cidr $(pods_v4 "$1") --pod-cidr $(pods_v6 "$1")"; }
	node_podcidrs n1 '["10.244.77.0/24", "fd00:10:244:77::/64"]' && node_podcidrs n2 "[\"$(pods_v4 1)\", \"$(pods_v6 1)\"]" &&
		start_keyd 1 && start_keyd 2 && wait_until 10 agents_are_ready
}
node_podcidrs() { # NAME CIDRS: only they change
	tell GET "/objects/nodes/$1" | jq --argjson cidrs "$2" 'del(.metadata.resourceVersion) | .spec.podCIDRs = $cidrs | .spec.podCIDR = $cidrs[0]' \
		>"$RUN_DIR/object.json" && tell PUT "/objects/nodes/$1" "@$RUN_DIR/object.json" >/dev/null
}
n2_goes_silent() { # as before its agent's first start
	stop_keyd 2
	tell GET /objects/nodes/n2 | jq 'del(.metadata.resourceVersion) | .metadata.annotations = {} | .metadata.uid = "uid-n2-anew"' >"$RUN_DIR/object.json" &&
		tell PUT /objects/nodes/n2 "@$RUN_DIR/object.json" >/dev/null && sleep 1
}

begin
needs_api
needs tools/wirewatch
cluster_up 2
router_add
claim_traffic_start
check "the detector sees the traffic while no agent runs" wire_shows_plaintext
claim_traffic_stop
api_up
later 0
trust ca
for i in 1 2; do
	kubeconfig >"$(agent_dir $i)/kubeconfig"
	node_joins $i
done
check "agents find each other through the API server" start_agents

claim_case "a younger node adds a pod's address" x_adds x_leaves x_is_named
claim_case "a Node without an agent adds it" x_adds_without_a_record x_leaves x_is_named
claim_case "an older node adds it" older_x_adds x_leaves x_is_named
claim_case "an older node adds the router's address" older_x_adds_router x_leaves x_has_router

check "agents start whose CNI ignores podCIDRs" calicos_shape
claim_case "node 1's block lies in the unused podCIDR of node 2" true true nobody_is_named
check "node 2's agent has published nothing yet" n2_goes_silent
check "and still nobody is refused" nobody_is_named
done_testing
