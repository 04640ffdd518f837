#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# On underlays of 1280, 1400, 1500 and 9000 bytes, with IPv4 and with IPv6 outside, every UDP
# payload size from zero to beyond the MTU crosses in both families, fragmented where that is
# allowed and answered with `too big` where it is not; TCP works both ways, and the wire carries
# neither a fragment nor a datagram larger than its MTU. The underlay changes while the agents run.
# On 1280 bytes the tunnel is narrower than the IPv6 minimum, and IPv6 still crosses.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/mtu.bash
. "$(dirname "$0")/mtu.bash"

MARKER=$(new_marker)

agent_flags() { [ "$OUTER" = 4 ] && echo "--endpoint $(node_v4 "$1")" || echo "--endpoint $(node_v6 "$1")"; }

inner_mtu_is() { # MTU: on both nodes
	[ "$(podveil 1 -o json status | jq .mtu)" -eq "$1" ] && [ "$(podveil 2 -o json status | jq .mtu)" -eq "$1" ]
}

# The engine asks the kernel for the path once a second at most.
settles_at() { # INNER MTU
	wait_until 5 inner_mtu_is "$1" && sleep 1.1 &&
		[ "$(device_mtu n1 podveil0)" -eq $(($1 < 1280 ? 1280 : $1)) ]
}

sweep() { # UNDERLAY
	local inner=$(($1 - (OUTER == 4 ? 60 : 80))) name="outside IPv$OUTER, underlay $1" inner6 from=$(($1 > 1500 ? 8000 : 1))
	inner6=$((inner < 1280 ? 1280 : inner))
	set_underlay "$1"
	check "$name: the tunnel takes $inner bytes" settles_at $inner
	wire_watch_start wire n1 n2
	echo_start 2 "$(pod_v4 2)"
	check "$name: every IPv4 size without DF is echoed" every_size_is_echoed "$(pod_v4 2)" $from $(($1 + 100))
	check "$name: IPv4 sizes with DF end at the MTU" uncut_sizes_end_at $((inner - 28)) "$(pod_v4 2)" $from $(($1 + 100))
	check "$name: the pod was told $inner" test "$(pod_path_mtu 1 "$(pod_v4 2)")" = $inner
	end_echo
	echo_start 2 "$(pod_v6 2)"
	check "$name: every IPv6 size is echoed" every_size_is_echoed "$(pod_v6 2)" $from $(($1 + 100))
	check "$name: IPv6 sizes in one piece end at the MTU" uncut_sizes_end_at $((inner6 - 48)) "$(pod_v6 2)" $from $(($1 + 100))
	check "$name: the pod learned $inner6 over IPv6" test "$(pod_path_mtu 1 "$(pod_v6 2)")" = $inner6
	end_echo
	check "$name: TCP arrives whole both ways" tcp_arrives_both_ways 2000000
	watch_stop
	check "$name: no fragment and nothing larger on the wire" wire_saw_whole_datagrams "$1" $(($1 - 16))
}

sweep_all() {
	local underlay
	for underlay in 1280 1400 1500 9000; do
		sweep $underlay
	done
}

end_echo() {
	kill "$SPAWNED"
	wait "$SPAWNED" 2>/dev/null
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/sizes tools/wirewatch
cluster_up 2
uplinks_without_super_packets
with_each_underlay_family sweep_all
done_testing
