#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# make demo-kube: podveil on a real Kubernetes API server. Three nodes and their pods made of network namespaces, etcd and
# kube-apiserver on a machine of their own, deploy/ applied by kubectl, and on each node an agent as its DaemonSet's pod
# would be it, with that pod's token and rights. First without agents, where the detector on the wire must see the pods;
# then with them, where it must see nothing, also while all nodes rotate their keys and while the API server is dead. One
# line and one verdict per claim; the exit status is their sum. Leaves nothing behind.

# shellcheck source=tests/kube/agents.bash
. "$(dirname "$0")/../kube/agents.bash"
# shellcheck source=tests/demo/lines.bash
. "$(dirname "$0")/lines.bash"

MARKER=$(new_marker)
MESH_RATE=500 # packets a second from each pod to each other

# -- what the pods do --

every_pod_pings_every_other() { # FAMILY
	local from to lost=0 output
	for from in $(seq "$NODES"); do
		for to in $(seq "$NODES"); do
			[ "$from" -ne "$to" ] || continue
			output=$(in_ns "p$from" ping "-$1" -c 5 -i 0.02 -W 1 -q -p "$MARKER" "$(if [ "$1" = 4 ]; then pod_v4 "$to"; else pod_v6 "$to"; fi)")
			[[ $output == *' 0% packet loss'* ]] || lost=$((lost + 1))
		done
	done
	SEEN="$((NODES * (NODES - 1))) pairs, $lost with loss"
	[ $lost -eq 0 ]
}

datagrams_flow() { # PREFIX SECONDS
	mesh_start "$1"
	sleep "$2"
	traffic_stop
	mesh_lost_nothing "$1" $((MESH_RATE * $2 / 2)) >/dev/null
}

mesh_lost() { # PREFIX
	mesh_results "$1" | jq -rs '"\(map(.received) | add) datagrams, \(map(.lost) | add) lost"'
}

# -- the scenes --

control_plane() {
	local began
	echo "a control plane: etcd and kube-apiserver"
	began=$(now_ms)
	api_up
	line ok "the API server answers: TLS, RBAC, admission" "$(kubectl version -o json | jq -r .serverVersion.gitVersion), after $(($(now_ms) - began)) ms"
	try "kubectl apply -k deploy/" objects_are_there
	for i in $(seq "$NODES"); do
		node_joins "$i"
		agent_is_deployed "$i"
	done
	line "$(verdict all_have_taint)" "three Nodes, on which no pod may start yet" "taint $TAINT"
}

objects_are_there() {
	overlay_apply . && set_range || { SEEN=$(tail -n 1 "$KUBE_DIR/deploy"); return 1; }
	SEEN="$(grep -c . "$KUBE_DIR/deploy") objects"
}

all_have_taint() { for_all has_taint; }
none_has_taint() { for_all has_no_taint; }
for_all() { # COMMAND: with each node's number
	local i
	for i in $(seq "$NODES"); do
		"$1" "$i" || return 1
	done
}

agents_off() {
	echo "no agents: plain routing"
	watch_start "$MARKER"
	try "every pod pings every other over IPv4" every_pod_pings_every_other 4
	try "every pod pings every other over IPv6" every_pod_pings_every_other 6
	wire_line_in_clear "the detector sees the pods' traffic"
}

agents_on() {
	local began
	echo "agents on, each with the token of its pod"
	began=$(now_ms)
	if start_agents; then
		line ok "three agents, all protected" "after $(($(now_ms) - began)) ms"
	else
		line FAILED "three agents, all protected" "see above"
		return
	fi
	line "$(verdict wait_until 10 none_has_taint)" "the startup taints are gone: pods may come" "after $(($(now_ms) - began)) ms"
	watch_start "$MARKER"
	try "every pod pings every other over IPv4" every_pod_pings_every_other 4
	try "every pod pings every other over IPv6" every_pod_pings_every_other 6
	wire_line "nothing of it is on the wire"
}

own_node_alone() {
	echo "an agent's token is for its own Node"
	try "n1's agent writes n1's record" may_write 1
	try "the API server refuses it n2's" may_not_write 2
}

may_write() { as_agent 1 annotate --overwrite --dry-run=server node "n$1" $RECORD=x >"$RUN_DIR/answer" 2>&1; } # I

may_not_write() { # I
	! may_write "$1" || return 1
	SEEN=$(sed -n "s/.*denied request: //p" "$RUN_DIR/answer")
	[ -n "$SEEN" ]
}

fingerprints() { local i; for i in $(seq "$NODES"); do own_key "$i" .fingerprint; done; }
have_new_keys() { ! fingerprints | grep -qxFf "$RUN_DIR/fingerprints"; }

keys_rotated() {
	local began
	echo "all nodes rotate their keys, at once, under $((MESH_RATE * NODES * (NODES - 1))) datagrams/s"
	fingerprints >"$RUN_DIR/fingerprints"
	watch_start "$MARKER"
	mesh_start rotated
	sleep 1
	began=$(now_ms)
	if kubectl_podveil rotate-key --all >"$RUN_DIR/rotate.txt" 2>&1 && have_new_keys; then
		line ok "kubectl podveil rotate-key --all: all new keys" "after $(($(now_ms) - began)) ms"
	else
		line FAILED "kubectl podveil rotate-key --all: all new keys" "$(tail -n 1 "$RUN_DIR/rotate.txt")"
	fi
	sleep 1
	traffic_stop
	line "$(verdict mesh_lost_nothing rotated $MESH_RATE)" "not one datagram is lost" "$(mesh_lost rotated)"
	wire_line "nothing leaves in the clear meanwhile"
}

api_server_dead() {
	echo "the API server is killed under the same traffic"
	apiserver_kill
	watch_start "$MARKER"
	line "$(verdict datagrams_flow dead 3)" "not one datagram is lost" "$(mesh_lost dead)"
	wire_line "nothing leaves in the clear"
}

show_records() {
	echo
	echo "  what the Nodes' annotation $RECORD says"
	kubectl get nodes -o json | jq -r '.items[] | [.metadata.name, (.metadata.annotations["podveil.io/tunnel"] | fromjson |
		"epoch \(.epoch)", "key \(.current[0:8])...", (.pods | join(" ")))] | join("  ")' | sed 's/^/  | /'
}

[ "$(id -u)" -eq 0 ] || { echo "demo: run as root: it makes network namespaces and loads BPF programs" >&2; exit 1; }
needs podveil-tunnel podveil-keyd podveil tools/wirewatch tools/flow
begin
needs_kube kube-apiserver kubectl
echo "podveil demo: pods p1, p2 and p3 on three nodes of a Kubernetes cluster, watched on the wire between the nodes"
cluster_up 3
control_plane
agents_off
agents_on
own_node_alone
show_records
show_status
keys_rotated
api_server_dead
lines_done
