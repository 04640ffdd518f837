#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A TCP connection that was opened before the agents came goes on inside the tunnel and loses nothing, although both ends
# agreed on segments that are too large for it (a TCP packet that is too large is cut at segment level).

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

MARKER=$(new_marker)
FLOWS=()

connect() { # NAME ADDRESS:PORT
	spawn p2 "$RUN_DIR/$1.recv" "$BUILD/tools/flow" tcp-recv --bind "$2" --seconds 25 \
		--ready-file "$RUN_DIR/$1.ready" --marker "$MARKER"
	FLOWS+=("$SPAWNED")
	wait_until 20 test -e "$RUN_DIR/$1.ready" || bail "flow did not start: $(cat "$RUN_DIR/$1.recv.err")"
	spawn p1 "$RUN_DIR/$1.send" "$BUILD/tools/flow" tcp-send --to "$2" --rate 5000000 --seconds 8 --marker "$MARKER"
	FLOWS+=("$SPAWNED")
}

arrived_whole() { # NAME
	cat "$RUN_DIR/$1.send" "$RUN_DIR/$1.recv"
	jq -s -e '.[0].bytes == .[1].bytes and .[1].corrupt == 0 and .[0].bytes > 30000000' "$RUN_DIR/$1.send" "$RUN_DIR/$1.recv"
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
cluster_up 2
connect v4 "$(pod_v4 2):9004"
connect v6 "[$(pod_v6 2)]:9006"
sleep 0.5
check "agents start and protect both nodes" start_agents
watch_start "$MARKER"
check "the connections are still open" kill -0 "${FLOWS[@]}"
wait "${FLOWS[@]}"
watch_stop
check "the IPv4 connection arrived whole" arrived_whole v4
check "the IPv6 connection arrived whole" arrived_whole v6
check "none of their frames was in cleartext once the agents ran" watch_saw_nothing
check "the tunnel carried them" test "$(podveil 1 -o json status | jq .traffic.to_tunnel.bytes)" -gt 20000000
done_testing
