#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# podveil-tunnel and wireguard-go are each other's peers, and wg(8) configures both: each side
# initiates in turn, over IPv4 and over IPv6, without and with a preshared key; ping, TCP and UDP
# pass in both directions and both families. Sessions are renewed without loss, and a side that has
# lost its session gets a new one at once.

# shellcheck source=tests/netns/wireguard.bash
. "$(dirname "$0")/wireguard.bash"

OTHER_NAME=wireguard-go

begin_wireguard
needs tools/flow tools/hasty_clock.so
WIREGUARD_GO=$("$ROOT/tests/fetch_wireguard_go.sh" 2>"$RUN_DIR/fetch.txt") || skip_all "$(cat "$RUN_DIR/fetch.txt")"
cable_up
start_ours a && start_wireguard_go b || bail "no two ends to try"
rounds_over v4
# This wireguard-go sends to fd00:60:: for fd00:60::1 once it has sent over IPv4, so the test
# restarts it.
stop_side b && start_wireguard_go b || bail "wireguard-go does not start anew"
rounds_over v6
check "no session without the same preshared key" has_no_session_with_another_preshared_key
check "a new private key is in use within a second" survives_a_change_of_its_private_key
check "podveil-tunnel that has lost a session makes a new one at once" makes_a_new_session a
check "wireguard-go that has lost a session gets a new one at once" makes_a_new_session b
stop_side a && start_hasty a || bail "podveil-tunnel does not start anew"
check "podveil-tunnel renews the session without loss" renews_without_loss a
[ "$TESTS_FAILED" -eq 0 ] || diag_file "$RUN_DIR/a.log.err" "podveil-tunnel"
done_testing
