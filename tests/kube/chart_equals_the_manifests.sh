#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The Helm chart makes the same objects as kubectl apply -k, to the field, in all three shapes; its
# values have their documented effect, and values that make no sense are refused before anything
# reaches a cluster.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/../netns/lib.sh"
# shellcheck source=tests/kube/lib.bash
. "$(dirname "$0")/lib.bash"
# shellcheck source=tests/kube/manifests.bash
. "$(dirname "$0")/manifests.bash"

is_equal() { # FOLDER [OPTION...]: of helm
	as_taken < <(kustomized "$1") >"$RUN_DIR/manifests" && as_taken < <(rendered --set namespace.create=true "${@:2}") >"$RUN_DIR/chart" &&
		diff -u "$RUN_DIR/manifests" "$RUN_DIR/chart"
}

# A difference of one value must show.
is_not_equal() { ! is_equal "$@" >"$RUN_DIR/difference" && grep -E '^[-+] ' "$RUN_DIR/difference"; }

ALL_VALUES=(--set 'encryption.clusterCIDR={10.244.0.0/16,fd00:10:244::/48}' --set 'encryption.exceptCIDR={10.244.128.0/20}'
	--set encryption.podCIDRsFrom=local --set 'encryption.bypass={192.168.50.10:6443,[fd00:50::10]:6443}'
	--set encryption.keyRotationInterval=12h --set encryption.keyRotationDuration=5m --set encryption.keyRotationStrict=true
	--set encryption.secretName=podveil-secret --set encryption.wireguard.port=51999 --set 'devices={eth0,eth1}'
	--set k8sServiceHost=192.168.50.10 --set k8sServicePort=6443 --set admissionPolicy.required=true --set logging.level=debug
	--set logging.format=json --set image.repository=registry.example.com/podveil --set image.tag=9.9.9
	--set image.pullPolicy=Always --set 'imagePullSecrets[0].name=pull' --set resourceQuota.enabled=true
	--set 'nodeSelector.example\.io/podveil=yes' --set podLabels.team=network --set podAnnotations.note=x
	--set serviceAccount.name=veil)

every_value_arrives() {
	as_taken < <(rendered "${ALL_VALUES[@]}") >"$RUN_DIR/values" || return 1
	jq -e '(map({(.kind): .}) | add) as $all | $all.DaemonSet.spec.template as $pod |
		($pod.spec.containers | map({(.name): .}) | add) as $containers |
		($containers.keyd.env | map({(.name): .value}) | add) as $env |
		$all.ConfigMap.data == {mode: "strict", "cluster-cidr": "10.244.0.0/16,fd00:10:244::/48", "except-cidr": "10.244.128.0/20",
			"pod-cidrs-from": "local", uplink: "eth0,eth1", bypass: "192.168.50.10:6443,[fd00:50::10]:6443", port: "51999",
			"rotate-every": "12h", overlap: "5m", "overlap-strict": "true", "require-admission": "true", "log-level": "debug",
			"log-format": "json"} and
		$env.PODVEIL_CLUSTER_SECRET == "/etc/podveil/secret" and
		any($containers.keyd.volumeMounts[]; .name == "secret" and .mountPath == "/etc/podveil") and
		any($pod.spec.volumes[]; .secret.secretName == "podveil-secret" and .secret.defaultMode == 256) and
		$env.KUBERNETES_SERVICE_HOST == "192.168.50.10" and $env.KUBERNETES_SERVICE_PORT == "6443" and
		all($containers[]; .image == "registry.example.com/podveil:9.9.9" and .imagePullPolicy == "Always") and
		$pod.spec.imagePullSecrets == [{name: "pull"}] and $pod.spec.nodeSelector == {"example.io/podveil": "yes"} and
		$pod.metadata.labels.team == "network" and $pod.metadata.annotations.note == "x" and
		$pod.spec.serviceAccountName == "veil" and $all.ServiceAccount.metadata.name == "veil" and
		any($all.ValidatingAdmissionPolicy.spec.matchConditions[]; .expression | endswith("podveil:veil'\''")) and
		$all.ResourceQuota.spec.hard.pods == "5k"' "$RUN_DIR/values" || { cat "$RUN_DIR/values"; return 1; }
}

