#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Every fault in a row, each under numbered and marked datagrams between two nodes' pods, both ways
# and in both families. After each fault the test prints how many datagrams were sent, received,
# dropped by reason, leaked and unexplained. The last two must be 0.
#
# Leaked is every frame on a port of the wire with the run's marker at any offset, or with a pod's
# address in any IP header, also inside an overlay. The detector is seen to fire before the agents
# start, and on a masqueraded flow.
#
# Unexplained is sent - received - dropped, to the packet. Dropped is the sum of both agents'
# counters: the programs, the tunnel, and the kernel itself (bpf/kernel_drops.bpf.c). The same
# program counts the losses of the wire in its namespace, which is a bridge. Reasons of handshake
# messages and of podveil0's own multicast do not concern packets of pods and are left out.
#
# A killed process takes along the packets that it had read and not yet written, and no counter
# shows them: at most one turn of the engine each way (TUN_PACKETS_A_TURN, and as many datagrams),
# and the packets that wait for a handshake. Only in those rows may packets remain unexplained, at
# most IN_HAND, and the table marks them. Counters of a tunnel that restarts begin at 0 again.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/cni.bash
. "$(dirname "$0")/cni.bash"

RATE=150
IN_HAND=128
MOVING_V4=10.244.50.0/24
MOVING_V6=fd00:10:244:50::/64
WIRE_BPFFS=$BPFFS_ROOT/$RUN_NAME-wire
TABLE=$RUN_DIR/table.txt
NOT_OF_PODS='["own_multicast", "not_wireguard", "bad_mac1", "under_load", "unknown_peer", "bad_handshake", "handshake_replay",
	"handshake_flood"]'

pod_add() { cni_add "$1" "$2" "$(bridge_config "$1")"; }
spawn_keyd() { spawn_keyd_from "$1" local; }
status() { podveil "$1" -o json status || true; } # I: its exit status only says whether the node is protected

# -- accounting --

tunnel_drops() { # I: as {"reason": packets}
	"$BUILD/tools/drops" --control "$(agent_dir "$1")/tunnel.sock" |
		jq -Rn '[inputs | split(" ") | {(.[0]): (.[1] | tonumber)}] | add'
}

# With the programs' and the kernel's part apart from the tunnel's, which begins at 0 with each tunnel.
snapshot() { # I
	jq -n --argjson pid "$(tunnel_pid "$1")" --argjson tunnel "$(tunnel_drops "$1")" \
		--argjson all "$(status "$1" | jq '[.drops[] | {(.reason): .packets}] | add // {}')" \
		'($tunnel | .tun_overflow = 0) as $tunnel | {$pid, $tunnel, kernel: ($all | with_entries(.value -= $tunnel[.key]))}'
}

