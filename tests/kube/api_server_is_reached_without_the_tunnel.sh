#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The API server runs on a node. Traffic from pods to a node goes into the tunnel, but the path to
# the API server must not depend on the tunnel. Pods reach it, at the addresses that the
# EndpointSlice `kubernetes` lists and at no others, while the tunnel is dead and before the agents
# have ever had one.

# shellcheck source=tests/kube/agents.bash
. "$(dirname "$0")/agents.bash"

# The agents themselves know the service's address alone.
AGENT_API_HOST=10.96.0.1 AGENT_API_PORT=443
APISERVER_MORE=("${API_LISTS_NOTHING[@]}")

another_slice_lists() { # ADDRESS
	jq -n --arg address "$1" --argjson port $API_PORT '{
		apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4",
		metadata: {name: "kubernetes-more", namespace: "default", labels: {"kubernetes.io/service-name": "kubernetes"}},
		ports: [{name: "https", protocol: "TCP", port: $port}], endpoints: [{addresses: [$address]}]}' | apply
}

ignores_the_other_slice() { grep 'EndpointSlice kubernetes-more of default/kubernetes is ignored' "$(agent_dir 1)/keyd.log"; }
service_leads_to_api() { # NAMESPACE: kube-proxy's work, and the default route's
	ip -n "$(ns "$1")" route add 10.96.0.0/16 via $API_V4
	in_ns "$1" nft -f - <<-RULES || bail "nft refuses the service's address"
		table ip service {
			chain before { type nat hook prerouting priority dstnat; ip daddr 10.96.0.1 tcp dport 443 dnat to $API_V4:$API_PORT; }
			chain own { type nat hook output priority -100; ip daddr 10.96.0.1 tcp dport 443 dnat to $API_V4:$API_PORT; }
		}
	RULES
}

another_port_is_open() {
	mkdir "$KUBE_DIR/empty"
	spawn api "$RUN_DIR/http.out" python3 -m http.server --bind "$API_V4" --directory "$KUBE_DIR/empty" 8080
	wait_until 10 in_ns api curl -s -o /dev/null "http://$API_V4:8080/" || bail "python3 -m http.server does not start"
}

reaches_another_port() { in_ns "$1" curl -sf --max-time 1 -o /dev/null "http://$API_V4:8080/"; } # POD

pods_reach_api() { # ADDRESS [PORT]
	reaches_api p1 "$@" && reaches_api p2 "$@"
}

begin
needs podveil-tunnel podveil-keyd podveil
needs_kube kube-apiserver kubectl
kube_cluster_up 2
api_is_a_node
api_lists $API_V4
another_port_is_open
for i in 1 2; do
	service_leads_to_api n$i
done
check "without agents pods reach every port of the API server's machine" eval 'pods_reach_api $API_V4 && reaches_another_port p1'
for i in 1 2; do
	start_agent $i || bail "no agent"
done
check "the agents reach the API server by its service's address" wait_until 15 peers_are 1 '["n2"]'
check "the other ports of its machine are cut off: no agent runs there" wait_until 10 eval '! reaches_another_port p1'
check "pods reach the API server" wait_until 10 pods_reach_api $API_V4
check "and by its service's address" pods_reach_api 10.96.0.1 443
check "an address that is not listed is cut off" eval '! reaches_api p1 $MORE_API_V4'
another_slice_lists $MORE_API_V4
check "a slice of another name is ignored" wait_until 10 ignores_the_other_slice
check "and opens nothing" eval '! reaches_api p1 $MORE_API_V4'
api_lists $API_V4 $MORE_API_V4
check "as soon as the API server's own lists the address pods reach it" wait_until 10 pods_reach_api $MORE_API_V4
kill_tunnel 1
kill_tunnel 2
check "the tunnels are dead: pods are cut off from each other" eval '! pods_talk 1 2'
check "and reach the API server" pods_reach_api $API_V4
check "by its service's address too" pods_reach_api 10.96.0.1 443
kill_keyd 1
kill_keyd 2
check "so they do when podveil-keyd is dead as well" pods_reach_api $API_V4
check "and so do they the other API server" pods_reach_api $MORE_API_V4
api_lists $API_V4
start_agent 1 || bail "no agent"
start_agent 2 || bail "no agent"
check "an address that is listed no more is cut off again" wait_until 15 eval '! reaches_api p1 $MORE_API_V4'
check "the other one is not" pods_reach_api $API_V4
agents_done
