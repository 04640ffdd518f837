#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Two podveil-tunnels are each other's peers: each initiates in turn, over IPv4 and over IPv6,
# without and with a preshared key; ping, TCP and UDP pass in both directions and both families. The
# initiator renews a session under traffic without loss, and a side that has lost its session
# establishes a new one at once.

# shellcheck source=tests/netns/wireguard.bash
. "$(dirname "$0")/wireguard.bash"

OTHER_NAME="the second podveil-tunnel"

begin_wireguard
needs tools/flow tools/hasty_clock.so
cable_up
start_hasty a && start_hasty b || bail "podveil-tunnel does not start"
check "the one that began a session renews it without loss" renews_without_loss a
stop_side a && stop_side b && start_ours a && start_ours b || bail "podveil-tunnel does not start anew"
rounds_over v4
rounds_over v6
check "no session without the same preshared key" has_no_session_with_another_preshared_key
check "a new private key is in use within a second" survives_a_change_of_its_private_key
check "a side that has lost a session establishes a new one at once" makes_a_new_session a
[ "$TESTS_FAILED" -eq 0 ] || diag_file "$RUN_DIR/a.log.err" "podveil-tunnel"
done_testing
