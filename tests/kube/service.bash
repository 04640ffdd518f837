# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Service traffic as the real kube-proxy makes it, on the cluster of class.bash and judged as its cases are: by the table
# of docs/traffic.md and the frames that the detector sees between the nodes. The services are dual-stack, their endpoints
# the pods of both nodes; hostPorts are not kube-proxy's but the portmap plugin's. Sourced after lib.sh, cni.bash, class.bash and kube/lib.bash.
#
#   one   NodePort 30081, endpoint p1       two   NodePort 30080, endpoint p2
#   near  NodePort 30083, both endpoints, externalTrafficPolicy Local
#   far   NodePort 30084, endpoint p2, externalTrafficPolicy Local

TCP_PORT=9005 ECHO_PORT=7000
CLIENT_PORT=80 CLOSED_PORT=81 ECHOED_PORT=82 # of each service
declare -A SERVICE_NUMBER=([two]=10 [one]=11 [near]=13 [far]=14)
declare -A SERVICE_NODE_PORT=([two]=30080 [one]=30081 [near]=30083 [far]=30084)
declare -A SERVICE_PODS=([two]=p2 [one]=p1 [near]="p1 p2" [far]=p2)

services_add() { :; } # class.bash's own rules: kube-proxy does it here

service_address() { of "$1" "10.96.0.${SERVICE_NUMBER[$2]}" "fd00:96::${SERVICE_NUMBER[$2]}"; } # FAMILY SERVICE

# Every protocol and port leads to a pod, one of them to a port without a listener.
service_ports() { # NODE_PORT
	jq -n --argjson node "$1" --argjson client $CLIENT_PORT --argjson udp $PORT --argjson tcp $TCP_PORT \
		--argjson closed $CLOSED_PORT --argjson nobody $CLOSED --argjson echoed $ECHOED_PORT --argjson echo $ECHO_PORT '[
		{name: "udp", protocol: "UDP", port: $client, targetPort: $udp, nodePort: $node},
		{name: "tcp", protocol: "TCP", port: $client, targetPort: $tcp, nodePort: $node},
		{name: "closed", protocol: "UDP", port: $closed, targetPort: $nobody, nodePort: ($node + 100)},
		{name: "echo", protocol: "UDP", port: $echoed, targetPort: $echo, nodePort: ($node + 200)}]'
}

service_add() { # NAME POLICY
	local ports pod v4=() v6=()
	ports=$(service_ports "${SERVICE_NODE_PORT[$1]}")
	for pod in ${SERVICE_PODS[$1]}; do
		v4+=("${POD_V4[$pod]} n${pod#p}") v6+=("${POD_V6[$pod]} n${pod#p}")
	done
	service "$1" "$(service_address 4 "$1")" "$(service_address 6 "$1")" "$2" "$ports"
	endpoint_slice "$1" IPv4 "$ports" "${v4[@]}"
	endpoint_slice "$1" IPv6 "$ports" "${v6[@]}"
}

proxy_rules() { # MODE NODE FAMILY
	case $1 in
	iptables) in_ns "$2" "$(of "$3" iptables-save ip6tables-save)" -t nat ;;
	nftables) in_ns "$2" nft list table "$(of "$3" ip ip6)" kube-proxy ;;
	esac
}

# All its objects exist before it starts, so that its first rules are complete.
proxy_knows() { # MODE NODE
	local port=${SERVICE_NODE_PORT[near]}
	proxy_rules "$1" "$2" 4 | grep -w "$port" && proxy_rules "$1" "$2" 6 | grep -w "$port"
}

service_cluster_up() { # iptables|nftables
	local i
	class_cluster_up
	api_up
	kubeconfig_by_certificate kube-proxy /CN=system:kube-proxy
	for i in 1 2; do
		node_object $i
	done
	service_add one Cluster
	service_add two Cluster
	service_add near Local
	service_add far Local
	for i in 1 2; do
		kube_proxy_start $i "$1"
		wait_until 30 proxy_knows "$1" n$i || control_plane_fails kube-proxy-n$i
	done
}

# -- cases --

