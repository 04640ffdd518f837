#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The admission policy of deploy/ on the real API server: with an agent's token its own Node's two
# annotations may be written and the startup taint may be removed, and nothing else about any Node
# may change, even if the account has more rights than those of deploy/. The policy does not affect
# writes by others.

# shellcheck source=tests/kube/agents.bash
. "$(dirname "$0")/agents.bash"

# So that the policy is asked, and not only RBAC.
all_rights_on_nodes() {
	apply <<-'OBJECTS'
		{"apiVersion": "v1", "kind": "List", "items": [
			{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "too-much"}, "rules": [
				{"apiGroups": [""], "resources": ["nodes", "nodes/status"], "verbs": ["*"]}]},
			{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "too-much"},
				"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "too-much"},
				"subjects": [{"kind": "ServiceAccount", "name": "podveil", "namespace": "podveil"},
					{"kind": "ServiceAccount", "name": "another", "namespace": "podveil"}]}]}
	OBJECTS
	wait_until 5 as_agent 1 auth can-i update nodes --subresource=status
}

the_policy_refuses() { # COMMAND...
	! "$@" >"$RUN_DIR/refusal" 2>&1 && grep -F "ValidatingAdmissionPolicy 'podveil-agent'" "$RUN_DIR/refusal" && return
	cat "$RUN_DIR/refusal"
	return 1
}

allowed() { # WHAT NODE PATCH [OPTION...]
	check "allowed: $1" as_agent 1 patch node "$2" --type=merge -p "$3" "${@:4}"
}

refused() { # WHAT NODE PATCH [OPTION...]
	check "refused: $1" the_policy_refuses as_agent 1 patch node "$2" --type=merge -p "$3" "${@:4}"
}

annotation() { jq -nc --arg name "$1" --argjson value "$2" '{metadata: {annotations: {($name): $value}}}'; } # NAME VALUE

# As kubelet, controllers and users leave one behind.
furnish() { # NODE
	kubectl annotate node "$1" example.io/note=theirs podveil.io/rotate-requested=once >/dev/null &&
		kubectl label node "$1" example.io/rack=r1 podveil.io/exclude=no >/dev/null &&
		kubectl taint node "$1" example.io/dedicated=db:NoSchedule >/dev/null || bail "kubectl cannot furnish $1"
}

taints_but() { # NODE FILTER: as a patch that leaves the others as they are
	kubectl get node "$1" -o json | jq -c "{spec: {taints: (.spec.taints | $2)}}"
}

# The writes of an agent at its start, in their order.
its_own_business_is_allowed() {
	allowed "the own record" n1 "$(annotation podveil.io/tunnel '"first"')"
	allowed "another one" n1 "$(annotation podveil.io/tunnel '"second"')"
	allowed "the request that was served" n1 "$(annotation podveil.io/rotate-served '"once"')"
	allowed "the startup taint's end" n1 "$(taints_but n1 "map(select(.key != \"$TAINT\"))")"
	allowed "nothing at all" n1 '{}'
	allowed "the end of both annotations" n1 '{"metadata": {"annotations": {"podveil.io/tunnel": null, "podveil.io/rotate-served": null}}}'
}

other_nodes_are_refused() {
	refused "another node's record" n2 "$(annotation podveil.io/tunnel '"forged"')"
	refused "the end of another node's record" n2 "$(annotation podveil.io/tunnel null)"
	refused "the end of another node's startup taint" n2 "$(taints_but n2 "map(select(.key != \"$TAINT\"))")"
	refused "another node's status" n2 '{"status": {"addresses": []}}' --subresource=status
}

other_fields_are_refused() {
	refused "somebody's annotation" n1 "$(annotation example.io/note '"mine"')"
	refused "the end of somebody's annotation" n1 "$(annotation example.io/note null)"
	refused "a new annotation" n1 "$(annotation example.io/new '"x"')"
	refused "a request to rotate" n1 "$(annotation podveil.io/rotate-requested '"again"')"
	refused "another name of podveil's" n1 "$(annotation podveil.io/self-test '"x"')"
	refused "an annotation beside the own record" n1 \
		'{"metadata": {"annotations": {"podveil.io/tunnel": "x", "example.io/new": "x"}}}'
	refused "a new label" n1 '{"metadata": {"labels": {"example.io/new": "x"}}}'
	refused "a label's other value" n1 '{"metadata": {"labels": {"example.io/rack": "r2"}}}'
	refused "the end of a label" n1 '{"metadata": {"labels": {"podveil.io/exclude": null}}}'
	refused "a finalizer" n1 '{"metadata": {"finalizers": ["example.io/never"]}}'
	refused "an owner" n1 '{"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n2",
		"uid": "5d2a1b00-0000-4000-8000-000000000000"}]}}'
	refused "the end of scheduling" n1 '{"spec": {"unschedulable": true}}'
	refused "a provider's id" n1 '{"spec": {"providerID": "example://n1"}}'
}

