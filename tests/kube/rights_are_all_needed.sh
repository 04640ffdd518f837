#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The table below lists exactly the rights of an agent at the API server, and each of them is
# needed: without it, the feature that its line names stops working, and with it, it works.

# shellcheck source=tests/kube/agents.bash
. "$(dirname "$0")/agents.bash"

MARKER=$(new_marker)
APISERVER_MORE=("${API_LISTS_NOTHING[@]}")
OVERLAP=8
agent_flags() { echo --overlap ${OVERLAP}s --mode strict; } # as in a container that started with another ConfigMap

# role, its namespace (`-`: the whole cluster's), resource, verb, and the function below that shows
# its use
TABLE='
podveil                 -            nodes           list   finds_the_others
podveil                 -            nodes           watch  sees_what_changes
podveil                 -            nodes           get    learns_who_joins
podveil                 -            nodes           patch  publishes_itself
podveil                 podveil      configmaps      list   knows_the_mode
podveil                 podveil      configmaps      watch  follows_the_mode
podveil                 default      endpointslices  list   knows_the_api_servers
podveil                 default      endpointslices  watch  follows_the_api_servers
podveil                 default      events          create says_who_did_not_follow
podveil-kubeadm-config  kube-system  configmaps      get    finds_the_pod_range
'

# -- exactly these --

# A line for each verb.
rights_of() { # TOKEN NAMESPACE
	as_token "$1" create --validate=false -o json -f - <<-REVIEW | jq -r '.status | select(.incomplete | not) |
		(.resourceRules[] | .apiGroups[] as $group | .resources[] as $resource | (.resourceNames // ["*"])[] as $name |
			.verbs[] | "\(.) \([$resource, $group | select(. != "")] | join(".")) \($name)"),
		(.nonResourceRules[] | .verbs[] as $verb | .nonResourceURLs[] | "\($verb) \(.)")' | sort -u
		{"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": "$2"}}
	REVIEW
}

# Beside what any account may do.
may_do_exactly() { # NAMESPACE LINE...
	local anybody
	anybody=$(kubectl -n default create token anybody)
	[ -n "$(rights_of "$anybody" "$1")" ] || return 1
	diff -u <(printf '%s\n' "${NODE_RIGHTS[@]}" "${@:2}" | sort) \
		<(comm -23 <(rights_of "$(cat "$(account_dir 1)/token")" "$1") <(rights_of "$anybody" "$1"))
}
NODE_RIGHTS=("get nodes *" "list nodes *" "watch nodes *" "patch nodes *")

# -- the use of each right: true if it works; n1 has the right or not, from its start on --

usable() { peers_are 1 '["n2"]'; }

finds_the_others() { wait_until "$1" usable; }

sees_what_changes() { # a request is an annotation that somebody else writes
	local old
	old=$(own_key 1 .fingerprint)
	kubectl annotate --overwrite node n1 podveil.io/rotate-requested="$EPOCHREALTIME" >/dev/null
	wait_until "$1" eval '[ "$(own_key 1 .fingerprint)" != "'"$old"'" ]'
}

learns_who_joins() { # a watch shows neither prefixes nor addresses
	node_registers 3 "$(pods_v4 3)" "$(pods_v6 3)"
	kubectl annotate node n3 $RECORD="$(record_of 2 | jq -c --arg uid "$(kubectl get node n3 -o jsonpath='{.metadata.uid}')" \
		--arg key "$(head -c 32 /dev/urandom | base64)" '{version, epoch, port, $uid, current: $key,
			endpoints: ["192.168.50.3"], pods: ["10.244.3.0/24"]}')" >/dev/null
	wait_until "$1" peers_are 1 '["n2","n3"]'
}

publishes_itself() {
	kubectl annotate node n1 $RECORD- >/dev/null
	wait_until "$1" eval '[ -n "$(record_of 1)" ]'
}

knows_the_mode() { # which is another one than the flag's
	wait_until "$1" status_says 1 '.mode == "permissive"'
}

follows_the_mode() {
	set_mode strict
	wait_until "$1" status_says 1 '.mode == "strict"'
}

knows_the_api_servers() { wait_until "$1" reaches_api p1 "$MORE_API_V4"; }

follows_the_api_servers() {
	api_lists $API_V4 $MORE_API_V4
	wait_until "$1" reaches_api p1 "$MORE_API_V4"
}