# A TCP connection that carries two megabytes, slowly enough for no queue to overflow. Its receiver
# counts the bytes. Called by run_case, which appends marker and number.
tcp_session() { # FROM TO-POD ADDRESS PORT --marker HEX --number N
	local marker receiver
	marker=${6:0:24}$(printf %08x "$8")
	rm -f "$RUN_DIR/tcp.ready"
	spawn "$2" "$RUN_DIR/tcp.recv" "$BUILD/tools/flow" tcp-recv --bind "$(in_brackets "$(address_of "$FAMILY" "$2")"):$TCP_PORT" \
		--seconds 20 --ready-file "$RUN_DIR/tcp.ready" --marker "$marker"
	receiver=$SPAWNED
	wait_until 20 test -e "$RUN_DIR/tcp.ready" &&
		in_ns "$1" timeout 20 "$BUILD/tools/flow" tcp-send --to "$(in_brackets "$3"):$4" --count 2000000 --rate 10000000 \
			--marker "$marker" >/dev/null
	wait "$receiver"
	cat "$RUN_DIR/tcp.recv"
}

tcp() { # FAMILY FROM TO-POD ADDRESS PORT [AT]
	local FAMILY=$1
	run_case "IPv$1, $2 to $3 by TCP port $5" tcp "${6:-n2}" "$3" tcp_session "$2" "$3" "$4" "$5"
}

# The refusal comes from the pod's own stack, and to the client it has to come from the service.
ask_closed() { # FAMILY FROM TO-SERVICE
	run_case "IPv$1, of service $3 to $2, port unreachable" error n2 "$2" in_ns "$2" "$BUILD/tools/answer" ask \
		--to "$(service_address "$1" "$3")" --port $CLOSED_PORT --count $PACKETS --wait $((300 * SLOW))
}

cases_of_clusterip() { # FAMILY
	row "pod or node → ClusterIP service backed by a pod on another node"
	ask "$1" p1 p2 "$(service_address "$1" two)" $CLIENT_PORT
	ask "$1" p2 p1 "$(service_address "$1" one)" $CLIENT_PORT
	ask "$1" q1 p2 "$(service_address "$1" two)" $CLIENT_PORT
	ask "$1" n1 p2 "$(service_address "$1" two)" $CLIENT_PORT
	ask "$1" n2 p1 "$(service_address "$1" one)" $CLIENT_PORT
	tcp "$1" p1 p2 "$(service_address "$1" two)" $CLIENT_PORT
	tcp "$1" p2 p1 "$(service_address "$1" one)" $CLIENT_PORT
	tcp "$1" n1 p2 "$(service_address "$1" two)" $CLIENT_PORT
	row "ICMP errors from another node's stack or its pods → pod"
	ask_closed "$1" p1 two
	ask_closed "$1" p2 one
}

cases_of_nodeport() { # FAMILY
	local n1 n2
	n1=$(address_of "$1" n1) n2=$(address_of "$1" n2)
	row "any client → NodePort of this node, forwarded to a pod on another node"
	ask "$1" x p2 "$n1" "${SERVICE_NODE_PORT[two]}"
	ask "$1" x p1 "$n2" "${SERVICE_NODE_PORT[one]}" n1
	ask "$1" p1 p2 "$n1" "${SERVICE_NODE_PORT[two]}"
	tcp "$1" x p2 "$n1" "${SERVICE_NODE_PORT[two]}"
	tcp "$1" x p1 "$n2" "${SERVICE_NODE_PORT[one]}" n1
	row "pod, not masqueraded → hostPort or NodePort of another node"
	ask "$1" q1 p1 "$n2" "${SERVICE_NODE_PORT[one]}"
	ask "$1" q1 p2 "$n2" "${SERVICE_NODE_PORT[far]}" # near: kube-proxy leads whom it takes for its own pod to any endpoint
	ask "$1" q1 h2 "$n2" $HOST_PORT
	row "node, or masqueraded pod → hostPort of another node"
	ask "$1" p1 h2 "$n2" $HOST_PORT
	ask "$1" n1 h2 "$n2" $HOST_PORT
}