other_taints_are_refused() {
	refused "the end of somebody's taint" n1 "$(taints_but n1 'map(select(.key != "example.io/dedicated"))')"
	refused "the end of all taints" n1 '{"spec": {"taints": null}}'
	refused "somebody's taint with another value" n1 "$(taints_but n1 'map(if .value then .value = "web" else . end)')"
	refused "a new taint" n1 "$(taints_but n1 '. + [{key: "example.io/new", effect: "NoExecute"}]')"
	refused "the startup taint once it is gone" n1 "$(taints_but n1 ". + [{key: \"$TAINT\", effect: \"NoSchedule\"}]")"
	refused "the startup taint with an effect that drives pods away" n1 \
		"$(taints_but n1 ". + [{key: \"$TAINT\", effect: \"NoExecute\"}]")"
}

other_ways_are_refused() {
	refused "the own status" n1 '{"status": {"addresses": [{"type": "InternalIP", "address": "192.168.50.99"}]}}' --subresource=status
	refused "the own record by way of the status" n1 "$(annotation podveil.io/tunnel '"x"')" --subresource=status
	check "refused: the own Node's end" the_policy_refuses as_agent 1 delete node n1 --wait=false
	check "refused: another node's end" the_policy_refuses as_agent 1 delete node n2 --wait=false
	check "refused: a new Node" the_policy_refuses as_agent 1 create -f - \
		<<<'{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n9"}}'
	check "refused: a label by update instead of patch" the_policy_refuses as_agent 1 replace -f - \
		< <(kubectl get node n1 -o json | jq '.metadata.labels["example.io/new"] = "x"')
	check "refused: a label by apply" the_policy_refuses as_agent 1 apply --server-side --field-manager=podveil -f - \
		<<<'{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": {"example.io/new": "x"}}}'
}

tokens_without_a_node_are_refused() {
	local token
	token=$(kubectl -n $NAMESPACE create token podveil)
	check "refused: the own record with a token that is bound to no node" the_policy_refuses \
		as_token "$token" patch node n1 --type=merge -p "$(annotation podveil.io/tunnel '"x"')"
	kubectl -n $NAMESPACE run nowhere --image=none --overrides='{"spec": {"serviceAccountName": "podveil"}}' >/dev/null ||
		bail "no pod without a node"
	token=$(kubectl -n $NAMESPACE create token podveil --bound-object-kind Pod --bound-object-name nowhere)
	check "refused: the same with that of a pod that is on no node yet" the_policy_refuses \
		as_token "$token" patch node n1 --type=merge -p "$(annotation podveil.io/tunnel '"x"')"
}

others_are_not_concerned() {
	local token
	kubectl -n $NAMESPACE create serviceaccount another >/dev/null
	token=$(kubectl -n $NAMESPACE create token another)
	check "an administrator asks a node to rotate" kubectl annotate --overwrite node n1 podveil.io/rotate-requested=again
	check "an administrator takes a record away" kubectl annotate node n1 podveil.io/tunnel-
	check "another account writes labels" as_token "$token" label node n1 example.io/rack=r3 --overwrite
	check "another account writes a status" as_token "$token" patch node n2 --subresource=status --type=merge -p '{"status": {}}'
}

begin
needs_kube kube-apiserver kubectl
kube_cluster_up 2
furnish n1
furnish n2
node_of() { as_agent "$1" auth whoami -o json | jq -r '.status.userInfo.extra["authentication.kubernetes.io/node-name"][0]'; }
check "an agent's token names its node" test "$(node_of 1) $(node_of 2)" = "n1 n2"
kubectl get node n2 -o json | jq -S 'del(.metadata.managedFields)' >"$RUN_DIR/n2.before"
all_rights_on_nodes || bail "RBAC does not give what it was told to"

its_own_business_is_allowed
kubectl get node n1 -o json | jq -S 'del(.metadata.managedFields)' >"$RUN_DIR/n1.before"
other_nodes_are_refused
other_fields_are_refused
other_taints_are_refused
other_ways_are_refused
tokens_without_a_node_are_refused
for node in n1 n2; do
	check "nothing of it changed $node" diff -u "$RUN_DIR/$node.before" <(kubectl get node $node -o json | jq -S 'del(.metadata.managedFields)')
done
others_are_not_concerned

kubectl delete validatingadmissionpolicybinding podveil-agent >/dev/null
record_can_be_forged() { as_agent 1 patch node n2 --type=merge -p "$(annotation podveil.io/tunnel '"forged"')"; }
check "without the policy's binding the same is allowed: it was the policy" wait_until 10 record_can_be_forged
agents_done
