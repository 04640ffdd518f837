#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Nodes with two NICs in one bond: the programs take packets at the bond, the tunnel's datagrams
# leave by its active NIC, and when that one goes down they leave by the other; neither wire carries
# any cleartext.

# shellcheck source=tests/vm/shape.bash
. "$(dirname "$0")/shape.bash"

# Both wires are watched.
eval "$(declare -f watch_start | sed 's/--interface "n$i"/& --interface "m$i"/')"

node_shape() { # I J
	link_add "n$1" eth1 wire "m$1"
	ip -n "$(ns wire)" link set "m$1" master br0
	make_device "$1" bond0 type bond mode active-backup miimon 50 || return 1
	on_node "$1" link set eth0 down && on_node "$1" link set eth0 master bond0
	on_node "$1" link set eth1 down && on_node "$1" link set eth1 master bond0
	on_node "$1" link set bond0 up
	on_node "$1" address flush dev eth0
	address_add "n$1" bond0 "$(node_v4 "$1")/24" "$(node_v6 "$1")/64"
	on_node "$1" route replace "$(pods_v4 "$2")" via "$(node_v4 "$2")"
	on_node "$1" route replace "$(pods_v6 "$2")" via "$(node_v6 "$2")"
}

active_nic() { on_node "$1" -d -j link show bond0 | jq -r '.[0].linkinfo.info_data.active_slave'; } # I
has_active_nic() { [ "$(active_nic "$1")" = "$2" ]; } # I NIC

fail_over() { # I: from the first NIC to the second
	has_active_nic "$1" eth0 && on_node "$1" link set eth0 down && wait_until 5 has_active_nic "$1" eth1
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
shape_up bond bond0
check "bond: agents start and protect both nodes" start_agents
protected_pass bond
check "bond: the other NIC takes over" fail_over 1
protected_pass "bond, by the other NIC"
done_testing
