# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# deploy/ on a real API server, and an agent on each node in place of the DaemonSet's pod: with a
# token bound to that pod and its node, in the directory where pods have it, and with no other
# rights. This file does the work of kubelet, scheduler and the DaemonSet's controller, and no more.
# Sourced first: it sources the files that it needs, and starts the traffic between the pods.
#
#   node i: Node n<i> with the startup taint      its agent: pod podveil-n<i> of the DaemonSet podveil

# shellcheck source=tests/netns/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$ROOT/tests/netns/rotation.bash"
# shellcheck source=tests/kube/lib.bash
. "$ROOT/tests/kube/lib.bash"

DEPLOY=${DEPLOY:-$ROOT/deploy}
NAMESPACE=podveil
TAINT=podveil.io/agent-not-ready
RECORD=podveil.io/tunnel
ACCOUNT_FOLDER=/var/run/secrets/kubernetes.io/serviceaccount
AGENT_API_HOST=$API_V4 AGENT_API_PORT=$API_PORT # as kubelet tells it: the service's, where a test leads that somewhere

# -- as a user does it --

overlay_apply() { # FOLDER of deploy/
	kubectl apply -k "$DEPLOY/$1" >"$KUBE_DIR/deploy" 2>&1 || { cat "$KUBE_DIR/deploy"; return 1; }
}

deploy_apply() { overlay_apply . >/dev/null && set_range || bail "kubectl apply -k: $(cat "$KUBE_DIR/deploy")"; }

# The ConfigMap's keys beyond those of deploy/ belong to the user, and stay when deploy/ is applied
# again.
set_range() {
	configure cluster-cidr "$(IFS=,; echo "${CLUSTER_CIDRS[*]}")"
}

configure() { # KEY VALUE
	kubectl -n $NAMESPACE patch configmap podveil --type=merge -p '{"data": {"'"$1"'": "'"$2"'"}}' >/dev/null
}

set_mode() { configure mode "$1"; } # strict|permissive|...: of the whole cluster

# With the plugin on the PATH.
kubectl_podveil() {
	KUBECONFIG=$KUBE_DIR/admin.kubeconfig PATH=$KUBE_BIN:$DEPLOY:$PATH in_ns api timeout 90 kubectl podveil "$@"
}

# -- as the DaemonSet's controller does it --

agent_pod() { echo "podveil-n$1"; }

# From the DaemonSet's own template, so that the API server's warnings about such a pod appear.
pod_object() { # I
	kubectl -n $NAMESPACE get daemonset podveil -o json | jq --arg name "$(agent_pod "$1")" --arg node "n$1" '{
		apiVersion: "v1", kind: "Pod", spec: (.spec.template.spec + {nodeName: $node}),
		metadata: {name: $name, namespace: .metadata.namespace, labels: .spec.template.metadata.labels}}' | apply
}

# -- as kubelet does it --

# As large as a real one: most of it are images, which podveil ignores.
node_status() { # ADDRESS...: as JSON
	jq -n '
		def condition(type; status; reason): {type: type, status: status, reason: reason, message: "kubelet says \(reason)",
			lastHeartbeatTime: "2026-11-22T12:00:00Z", lastTransitionTime: "2026-11-22T11:00:00Z"};
		{cpu: "8", memory: "32617472Ki", pods: "110", "ephemeral-storage": "101430960Ki", "hugepages-2Mi": "0"} as $resources |
		{addresses: [$ARGS.positional[] | {type: "InternalIP", address: .}], capacity: $resources, allocatable: $resources,
			conditions: [condition("MemoryPressure"; "False"; "KubeletHasSufficientMemory"),
				condition("DiskPressure"; "False"; "KubeletHasNoDiskPressure"),
				condition("PIDPressure"; "False"; "KubeletHasSufficientPID"), condition("Ready"; "True"; "KubeletReady")],
			nodeInfo: {machineID: "5d2a1b", systemUUID: "5d2a1b", bootID: "77c0e2", kernelVersion: "6.12.48+deb13-amd64",
				osImage: "Debian GNU/Linux 13 (trixie)", containerRuntimeVersion: "containerd://2.1.4", kubeletVersion: "v1.37.2",
				kubeProxyVersion: "", operatingSystem: "linux", architecture: "amd64"},
			images: [range(30) | {sizeBytes: (30000000 + .), names: ["registry.example/team/application-\(.)@sha256:" + "0123456789abcdef" * 4,
				"registry.example/team/application-\(.):v1.2.\(.)"]}]}' --args "$@"
}

