#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# All kinds of traffic pass over either outer family at the ordinary MTU and at one of 34,736 bytes, many TCP flows at
# once included (kernel netns tests N3 to N9, N12, N13). A device that is moved to another network namespace is used from
# there, while the tunnel's sockets stay where it was started (N1): the traffic inside cannot go around the tunnel.

# shellcheck source=tests/netns/wireguard.bash
. "$(dirname "$0")/wireguard.bash"

HUGE_MTU=34736
FLOWS=8

floods_pings() { # SIDE v4|v6
	in_ns "$1" ping -n -q -f -c 10 -W 1 "$("inner_$2" "$(other "$1")")" >"$RUN_DIR/pings.txt"
	cat "$RUN_DIR/pings.txt"
	grep -q ' 10 received' "$RUN_DIR/pings.txt"
}

moves_tcp() { # SIDE v4|v6 [IPERF3 ARGUMENT...]
	iperf "$@" >"$RUN_DIR/iperf.json"
	jq -e '.end.sum_received | .bits_per_second / 1e6, .bytes > 1000000' "$RUN_DIR/iperf.json"
}

# Faster than the receiver reads: the test is that traffic passes, and continues afterwards.
floods_udp() { # SIDE v4|v6
	iperf "$@" --udp --bitrate 0 --length 1200 >"$RUN_DIR/iperf.json"
	jq .end.sum "$RUN_DIR/iperf.json"
	jq -e '.end.sum | .packets > 5000 and .lost_packets < .packets' "$RUN_DIR/iperf.json" && pings "$1" "$2"
}

# iperf3 sends without copying (sendfile) with --zerocopy.
everything_passes() { # NAME OUTER_FAMILY
	introduce && point_to_other a "$2" || bail "the two ends cannot be configured"
	check "$1: pings flood, IPv4 there" floods_pings a v4
	check "$1: pings flood, IPv6 there" floods_pings a v6
	check "$1: pings flood, IPv4 back" floods_pings b v4
	check "$1: pings flood, IPv6 back" floods_pings b v6
	check "$1: TCP over IPv4 there, without copying" moves_tcp a v4 --zerocopy
	check "$1: TCP over IPv6 back, without copying" moves_tcp b v6 --zerocopy
	check "$1: UDP over IPv4 there, as fast as it goes" floods_udp a v4
	check "$1: UDP over IPv6 back, as fast as it goes" floods_udp b v6
	check "$1: $FLOWS flows of TCP at once" moves_tcp a v4 --parallel $FLOWS
}

make_huge() {
	local side
	for side in "${SIDES[@]}"; do
		ip -n "$(ns "$side")" link set wire0 mtu $((HUGE_MTU + 80))
		ip -n "$(ns "$side")" link set "$(device "$side")" mtu $HUGE_MTU || return 1
	done
}

# One packet, which may not be cut: larger than any ordinary MTU.
huge_packet_passes() { pings a v4 -M 'do' -s $((HUGE_MTU - 28)) && pings b v6 -M 'do' -s $((HUGE_MTU - 48)); }

# Side a's device, in a namespace that has no other way out.
moves_away() {
	ns_add m
	ip -n "$(ns a)" link set "$(device a)" netns "$(ns m)" || return 1
	HOME_OF[a]=m
	device_up a && ! ip -n "$(ns a)" link show "$(device a)"
}

is_used_from_there() {
	introduce && point_to_other a v4 && in_ns m ping -n -q -c 2 -i 0.1 -W 5 "$(inner_v4 b)" &&
		in_ns m ping -n -q -c 2 -i 0.1 -W 5 "$(inner_v6 b)" && pings b v4 && is_open_where_it_was
}

is_open_where_it_was() { in_ns a ss -Hlun "sport = :51901" | grep -q . && ! in_ns m ss -Hlun "sport = :51901" | grep -q .; }

begin_wireguard
cable_up
start_ours a && start_ours b || bail "podveil-tunnel does not start"
everything_passes "MTU 1420, IPv4 outside" v4
everything_passes "MTU 1420, IPv6 outside" v6
make_huge || bail "the devices take no MTU of $HUGE_MTU"
everything_passes "MTU $HUGE_MTU, IPv4 outside" v4
check "MTU $HUGE_MTU, IPv4 outside: a packet of that size passes whole" huge_packet_passes
everything_passes "MTU $HUGE_MTU, IPv6 outside" v6
check "MTU $HUGE_MTU, IPv6 outside: a packet of that size passes whole" huge_packet_passes
check "a device moves to another namespace" moves_away
check "it is used from there, the sockets stay" is_used_from_there
[ "$TESTS_FAILED" -eq 0 ] || diag_file "$RUN_DIR/a.log.err" "podveil-tunnel"
done_testing
