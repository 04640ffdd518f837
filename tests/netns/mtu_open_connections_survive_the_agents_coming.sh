#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# TCP connections opened before the agents came go on inside the tunnel, both ways and in both families, on the widest
# underlay, where both ends agreed on segments of nearly 9000 bytes, and on the narrowest, where the tunnel is smaller
# than any packet of IPv6 has to be.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/mtu.bash
. "$(dirname "$0")/mtu.bash"

MARKER=$(new_marker)

connect() { # NAME FROM TO ADDRESS PORT
	rm -f "$RUN_DIR/$1.ready"
	spawn "p$3" "$RUN_DIR/$1.recv" "$BUILD/tools/flow" tcp-recv --bind "$(address_port "$4" "$5")" --seconds 20 \
		--ready-file "$RUN_DIR/$1.ready" --marker "$MARKER"
	FLOWS+=("$SPAWNED")
	wait_until 20 test -e "$RUN_DIR/$1.ready" || bail "flow did not start: $(cat "$RUN_DIR/$1.recv.err")"
	spawn "p$2" "$RUN_DIR/$1.send" "$BUILD/tools/flow" tcp-send --to "$(address_port "$4" "$5")" --rate 2000000 --count 6000000 --marker "$MARKER"
	FLOWS+=("$SPAWNED")
}

arrived_whole() { # NAME
	cat "$RUN_DIR/$1.send" "$RUN_DIR/$1.recv"
	jq -s -e '.[0].bytes == .[1].bytes and .[1].corrupt == 0 and .[0].bytes >= 6000000' "$RUN_DIR/$1.send" "$RUN_DIR/$1.recv"
}

survive() { # UNDERLAY
	local flow
	set_underlay "$1"
	FLOWS=()
	connect v4 1 2 "$(pod_v4 2)" 9004
	connect v4_back 2 1 "$(pod_v4 1)" 9014
	connect v6 1 2 "$(pod_v6 2)" 9006
	connect v6_back 2 1 "$(pod_v6 1)" 9016
	sleep 0.3
	check "underlay $1: agents start and protect both nodes" start_agents
	wire_watch_start wire n1 n2
	check "underlay $1: the connections are still open" kill -0 "${FLOWS[@]}"
	wait "${FLOWS[@]}"
	watch_stop
	for flow in v4 v4_back v6 v6_back; do
		check "underlay $1: the connection arrived whole ($flow)" arrived_whole $flow
	done
	check "underlay $1: it went in the tunnel, nothing larger and no fragment" wire_saw_whole_datagrams "$1" $(($1 - 16))
	check "agents stop" eval 'stop_agent 1 && stop_agent 2'
	for i in 1 2; do
		podveil_cleanup "$i" || bail "the agent of n$i leaves something behind"
	done
}

podveil_cleanup() { in_ns "n$1" "$BUILD/podveil" cleanup --control "$(agent_dir "$1")/keyd.sock" --bpffs "$(agent_bpffs "$1")"; } # I

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
cluster_up 2
uplinks_without_super_packets
survive 9000
rm -f "$RUN_DIR"/registry/*
survive 1280
done_testing
