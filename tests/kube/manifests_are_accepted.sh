#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The real API server accepts everything in deploy/ as it is, without a warning, and would warn
# otherwise. The test also checks the other promises of the files: a reason for every right, only
# flags that the programs have, one version.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/../netns/lib.sh"
# shellcheck source=tests/kube/lib.bash
. "$(dirname "$0")/lib.bash"
# shellcheck source=tests/kube/manifests.bash
. "$(dirname "$0")/manifests.bash"

is_accepted() { kustomized "$1" | try_out; } # FOLDER

# As in an overlay of a user's own, which lies beside deploy/ as far as kustomize is concerned.
secret_component_is_accepted() {
	local here
	mkdir -p "$RUN_DIR/overlay"
	here=$(realpath --relative-to="$RUN_DIR/overlay" "$DEPLOY")
	printf '%s\n' "resources: [$here/base]" "components: [$here/components/cluster-secret]" >"$RUN_DIR/overlay/kustomization.yaml"
	is_accepted "$RUN_DIR/overlay" && kustomized "$RUN_DIR/overlay" | grep -A1 'name: PODVEIL_CLUSTER_SECRET' | grep -F /etc/podveil/secret
}

# SED breaks exactly one thing, as a typing error would.
is_refused_with() { # PATTERN SED
	kustomized "$DEPLOY" | sed "$2" | try_out >"$RUN_DIR/refused" && return 1
	grep -E "$1" "$RUN_DIR/refused" || { cat "$RUN_DIR/refused"; return 1; }
}

# Pod security, priority class, service account: the pod that a kubelet would get. PodSecurity only
# warns about controllers.
its_pods_are_accepted() { # FOLDER
	kubectl apply --server-side -f "$DEPLOY/base/serviceaccount.yaml" >/dev/null &&
		kubectl create --dry-run=server -o json -f <(kustomized "$1" | sed -n '/^kind: DaemonSet$/,/^---$/p' |
			sed '1i apiVersion: apps/v1' | sed '/^---$/d') |
		jq '{apiVersion: "v1", kind: "Pod", metadata: {name: "podveil-x", namespace: "podveil"}, spec: .spec.template.spec}' | try_out
}

the_same_without_the_label_is_refused() {
	kubectl label namespace podveil pod-security.kubernetes.io/enforce=restricted --overwrite >/dev/null
	! its_pods_are_accepted "$DEPLOY" >"$RUN_DIR/refused" && grep -i podsecurity "$RUN_DIR/refused"
}

differs_in_the_mode_alone() {
	as_taken < <(kustomized "$DEPLOY") >"$RUN_DIR/strict" && as_taken < <(kustomized "$DEPLOY/overlays/migrate") >"$RUN_DIR/migrate" &&
		[ "$(jq '(.[] | select(.kind == "ConfigMap") | .data.mode) = "permissive"' "$RUN_DIR/strict")" = "$(cat "$RUN_DIR/migrate")" ] &&
		! cmp -s "$RUN_DIR/strict" "$RUN_DIR/migrate"
}

every_verb_has_its_reason() {
	local without
	without=$(grep -nE '^ *- (get|list|watch|patch|create|update|delete|\*)( *)$|verbs: *\[' "$DEPLOY"/base/*role*.yaml)
	echo "$without"
	[ -z "$without" ] && grep -qE '^ *- patch # ' "$DEPLOY/base/clusterrole.yaml"
}

# Those of a container that are not among its program's flags.
unknown_variables() { # CONTAINER
	local name
	jq -r --arg name "$1" '.[] | select(.kind == "DaemonSet") | .spec.template.spec.containers[] | select(.name == $name) |
		.env[].name' "$RUN_DIR/strict" | while read -r name; do
		name=$(sed 's/^PODVEIL_//; s/_/-/g' <<<"$name" | tr '[:upper:]' '[:lower:]')
		"$BUILD/podveil-$1" --help | grep -q "^  --$name\b" || echo "--$name"
	done
}

every_variable_is_a_flag() {
	local unknown
	unknown=$(unknown_variables tunnel; unknown_variables keyd)
	echo "unknown: $unknown"
	[ -z "$unknown" ] && jq -e '[.. | .env? // [] | .[].name] | length > 10' "$RUN_DIR/strict"
}

the_configmap_names_every_key() {
	diff <({ echo mode; sed -n 's/^#   \([a-z-]*\)  .*/\1/p' "$DEPLOY/base/configmap.yaml"; } | sort) \
		<(jq -r '.. | .configMapKeyRef? | select(.) | .key' "$RUN_DIR/strict" | sort -u)
}

one_version() {
	local version
	version=$("$BUILD/podveil" version | cut -d' ' -f2)
	jq -e --arg image "podveil:$version" '[.[] | select(.kind == "DaemonSet") | .spec.template.spec.containers[].image] | length > 0 and all(. == $image)' \
		"$RUN_DIR/strict" && grep -x "appVersion: $version" "$CHART/Chart.yaml" && grep -x "VERSION=$version" "$DEPLOY/kubectl-podveil" &&
		grep -qF "image: podveil:$version" "$DEPLOY/overlays/uninstall/daemonset.yaml"
}

begin
needs_kube kube-apiserver kubectl
needs podveil-tunnel podveil-keyd podveil
manifests_up
for folder in . overlays/migrate overlays/uninstall; do
	check "kubectl apply -k deploy/$folder is accepted" is_accepted "$DEPLOY/$folder"
done
check "and so are its pods" its_pods_are_accepted "$DEPLOY"
check "and those of the uninstall" its_pods_are_accepted "$DEPLOY/overlays/uninstall"
check "the cluster secret's component is accepted" secret_component_is_accepted
check "migrate differs in the mode alone, so that no pod is restarted" differs_in_the_mode_alone
check "every verb of RBAC has its reason" every_verb_has_its_reason
check "every variable is a flag of its program" every_variable_is_a_flag
check "the ConfigMap names every key that is read" the_configmap_names_every_key
check "image, chart, kubectl plugin and programs have one version" one_version

check "a field that there is not is refused" is_refused_with 'hostNetwrok' 's/hostNetwork:/hostNetwrok:/'
check "so is a policy that makes no sense" is_refused_with 'undeclared reference|undefined field' 's/variables\.oldTaints/variables.oldTants/'
check "so is surge with two agents on one node" is_refused_with 'maxUnavailable|maxSurge' 's/maxSurge: 0/maxSurge: 1/'
check "so is a right that nobody can give" is_refused_with 'verbs' '/^  verbs:$/,/^- apiGroups\|^---/{/^  - /d}'
check "without the namespace's label the pods are refused: it is needed" the_same_without_the_label_is_refused
manifests_done
