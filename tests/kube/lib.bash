# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# A real control plane for the tests: etcd and kube-apiserver, with TLS, RBAC and service account
# tokens, on a machine of its own on the cluster's wire, and the requests of kubelets, controllers
# and users. Sourced after netns/lib.sh (and cni.bash): all of it is removed with the run. Nothing
# here ever leaves the network namespaces of the run.
#
#   api: 192.168.50.200, fd00:50::200, port 6443      services: 10.96.0.0/16, fd00:96::/112

KUBE_BIN=${KUBE_BIN:-$("$ROOT/tests/kube/build.sh" --built)}
KUBE_DIR=$RUN_DIR/kube
API_V4=192.168.50.200 API_V6=fd00:50::200 API_PORT=6443
SERVICE_CIDRS=10.96.0.0/16,fd00:96::/112
export NO_PROXY='*' no_proxy='*' # a proxy of the machine's is not in these namespaces

needs_kube() { # PROGRAM...: of tests/kube/build.sh
	local program
	[ -n "$KUBE_BIN" ] || skip_all "needs Kubernetes' programs: run make test-kube, or tests/kube/build.sh"
	for program in etcd openssl jq curl; do
		type -P $program >/dev/null || skip_all "needs $program"
	done
	for program in "$@"; do
		[ -x "$KUBE_BIN/$program" ] || bail "$KUBE_BIN/$program is missing: run make test-kube"
	done
}

# -- keys --

# Signed by the run's own authority, which only lives as long as the run.
certificate() { # NAME SUBJECT [SUBJECT-ALT-NAMES]
	local sign=(-CA "$KUBE_DIR/ca.crt" -CAkey "$KUBE_DIR/ca.key" -addext 'basicConstraints=critical,CA:FALSE'
		-addext 'extendedKeyUsage=serverAuth,clientAuth')
	[ "$1" != ca ] || sign=(-addext 'basicConstraints=critical,CA:TRUE')
	[ -z "${3:-}" ] || sign+=(-addext "subjectAltName=$3")
	openssl req -x509 -config <(printf '[req]\ndistinguished_name=dn\n[dn]\n') -newkey ec \
		-pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "$2" -keyout "$KUBE_DIR/$1.key" \
		-out "$KUBE_DIR/$1.crt" "${sign[@]}" 2>"$KUBE_DIR/openssl.err" ||
		bail "openssl: $(tail -n 1 "$KUBE_DIR/openssl.err")"
}

certificates() {
	certificate ca /CN=podveil-test
	certificate apiserver /CN=kube-apiserver \
		"IP:$API_V4,IP:$API_V6,IP:127.0.0.1,IP:10.96.0.1,IP:fd00:96::1,DNS:kubernetes.default.svc"
	certificate admin /O=system:masters/CN=admin
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$KUBE_DIR/accounts.key" 2>/dev/null &&
		openssl pkey -in "$KUBE_DIR/accounts.key" -pubout -out "$KUBE_DIR/accounts.pub" ||
		bail "openssl makes no key for the service accounts"
}

kubeconfig() { # NAME USER: USER is JSON
	jq -n --arg ca "$KUBE_DIR/ca.crt" --arg server "https://$API_V4:$API_PORT" --argjson user "$2" '{
		apiVersion: "v1", kind: "Config", "current-context": "test",
		clusters: [{name: "test", cluster: {server: $server, "certificate-authority": $ca}}],
		users: [{name: "test", user: $user}],
		contexts: [{name: "test", context: {cluster: "test", user: "test"}}]}' >"$KUBE_DIR/$1.kubeconfig"
}

kubeconfig_by_certificate() { # NAME SUBJECT
	certificate "$1" "$2"
	kubeconfig "$1" '{"client-certificate": "'"$KUBE_DIR/$1.crt"'", "client-key": "'"$KUBE_DIR/$1.key"'"}'
}

# As a pod of that account would have it.
kubeconfig_by_token() { # NAME NAMESPACE ACCOUNT
	local token
	token=$(kubectl -n "$2" create token "$3") || bail "no token for $2/$3: $token"
	kubeconfig "$1" '{"token": "'"$token"'"}'
}

# -- etcd and kube-apiserver --

