#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Nodes that know each other by a tagged VLAN on their NIC: the packets are taken at the VLAN's device, where the tag is
# not yet in them, and the tunnel's own datagrams go out tagged. Packets that are routed past the VLAN, to the NIC itself,
# go into the tunnel as well.

# shellcheck source=tests/vm/shape.bash
. "$(dirname "$0")/shape.bash"

node_shape() { # I J
	on_node "$1" address flush dev eth0
	make_device "$1" eth0.50 link eth0 type vlan id 50 || return 1
	on_node "$1" link set eth0.50 up
	address_add "n$1" eth0.50 "$(node_v4 "$1")/24" "$(node_v6 "$1")/64"
	on_node "$1" route replace "$(pods_v4 "$2")" via "$(node_v4 "$2")"
	on_node "$1" route replace "$(pods_v6 "$2")" via "$(node_v6 "$2")"
}

# Where a route leads the pods around the VLAN: the same wire, without a tag.
route_past_the_vlan() {
	local i
	for i in 1 2; do
		address_add "n$i" eth0 "192.168.51.$i/24"
		on_node "$i" route replace "$(pods_v4 $((3 - i)))" via "192.168.51.$((3 - i))"
	done
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
shape_up VLAN eth0.50
check "VLAN: agents start and protect both nodes" start_agents
protected_pass VLAN
route_past_the_vlan
protected_pass "VLAN, routes past it"
done_testing
