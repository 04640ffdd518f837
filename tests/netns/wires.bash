# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Shared by the tests of bad wires. Sourced, never run.

# shellcheck source=tests/netns/wireguard.bash
. "$(dirname "${BASH_SOURCE[0]}")/wireguard.bash"

DATAGRAMS=$((4000 / SLOW))
DATAGRAMS_PER_S=$((2000 / SLOW))

cut_super_packets() { # DEVICE [FEATURE...]: a fault of each datagram, not of forty at once
	local side
	for side in "${SIDES[@]}"; do
		in_ns "$side" ethtool -K "$1" tx-udp-segmentation off gso off tso off "${@:2}" >/dev/null
	done
}

drops() { # REASON...: of both sides
	local side
	for side in "${SIDES[@]}"; do
		"$BUILD/tools/drops" --control "$(control_socket "$side")"
	done | awk -v reasons=" $* " 'index(reasons, " " $1 " ") { sum += $2 } END { print sum + 0 }'
}

passes() { # NAME MOST_LOST
	check "$1: a TCP stream over IPv4 arrives whole" stream_arrives_whole a v4
	check "$1: a TCP stream over IPv6 arrives whole, back" stream_arrives_whole b v6
	check "$1: datagrams over IPv4 arrive once and unchanged" datagrams_arrive a v4 "$2"
	check "$1: datagrams over IPv6 arrive once and unchanged, back" datagrams_arrive b v6 "$2"
}