# Everything in another namespace, as `helm install -n` wants it.
another_namespace_is_used_throughout() {
	rendered --namespace elsewhere >"$RUN_DIR/elsewhere" &&
		grep -qF "'system:serviceaccount:elsewhere:podveil'" "$RUN_DIR/elsewhere" && ! grep -E 'namespace: podveil' "$RUN_DIR/elsewhere"
}

is_refused() { # WORD OPTION...
	! rendered "${@:2}" >/dev/null 2>"$RUN_DIR/refusal" && grep -F "$1" "$RUN_DIR/refusal"
}

helm() { in_ns api env HOME="$RUN_DIR" "$HELM" --kubeconfig "$KUBE_DIR/admin.kubeconfig" --namespace podveil "$@"; }

notes_say() { # PATTERN [OPTION...]
	helm install podveil "$CHART" --dry-run=server "${@:2}" 2>&1 | sed '1,/^NOTES:/d' | grep -E "$1"
}

template_generation() { kubectl -n podveil get daemonset podveil -o jsonpath='{.metadata.generation}'; }
mode() { kubectl -n podveil get configmap podveil -o jsonpath='{.data.mode}'; }

is_installed_permissive() {
	helm install podveil "$CHART" --set encryption.strictMode.enabled=false && [ "$(mode) $(template_generation)" = "permissive 1" ]
}

strict_touches_no_pod() {
	helm upgrade podveil "$CHART" --set encryption.strictMode.enabled=true && [ "$(mode) $(template_generation)" = "strict 1" ]
}

is_uninstalled() {
	local kinds=clusterroles,clusterrolebindings,roles,rolebindings,daemonsets,configmaps,serviceaccounts
	kinds+=,validatingadmissionpolicies,validatingadmissionpolicybindings
	kubectl get $kinds -A -o name >"$RUN_DIR/before" && helm uninstall podveil && kubectl get $kinds -A -o name >"$RUN_DIR/after" &&
		grep -q 'daemonset.apps/podveil' "$RUN_DIR/before" && ! grep podveil "$RUN_DIR/after"
}

begin
needs_kube kube-apiserver kubectl
helm_find
manifests_up
check "the chart's default is deploy/" is_equal "$DEPLOY"
check "permissive is overlays/migrate" is_equal "$DEPLOY/overlays/migrate" --set encryption.strictMode.enabled=false
check "uninstall is overlays/uninstall" is_equal "$DEPLOY/overlays/uninstall" --set uninstall=true
check "one value's difference would show" is_not_equal "$DEPLOY" --set encryption.wireguard.port=51999
check "one right's difference would show" is_not_equal "$DEPLOY" --set serviceAccount.name=veil
check "every value arrives where it counts, and is accepted" every_value_arrives
check "another namespace is used throughout" another_namespace_is_used_throughout

check "refused: a value that there is not" is_refused 'strictmode' --set encryption.strictmode=true
check "refused: a pod range that is none" is_refused 'clusterCIDR' --set 'encryption.clusterCIDR={10.244.0.0}'
check "refused: a duration that is none" is_refused 'keyRotationInterval' --set encryption.keyRotationInterval=daily
check "refused: a port that is none" is_refused 'port' --set encryption.wireguard.port=70000
check "refused: surge" is_refused 'maxSurge' --set updateStrategy.rollingUpdate.maxSurge=1
check "the notes say when pod traffic is in cleartext" notes_say 'PERMISSIVE' --set encryption.strictMode.enabled=false
check "the notes warn where there is no admission policy" notes_say 'WARNING' --set admissionPolicy.enabled=false

check "helm install goes through, permissive" is_installed_permissive
check "helm upgrade to strict changes the mode and no pod" strict_touches_no_pod
check "helm uninstall leaves nothing in the cluster" is_uninstalled
manifests_done