# Local traffic goes only to a pod of the node that received it, with the client's own address.
cases_of_local_nodeport() { # FAMILY
	row "source outside the cluster → pod, routed to the pod's node"
	ask "$1" x p1 "$(address_of "$1" n1)" "${SERVICE_NODE_PORT[near]}" n1
	ask "$1" x p2 "$(address_of "$1" n2)" "${SERVICE_NODE_PORT[near]}"
	ask "$1" x p2 "$(address_of "$1" n2)" "${SERVICE_NODE_PORT[far]}"
}

run_cases() {
	local family
	for family in 4 6; do
		cases_of_clusterip $family
		cases_of_nodeport $family
		cases_of_local_nodeport $family
	done
}

service_watch_start() {
	MARKER=$(new_marker)
	servers_start
	watch_start "$MARKER" --numbered
}

service_watch_stop() {
	watch_stop
	servers_stop
}

all_are_seen_in_clear() {
	local i unseen=0
	cases_read
	for i in "${!CASE_CLASS[@]}"; do
		is_clear "$i" && arrives "$i" && continue
		echo "not seen: ${CASE_CLASS[$i]} (${CASE_TEXT[$i]})"
		show_case "$i"
		unseen=$((unseen + 1))
	done
	[ $unseen -eq 0 ] && [ "${#CASE_CLASS[@]}" -ge 40 ] && [ "$(watched missed)" -eq 0 ]
}

# -- beside the table --

# Asked on a node without a pod of its own: kube-proxy drops it, and it goes to no other node.
local_nodeports_lead_nowhere() {
	local family
	rm -f "$RUN_DIR"/sample.*
	cases_forget
	service_watch_start
	for family in 4 6; do
		ask $family x p2 "$(address_of $family n1)" "${SERVICE_NODE_PORT[far]}"
	done
	service_watch_stop
	cases_read
	show_case 0
	show_case 1
	was_sent 0 && was_sent 2 && nothing_arrives 0 && nothing_arrives 1 && tunnels_nothing 0 && tunnels_nothing 1
}

# The pod's own service reports the pod's packet as too big, and smaller ones arrive.
too_big_is_told() { # FAMILY LARGEST
	local echo
	rm -f "$RUN_DIR/echo.ready"
	spawn p2 "$RUN_DIR/echo" "$BUILD/tools/sizes" echo --bind "$(in_brackets "$(address_of "$1" p2)"):$ECHO_PORT" \
		--ready-file "$RUN_DIR/echo.ready"
	echo=$SPAWNED
	wait_until 20 test -e "$RUN_DIR/echo.ready" || return 1
	in_ns p1 "$BUILD/tools/sizes" ask --to "$(in_brackets "$(service_address "$1" two)"):$ECHOED_PORT" --from $(($2 - 20)) \
		--until $(($2 + 20)) --dont-fragment | tee "$RUN_DIR/sizes.json"
	kill "$echo"
	jq -e --argjson largest "$2" '.largest == $largest and .told_too_big >= 1 and .lost == 0 and .wrong == 0' "$RUN_DIR/sizes.json"
}

service_traffic_is_as_promised() { # iptables|nftables
	begin
	needs podveil-tunnel podveil-keyd podveil tools/answer tools/flow tools/sizes tools/wirewatch
	needs_cni bridge host-local portmap
	needs_kube kube-apiserver kube-proxy kubectl
	traffic_table_read
	service_cluster_up "$1"

	AGENTS_RUN=
	service_watch_start
	run_cases
	service_watch_stop
	check "while no agent runs the detector sees all service traffic between the nodes" all_are_seen_in_clear
	cases_forget

	check "agents start and protect both nodes" start_agents
	AGENTS_RUN=yes
	service_watch_start
	run_cases
	service_watch_stop
	cases_judge
	check "a Local NodePort leads to no pod of another node" local_nodeports_lead_nowhere
	check "too big is told through the ClusterIP over IPv4" too_big_is_told 4 $((1440 - 28))
	check "too big is told through the ClusterIP over IPv6" too_big_is_told 6 $((1440 - 48))
	kube_done
}
