#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# podveil-tunnel and wireguard-go are each other's peers, wg(8) configures both: each side initiates in turn, over IPv4
# and over IPv6, with and without a preshared key; ping, TCP and UDP pass in both directions and both families.

. "$(dirname "$0")/wireguard.bash"

round() { # INITIATOR OUTER_FAMILY [PRESHARED_KEY_FILE]
	local side=$1 outer=$2 far name
	far=$(other "$side")
	name="$(who "$side") initiates over IP$outer${3:+, preshared key}"
	check "$name: wg(8) configures both ends" introduce "${@:3}"
	check "$name: the endpoint is set" point_to_other "$side" "$outer"
	check "$name: ping, IPv4 inside" pings "$side" v4
	check "$name: ping, IPv6 inside" pings "$side" v6
	check "$name: ping back, to the endpoint it learnt" pings "$far" v4
	check "$name: wg show tells of the handshake on both ends" both_have_handshake
	check "$name: TCP there" moves_tcp "$side" v4
	check "$name: TCP back" moves_tcp "$side" v6 --reverse
	check "$name: UDP there" moves_udp "$side" v6
	check "$name: UDP back" moves_udp "$side" v4 --reverse
}

who() { if [ "$1" = a ]; then echo podveil-tunnel; else echo wireguard-go; fi; }

both_have_handshake() { has_handshake a && has_handshake b; }

has_no_session_with_another_preshared_key() {
	wg genpsk >"$RUN_DIR/other.psk"
	introduce "$RUN_DIR/psk" || return 1
	wg set "$(device b)" peer "$(public_key a)" preshared-key "$RUN_DIR/other.psk"
	point_to_other a v4
	! in_ns a ping -n -q -c 1 -W 1 "$(inner_v4 b)" && ! has_handshake a
}

survives_a_change_of_its_private_key() {
	introduce && point_to_other a v4 && pings a v4 || return 1
	new_keys a
	wg set "$(device b)" peer "$(public_key a)" allowed-ips "$(inner_v4 a)/32,$(inner_v6 a)/128" || return 1
	wg set "$(device a)" private-key "$RUN_DIR/a.key" || return 1
	in_ns a ping -n -q -c 1 -W 1 "$(inner_v4 b)"
}

begin_wireguard
WIREGUARD_GO=$("$ROOT/tests/fetch_wireguard_go.sh" 2>"$RUN_DIR/fetch.txt") || skip_all "$(cat "$RUN_DIR/fetch.txt")"
cable_up
wg genpsk >"$RUN_DIR/psk"
start_ours a && start_wireguard_go b || bail "no two ends to try"
round a v4
round b v4
# This wireguard-go sends to fd00:60:: for fd00:60::1 once it has sent over IPv4: it starts anew.
stop_side b && start_wireguard_go b || bail "wireguard-go does not start anew"
round a v6 "$RUN_DIR/psk"
round b v6 "$RUN_DIR/psk"
check "no session without the same preshared key" has_no_session_with_another_preshared_key
check "a new private key is in use within a second" survives_a_change_of_its_private_key
[ "$TESTS_FAILED" -eq 0 ] || diag_file "$RUN_DIR/a.log.err" "podveil-tunnel"
done_testing