# Goes to the wire that cluster_up makes; a test that needs the API server earlier calls it in node_prepare.
api_up() {
	mkdir -m 700 "$KUBE_DIR" || bail "cannot make $KUBE_DIR"
	ns_add api
	link_add api eth0 wire api
	ip -n "$(ns wire)" link set api master br0
	address_add api eth0 "$API_V4/24" "$API_V6/64"
	certificates
	kubeconfig admin '{"client-certificate": "'"$KUBE_DIR/admin.crt"'", "client-key": "'"$KUBE_DIR/admin.key"'"}'
	etcd_start
	apiserver_start
}

ETCD_DATA=etcd.data
etcd_start() {
	ETCD_UNSUPPORTED_ARCH=$(dpkg --print-architecture) spawn api "$KUBE_DIR/etcd" etcd --data-dir "$KUBE_DIR/$ETCD_DATA" \
		--listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
		--listen-peer-urls http://127.0.0.1:2380
	ETCD_PID=$SPAWNED
	wait_until 20 in_ns api curl -sf http://127.0.0.1:2379/health || control_plane_fails etcd
}

apiserver_start() {
	spawn api "$KUBE_DIR/apiserver" "$KUBE_BIN/kube-apiserver" --etcd-servers http://127.0.0.1:2379 \
		--bind-address :: --secure-port $API_PORT --advertise-address $API_V4 --cert-dir "$KUBE_DIR" \
		--tls-cert-file "$KUBE_DIR/apiserver.crt" --tls-private-key-file "$KUBE_DIR/apiserver.key" \
		--client-ca-file "$KUBE_DIR/ca.crt" --authorization-mode Node,RBAC \
		--enable-admission-plugins NodeRestriction --service-cluster-ip-range $SERVICE_CIDRS \
		--service-account-issuer https://kubernetes.default.svc \
		--service-account-key-file "$KUBE_DIR/accounts.pub" \
		--service-account-signing-key-file "$KUBE_DIR/accounts.key" "${APISERVER_MORE[@]}"
	APISERVER_PID=$SPAWNED
	wait_until 90 api_is_ready || control_plane_fails apiserver
}

# All at once, as when its machine loses power: no connection is closed.
apiserver_kill() {
	disown "$APISERVER_PID" # no word from bash
	end_process KILL "$APISERVER_PID"
}

# Saves the present content of etcd, to be restored later.
etcd_save() { in_ns api etcdctl --endpoints http://127.0.0.1:2379 snapshot save "$KUBE_DIR/etcd.snapshot" >"$KUBE_DIR/etcdctl" 2>&1; }

etcd_restore() {
	apiserver_kill
	end_process TERM "$ETCD_PID"
	ETCD_DATA=etcd.restored
	in_ns api etcdctl snapshot restore "$KUBE_DIR/etcd.snapshot" --data-dir "$KUBE_DIR/$ETCD_DATA" \
		>"$KUBE_DIR/etcdctl" 2>&1 || bail "etcdctl does not restore"
	etcd_start
	apiserver_start
}
APISERVER_MORE=() # further flags of a test

api_is_ready() { kubectl get --raw /readyz; }

control_plane_fails() { # NAME
	diag_file "$KUBE_DIR/$1.err" "its last words"
	bail "$1 does not start"
}

# The administrator's; other users have a kubeconfig of their own.
kubectl() {
	KUBECACHEDIR=$KUBE_DIR/cache in_ns api "$KUBE_BIN/kubectl" --kubeconfig "$KUBE_DIR/admin.kubeconfig" "$@"
}

apply() { # objects on standard input
	kubectl apply --server-side -f - >"$KUBE_DIR/apply" 2>&1 || bail "kubectl apply: $(cat "$KUBE_DIR/apply")"
}

# -- requests of kubelets and controllers --

node_object() { # I: n<i>, with its pods' prefixes and its addresses
	jq -n --arg name "n$1" --arg v4 "$(pods_v4 "$1")" --arg v6 "$(pods_v6 "$1")" '{
		apiVersion: "v1", kind: "Node", spec: {podCIDR: $v4, podCIDRs: [$v4, $v6]},
		metadata: {name: $name, annotations: {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}}}' | apply
	kubectl patch node "n$1" --subresource=status --type=merge -p '{"status": {"addresses": [
		{"type": "InternalIP", "address": "'"$(node_v4 "$1")"'"}, {"type": "InternalIP", "address": "'"$(node_v6 "$1")"'"}]}}' \
		>"$KUBE_DIR/patch" 2>&1 || bail "kubectl patch: $(cat "$KUBE_DIR/patch")"
}

