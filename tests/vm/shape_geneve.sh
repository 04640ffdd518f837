#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Nodes that reach each other's pods by a Geneve overlay: the tunnel takes its place, and no pod's packet is seen inside
# of it on the wire.

# shellcheck source=tests/vm/shape.bash
. "$(dirname "$0")/shape.bash"

node_shape() { # I J
	make_overlay "$1" gnv0 type geneve id 7 remote "$(node_v4 "$2")" dstport 6081 && route_by_ethernet "$1" "$2" gnv0
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
shape_up Geneve gnv0
overlay_is_bypassed Geneve gnv0
done_testing
