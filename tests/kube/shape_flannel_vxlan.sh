#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The overlay that flanneld itself builds: its leases are the Nodes of a real API server; devices,
# routes, neighbours and masquerading are its own, and the pods have its subnet and MTU. Traffic
# between pods is encrypted and bypasses the overlay, whose addresses (flannel.1's are in the pods'
# range) are no exception; the detector looks into VXLAN.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/../netns/lib.sh"
# shellcheck source=tests/netns/cni.bash
. "$(dirname "$0")/../netns/cni.bash"
# shellcheck source=tests/kube/lib.bash
. "$(dirname "$0")/lib.bash"

OVERLAYS=(flannel.1 flannel-v6.1)

# The account and its rights as in flannel's own manifest.
flannel_account() {
	apply <<-'OBJECTS'
		{"apiVersion": "v1", "kind": "List", "items": [
			{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-flannel"}},
			{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "flannel", "namespace": "kube-flannel"}},
			{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "flannel"}, "rules": [
				{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
				{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
				{"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch"]}]},
			{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "flannel"},
				"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "flannel"},
				"subjects": [{"kind": "ServiceAccount", "name": "flannel", "namespace": "kube-flannel"}]}]}
	OBJECTS
	kubeconfig_by_token flannel kube-flannel flannel
	jq -n --arg v4 "${CLUSTER_CIDRS[0]}" --arg v6 "${CLUSTER_CIDRS[1]}" '{Network: $v4, IPv6Network: $v6,
		EnableIPv6: true, Backend: {Type: "vxlan"}}' >"$KUBE_DIR/net-conf.json"
}

flanneld_start() { # I
	NODE_NAME=n$1 spawn "n$1" "$KUBE_DIR/flanneld-n$1" "$KUBE_BIN/flanneld" --kube-subnet-mgr --ip-masq --iface eth0 \
		--kubeconfig-file "$KUBE_DIR/flannel.kubeconfig" --net-config-path "$KUBE_DIR/net-conf.json" \
		--subnet-file "$(subnet_file "$1")"
	wait_until 30 test -s "$(subnet_file "$1")" || control_plane_fails "flanneld-n$1"
}

subnet_file() { echo "$KUBE_DIR/subnet-n$1.env"; } # I
subnet_says() { sed -n "s/^$2=//p" "$(subnet_file "$1")"; } # I NAME

node_prepare() { # I
	if [ "$1" -eq 1 ]; then
		api_up
		flannel_account
	fi
	node_object "$1"
	flanneld_start "$1"
}

# As flannel's own plugin, which Debian does not have, asks the bridge plugin.
pod_add() { # I NAME
	local mtu
	mtu=$(subnet_says "$1" FLANNEL_MTU)
	[ "$(subnet_says "$1" FLANNEL_SUBNET)" = "10.244.$1.1/24" ] &&
		[ "$(subnet_says "$1" FLANNEL_IPV6_SUBNET)" = "fd00:10:244:$1::1/64" ] ||
		bail "flanneld has other subnets than the Node: $(cat "$(subnet_file "$1")")"
	cni_add "$1" "$2" "$(bridge_config "$1" '"mtu": '"$mtu"',')"
}

node_route() { :; } # FROM TO: flanneld's work

packets_of() { ip -n "$(ns "n$1")" -s -j link show "$2" | jq '.[0].stats64.tx.packets'; } # I DEVICE

declare -A SENT
note_sent() {
	local i device
	for i in 1 2; do
		for device in "${OVERLAYS[@]}"; do
			SENT[$i,$device]=$(packets_of $i "$device")
		done
	done
}

overlay_carried_traffic() { # while no agent ran
	local device
	note_sent
	for device in "${OVERLAYS[@]}"; do
		echo "$device: ${SENT[1,$device]} and ${SENT[2,$device]}"
		[ "${SENT[1,$device]}" -ge 500 ] && [ "${SENT[2,$device]}" -ge 500 ] || return 1
	done
}

overlay_carried_nothing() { # since note_sent
	local i device
	for i in 1 2; do
		for device in "${OVERLAYS[@]}"; do
			echo "n$i $device: $(packets_of $i "$device"), before ${SENT[$i,$device]}"
			[ "$(packets_of $i "$device")" -eq "${SENT[$i,$device]}" ] || return 1
		done
	done
}

# flannel.1 has the first address of its node's pods: to another node it looks like a pod.
overlay_address_pings() { pings "n$1" "$3" -I "$2"; } # FROM ADDRESS TO-ADDRESS

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
needs_cni bridge host-local
needs_kube kube-apiserver kubectl flanneld
[ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || modprobe br_netfilter || skip_all "flanneld needs br_netfilter"
cluster_up 2
check "the detector sees the pods' traffic in flannel's VXLAN while no agent runs" shape_is_seen_in_clear
check "it was flannel's VXLAN that carried it, in both families" overlay_carried_traffic
spawn_keyd() { spawn_keyd_from "$1" local; }
note_kernel_drops
check "agents start and protect both nodes" start_agents
note_sent
check "the bridge is known to lead to pods" leads_to_pods 1 cni0
for device in "${OVERLAYS[@]}"; do
	check "$device is an uplink, not one of the pods' devices" is_uplink 1 "$device"
done
check "the node publishes the bridge's prefixes" publishes 1 "$(pods_v4 1)" "$(pods_v6 1)"
shape_carries
check "the overlay carried none of it" overlay_carried_nothing
shape_watch_start "$MARKER"
check "flannel.1's own address reaches a pod elsewhere" overlay_address_pings 1 10.244.1.0 "$(pod_v4 2)"
check "flannel-v6.1's own address reaches a pod elsewhere" overlay_address_pings 1 fd00:10:244:1:: "$(pod_v6 2)"
check "flannel.1's own address reaches another node" overlay_address_pings 1 10.244.1.0 "$(node_v4 2)"
check "flannel-v6.1's own address reaches another node" overlay_address_pings 1 fd00:10:244:1:: "$(node_v6 2)"
watch_stop
check "none of that was in cleartext on the wire" watch_saw_nothing
check "traffic that flanneld masquerades to a node's address is outside, and seen" masqueraded_flow_is_seen p1 2
kube_done
