#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Ten nodes rotate at the same moment, ROUNDS times (3; 20 in `make soak`), asked by `podveil rotate-key --all` on one of
# them, while each pod talks to each other one: not one of the numbered datagrams is lost. As a control the same traffic
# runs without any rotation, and must lose nothing either.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"

ROUNDS=${ROUNDS:-3}
FINISH_SECONDS=20
SPACING=5 # seconds between two rotations that the registry asks for (keyd/cluster/rotate.h)
CONTROL_SECONDS=10
MARKER=$(new_marker)

# One after the other they would take as many seconds.
start_agents_together() {
	local i
	for i in $(seq "$NODES"); do
		spawn_tunnel "$i"
	done
	for i in $(seq "$NODES"); do
		wait_until 10 tunnel_answers "$i" || { not_started tunnel "$i"; return 1; }
		spawn_keyd "$i"
	done
	wait_until 30 agents_are_ready
}

record() { jq -r '.annotations["podveil.io/tunnel"]' "$RUN_DIR/registry/n$1.json" | jq -r "$2"; } # I FIELD

states() { # of each node: epoch, current key
	local i
	for i in $(seq "$NODES"); do
		record "$i" '"\(.epoch) \(.current)"'
	done
}

is_settled() { record "$1" 'has("next") or has("previous")' | grep -q false; } # I

are_settled() {
	local i
	for i in $(seq "$NODES"); do
		is_settled "$i" || return 1
	done
}

# Every epoch is higher and every key another one.
all_moved_on() { # BEFORE AFTER: files of states
	paste -d' ' "$1" "$2"
	paste -d' ' "$1" "$2" | awk -v nodes="$NODES" '$3 > $1 && $4 != $2 { moved++ } END { exit moved != nodes }'
}

# When each node made the key of this round, and when it was through with it, in milliseconds of Unix time.
steps() { # LINE OF THE LOG
	local i
	for i in $(seq "$NODES"); do
		grep "$1" "$(agent_dir "$i")/keyd.log" | tail -n 1 | sed 's/.*epoch \([0-9]*\).*/\1/'
	done
}

# From the first to the last that began, and how many were at it at one moment.
measure_overlap() {
	SPREAD=$(steps "made this node's next key" | sort -n | sed -n '1p;$p' | paste -sd' ' | awk '{ print $2 - $1 }')
	AT_ONCE=$({
		steps "made this node's next key" | sed 's/$/ 1/'
		steps "wiped this node's previous key" | sed 's/$/ -1/'
	} | sort -n | awk '{ now += $2; if (now > most) most = now } END { print most }')
}

rotate_all() { podveil 1 rotate-key --all; }

round() { # NUMBER
	local began promoted settled
	states >"$RUN_DIR/before"
	began=$(now_ms)
	check "round $1: every node is asked, and uses its new key" rotate_all
	promoted=$(($(now_ms) - began))
	check "round $1: every previous key is wiped" wait_until $FINISH_SECONDS are_settled
	settled=$(($(now_ms) - began))
	states >"$RUN_DIR/after"
	check "round $1: each epoch went up, each key is another" all_moved_on "$RUN_DIR/before" "$RUN_DIR/after"
	measure_overlap
	check "round $1: all of them began within three seconds" test "$SPREAD" -lt 3000
	diag "round $1: began within $SPREAD ms, $AT_ONCE at one moment; new keys everywhere after $promoted ms, previous ones wiped after $settled ms"
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow
cluster_up 10
check "ten agents start and protect their nodes" start_agents_together


mesh_start rotated
began=$(now_ms)
sleep 0.5
for n in $(seq "$ROUNDS"); do
	round "$n"
	sleep $SPACING
done
took=$(($(now_ms) - began))
check "the traffic ran all the time" kill -0 "${FLOWS[@]}"
traffic_stop
check "no datagram between any two pods was lost, doubled or changed" mesh_lost_nothing rotated
diag "$ROUNDS rounds in $took ms: $(mesh_figures rotated)"

mesh_start control
sleep $CONTROL_SECONDS
traffic_stop
check "the same traffic without rotations loses nothing" mesh_lost_nothing control
diag "without rotations: $(mesh_figures control)"
[ "$TESTS_FAILED" -eq 0 ] || show_drops
done_testing