# Without a selector, so that the test says where it leads. PORTS: JSON, as in a Service.
service() { # NAME IPV4 IPV6 POLICY PORTS
	jq -n --arg name "$1" --arg v4 "$2" --arg v6 "$3" --arg policy "$4" --argjson ports "$5" '{
		apiVersion: "v1", kind: "Service", metadata: {name: $name, namespace: "default"},
		spec: {type: "NodePort", ipFamilyPolicy: "RequireDualStack", ipFamilies: ["IPv4", "IPv6"], clusterIP: $v4,
			clusterIPs: [$v4, $v6], externalTrafficPolicy: $policy, ports: $ports}}' | apply
}

endpoint_slice() { # SERVICE IPv4|IPv6 PORTS "ADDRESS NODE"...
	jq -n --arg service "$1" --arg type "$2" --argjson ports "$3" '{
		apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: $type,
		metadata: {name: "\($service)-\($type | ascii_downcase)", namespace: "default",
			labels: {"kubernetes.io/service-name": $service}},
		ports: [$ports[] | {name, protocol, port: .targetPort}],
		endpoints: [$ARGS.positional[] / " " | {addresses: [.[0]], nodeName: .[1], conditions: {ready: true}}]}' \
		--args "${@:4}" | apply
}

# -- kube-proxy --

# It leaves conntrack's limits alone: they are the whole machine's.
kube_proxy_start() { # I iptables|nftables
	jq -n --arg node "n$1" --arg mode "$2" --arg cidrs "$(IFS=,; echo "${CLUSTER_CIDRS[*]}")" \
		--arg kubeconfig "$KUBE_DIR/kube-proxy.kubeconfig" '{
		apiVersion: "kubeproxy.config.k8s.io/v1alpha1", kind: "KubeProxyConfiguration", mode: $mode,
		clientConnection: {kubeconfig: $kubeconfig}, hostnameOverride: $node, clusterCIDR: $cidrs,
		detectLocalMode: "ClusterCIDR", healthzBindAddress: "127.0.0.1:10256", metricsBindAddress: "127.0.0.1:10249",
		conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s"}}' \
		>"$KUBE_DIR/kube-proxy-n$1.json"
	spawn "n$1" "$KUBE_DIR/kube-proxy-n$1" "$KUBE_BIN/kube-proxy" --config "$KUBE_DIR/kube-proxy-n$1.json"
	wait_until 30 in_ns "n$1" curl -sf http://127.0.0.1:10256/healthz || control_plane_fails "kube-proxy-n$1"
}

# -- packets that the kernel drops: shown if a check failed --

KERNEL_DROPS=/sys/kernel/tracing/instances/$RUN_NAME

# The end that lib.sh knows, and the trace.
eval "end_run() $(declare -f end | tail -n +2)"
end() {
	end_run
	[ ! -d "$KERNEL_DROPS" ] || rmdir "$KERNEL_DROPS"
}

# From now on, of everybody on this machine.
note_kernel_drops() {
	mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing
	mkdir "$KERNEL_DROPS" && echo 1 >"$KERNEL_DROPS/events/skb/kfree_skb/enable"
} 2>/dev/null

show_kernel_drops() { # how often, why, where
	[ -d "$KERNEL_DROPS" ] || return 0
	diag "this machine's kernel dropped, whosever it was:"
	diag "$(sed -n 's/.* location=\(.*\) reason: \([A-Z0-9_]*\).*/\2 in \1/p' "$KERNEL_DROPS/trace" | sort | uniq -c | sort -rn | head -n 30)"
}

# The last words of the control plane, where something failed.
show_control_plane() {
	local file
	[ "$TESTS_FAILED" -eq 0 ] || for file in "$KUBE_DIR"/{apiserver,kube-proxy-*,flanneld-*}.err; do
		[ ! -s "$file" ] || diag "$(basename "$file" .err): $(tail -n 5 "$file")"
	done
}

kube_done() {
	show_control_plane
	[ "$TESTS_FAILED" -eq 0 ] || show_kernel_drops
	shape_done
}
