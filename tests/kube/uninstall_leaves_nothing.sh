#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The way out, step by step as deploy/overlays/uninstall says it: afterwards no program, pin or device is left on a node,
# no annotation on a Node and no object of podveil's in the cluster, and pods talk as before podveil came.

# shellcheck source=tests/kube/agents.bash
. "$(dirname "$0")/agents.bash"

MARKER=$(new_marker)

# The commands that the overlay's own words name.
steps() { sed -n 's/^#   \(kubectl .*\)/\1/p' "$DEPLOY/overlays/uninstall/kustomization.yaml"; }

step() { # PATTERN: runs the one that it names; a namespace ends later, by a controller that is not here
	local words
	words=$(steps | grep -E -- "$1") || { echo "no step of the overlay is like $1"; return 1; }
	case $words in
	*"delete -k"*) words+=" --wait=false" ;;
	esac
	echo "$words"
	(cd "$ROOT" && $words) # "kubectl" is the administrator's, see lib.bash
}

# The work of the DaemonSet's controller and kubelet on the overlay: the agent exits, and the init
# container runs once, with this run's directories in place of the host's.
node_is_cleaned() { # I
	local command
	stop_agent "$1" || return 1
	mapfile -t command < <(kubectl -n $NAMESPACE get daemonset podveil -o json |
		jq -r '.spec.template.spec.initContainers[] | select(.name == "cleanup") | .command[]')
	[ "${command[0]} ${command[1]}" = "podveil cleanup" ] || { echo "the overlay runs: ${command[*]}"; return 1; }
	in_ns "n$1" "$BUILD/podveil" "${command[@]:1}" --bpffs "$(agent_bpffs "$1")" --control "$(agent_dir "$1")/keyd.sock"
}

has_ours() { [ -e "$(agent_bpffs "$1")" ] && ip -n "$(ns "n$1")" link show podveil0 && [ -n "$(record_of "$1")" ]; } # I

# By either way to attach them, on the device that leads to other nodes.
programs_of() { # I
	local way
	for way in ingress egress; do
		in_ns "n$1" "$BUILD/tools/hooks" list eth0 $way
		in_ns "n$1" tc filter show dev eth0 $way
	done | grep -oE 'to_wire|wire_guard|from_wire'
}

has_nothing_of_ours() { # I
	[ ! -e "$(agent_bpffs "$1")" ] || { ls -R "$(agent_bpffs "$1")"; return 1; }
	! ip -n "$(ns "n$1")" link show podveil0 && [ -z "$(programs_of "$1")" ]
}

no_node_is_annotated() {
	kubectl get nodes -o json | jq -e '(.items | length > 0) and ([.items[].metadata.annotations // {} | keys[]] | any(test("podveil.io")) | not)'
}

# All kinds that deploy/ uses, in all namespaces. A Namespace and its objects are deleted by a
# controller that does not run here.
nothing_is_left_in_the_cluster() {
	! kubectl get clusterroles,clusterrolebindings,roles,rolebindings,configmaps,serviceaccounts,daemonsets,validatingadmissionpolicies,validatingadmissionpolicybindings \
		-A -o name | grep -E 'podveil'
	[ "${PIPESTATUS[1]}" -ne 0 ] && kubectl get namespace podveil -o jsonpath='{.metadata.deletionTimestamp}' | grep .
}

pods_are_seen_in_clear() {
	watch_start "$MARKER"
	in_ns p1 ping -c 3 -i 0.1 -W 1 -q -p "$MARKER" "$(pod_v4 2)" && in_ns p1 ping -c 3 -i 0.1 -W 1 -q -p "$MARKER" "$(pod_v6 2)" || return 1
	watch_stop
	watch_saw_plaintext
}

begin
needs podveil-tunnel podveil-keyd podveil tools/hooks tools/wirewatch
needs_kube kube-apiserver kubectl
kube_cluster_up 2
check "agents start and protect both nodes" start_agents
check "something of podveil is on both nodes" eval 'has_ours 1 && has_ours 2 && [ "$(programs_of 1 | sort -u | wc -l)" -eq 3 ]'
check "step 1: the overlay takes the agents' place" step 'apply -k'
for i in 1 2; do
	check "on n$i it cleans up" node_is_cleaned $i
done
check "step 2: the annotations" step 'annotate nodes'
check "step 3: the objects" step 'delete -k'
for i in 1 2; do
	check "nothing of podveil is left on n$i" has_nothing_of_ours $i
done
check "nor on any Node object" no_node_is_annotated
check "nor in the cluster" nothing_is_left_in_the_cluster
check "pods talk as before, in cleartext" pods_are_seen_in_clear
agents_done