# As kubelet registers it: nothing is to run there before the agent does. The API server adds a taint of its own.
node_registers() { # I [PREFIX...]: those that a controller gave it for its pods
	jq -n --arg name "n$1" --arg taint $TAINT '{apiVersion: "v1", kind: "Node", metadata: {name: $name},
		spec: ({taints: [{key: $taint, effect: "NoSchedule"}]} +
			if $ARGS.positional == [] then {} else {podCIDR: $ARGS.positional[0], podCIDRs: $ARGS.positional} end)}' \
		--args "${@:2}" | apply
	kubectl patch node "n$1" --subresource=status --type=merge -p "{\"status\": $(node_status "$(node_v4 "$1")" "$(node_v6 "$1")")}" \
		>"$KUBE_DIR/patch" 2>&1 || bail "kubectl patch: $(cat "$KUBE_DIR/patch")"
}

node_joins() { node_registers "$1" "$(pods_v4 "$1")" "$(pods_v6 "$1")"; } # I

token_of() { # I [DURATION]: of its pod; ends with the pod
	kubectl -n $NAMESPACE create token podveil --bound-object-kind Pod --bound-object-name "$(agent_pod "$1")" \
		--duration "${2:-1h}" || bail "no token for $(agent_pod "$1")"
}

account_dir() { echo "$(agent_dir "$1")/account"; } # I

account_write() { # I FILE: from standard input; never half of it is seen
	cat >"$(account_dir "$1")/.$2" && mv "$(account_dir "$1")/.$2" "$(account_dir "$1")/$2"
}

account_make() { # I
	mkdir -p "$(account_dir "$1")"
	token_of "$1" | account_write "$1" token
	printf %s $NAMESPACE | account_write "$1" namespace
	account_write "$1" ca.crt <"$KUBE_DIR/ca.crt"
}

# The pod exists, and so do the files that it finds in its file system.
agent_is_deployed() { # I
	pod_object "$1"
	account_make "$1"
	agent_environment "$1" >/dev/null
}

# Runs a command where the account's folder is where pods have it, and nothing else is below /run.
AS_POD='mount -t tmpfs tmpfs /run && mkdir -p "$0" && mount --bind "$1" "$0" && shift && exec "$@"'
as_pod() { # I COMMAND...: prints the words of the command line, one a line
	printf '%s\n' env "KUBERNETES_SERVICE_HOST=$AGENT_API_HOST" "KUBERNETES_SERVICE_PORT=$AGENT_API_PORT" unshare --mount -- sh -c "$AS_POD" \
		$ACCOUNT_FOLDER "$(account_dir "$1")" "${@:2}"
}

# The variables of the container keyd, from the ConfigMap as it is at this start, or kubelet's last
# copy while the API server is unreachable.
agent_environment() { # I: NAME=VALUE, one a line
	local file
	file=$(agent_dir "$1")/environment
	kubectl -n $NAMESPACE get --ignore-not-found "pod/$(agent_pod "$1")" configmap/podveil -o json >"$file.json" 2>/dev/null &&
		jq -r '(.items | map(select(.kind == "ConfigMap")) | .[0].data // {}) as $map |
			.items[] | select(.kind == "Pod") | . as $pod | .spec.containers[] | select(.name == "keyd") | .env[] |
			(.value // $map[.valueFrom.configMapKeyRef.key // ""] //
				if .valueFrom.fieldRef.fieldPath == "spec.nodeName" then $pod.spec.nodeName else empty end) as $value |
			"\(.name)=\($value)"' "$file.json" >"$file"
	cat "$file"
}

spawn_keyd() { # I
	local environment command
	mapfile -t environment < <(agent_environment "$1")
	# shellcheck disable=SC2046 # one word each
	mapfile -t command < <(as_pod "$1" env "${environment[@]}" "$BUILD/podveil-keyd" --tunnel "$(agent_dir "$1")/tunnel.sock" \
		--control "$(agent_dir "$1")/keyd.sock" --bpffs "$(agent_bpffs "$1")" $(agent_flags "$1"))
	spawn_daemon "$1" keyd "${command[@]}"
}

# It answers before it knows anything of its node, and `podveil status` fails as long as not all is well.
agent_answers() { [ -n "$(podveil "$1" -o json status)" ]; } # I

# Asks the API server as that agent, with its own token.
as_agent() { as_token "$(cat "$(account_dir "$1")/token")" "${@:2}"; } # I ARGUMENT...: of kubectl

as_token() { # TOKEN ARGUMENT...: of kubectl
	KUBECACHEDIR=$KUBE_DIR/cache in_ns api "$KUBE_BIN/kubectl" --kubeconfig /dev/null --server "https://$API_V4:$API_PORT" \
		--certificate-authority "$KUBE_DIR/ca.crt" --token "$1" "${@:2}"
}

