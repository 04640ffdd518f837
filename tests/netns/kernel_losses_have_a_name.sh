#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Packets that the kernel loses before or behind the engine are counted by reason: sent = received +
# dropped, to the packet. An engine that gets no CPU for a fifth of a second loses no packet.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"

MARKER=$(new_marker)
RATE=10000

# Node 1 sends one datagram at a time: of several that the kernel has joined it says only that they were one.
eval "spawn_plain() $(declare -f spawn_daemon | tail -n +2)"
spawn_daemon() { # I NAME COMMAND...
	local i=$1 name=$2
	shift 2
	[ "$i" = 1 ] && set -- env LD_PRELOAD="$BUILD/tools/older_kernel.so" OLDER_KERNEL=segment "$@"
	spawn_plain "$i" "$name" "$@"
}

engine_pid() { pgrep -P "$(tunnel_pid "$1")"; } # I

dropped() { # I REASON
	podveil "$1" -o json status | jq --arg reason "$2" '[.drops[] | select(.reason == $reason) | .packets] | add // 0'
}

# Numbered datagrams from node 1 to node 2, while one node's engine does not run.
send_while_stopped() { # I SECONDS
	local engine
	engine=$(engine_pid "$1")
	before_tun=$(dropped 1 tun_overflow)
	before_udp=$(dropped 2 udp_overflow)
	flow_receive stalled 2 udp 9001
	flow_send stalled 1 2 udp 9001 $RATE --size 200
	sleep 0.3
	kill -STOP "$engine"
	sleep "$2"
	kill -CONT "$engine"
	sleep 1.5 # what waited is worked off: the sender's last word, which is not counted as sent, is not lost with it
	traffic_stop
	lost=$(jq .lost "$RUN_DIR/stalled.recv")
	tun=$(($(dropped 1 tun_overflow) - before_tun))
	udp=$(($(dropped 2 udp_overflow) - before_udp))
	diag "engine of n$1 stopped for $2 s: $(jq .sent "$RUN_DIR/stalled.send") sent, $(jq .received "$RUN_DIR/stalled.recv") received," \
		"tun_overflow $tun, udp_overflow $udp"
}

# The expected values of tun_overflow and udp_overflow. On a busy machine the other side's engine
# may get no CPU: any value.
adds_up() { # none|some|any none|some|any
	cat "$RUN_DIR/stalled.send" "$RUN_DIR/stalled.recv"
	[ "$(jq .sent "$RUN_DIR/stalled.send")" -eq $(($(jq .received "$RUN_DIR/stalled.recv") + tun + udp)) ] &&
		[ "$lost" -eq $((tun + udp)) ] && is_some "$tun" "$1" && is_some "$udp" "$2"
}

is_some() { # COUNT none|some|any
	case $2 in
	none) [ "$1" -eq 0 ] ;;
	some) [ "$1" -gt 0 ] ;;
	esac
}

# By the kernel's own word, which the engine only passes on.
is_the_kernels_word() {
	[ "$(dropped 1 tun_overflow)" = "$(ip -n "$(ns n1)" -s -j link show podveil0 | jq '.[0].stats64.tx.dropped')" ]
}

counts_what_is_too_big_for_its_route() {
	local before
	before=$(dropped 1 too_big)
	ip -n "$(ns n1)" route change "$(pods_v4 2)" via "$(node_v4 2)" mtu 1300
	in_ns p1 ping -M 'do' -c 1 -W 1 -q -s 1350 "$(pod_v4 2)"
	podveil 1 -o json status | jq -c .drops
	[ $(($(dropped 1 too_big) - before)) -eq 1 ] && [ "$(dropped 1 kernel_other)" -eq 0 ]
}

names_the_reason() { podveil "$1" status | grep -E " [0-9]+ +$2 "; } # I REASON

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/older_kernel.so
cluster_up 2
check "agents start and protect both nodes" start_agents
in_ns p1 ping -c 2 -i 0.1 -W 2 -q "$(pod_v4 2)" >/dev/null # the first session
send_while_stopped 1 0.2
check "an engine stopped for 200 ms at $RATE packets/s loses no packet that it has to send" adds_up none none
send_while_stopped 2 0.2
check "nor anything that it receives" adds_up none none
send_while_stopped 1 1
check "overflow of podveil0's queue is counted as tun_overflow, to the packet" adds_up some any
check "which is what the kernel says" is_the_kernels_word
check "and status shows it" names_the_reason 1 tun_overflow
send_while_stopped 2 2
check "overflow of the socket's buffer is counted as udp_overflow, to the packet" adds_up any some
check "and status shows that" names_the_reason 2 udp_overflow
check "and not as what came while no tunnel ran" test "$(dropped 2 tunnel_away)" -eq 0
check "a packet too big for its route is counted as too_big, like one too big for the tunnel" counts_what_is_too_big_for_its_route
done_testing
