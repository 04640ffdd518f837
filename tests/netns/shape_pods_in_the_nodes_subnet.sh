#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Pods with addresses of the nodes' own subnet, as cloud CNIs assign them: the cluster range is that
# subnet, the NIC's own route covers all pods, a route to each local pod is in a table of its own
# behind an `ip rule`, and the nodes answer for their pods on the wire. Later a second NIC is added,
# and a pod whose rules lead out by it.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/cni.bash
. "$(dirname "$0")/cni.bash"

CLUSTER_CIDRS=(192.168.50.0/24 fd00:50::/64)
PODS_TABLE=77
NIC_TABLE=78

watched_cidrs() { printf '%s\n' 192.168.50.64/26 fd00:50::6:0:0/96; } # all pods, and no node

# POOL 0 and 1 are node 1's, 2 and 3 node 2's.
subnet_config() { # I POOL
	ptp_config "$1" '[[{"subnet": "192.168.50.'"$((64 + 16 * $2))"'/28"}], [{"subnet": "fd00:50::6:'"$2"':0/112"}]]'
}

host_device() { jq -r '.interfaces[] | select(.sandbox == null or .sandbox == "") | .name' "$RUN_DIR/$1.cni"; } # POD

subnet_pod_add() { # I POD POOL
	local device address
	cni_add "$1" "$2" "$(subnet_config "$1" "$3")"
	device=$(host_device "$2")
	for address in "${POD_V4[$2]}/32" "${POD_V6[$2]}/128"; do
		in_ns "n$1" ip route del "$address" dev "$device" &&
			in_ns "n$1" ip route add "$address" dev "$device" table $PODS_TABLE || bail "cannot move the route to $2"
	done
	in_ns "n$1" ip rule add to "${POD_V4[$2]}" lookup $PODS_TABLE pref 512 &&
		in_ns "n$1" ip -6 rule add to "${POD_V6[$2]}" lookup $PODS_TABLE pref 512 &&
		in_ns "n$1" ip neigh add proxy "${POD_V6[$2]}" dev eth0 || bail "no ip rules"
}

pod_add() { subnet_pod_add "$1" "$2" $((2 * $1 - 2)); }

# The cloud's network answers for the pods of each machine; here the machine itself does.
node_prepare() {
	in_ns "n$1" sysctl -q -w net.ipv4.conf.eth0.proxy_arp=1 net.ipv6.conf.all.proxy_ndp=1 net.ipv6.conf.eth0.proxy_ndp=1 \
		net.ipv4.neigh.eth0.proxy_delay=0 net.ipv6.neigh.eth0.proxy_delay=0 \
		net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0 || bail "cannot set up n$1"
}

node_route() { :; } # all are on the wire's own subnet

spawn_keyd() { spawn_keyd_from "$1" local; }

plug_nic() {
	WATCH_MORE=(n1b)
	link_add n1 eth1 wire n1b &&
		ip -n "$(ns wire)" link set n1b master br0 &&
		in_ns n1 ip address add 192.168.50.11/24 dev eth1 noprefixroute &&
		in_ns n1 ip address add fd00:50::11/64 dev eth1 noprefixroute &&
		in_ns n1 sysctl -q -w net.ipv4.conf.eth1.rp_filter=0
}

second_pod_add() {
	subnet_pod_add 1 s1 1
	in_ns n1 ip route add 192.168.50.0/24 dev eth1 table $NIC_TABLE &&
		in_ns n1 ip route add fd00:50::/64 dev eth1 table $NIC_TABLE &&
		in_ns n1 ip rule add from "${POD_V4[s1]}" lookup $NIC_TABLE pref 1536 &&
		in_ns n1 ip -6 rule add from "${POD_V6[s1]}" lookup $NIC_TABLE pref 1536
}

leaves_by() { in_ns n1 ip route get "$1" from "$2" iif "$(host_device s1)" | grep -w "dev $3"; } # TO FROM DEVICE

publishes_pods() { # I POD...
	local i=$1 pod cidrs=()
	shift
	for pod in "$@"; do
		cidrs+=("${POD_V4[$pod]}/32" "${POD_V6[$pod]}/128")
	done
	publishes "$i" "${cidrs[@]}"
}

neighbours_are_found_anew() {
	in_ns n1 ip neigh flush dev eth0 && in_ns n1 ip -6 neigh flush dev eth0
	pings p1 "$(pod_v4 2)" && pings p1 "$(pod_v6 2)" && pings n1 "$(node_v4 2)" && pings n1 "$(node_v6 2)"
}

# Every flow of the second pod, both ways.
second_pod_talks() {
	pings s1 "$(pod_v4 2)" && pings s1 "$(pod_v6 2)" && pings p2 "${POD_V4[s1]}" && pings p2 "${POD_V6[s1]}" &&
		tcp_arrives s1 p2 "$(pod_v4 2)" && tcp_arrives p2 s1 "${POD_V6[s1]}" &&
		pings s1 "$(node_v4 2)" && pings n2 "${POD_V4[s1]}"
}

second_pod_is_seen_in_clear() {
	shape_watch_start "$MARKER"
	tcp_arrives s1 p2 "$(pod_v4 2)" && tcp_arrives s1 p2 "$(pod_v6 2)"
	watch_stop
	cat "$RUN_DIR/watch.json"
	watch_saw_plaintext
}

clean_up() {
	local i
	for i in 1 2; do
		stop_agent "$i"
		in_ns "n$i" "$BUILD/podveil" cleanup --control "$(agent_dir "$i")/keyd.sock" --bpffs "$(agent_bpffs "$i")" || return 1
	done
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
needs_cni ptp host-local
cluster_up 2
check "the detector sees the pods' traffic while no agent runs" shape_is_seen_in_clear
check "agents start and protect both nodes" start_agents
check "a pod's veth is known to lead to it" leads_to_pods 1 "$(host_device p1)"
check "the NIC, with its own route over all pods, does not" is_uplink 1 eth0
check "the node publishes the pods' addresses" publishes_pods 1 p1
shape_carries
check "node still pings node, outside the tunnel" pings n1 "$(node_v4 2)"

shape_watch_start "$MARKER"
check "forgotten neighbours are found again" neighbours_are_found_anew
watch_stop
check "and nothing of it left in cleartext" watch_saw_nothing

check "a second NIC is plugged in" plug_nic
shape_watch_start "$MARKER"
check "it is an uplink within a second" wait_until 1 is_uplink 1 eth1
check "a pod starts with rules that lead out by it" second_pod_add
check "its packets take that way" leaves_by "$(pod_v4 2)" "${POD_V4[s1]}" eth1
check "its address is published" wait_until 5 publishes_pods 1 p1 s1
check "it reaches the other node's pod" wait_until 5 pings s1 "$(pod_v4 2)"
check "it talks in both families and directions" second_pod_talks
check "the other pods talk as before" udp_arrives
watch_stop
check "neither NIC let any of it out in cleartext" watch_saw_nothing

check "the agents are taken away" clean_up
check "the detector sees the second pod's traffic then" second_pod_is_seen_in_clear
done_testing
