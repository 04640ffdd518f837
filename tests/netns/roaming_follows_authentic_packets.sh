#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A peer's endpoint is the source of its last authentic packet: at another address or port, in the
# other family, and even if the inner packet was refused (kernel netns tests N15 to N19). A new
# private key is in use within a second, whichever end gets it, and so is one that comes back (N20).
# Positive controls: the refused packets were delivered before, and are again.

# shellcheck source=tests/netns/wireguard.bash
. "$(dirname "$0")/wireguard.bash"

MESSAGE_PORT=1111

seen_at() { wg show "$(device b)" endpoints | awk -v key="$(public_key a)" '$1 == key { print $2 }'; }
is_seen_at() { echo "b finds a at $(seen_at)" && [ "$(seen_at)" = "$1" ]; } # ENDPOINT

both_ways() { pings a v4 && pings b v6; }

roams_to_another_address_and_port() {
	introduce && point_to_other a v4 && both_ways && is_seen_at "$(endpoint_v4 a 51901)" || return 1
	ip -n "$(ns a)" address delete "$(outer_v4 a)/24" dev wire0
	address_add a wire0 192.168.60.99/24
	wg set "$(device a)" listen-port 9999 && pings a v6 && is_seen_at 192.168.60.99:9999 && pings b v4
}

roams_to_the_other_family() { point_to_other a v6 && pings a v4 && is_seen_at "$(endpoint_v6 a 9999)" && pings b v6; }

comes_back_to_the_first_family() { point_to_other a v4 && pings a v6 && is_seen_at 192.168.60.99:9999 && pings b v4; }

# -- cryptokey routing --

received() { grep -q "$1" "$RUN_DIR/messages.txt"; } # WORD

say() { echo "$1" | in_ns a socat -u - "UDP4-SENDTO:$(inner_v4 b):$MESSAGE_PORT"; } # WORD

is_delivered() { say "$1" && wait_until 2 received "$1"; } # WORD

refused_sources() { "$BUILD/tools/drops" --control "$(control_socket b)" | awk '$1 == "source_not_allowed" { print $2 }'; }

refuses() { [ "$(refused_sources)" -gt "$1" ]; } # BEFORE

gives_its_address_to_another() {
	MORE_SPECIFIC=$(wg genkey | wg pubkey)
	wg set "$(device b)" peer "$(public_key a)" allowed-ips "10.60.0.0/24" peer "$MORE_SPECIFIC" allowed-ips "$(inner_v4 a)/32"
}

is_refused_and_moves_the_endpoint() {
	local before
	before=$(refused_sources)
	wg set "$(device a)" listen-port 9997 && say second && wait_until 2 refuses "$before" || return 1
	! received second && is_seen_at 192.168.60.99:9997
}

is_delivered_again_without_the_other() { wg set "$(device b)" peer "$MORE_SPECIFIC" remove && is_delivered third; }

# -- private keys --

# The other end learns of the new key, and forgets the old one, before anything is sent.
changes_its_key() { # SIDE
	local far old
	far=$(other "$1")
	old=$(public_key "$1")
	new_keys "$1"
	wg set "$(device "$1")" private-key "$RUN_DIR/$1.key" || return 1
	wg set "$(device "$far")" peer "$old" remove && add_peer "$far"
}

is_reached_within_a_second() { in_ns "$1" ping -n -q -c 1 -W 1 "$(inner_v4 "$(other "$1")")"; } # SIDE

new_key_is_in_use_within_a_second() { # SIDE
	changes_its_key "$1" && is_reached_within_a_second "$1"
}

old_key_returns_within_a_second() {
	cp "$RUN_DIR/a.key" "$RUN_DIR/kept.key"
	new_key_is_in_use_within_a_second a || return 1
	wg set "$(device b)" peer "$(public_key a)" remove
	cp "$RUN_DIR/kept.key" "$RUN_DIR/a.key"
	printf -v PUBLIC_a %s "$(wg pubkey <"$RUN_DIR/a.key")"
	wg set "$(device a)" private-key "$RUN_DIR/a.key" && add_peer b && is_reached_within_a_second a
}

begin_wireguard
needs tools/drops
cable_up
start_ours a && start_ours b || bail "podveil-tunnel does not start"
check "peer at a new address and port is followed there" roams_to_another_address_and_port
check "peer that changes the family is followed there" roams_to_the_other_family
check "and back" comes_back_to_the_first_family
spawn b "$RUN_DIR/messages.txt" socat -u "UDP4-RECV:$MESSAGE_PORT" STDOUT
wait_until 20 in_ns b ss -Hlun "sport = :$MESSAGE_PORT" || bail "nobody takes the messages"
check "an allowed source is delivered" is_delivered first
check "its address goes to another peer" gives_its_address_to_another
check "the same source is refused then, and yet the peer is followed to where it sent from" is_refused_and_moves_the_endpoint
check "without the other peer it is delivered again" is_delivered_again_without_the_other
introduce && point_to_other a v4 && pings a v4 >/dev/null || bail "the two ends do not reach each other"
check "a new private key is in use within a second" new_key_is_in_use_within_a_second a
check "the other end's as well" new_key_is_in_use_within_a_second b
point_to_other a v4
check "an old private key that comes back is in use within a second" old_key_returns_within_a_second
[ "$TESTS_FAILED" -eq 0 ] || diag_file "$RUN_DIR/a.log.err" "podveil-tunnel"
done_testing
