#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# podveil-tunnel and the kernel's own WireGuard are each other's peers, and wg(8) configures both:
# each side initiates in turn, over IPv4 and over IPv6, without and with a preshared key; ping, TCP
# and UDP pass in both directions and families. Sessions are renewed without loss, and a side that
# has lost its session gets a new one at once.

# shellcheck source=tests/netns/wireguard.bash
. "$(dirname "$0")/../netns/wireguard.bash"

OTHER_NAME="the kernel's WireGuard"

# wg(8) finds a kernel's device only in its network namespace; that is side b's.
wg() {
	if [ "${2:-}" = "$(device b)" ]; then
		in_ns b wg "$@"
	else
		command wg "$@"
	fi
}

start_kernel_wireguard() {
	ip -n "$(ns b)" link add "$(device b)" type wireguard 2>"$RUN_DIR/device.txt" || return 1
	device_up b
}

begin_wireguard
needs tools/flow tools/hasty_clock.so
cable_up
start_kernel_wireguard || skip_all "this kernel has no WireGuard: $(cat "$RUN_DIR/device.txt")"
start_ours a || bail "podveil-tunnel does not start"
rounds_over v4
rounds_over v6
check "no session without the same preshared key" has_no_session_with_another_preshared_key
check "a new private key is in use within a second" survives_a_change_of_its_private_key
check "podveil-tunnel that has lost a session makes a new one at once" makes_a_new_session a
check "the kernel that has lost a session gets a new one at once" makes_a_new_session b
stop_side a && start_hasty a || bail "podveil-tunnel does not start anew"
check "podveil-tunnel renews the session without loss" renews_without_loss a
[ "$TESTS_FAILED" -eq 0 ] || diag_file "$RUN_DIR/a.log.err" "podveil-tunnel"
done_testing
