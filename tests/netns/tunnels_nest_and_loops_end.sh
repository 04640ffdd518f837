#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Tunnels may run inside tunnels: a second device whose datagrams go through the first (kernel netns
# tests N21), and a peer whose endpoint lies behind another peer of the same device (N28). Where
# routes form a loop, packets sent into it come to an end: a datagram that leads back to its own
# peer is dropped and counted (N29), and one that goes round through two devices grows until it no
# longer fits (N22). The tunnels work again when the loop is gone.
#
#   a, c: devices in namespace a      b, d: devices in namespace b      c and d talk through a and b

# shellcheck source=tests/netns/wireguard.bash
. "$(dirname "$0")/wireguard.bash"

HOME_OF=([c]=a [d]=b)
NESTED_MTU=1340
LOOP_BYTES_MAX=70000 # of ten pings
ONION_V4=10.69.0.1
ONION_V6=fd00:10:69::1

# All of these know each other's prefix; the first points to the second.
meet() { # SIDE FAR ENDPOINT
	wg set "$(device "$1")" peer "$(public_key "$2")" allowed-ips "$(inner_v4 "$2")/32,$(inner_v6 "$2")/128" endpoint "$3" &&
		wg set "$(device "$2")" peer "$(public_key "$1")" allowed-ips "$(inner_v4 "$1")/32,$(inner_v6 "$1")/128"
}

start_nested() { # SIDE
	start_ours "$1" || return 1
	ip -n "$(ns "$(home "$1")")" link set "$(device "$1")" mtu $NESTED_MTU
	new_keys "$1"
	wg set "$(device "$1")" private-key "$RUN_DIR/$1.key" listen-port "5190$(number "$1")"
}

# One prefix each, or the kernel could not tell the devices' routes apart.
inner_v4() { echo "10.6$(number "$1").0.1"; } # SIDE
inner_v6() { echo "fd00:10:6$(number "$1")::1"; }

route_to() { # SIDE FAR: by the device of that side
	ip -n "$(ns "$(home "$1")")" route replace "$(inner_v4 "$2")/32" dev "$(device "$1")" src "$(inner_v4 "$1")"
	ip -n "$(ns "$(home "$1")")" route replace "$(inner_v6 "$2")/128" dev "$(device "$1")" src "$(inner_v6 "$1")"
}

routes_between() { route_to "$1" "$2" && route_to "$2" "$1"; } # SIDE FAR

pings_from() { # SIDE FAR [PING ARGUMENT...]
	local side=$1 far=$2
	shift 2
	in_ns "$(home "$side")" ping -n -q -c 2 -i 0.1 -W 2 "$@" "$(inner_v4 "$far")" &&
		in_ns "$(home "$side")" ping -n -q -c 2 -i 0.1 -W 2 "$@" "$(inner_v6 "$far")"
}

outer_tunnel_works() {
	introduce && point_to_other a v4 && routes_between a b && pings_from a b
}

carries_tcp() { # FAR v4|v6 [IPERF3 ARGUMENT...]: from namespace a to that side
	local address
	address=$("inner_$2" "$1")
	spawn b "$RUN_DIR/iperf.txt" iperf3 --server --one-off --bind "$address"
	wait_until 20 is_listening b || return 1
	in_ns a timeout 20 iperf3 --client "$address" --time 1 --connect-timeout 3000 --json "${@:3}" >"$RUN_DIR/iperf.json"
	jq -e '.end.sum_received | .bits_per_second / 1e6, .bytes > 1000000' "$RUN_DIR/iperf.json"
}

nested_tunnel_carries() { # v4|v6: the family that c's datagrams have inside of a
	local endpoint
	if [ "$1" = v4 ]; then endpoint="$(inner_v4 b):51904"; else endpoint="[$(inner_v6 b)]:51904"; fi
	wg set "$(device c)" peer "$(public_key d)" remove
	meet c d "$endpoint" && routes_between c d && pings_from c d && pings_from c d -s 1200 -M 'do' &&
		carries_tcp d v4 && carries_tcp d v6 --reverse
}

