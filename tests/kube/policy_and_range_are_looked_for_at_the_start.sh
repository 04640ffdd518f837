#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# At its start an agent checks whether the admission policy restricts its token: without the policy
# it reports that and continues, or publishes nothing if it is configured so. If no cluster pod
# range is configured, it takes kubeadm's; without a range it does not start, and names the setting.

# shellcheck source=tests/kube/agents.bash
. "$(dirname "$0")/agents.bash"

# -- the policy --

dry_run() { # NODE ANNOTATION: as n1's agent
	as_agent 1 patch node "$1" --dry-run=server --type=merge -p "$(jq -nc --arg name "$2" '{metadata: {annotations: {($name): "x"}}}')"
}
is_refused() { ! dry_run "$@" >"$RUN_DIR/refusal" 2>&1 && grep -F "ValidatingAdmissionPolicy" "$RUN_DIR/refusal"; } # NODE ANNOTATION

# Each comes into force a little after it was written.
binding_goes() {
	kubectl delete validatingadmissionpolicybinding podveil-agent >/dev/null && wait_until 15 dry_run n2 $RECORD
}
policy_comes() {
	overlay_apply . >/dev/null && wait_until 15 is_refused n1 podveil.io/self-test && wait_until 15 is_refused n2 $RECORD
}
policy_forgets_other_nodes() {
	kubectl get validatingadmissionpolicy podveil-agent -o json |
		jq 'del(.metadata.managedFields, .metadata.resourceVersion) | .spec.validations |= map(select(.message | test("only their own Node") | not))' |
		kubectl replace -f - >/dev/null && wait_until 15 dry_run n2 $RECORD && wait_until 5 is_refused n1 podveil.io/self-test
}

restart_keyd() { kill_keyd 1 && start_keyd 1; }
require_admission() { configure require-admission "$1"; }

warns_of() { status_says 1 ".state == \"protected\" and any(.warnings[]; test(\"$1\"))"; } # PATTERN
warns_of_nothing() { status_says 1 '.state == "protected" and .warnings == []'; }
publishes_nothing_for() { # PATTERN
	status_says 1 ".state == \"degraded\" and any(.reasons[]; test(\"^--require-admission: nothing is published: .*$1\"))"
}
publishes() { [ -n "$(record_of 1)" ]; }
own_record_goes() { kubectl annotate node n1 $RECORD- >/dev/null; }

# That n1 keeps to itself for as long as it would take it several times.
stays_unpublished() { sleep 3; ! publishes; }

# -- the range --

RANGES=$(IFS=,; echo "${CLUSTER_CIDRS[*]}")
SAYS_WHAT_TO_SET='error: .*--cluster-cidr, or as cluster-cidr in the ConfigMap podveil'

kubeadm_says() { # TEXT: the whole of ClusterConfiguration
	kubectl -n kube-system create configmap kubeadm-config --from-literal=ClusterConfiguration="$1" -o json --dry-run=client | apply
}

configuration_with() { # YAML of networking
	printf '%s\n' 'apiServer: {}' 'apiVersion: kubeadm.k8s.io/v1beta4' 'kind: ClusterConfiguration' 'networking:' \
		'  dnsDomain: cluster.local' "$1" '  serviceSubnet: 10.96.0.0/16'
}

takes_ranges() { # JSON
	restart_keyd && wait_until 10 status_says 1 ".cluster_cidrs == $1"
}

# With the line, and no other words after it. A server that does not answer is asked for half a minute.
ends_with_the_line() { # PATTERN of what is wrong
	is_gone "$(keyd_pid 1)" || kill_keyd 1
	: >"$(agent_dir 1)/keyd.log"
	spawn_keyd 1
	wait_until 40 is_gone "$(keyd_pid 1)" || return 1
	cat "$(agent_dir 1)/keyd.log"
	tail -n 1 "$(agent_dir 1)/keyd.log" | grep -E "$SAYS_WHAT_TO_SET" && log_says 1 "$1"
}

