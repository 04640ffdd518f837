#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# ROTATIONS rotations in a row (20; 200 for the proof, 1000 in `make soak`), of one node, of the other and of both at the
# same moment in turn, under numbered UDP both ways and paced TCP: not one packet is lost. As a control the same traffic
# runs for as long (a minute at most) without any rotation, and must lose nothing either.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"

ROTATIONS=${ROTATIONS:-20}
TCP_SECONDS=3
MARKER=$(new_marker)

# Half of the TCP rate of this machine, in bytes per second, into TCP_RATE. The UDP flows run at the
# same time.
measure_tcp() {
	flow_receive measured-tcp 2 tcp 9003
	spawn p1 "$RUN_DIR/measured-tcp.send" "$BUILD/tools/flow" tcp-send --to "$(pod_v4 2):9003" --seconds $TCP_SECONDS \
		--marker "$MARKER"
	wait "$SPAWNED" "${RECEIVERS[-1]}"
	unset 'RECEIVERS[-1]'
	TCP_RATE=$(jq '.bytes / .seconds / 2 | floor' "$RUN_DIR/measured-tcp.send")
	[ "${TCP_RATE:-0}" -gt 0 ]
}

traffic_start() { # PREFIX
	udp_start "$1" 1 2
	tcp_start "$1" 1 2 "$TCP_RATE"
}

rotate_all_the_time() {
	local n
	SLOWEST_BOTH=0
	for n in $(seq "$ROTATIONS"); do
		case $((n % 3)) in
		1) rotate_and_wait 1 || return 1 ;;
		2) rotate_and_wait 2 || return 1 ;;
		0)
			rotate_and_wait 1 2 || return 1
			[ "$MS" -le "$SLOWEST_BOTH" ] || SLOWEST_BOTH=$MS
			;;
		esac
	done
}

fingerprints() { own_key 1 .fingerprint; own_key 2 .fingerprint; }

begin
needs podveil-tunnel podveil-keyd podveil tools/flow
cluster_up 2
check "agents start and protect both nodes" start_agents
in_ns p1 ping -c 2 -i 0.1 -W 2 -q "$(pod_v4 2)" >/dev/null # the first session
udp_start measured 1 2
check "TCP's capacity is measured" measure_tcp
traffic_stop

fingerprints >"$RUN_DIR/before"
traffic_start rotated
sleep 0.5
began=$(now_ms)
rotate_all_the_time
rotated=$?
took=$(($(now_ms) - began))
traffic_runs && runs=0 || runs=1
sleep 0.5
traffic_stop
check "$ROTATIONS rotations in a row come to their end" test $rotated -eq 0
check "the traffic ran all the time" test $runs -eq 0
check "both nodes have other keys than before" sh -c '! "$@" | grep -qFf "'"$RUN_DIR"'/before"' - cat <(fingerprints)
check "no datagram was lost, doubled or changed" udp_lost_nothing rotated
check "TCP had neither reset nor error" tcp_lost_nothing rotated
check "both nodes at the same moment take under 2 seconds" test "$SLOWEST_BOTH" -lt 2000
diag "$ROTATIONS rotations in $took ms; both at once: $SLOWEST_BOTH ms at most; longest gaps: $(longest_gaps rotated) ms"

traffic_start control
seconds=$((took < 60000 ? took / 1000 + 1 : 60))
sleep $seconds
traffic_stop
check "the same traffic without rotations loses nothing" udp_lost_nothing control
check "nor does TCP" tcp_lost_nothing control
diag "without rotations: longest gaps: $(longest_gaps control) ms"
[ "$TESTS_FAILED" -eq 0 ] || show_drops
done_testing