dropped_since() { # BEFORE AFTER: files of snapshots; {"reason": packets} of pods' packets
	jq -n --slurpfile before "$1" --slurpfile after "$2" --argjson others "$NOT_OF_PODS" '
		def minus(a; b): a | with_entries(.value -= (b[.key] // 0));
		$before[0] as $b | $after[0] as $a |
		[minus($a.kernel; $b.kernel), minus($a.tunnel; if $a.pid == $b.pid then $b.tunnel else {} end)] |
		map(to_entries) | add | group_by(.key) | map({key: .[0].key, value: (map(.value) | add)}) |
		map(select(.value != 0 and (.key as $key | $others | index($key) | not))) | from_entries'
}

wire_lost() { "$BUILD/tools/kernel_losses" read "$WIRE_BPFFS"; }

flows_start() {
	FLOWS=() SENDERS=()
	flow_start udp there4 p1 p2 "$(pod_v4 2)" 9001 --rate $RATE --seconds 60 --size 400 &&
		flow_start udp back4 p2 p1 "$(pod_v4 1)" 9002 --rate $RATE --seconds 60 --size 400 &&
		flow_start udp there6 p1 p2 "$(pod_v6 2)" 9003 --rate $RATE --seconds 60 --size 400 &&
		flow_start udp back6 p2 p1 "$(pod_v6 1)" 9004 --rate $RATE --seconds 60 --size 400
}

sum_of() { # FIELD SUFFIX
	jq -s "map(.$1) | add" "$RUN_DIR"/{there4,back4,there6,back6}."$2"
}

# -- health, asked without sending a packet: what the agents receive grows --

received_by() { status "$1" | jq .traffic.from_tunnel.packets; }
traffic_flows() {
	local a b
	a=$(received_by 1) && b=$(received_by 2) && sleep 0.15 && [ "$(received_by 1)" -gt $((a + 20)) ] &&
		[ "$(received_by 2)" -gt $((b + 20)) ]
}
hooks_stand() { status 1 | jq -e '.hooks | length > 0 and all(.state == "in_place")'; }
all_is_well() { hooks_stand && traffic_flows; }

# -- one row of the table --

SEEN=0 LEAKED=0 UNEXPLAINED=0 SENT=0 ROWS=0

row() { # NAME LOST
	local sent received drops wire dropped rest more=""
	sent=$(sum_of sent send) received=$(sum_of received recv)
	drops=$(for i in 1 2; do dropped_since "$RUN_DIR/before.$i" "$RUN_DIR/after.$i"; done |
		jq -cs 'map(to_entries) | add | group_by(.key) | map({key: .[0].key, value: (map(.value) | add)}) | from_entries')
	wire=$(($(wire_lost) - WIRE_BEFORE))
	dropped=$(jq 'add // 0' <<<"$drops")
	rest=$((sent - received - dropped - wire))
	if [ "$2" = killed ] && [ $rest -ge 0 ] && [ $rest -le $IN_HAND ]; then
		more="in the hands of the killed: $rest"
		rest=0
	fi
	SENT=$((SENT + sent)) SEEN=$((SEEN + $(watched frames))) UNEXPLAINED=$((UNEXPLAINED + ${rest#-})) ROWS=$((ROWS + 1))
	LEAKED=$((LEAKED + $(watched marker) + $(watched addresses) + $(watched missed)))
	[ "$wire" = 0 ] || more="on the wire: $wire${more:+, $more}"
	printf '%-44s %6d %8d %5d %6d  %s\n' "$1" "$sent" "$received" $rest \
		$(($(watched marker) + $(watched addresses))) "$(tr -d '{}"' <<<"$drops")${more:+ $more}" | tee -a "$TABLE"
	[ $rest -eq 0 ] && watch_saw_nothing
}

# LOST: "killed" where a process is killed under the traffic, "late" where the kernel gives up some of it late, else "none".
fault() { # NAME LOST FAULT...
	local name=$1 lost=$2 i
	shift 2
	for i in 1 2; do snapshot "$i" >"$RUN_DIR/before.$i"; done
	WIRE_BEFORE=$(wire_lost)
	shape_watch_start "$MARKER"
	flows_start || bail "the traffic does not start"
	sleep 0.2
	"$@" >"$RUN_DIR/fault.txt" 2>&1 || { diag_file "$RUN_DIR/fault.txt" "$*"; not_ok "$name: the fault itself"; }
	wait_until 10 all_is_well || not_ok "$name: all is well again"
	udp_stop 2>/dev/null
	[ "$lost" != late ] || sleep 3.5 # what waits for a neighbour that does not answer is given up after 3 s
	watch_stop
	for i in 1 2; do snapshot "$i" >"$RUN_DIR/after.$i"; done
	check "$name: nothing leaked, no loss unexplained" row "$name" "$lost"
	diag "$(tail -n 1 "$TABLE")"
}

# -- faults --

detach() { in_ns n1 "$BUILD/tools/hooks" detach "$@"; }
stand_before() { # DEV ingress|egress
	spawn n1 "$RUN_DIR/somebody" "$BUILD/tools/hooks" before "$@"
	wait_until 20 grep -q there "$RUN_DIR/somebody"
	sleep 0.7
	kill "$SPAWNED"
}
filter_before() { in_ns n1 tc filter add dev eth0 egress pref 1 protocol all bpf bytecode '1,6 0 0 0,'; }
set_device() { ip -n "$(ns n1)" link set podveil0 "$@"; }
node_address() { ip -n "$(ns n1)" address replace "$(node_v6 1)/64" dev eth0 nodad; }
uplink_flap() {
	ip -n "$(ns n1)" link set eth0 down && sleep 0.2 && ip -n "$(ns n1)" link set eth0 up && node_address && node_route 1 2
}
uplink_anew() {
	ip -n "$(ns n1)" link del eth0 && link_add n1 eth0 wire n1 && ip -n "$(ns wire)" link set n1 master br0 &&
		address_add n1 eth0 "$(node_v4 1)/24" "$(node_v6 1)/64" && node_route 1 2
}
uplink_more() {
	link_add n1 eth1 wire n1b && ip -n "$(ns wire)" link set n1b master br0 && address_add n1 eth1 192.168.50.101/24
}
route_moves() { # DEV
	ip -n "$(ns n1)" route replace "$(pods_v4 2)" via "$(node_v4 2)" dev "$1"
}
moving_add() { # I POD
	cni_add "$1" "$2" '{"cniVersion": "0.4.0", "name": "moving", "type": "bridge", "bridge": "moving0", "isGateway": true,
		"ipam": '"$(ipam "$1" '[[{"subnet": "'$MOVING_V4'"}], [{"subnet": "'$MOVING_V6'"}]]')"'}'
}
moving_del() { cni_del "$1" "$2" && ip -n "$(ns "n$1")" link del moving0; } # I POD
moving_route() { # FROM TO
	in_ns "n$1" ip route replace $MOVING_V4 via "$(node_v4 "$2")" && in_ns "n$1" ip route replace $MOVING_V6 via "$(node_v6 "$2")"
}
prefix_added() { moving_add 2 a && moving_route 1 2 && wait_until 3 has_moving; }
has_moving() { podveil 1 -o json peers | jq -e '[.peers[].pods[]] | index("'$MOVING_V4'")'; }
has_moving_no_more() { podveil 1 -o json peers | jq -e '[.peers[].pods[]] | index("'$MOVING_V4'") | not'; }
prefix_moved() {
	in_ns n1 ip route del $MOVING_V4 && in_ns n1 ip route del $MOVING_V6 && moving_del 2 a && moving_add 1 b && moving_route 2 1 &&
		wait_until 3 has_moving_no_more
}
prefix_claimed_twice() {
	in_ns n2 ip route del $MOVING_V4
	in_ns n2 ip route del $MOVING_V6
	moving_add 2 c && wait_until 3 eval 'podveil 1 -o json peers | grep -q "belongs to this node"'
}
prefix_removed() { moving_del 2 c && moving_del 1 b && sleep 0.3; }
address_changes() {
	in_ns n2 sysctl -q -w net.ipv4.conf.all.promote_secondaries=1
	in_ns n2 ip address add 192.168.50.102/24 dev eth0 && in_ns n1 ip route replace "$(pods_v4 2)" via 192.168.50.102 &&
		in_ns n2 ip address del "$(node_v4 2)/24" dev eth0 && in_ns n2 ip route replace "$(pods_v4 1)" via "$(node_v4 1)"
}
modes_there_and_back() {
	local i
	for i in 1 2 3; do
		podveil 1 mode permissive
		podveil 2 mode permissive
		sleep 0.1
		podveil 1 mode strict
		podveil 2 mode strict
	done
}
kill_engine() {
	kill -KILL "$(pgrep -P "$(tunnel_pid 1)")"
	wait_until 5 is_gone "$(tunnel_pid 1)" && start_tunnel 1
}
tunnel_killed() { kill_tunnel 1 && start_tunnel 1; }
keyd_killed() { kill_keyd 1 && sleep 0.3 && start_keyd 1; }
both_killed() { kill_agent 1 && sleep 0.3 && start_agent 1; }
registry_gone() {
	mv "$RUN_DIR/registry" "$RUN_DIR/elsewhere" && sleep 0.5 && mv "$RUN_DIR/elsewhere" "$RUN_DIR/registry"
}
record_gone() { mv "$RUN_DIR/registry/n2.json" "$RUN_DIR/record" && sleep 0.5 && mv "$RUN_DIR/record" "$RUN_DIR/registry/n2.json"; }
record_is_garbage() {
	cp "$RUN_DIR/registry/n2.json" "$RUN_DIR/record" && echo '{"name": "n2", "annotations": {"podveil.io/tunnel": 7' >"$RUN_DIR/registry/n2.json"
	sleep 0.5
	mv "$RUN_DIR/record" "$RUN_DIR/registry/n2.json"
}

begin
needs podveil-tunnel podveil-keyd podveil tools/{flow,wirewatch,hooks,drops,kernel_losses}
needs_cni bridge host-local
cluster_up 2
masquerade 1
in_ns wire "$BUILD/tools/kernel_losses" count "$WIRE_BPFFS" $TUNNEL_PORT || skip_all "this kernel does not say what it drops"
check "control: the detector sees the pods' traffic while no agent runs" shape_is_seen_in_clear
check "control: it sees a masqueraded flow" masqueraded_flow_is_seen p1 2
check "agents start and protect both nodes" start_agents
status 1 | grep -q '"tcx"' || skip_all "this kernel has no tcx: tests/bpf/test_inspect.c has the rest"
check "control: and sees the masqueraded flow with them too" masqueraded_flow_is_seen p1 2
check "the pods talk" pings p1 "$(pod_v4 2)"

printf '%-44s %6s %8s %5s %6s  %s\n' fault sent received rest leaked "dropped, by reason" | tee "$TABLE" | sed 's/^/# /'
fault "none" none true
fault "to_wire detached" none detach eth0 egress to_wire
fault "from_wire detached" none detach eth0 ingress from_wire
fault "from_tunnel detached" none detach podveil0 ingress from_tunnel
fault "clsact qdisc deleted" none in_ns n1 tc qdisc del dev eth0 clsact
fault "wire_guard deleted" none in_ns n1 tc filter del dev eth0 egress
fault "a program before to_wire" none stand_before eth0 egress
fault "a program before from_wire" none stand_before eth0 ingress
fault "a filter before wire_guard" none filter_before
fault "pins removed" none rm -rf "$(agent_bpffs 1)"
fault "podveil0 down" none set_device down
fault "podveil0's MTU changed" none set_device mtu 9000
fault "podveil0's address removed" none ip -n "$(ns n1)" address del 169.254.77.1/32 dev podveil0
for _ in 1 2 3; do # where a list that the kernel tells changes meanwhile, which is a matter of luck
	fault "podveil0 deleted" none ip -n "$(ns n1)" link del podveil0
done
fault "uplink down and up" late uplink_flap
fault "uplink made anew" late uplink_anew
fault "a new uplink" none uplink_more
fault "the route moves to it" none route_moves eth1
fault "the route moves back" none route_moves eth0
fault "the new uplink deleted" none ip -n "$(ns n1)" link del eth1
fault "a prefix added" none prefix_added
fault "the prefix moved" none prefix_moved
fault "the prefix claimed twice" none prefix_claimed_twice
fault "the prefix removed" none prefix_removed
fault "mode there and back" none modes_there_and_back
fault "registry gone and back" none registry_gone
fault "the peer's record removed" none record_gone
fault "the peer's record garbage" none record_is_garbage
fault "keyd killed" none keyd_killed
fault "engine killed" killed kill_engine
fault "tunnel killed" killed tunnel_killed
fault "both killed" killed both_killed
fault "a node's address changed" late address_changes

diag "$ROWS faults, $SENT datagrams sent; packets seen $SEEN, leaked $LEAKED, unexplained losses $UNEXPLAINED"
check "packets were seen" test "$SEEN" -gt "$SENT"
check "leaked: 0" test "$LEAKED" -eq 0
check "unexplained losses: 0" test "$UNEXPLAINED" -eq 0
done_testing