says_who_did_not_follow() {
	in_ns p1 ping -c 2 -i 0.1 -W 2 -q "$(pod_v4 2)" >/dev/null # live
	kill -STOP "$(keyd_pid 2)"
	rotate 1
	wait_until "$1" eval 'kubectl -n default get events -o json | jq -e "any(.items[]; .reason == \"RotationStraggler\")"'
}

finds_the_pod_range() {
	wait_until "$1" status_says 1 '.cluster_cidrs == ["10.244.0.0/16", "fd00:10:244::/48"]'
}

# -- the ground for each; before n1's agent starts --

before_knows_the_mode() { set_mode permissive; }
before_follows_the_mode() { set_mode permissive; }
before_finds_the_pod_range() { configure cluster-cidr ""; }
before_knows_the_api_servers() {
	api_lists $API_V4 $MORE_API_V4
	before_follows_the_api_servers
}
before_follows_the_api_servers() { # nothing is left of what it knew: the way to them stays open else
	kill_tunnel 1
	in_ns n1 "$BUILD/podveil" cleanup --control "$(agent_dir 1)/keyd.sock" --bpffs "$(agent_bpffs 1)"
	start_tunnel 1
}
after() {
	kill -CONT "$(keyd_pid 2)"
	set_mode strict
	set_range
	api_lists $API_V4
	kubectl delete --ignore-not-found node n3 >/dev/null
	kubectl -n default delete events --all >/dev/null
}

# -- the table --

in_namespace() { [ "$1" = - ] || echo --namespace="$1"; }
kind_of() { if [ "$1" = - ]; then echo clusterrole; else echo role; fi; }

without_verb() { # ROLE NAMESPACE RESOURCE VERB
	# shellcheck disable=SC2046 # one word, or none
	kubectl $(in_namespace "$2") get "$(kind_of "$2")" "$1" -o json | jq --arg resource "$3" --arg verb "$4" '
		del(.metadata.managedFields, .metadata.resourceVersion) |
		.rules |= map(if .resources == [$resource] then .verbs -= [$verb] else . end | select(.verbs != []))' | kubectl replace -f - >/dev/null
}

agent_is_settled() { status_says 1 '.state != "starting"'; }

works() { # FUNCTION SECONDS
	local status
	kill_keyd 1
	"before_$1" >/dev/null 2>&1
	start_keyd 1 >/dev/null
	wait_until 3 agent_is_settled
	"$1" "$2"
	status=$?
	after
	return $status
}

verb_is_needed() { # ROLE NAMESPACE RESOURCE VERB FUNCTION
	without_verb "$1" "$2" "$3" "$4" || bail "$1 cannot be changed"
	check "without $4 $3: not $5" eval '! works '"$5"' 3'
	overlay_apply . || bail "deploy/ cannot be applied again"
	check "with $4 $3: $5" works "$5" 15
}

begin
needs podveil-tunnel podveil-keyd podveil
needs_kube kube-apiserver kubectl
kube_cluster_up 2
kubectl -n default create serviceaccount anybody >/dev/null
check "in its namespace an agent may do exactly the operations listed here" may_do_exactly $NAMESPACE \
	"list configmaps podveil" "watch configmaps podveil"
check "in default" may_do_exactly default "create events *" "list endpointslices.discovery.k8s.io *" \
	"watch endpointslices.discovery.k8s.io *"
check "in kube-system" may_do_exactly kube-system "get configmaps kubeadm-config"
check "anywhere else" may_do_exactly elsewhere

api_is_a_node
api_lists $API_V4
kubectl -n kube-system create configmap kubeadm-config --from-literal=ClusterConfiguration="$(printf '%s\n' \
	'apiVersion: kubeadm.k8s.io/v1beta4' 'kind: ClusterConfiguration' 'networking:' \
	"  podSubnet: $(IFS=,; echo "${CLUSTER_CIDRS[*]}")" '  serviceSubnet: 10.96.0.0/16')" >/dev/null
start_agents_of_both() { start_agent 1 && start_agent 2 && wait_until 15 usable; }
start_agents_of_both || bail "no agents"
while read -r role namespace resource verb function; do
	[ -n "$role" ] && verb_is_needed "$role" "$namespace" "$resource" "$verb" "$function" </dev/null
done <<<"$TABLE"
agents_done
