#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# From the moment an agent first ran, no packet for a pod on another node is on the wire in
# cleartext: not while the agents run, not while one is killed, absent or restarting, not when its
# device is deleted. Both families and both directions carry traffic all the time. The detector
# proves itself before the agents run, and again at the end, after `podveil cleanup` has removed the
# protection.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

MARKER=$(new_marker)
RATE=$((300 / SLOW)) # an emulated processor must have time for the agents as well
PAUSE=$((SLOW - 1)).1

# Sends without looking for answers, and starts again whenever the kernel refuses: the traffic outlives every fault.
send_for_ever() { # FROM ADDRESS PORT
	while :; do
		in_ns "p$1" "$BUILD/tools/flow" udp-send --to "$2:$3" --rate $RATE --seconds 2 --size 400 --marker "$MARKER"
		sleep 0.05
	done >/dev/null 2>&1
}

connect_for_ever() { # FROM ADDRESS: TCP that carries the marker as soon as it is open
	while :; do
		marker_bytes "$MARKER" | in_ns "p$1" socat -T 1 -u STDIN "TCP:$2:7000,connect-timeout=1"
		sleep $PAUSE
	done >/dev/null 2>&1
}

traffic_start() {
	local i
	TRAFFIC=()
	for i in 1 2; do
		spawn "p$i" "$RUN_DIR/sink.$i" socat -u "TCP6-LISTEN:7000,ipv6only=0,reuseaddr,fork" OPEN:/dev/null
		send_for_ever "$i" "$(pod_v4 $((3 - i)))" 9004 &
		TRAFFIC+=($!)
		send_for_ever "$i" "[$(pod_v6 $((3 - i)))]" 9006 &
		TRAFFIC+=($!)
		connect_for_ever "$i" "$(pod_v4 $((3 - i)))" &
		TRAFFIC+=($!)
		connect_for_ever "$i" "[$(pod_v6 $((3 - i)))]" &
		TRAFFIC+=($!)
	done
}

# Watches the traffic on the wire from just before the fault until some time after it. The nodes
# talk too, so that the detector sees frames even where all pods are cut off.
watch_during() { # COMMAND...
	watch_start "$MARKER"
	sleep 0.3
	"$@" || return 1
	in_ns n1 ping -c 15 -i 0.1 -q "$(node_v4 2)"
	watch_stop
}

nothing_leaves_during() { watch_during "$@" && watch_saw_nothing; }
plaintext_leaves_during() { watch_during "$@" && watch_saw_plaintext; }

pods_are_connected() { in_ns p1 ping -c 1 -W 1 "$(pod_v4 2)" && in_ns p2 ping -c 1 -W 1 "$(pod_v6 1)"; }
pods_are_cut_off() { ! in_ns p1 ping -c 1 -W 1 "$(pod_v4 2)" && ! in_ns p1 ping -c 1 -W 1 "$(pod_v6 2)"; }
comes_back() { start_agent "$1" && wait_until 20 agents_are_ready && wait_until 10 pods_are_connected; }

delete_device() { ip -n "$(ns "n$1")" link del podveil0; }
kill_engine() { kill -KILL "$(pgrep -P "$(tunnel_pid "$1")")"; }

clean_up_both() {
	local i
	for i in 1 2; do
		stop_agent "$i"
		in_ns "n$i" "$BUILD/podveil" cleanup --control "$(agent_dir "$i")/keyd.sock" --bpffs "$(agent_bpffs "$i")"
	done
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
cluster_up 2
traffic_start
check "the detector sees plaintext while no agent has run" plaintext_leaves_during sleep 0.5

check "agents start and protect both nodes" start_agents
check "pods talk through the tunnel" wait_until 5 pods_are_connected
check "nothing leaves in cleartext while the agents run" nothing_leaves_during sleep 0.5
check "nothing leaves when keyd is killed" nothing_leaves_during kill_keyd 1
check "pods still talk without keyd" pods_are_connected
check "nothing leaves when keyd comes back" nothing_leaves_during start_keyd 1
check "nothing leaves when tunnel and keyd are killed" nothing_leaves_during kill_agent 1
check "without the agent the pods are cut off rather than heard" pods_are_cut_off
check "nothing leaves while the agent is absent" nothing_leaves_during sleep 0.5
check "nothing leaves when the agent comes back" nothing_leaves_during comes_back 1
check "nothing leaves when an engine is killed" nothing_leaves_during kill_engine 2
stop_agent 2 >/dev/null 2>&1
check "nothing leaves when that agent is started again" nothing_leaves_during comes_back 2
check "nothing leaves when both agents are stopped in order" nothing_leaves_during eval 'stop_agent 1 && stop_agent 2'
check "nothing leaves while neither agent runs" nothing_leaves_during sleep 0.5
check "nothing leaves when both come back" nothing_leaves_during eval 'start_agent 1 && comes_back 2'
check "nothing leaves when the tunnel's device is deleted" nothing_leaves_during delete_device 1
stop_agent 1 >/dev/null 2>&1
check "nothing leaves when that node's agent is started again" nothing_leaves_during comes_back 1
check "pods talk again" wait_until 5 pods_are_connected

check "the detector sees plaintext again after podveil cleanup" plaintext_leaves_during clean_up_both
done_testing