refuses() { # WHAT PATTERN TEXT
	kubeadm_says "$3"
	check "$1: keyd ends, and says what to set" ends_with_the_line "$2"
}

begin
needs podveil-tunnel podveil-keyd podveil
needs_kube kube-apiserver kubectl
kube_cluster_up 2
binding_goes || bail "the policy still holds"
check "without the policy's binding agents start and protect both nodes" start_agents
check "each says that its token may write too much" wait_until 10 warns_of 'any annotation of its Node.*podveil-agent'
check "also in the log" log_says 1 'warning: .*any annotation of its Node.*podveil-agent'
check "and its record is published" publishes

require_admission true
check "with require-admission it says that it publishes nothing, and why" eval \
	'restart_keyd && wait_until 15 publishes_nothing_for "any annotation of its Node.*podveil-agent"'
check "podveil status fails" eval '! podveil 1 status'
check "its pods go on talking" wait_until 5 pods_talk 1 2
kill_keyd 1
own_record_goes
check "a record that is not there stays away" eval 'start_keyd 1; wait_until 15 publishes_nothing_for podveil-agent && stays_unpublished'

policy_comes && policy_forgets_other_nodes || bail "the policy cannot be changed"
check "a policy that lets it write other Nodes is seen through, and the Node is named" eval \
	'restart_keyd && wait_until 15 publishes_nothing_for "records of other Nodes .n2, for one.*podveil-agent"'
check "nothing is published either" stays_unpublished
require_admission false
check "where that is not required it warns of it, and publishes" eval \
	'restart_keyd && wait_until 15 warns_of "records of other Nodes .n2, for one" && wait_until 5 publishes'

kill_keyd 1
own_record_goes
policy_comes || bail "the policy does not come back"
require_admission true
check "with the policy back it publishes" eval 'start_keyd 1; wait_until 15 publishes'
check "and all is well" wait_until 10 warns_of_nothing
check "the log says that the policy holds" log_says 1 'the admission policy restricts this node'
require_admission ""

configure cluster-cidr ""
check "no range, and no kubeadm configuration: keyd exits, and names the setting" ends_with_the_line 'kubeadm-config'
check "the pods go on talking" pods_talk 1 2
kubeadm_says "$(configuration_with "  podSubnet: $RANGES")"
check "kubeadm's two ranges are taken" takes_ranges '["10.244.0.0/16", "fd00:10:244::/48"]'
check "and their origin is named" log_says 1 'pod range is 10.244.0.0/16,fd00:10:244::/48, from kubeadm-config'
check "the pods are protected with them" eval 'wait_until 10 warns_of_nothing && pods_talk 1 2'
kubeadm_says "$(configuration_with '  podSubnet: 10.244.0.0/16')"
check "so is one alone" takes_ranges '["10.244.0.0/16"]'
set_range
check "the range of the ConfigMap podveil has priority" takes_ranges '["10.244.0.0/16", "fd00:10:244::/48"]'
configure cluster-cidr ""

refuses "a configuration without podSubnet" 'no networking.podSubnet' "$(configuration_with '  note: none')"
refuses "an empty podSubnet" 'podSubnet' "$(configuration_with '  podSubnet: ""')"
refuses "commas alone" "','" "$(configuration_with '  podSubnet: ","')"
refuses "a range that is none" "10.244.0.0/33" "$(configuration_with '  podSubnet: 10.244.0.0/33')"
refuses "a good range and a word" "'pods'" "$(configuration_with '  podSubnet: 10.244.0.0/16,pods')"
refuses "a list" 'podSubnet' "$(configuration_with '  podSubnet: [10.244.0.0/16]')"
refuses "what is no YAML" 'kubeadm-config' $'networking: {podSubnet: "10.244.0.0/16'
refuses "what is a word" 'podSubnet' nonsense
agents_done
