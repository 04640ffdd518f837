#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# However often keys, peers, ports, marks and the device's state change, and however many clients
# connect, the tunnel has as many descriptors and as much memory as before. When it exits, its
# device, its sockets and its processes go, and so does a network namespace that no other process
# holds, also where device and sockets were in two of them (kernel netns tests N52 to N54). Positive
# controls: everything that goes existed before.

# shellcheck source=tests/netns/wireguard.bash
. "$(dirname "$0")/wireguard.bash"

ROUNDS=60
GROWTH_MAX_KB=4096

descriptors() { # as many of both processes
	local pid
	for pid in "$(pid_of a)" "$(engine_of a)"; do
		find "/proc/$pid/fd" -mindepth 1 | wc -l
	done
}

memory_kb() { awk '/^VmRSS/ { sum += $2 } END { print sum }' "/proc/$(pid_of a)/status" "/proc/$(engine_of a)/status"; }

change_everything() { # ROUND
	local link=$RUN_DIR/link.conf
	introduce "$RUN_DIR/psk" && point_to_other a v4 && pings a v4 -c 1 || return 1
	wg set "$(device a)" listen-port $((52000 + $1)) fwmark "$1" || return 1
	awk -v round="$1" 'BEGIN { for (i = 0; i < 200; i++) printf "%s10.%d.%d.0/24", i ? "," : "", 70 + round % 100, i }' >"$link"
	wg set "$(device a)" peer "$(wg genkey | wg pubkey)" endpoint "$(endpoint_v6 b 51902)" persistent-keepalive 1 \
		allowed-ips "$(cat "$link")" || return 1
	ip -n "$(ns a)" link set "$(device a)" down && ip -n "$(ns a)" link set "$(device a)" up || return 1
	address_add a "$(device a)" "$(inner_v6 a)/64"
	wg show "$(device a)" dump >/dev/null && wg set "$(device a)" fwmark 0 private-key /dev/null
}

changes_often() {
	local i
	for i in $(seq "$1"); do
		change_everything "$i" || { echo "round $i"; return 1; }
	done
	forget_peers a
	introduce && point_to_other a v4 && pings a v4
}

descriptors_are_as_many() {
	echo "$1, now $(descriptors | paste -s)"
	[ "$(descriptors | paste -s)" = "$1" ]
}

memory_is_as_much() {
	local now
	now=$(memory_kb)
	echo "$1 kB, now $now kB"
	[ $((now - $1)) -le $GROWTH_MAX_KB ]
}

device_is_there() { ip -n "$(ns a)" link show "$(device a)"; }
sockets_are_there() { [ -S "$WIREGUARD_DIR/$(device a).sock" ] && [ -S "$(control_socket a)" ]; }
ports_are_open() { in_ns a ss -Hlun "sport = :51901" | grep -q .; }

all_of_it_is_there() { device_is_there && sockets_are_there && ports_are_open && [ -n "$(engine_of a)" ]; }

all_of_it_goes() {
	local engine
	engine=$(engine_of a)
	stop_side a && wait_until 5 is_gone "$engine" || return 1
	! device_is_there && ! [ -e "$WIREGUARD_DIR/$(device a).sock" ] && ! [ -e "$(control_socket a)" ] && ! ports_are_open
}

# b's end of the cable goes with the namespace of its other end, and not before.
cable_is_there() { ip -n "$(ns b)" link show wire0; }
cable_is_gone() { ! cable_is_there; }

# The tunnel holds the one with its sockets, and the other holds the device: without the device the tunnel ends.
namespaces_go_with_the_tunnel() {
	local engine
	start_ours a && introduce && point_to_other a v4 && pings a v4 || return 1
	engine=$(engine_of a)
	ns_add m
	ip -n "$(ns a)" link set "$(device a)" netns "$(ns m)" && ip netns del "$(ns a)" || return 1
	sleep 0.5
	cable_is_there || { echo "the cable went before the tunnel"; return 1; }
	ip netns del "$(ns m)" && wait_until 5 is_gone "$engine" && wait_until 5 cable_is_gone
}

begin_wireguard
wg genpsk >"$RUN_DIR/psk"
cable_up
start_ours a && start_ours b || bail "podveil-tunnel does not start"
check "everything changes once" changes_often 3
DESCRIPTORS=$(descriptors | paste -s)
MEMORY=$(memory_kb)
check "everything changes $ROUNDS times" changes_often $ROUNDS
check "there are as many descriptors as before" descriptors_are_as_many "$DESCRIPTORS"
check "there is as much memory as before" memory_is_as_much "$MEMORY"
check "its device, sockets and processes are there" all_of_it_is_there
check "all of it goes when it ends" all_of_it_goes
check "the namespaces of its sockets and of its device go, and the tunnel with them" namespaces_go_with_the_tunnel
[ "$TESTS_FAILED" -eq 0 ] || diag_file "$RUN_DIR/a.log.err" "podveil-tunnel"
done_testing
