#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Nodes that reach each other's pods by IP in IP, over devices without an Ethernet header: IPv4 by
# ipip and IPv6 by sit, as Calico uses them. The tunnel takes their place, and no pod's packet is
# seen inside of them on the wire.

# shellcheck source=tests/vm/shape.bash
. "$(dirname "$0")/shape.bash"

node_shape() { # I J
	make_overlay "$1" ipip7 type ipip local "$(node_v4 "$1")" remote "$(node_v4 "$2")" &&
		make_overlay "$1" sit7 type sit local "$(node_v4 "$1")" remote "$(node_v4 "$2")" || return 1
	on_node "$1" route replace "$(pods_v4 "$2")" dev ipip7
	on_node "$1" route replace "$(pods_v6 "$2")" dev sit7
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
shape_up "IP in IP" ipip7 sit7
overlay_is_bypassed "IP in IP" ipip7 sit7
done_testing
