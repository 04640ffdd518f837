#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Sessions are renewed while 10,000 datagrams a second travel over a cable with a delay of 50 ms:
# none is lost and none arrives twice, in either direction, because datagrams sealed with the old
# session are still opened after the new one exists. Two minutes pass in six seconds
# (tools/hasty_clock.so); the cable is tools/wire.c. Positive controls: the clock runs fast, both
# ends renewed sessions, and the cable itself lost no datagram.

# shellcheck source=tests/netns/wireguard.bash
. "$(dirname "$0")/wireguard.bash"

DELAY_MS=50
RATE=10000
RATE_BACK=1000
RUN_S=14 # two renewals

long_cable_up() {
	local side
	ns_add w
	for side in "${SIDES[@]}"; do
		ns_add "$side"
		link_add "$side" wire0 w "to_$side"
		address_add "$side" wire0 "$(outer_v4 "$side")/24"
		# wire.c forwards frames as they are: whole, and with their checksums
		in_ns "$side" ethtool -K wire0 tx-udp-segmentation off gso off tso off tx off >/dev/null
	done
	long_cable_start $DELAY_MS 0
}

traffic_runs() { numbered_start a $RATE $RUN_S && numbered_start b $RATE_BACK $RUN_S && numbered_wait; }

clocks_are_hasty() { is_hasty a && is_hasty b; }

begin_wireguard
needs tools/flow tools/drops tools/wire tools/hasty_clock.so
long_cable_up || bail "no long cable: $(cat "$RUN_DIR/wire.json.err")"
start_hasty a && start_hasty b && introduce && point_to_other a v4 || bail "no two ends to try"
check "the two ends reach each other over the long cable" pings a v4
check "the clocks are hasty" clocks_are_hasty
check "datagrams run both ways" traffic_runs
check "sessions were renewed twice meanwhile" sessions_were_renewed 2
check "not one is lost, at $RATE a second" arrives_whole a $((RATE * RUN_S * 9 / 10))
check "not one is lost on the way back" arrives_whole b $((RATE_BACK * RUN_S * 9 / 10))
check "the cable lost nothing by itself" long_cable_stop
diag "$(jq -c '{received, lost, longest_gap_ms, longest_delay_ms}' "$RUN_DIR/a.json")"
[ "$TESTS_FAILED" -eq 0 ] || diag_file "$RUN_DIR/a.log.err" "podveil-tunnel"
done_testing