nested_datagrams_were_inside_the_first() { [ "$(sent_bytes a)" -gt "$(sent_bytes c)" ]; }

sent_bytes() { wg show "$(device "$1")" transfer | awk '{ sum += $3 } END { print sum + 0 }'; } # SIDE

# -- a peer behind a peer of the same device --

# Under another address of a's: its first one is where d's answers go outside.
onion_carries() {
	address_add a "$(device a)" $ONION_V4/32 $ONION_V6/128
	meet a d "$(inner_v4 b):51904" || return 1
	wg set "$(device d)" peer "$(public_key a)" allowed-ips $ONION_V4/32,$ONION_V6/128
	route_to a d
	ip -n "$(ns b)" route add $ONION_V4/32 dev "$(device d)"
	ip -n "$(ns b)" route add $ONION_V6/128 dev "$(device d)"
	in_ns a ping -n -q -c 2 -i 0.1 -W 2 -I $ONION_V4 "$(inner_v4 d)" &&
		in_ns a ping -n -q -c 2 -i 0.1 -W 2 -I $ONION_V6 "$(inner_v6 d)"
}

loops() { # of namespace a
	"$BUILD/tools/drops" --control "$(control_socket a)" | awk '$1 == "own_datagram" { print $2 }'
}

circle_grows_by() { # SIDE ADDRESS: the bytes that ten pings there made this side send
	local before
	before=$(sent_bytes "$1")
	! in_ns a ping -n -q -c 10 -i 0.01 -W 1 "$2" >&2 || return 1
	sleep 0.3
	echo $(($(sent_bytes "$1") - before))
}

ends_within() { # BYTES SIDE ADDRESS
	local bytes
	bytes=$(circle_grows_by "$2" "$3") || return 1
	echo "$bytes bytes"
	[ "$bytes" -lt "$1" ]
}

onion_that_loops_onto_itself_ends() {
	local before
	before=$(loops)
	wg set "$(device a)" peer "$(public_key d)" endpoint "$(inner_v4 d):51904"
	ends_within $LOOP_BYTES_MAX a "$(inner_v4 d)" && [ "$(loops)" -gt "$before" ]
}

circle_through_two_devices_ends() {
	wg set "$(device a)" peer "$(public_key d)" remove
	routes_between c d
	wg set "$(device a)" peer "$(public_key b)" endpoint "$(inner_v4 d):51902"
	wg set "$(device c)" peer "$(public_key d)" endpoint "$(inner_v4 b):51904"
	ends_within $LOOP_BYTES_MAX a "$(inner_v4 b)" && ends_within $LOOP_BYTES_MAX c "$(inner_v4 d)"
}

works_without_the_circle() {
	point_to_other a v4 && pings_from a b && pings_from c d
}

engines_are_the_same() { [ "$(engine_of a) $(engine_of c)" = "$ENGINES" ]; }

begin_wireguard
needs tools/drops
cable_up
start_ours a && start_ours b && start_nested c && start_nested d || bail "podveil-tunnel does not start"
ENGINES="$(engine_of a) $(engine_of c)"
check "the first tunnel works" outer_tunnel_works
check "a tunnel inside of it, over IPv4, carries everything" nested_tunnel_carries v4
check "a tunnel inside of it, over IPv6, carries everything" nested_tunnel_carries v6
check "its datagrams were inside the first" nested_datagrams_were_inside_the_first
check "a peer behind another peer of the same device is reached" onion_carries
check "a peer with its endpoint behind itself does not work: its datagrams are counted and come to an end" \
	onion_that_loops_onto_itself_ends
check "a circle through two devices comes to an end" circle_through_two_devices_ends
check "without the circle both tunnels work" works_without_the_circle
check "no engine had to be started anew" engines_are_the_same
done_testing
