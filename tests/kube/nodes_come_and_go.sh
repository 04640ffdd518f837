#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Nodes join, get their prefixes late, are deleted and recreated under their name, and leave: the
# agents of the others follow the API server, and traffic between two nodes that stay loses nothing.

# shellcheck source=tests/kube/agents.bash
. "$(dirname "$0")/agents.bash"

UDP_RATE=1000
MARKER=$(new_marker)

# A Node gets them once, and keeps them as long as it lives.
give_prefixes() { # I
	kubectl patch node "n$1" --type=merge -p '{"spec": {"podCIDR": "'"$(pods_v4 "$1")"'", "podCIDRs": ["'"$(pods_v4 "$1")"'"]}}'
}

all_know_each_other() { peers_are 1 '["n2","n3"]' && peers_are 2 '["n1","n3"]' && peers_are 3 '["n1","n2"]'; }

# Its own claim is the same as that of its Node.
publishes_as() { # I UID
	record_of "$1" | jq -e --arg uid "$2" '.uid == $uid and (.pods | length > 0)'
}

uid_of() { kubectl get node "n$1" -o jsonpath='{.metadata.uid}'; } # I

pods_talk_over_ipv4() { in_ns "p$1" ping -c 1 -W 1 -q "$(pod_v4 "$2")"; } # A B

# A CNI does this as well: routes to the node's pods lead to its new address, and its own went with
# the old one.
address_changes() { # I ADDRESS
	local other
	ip -n "$(ns "n$1")" address del "$(node_v4 "$1")/24" dev eth0
	address_add "n$1" eth0 "$2/24"
	for other in 1 3; do
		ip -n "$(ns n$other)" route replace "$(pods_v4 "$1")" via "$2"
		ip -n "$(ns "n$1")" route replace "$(pods_v4 $other)" via "$(node_v4 $other)"
	done
	kubectl patch node "n$1" --subresource=status --type=merge -p \
		'{"status": {"addresses": [{"type": "InternalIP", "address": "'"$2"'"}, {"type": "InternalIP", "address": "'"$(node_v6 "$1")"'"}]}}'
}

# Kubelet starts a container again that has ended.
restart_if_ended() { is_gone "$(keyd_pid "$1")" && start_keyd "$1"; } # I
follows_its_node() { # I UID
	restart_if_ended "$1"
	publishes_as "$1" "$2"
}

nothing_leaves_for() { # I
	watch_start "$MARKER"
	in_ns p1 "$BUILD/tools/flow" udp-send --to "$(pod_v4 "$1"):9100" --rate 200 --count 100 --size 300 --marker "$MARKER"
	in_ns n1 ping -c 1 -W 1 -q "$(node_v4 2)" # something to see
	watch_stop
	watch_saw_nothing
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
needs_kube kube-apiserver kubectl
control_plane_up 3
agents_join 1 2
check "two nodes know each other from the API server" wait_until 15 two_know_each_other
check "their pods talk" wait_until 5 pods_talk 1 2
udp_start stay 1 2

node_registers 3
agent_is_deployed 3
start_agent 3 || bail "no agent"
check "a node joins that has no prefixes yet: it names the missing prefixes" wait_until 10 status_says 3 \
	'.state == "starting" and any(.reasons[]; test("podCIDRs"))'
check "and publishes nothing" test -z "$(record_of 3)"
check "a prefix comes late" give_prefixes 3
check "it publishes it under its Node's uid" wait_until 15 publishes_as 3 "$(uid_of 3)"
check "all know it, and it knows all" wait_until 15 all_know_each_other
check "its pods talk to both" eval 'wait_until 5 pods_talk_over_ipv4 1 3 && wait_until 5 pods_talk_over_ipv4 3 2'
check "and not over IPv6, of which it has no prefix" eval '! in_ns p1 ping -c 1 -W 1 -q "$(pod_v6 3)"'

old_uid=$(uid_of 3)
kubectl delete node n3 >/dev/null
check "a Node that is deleted is a peer no more" wait_until 10 two_know_each_other
check "and nothing leaves for its pods in cleartext" nothing_leaves_for 3
kubectl -n $NAMESPACE delete pod podveil-n3 --force >/dev/null 2>&1 # as the garbage collector does
node_joins 3
agent_is_deployed 3
check "a Node is recreated under its name: another uid" test "$(uid_of 3)" != "$old_uid"
check "the agent there publishes under the new one" wait_until 60 follows_its_node 3 "$(uid_of 3)"
check "its startup taint goes once more" wait_until 30 has_no_taint 3
check "all know it again" wait_until 15 all_know_each_other
check "its pods talk to both, also over IPv6, of which it has a prefix now" eval 'wait_until 5 pods_talk 1 3 && wait_until 5 pods_talk 3 2'

stop_agent 3
kubectl delete node n3 >/dev/null
check "a node leaves for good" wait_until 10 two_know_each_other
check "nothing leaves for its pods in cleartext" nothing_leaves_for 3
check "traffic between the others ran all the time" traffic_runs
traffic_stop
check "and lost nothing" udp_lost_nothing stay 3000

check "a node's address changes" address_changes 2 192.168.50.52
check "it publishes the new one" wait_until 10 peer_says 1 2 '.endpoints | index("192.168.50.52:51890") and (index("192.168.50.2:51890") | not)'
check "its pods go on talking" wait_until 10 pods_talk 1 2
check "the new address is one the peer may have inside the tunnel" wait_until 10 peer_says 1 2 '.addresses | index("192.168.50.52")'
agents_done