# -- the cluster --

# The API server and deploy/ for this number of nodes, before any of them joins.
control_plane_up() { # NUMBER OF NODES
	cluster_up "$1"
	api_up
	deploy_apply
}

# All that is there before the first agent starts: the API server, deploy/, the Nodes with their taint, and the pods.
kube_cluster_up() { # NUMBER OF NODES
	local i
	control_plane_up "$1"
	for i in $(seq "$1"); do
		node_joins "$i"
		agent_is_deployed "$i"
	done
}

# Nodes, their agents' pods, and the agents in them.
agents_join() { # I...
	local i
	for i in "$@"; do
		node_joins "$i"
		agent_is_deployed "$i"
		start_agent "$i" || bail "no agent on n$i"
	done
}

# -- the API server's machine as a node --

MORE_API_V4=192.168.50.201 # of a second API server, which is listed nowhere at first

# Its own list of its addresses is the test's to write: a test sets APISERVER_MORE to this.
API_LISTS_NOTHING=(--endpoint-reconciler-type=none)

# A node without an agent, so that pods reach it only outside the tunnel.
api_is_a_node() {
	local i
	jq -n '{apiVersion: "v1", kind: "Node", metadata: {name: "control-plane"}}' | apply
	kubectl patch node control-plane --subresource=status --type=merge -p '{"status": {"addresses": [
		{"type": "InternalIP", "address": "'"$API_V4"'"}, {"type": "InternalIP", "address": "'$MORE_API_V4'"}]}}' \
		>"$KUBE_DIR/patch" 2>&1 || bail "kubectl patch: $(cat "$KUBE_DIR/patch")"
	address_add api eth0 "$MORE_API_V4/24"
	for i in $(seq "$NODES"); do
		ip -n "$(ns api)" route add "$(pods_v4 "$i")" via "$(node_v4 "$i")"
	done
}

api_lists() { # ADDRESS...
	jq -n --argjson port $API_PORT '{
		apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4",
		metadata: {name: "kubernetes", namespace: "default", labels: {"kubernetes.io/service-name": "kubernetes"}},
		ports: [{name: "https", protocol: "TCP", port: $port}],
		endpoints: [{addresses: $ARGS.positional, conditions: {ready: true}}]}' --args "$@" | apply
}

reaches_api() { # POD ADDRESS [PORT]
	in_ns "$1" curl -sf --max-time 2 --cacert "$KUBE_DIR/ca.crt" --connect-to "::$2:${3:-$API_PORT}" \
		https://kubernetes.default.svc/version
}

# -- looking --

status_says() { # I FILTER: of podveil status
	podveil "$1" -o json status >"$RUN_DIR/status.json" 2>&1
	jq -e "$2" "$RUN_DIR/status.json" || { cat "$RUN_DIR/status.json"; return 1; }
}

peer_says() { # I OTHER FILTER
	podveil "$1" -o json peers | jq -e --arg node "n$2" '.peers | map(select(.node == $node))[0]' >"$RUN_DIR/peer.json" || return 1
	jq -e "$3" "$RUN_DIR/peer.json" || { cat "$RUN_DIR/peer.json"; return 1; }
}

peers_are() { # I LIST: as JSON, of those that are usable
	podveil "$1" -o json peers | jq -c '[.peers[] | select(.state == "usable") | .node] | sort' | tee /dev/stderr | grep -qxF "$2"
}

two_know_each_other() { peers_are 1 '["n2"]' && peers_are 2 '["n1"]'; } # and nobody else

node_says() { # I FILTER: of the Node object
	kubectl get node "n$1" -o json >"$RUN_DIR/node.json" || return 1
	jq -e "$2" "$RUN_DIR/node.json" || { cat "$RUN_DIR/node.json"; return 1; }
}

record_of() { kubectl get node "n$1" -o json | jq -r '.metadata.annotations["'$RECORD'"] // empty'; } # I
has_taint() { node_says "$1" 'any(.spec.taints[]?; .key == "'$TAINT'")'; } # I
has_no_taint() { node_says "$1" 'all(.spec.taints[]?; .key != "'$TAINT'")'; } # I

log_says() { grep -E "$2" "$(agent_dir "$1")/keyd.log"; } # I PATTERN

pods_talk() { # A B: in both families
	in_ns "p$1" ping -c 1 -W 1 -q "$(pod_v4 "$2")" && in_ns "p$1" ping -c 1 -W 1 -q "$(pod_v6 "$2")"
}

agents_done() {
	show_control_plane
	done_testing
}
