#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A node with several addresses answers from the one it was spoken to, so that its peer does not take it for moved; an
# address that goes away, or a better route, costs no more than a packet (kernel netns tests N32 to N36).

. "$(dirname "$0")/wireguard.bash"

reached_as() { wg show "$(device b)" endpoints | cut -f2; }

# b speaks to that address of a; had a answered from another one, b would have followed it there.
stays_at() { # ENDPOINT
	introduce && wg set "$(device b)" peer "$(public_key a)" endpoint "$1" && pings b v4 && pings b v6 || return 1
	echo "b reaches a at $(reached_as)"
	[ "$(reached_as)" = "$1" ]
}

falls_over_when_its_address_goes() { # ENDPOINT PREFIX
	stays_at "$1" && ip -n "$(ns a)" address delete "$2" dev wire0 || return 1
	in_ns a ping -n -q -c 2 -i 0.1 -W 1 "$(inner_v4 b)" || return 1
	echo "b reaches a at $(reached_as)"
	[ "$(reached_as)" != "$1" ]
}

# The second cable's address is spoken to over the first one: as every host does, a takes it for its own.
answers_from_an_address_of_another_device() {
	ip -n "$(ns b)" route add 192.168.61.0/24 dev wire0 && stays_at 192.168.61.1:51901
}

follows_a_better_route() {
	stays_at "$(endpoint_v4 a 51901)" || return 1
	ip -n "$(ns b)" address add 192.168.61.2/24 dev wire1
	wg set "$(device a)" peer "$(public_key b)" endpoint 192.168.61.2:51902
	in_ns a ping -n -q -c 2 -i 0.1 -W 1 "$(inner_v4 b)"
}

begin_wireguard
cable_up
link_add a wire1 b wire1
address_add a wire0 192.168.60.11/24 fd00:60::11/64
address_add a wire1 192.168.61.1/24
for side in "${SIDES[@]}"; do # the kernel's own guard against what is tried here
	in_ns "$side" sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.wire0.rp_filter=0 net.ipv4.conf.wire1.rp_filter=0
done
start_ours a && start_ours b || bail "podveil-tunnel does not start"
check "first IPv4 address answers for itself" stays_at "$(endpoint_v4 a 51901)"
check "second IPv4 address answers for itself" stays_at 192.168.60.11:51901
check "first IPv6 address answers for itself" stays_at "$(endpoint_v6 a 51901)"
check "second IPv6 address answers for itself" stays_at "[fd00:60::11]:51901"
check "address of another device answers for itself" answers_from_an_address_of_another_device
check "better route is followed" follows_a_better_route
check "IPv4 address that goes is replaced" falls_over_when_its_address_goes 192.168.60.11:51901 192.168.60.11/24
check "IPv6 address that goes is replaced" falls_over_when_its_address_goes "[fd00:60::11]:51901" fd00:60::11/64
done_testing
