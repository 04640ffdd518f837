#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# podveil-keyd may end, be killed and come back under traffic without one packet being lost, and the one that comes back
# finds everything in place: same key, same epoch, same programs.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

MARKER=$(new_marker)
RATE=2000
SECONDS_OF_TRAFFIC=8

flow_start() { # NAME ADDRESS PORT
	rm -f "$RUN_DIR/$1.ready"
	spawn p2 "$RUN_DIR/$1.recv" "$BUILD/tools/flow" udp-recv --bind "$2:$3" --seconds $((SECONDS_OF_TRAFFIC + 2)) \
		--ready-file "$RUN_DIR/$1.ready" --marker "$MARKER"
	FLOWS+=("$SPAWNED")
	wait_until 20 test -e "$RUN_DIR/$1.ready" || bail "flow did not start: $(cat "$RUN_DIR/$1.recv.err")"
	spawn p1 "$RUN_DIR/$1.send" "$BUILD/tools/flow" udp-send --to "$2:$3" --rate $RATE \
		--seconds $SECONDS_OF_TRAFFIC --size 600 --marker "$MARKER"
	FLOWS+=("$SPAWNED")
}

flow_lost_nothing() { # NAME
	cat "$RUN_DIR/$1.send" "$RUN_DIR/$1.recv"
	all_arrived $RATE $((SECONDS_OF_TRAFFIC * 1000)) <"$RUN_DIR/$1.recv"
}

identity() { podveil "$1" -o json key-status | jq -S '[.keys[] | {node, epoch, fingerprint}] | sort_by(.node)'; }

is_unchanged() { # WHAT FUNCTION ARGUMENT...
	local before=$RUN_DIR/before.$1 now=$RUN_DIR/now.$1
	shift
	"$@" >"$now" || return 1
	diff "$before" "$now"
}

restart() { # SIGNAL I
	end_process "$1" "$(keyd_pid "$2")" && start_keyd "$2" && wait_until 10 agent_is_ready "$2"
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow
cluster_up 2
check "agents start and protect both nodes" start_agents
identity 1 >"$RUN_DIR/before.identity"

FLOWS=()
flow_start v4 "$(pod_v4 2)" 9004
flow_start v6 "[$(pod_v6 2)]" 9006
check "keyd of the sending node comes back after SIGTERM" restart TERM 1
check "keyd of the receiving node comes back after SIGTERM" restart TERM 2
check "keyd of the sending node comes back after SIGKILL" restart KILL 1
check "keyd of the receiving node comes back after SIGKILL" restart KILL 2
check "it came back while the traffic ran" kill -0 "${FLOWS[@]}"
wait "${FLOWS[@]}"

check "no IPv4 packet was lost" flow_lost_nothing v4
check "no IPv6 packet was lost" flow_lost_nothing v6
check "keys and epochs are the same as before" is_unchanged identity identity 1
done_testing
