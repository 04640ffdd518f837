#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Nodes that reach each other's pods, of both families, by one tunnel over IPv6 without Ethernet headers (ip6tnl): ours
# takes its place, and no pod's packet is seen inside of it on the wire.

# shellcheck source=tests/vm/shape.bash
. "$(dirname "$0")/shape.bash"

node_shape() { # I J
	make_overlay "$1" ip6tnl7 type ip6tnl mode any local "$(node_v6 "$1")" remote "$(node_v6 "$2")" || return 1
	on_node "$1" route replace "$(pods_v4 "$2")" dev ip6tnl7
	on_node "$1" route replace "$(pods_v6 "$2")" dev ip6tnl7
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
shape_up "IP in IPv6" ip6tnl7
overlay_is_bypassed "IP in IPv6" ip6tnl7
done_testing
