#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# podveil-tunnel and the kernel's own WireGuard are each other's peers, wg(8) configures both: each side initiates in
# turn, one over IPv4, the other over IPv6 and with a preshared key; ping, TCP and UDP pass in both directions and
# families. All the other combinations are wireguard-go's (tests/netns), where nothing is emulated.

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
cable_up
wg genpsk >"$RUN_DIR/psk"
start_kernel_wireguard || skip_all "this kernel has no WireGuard: $(cat "$RUN_DIR/device.txt")"
start_ours a || bail "podveil-tunnel does not start"
round a v4
round b v6 "$RUN_DIR/psk"
check "no session without the same preshared key" has_no_session_with_another_preshared_key
check "a new private key is in use within a second" survives_a_change_of_its_private_key
[ "$TESTS_FAILED" -eq 0 ] || diag_file "$RUN_DIR/a.log.err" "podveil-tunnel"
done_testing
