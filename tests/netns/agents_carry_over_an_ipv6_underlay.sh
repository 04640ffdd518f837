#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Where the nodes reach each other over IPv6, the tunnel is IPv6 outside and carries both families inside. Its header is
# 20 bytes longer, so the tunnel's MTU is 1420 and the largest UDP payload 1392 bytes over IPv4, 1372 over IPv6.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

MARKER=$(new_marker)

agent_flags() { echo "--endpoint $(node_v6 "$1")"; }

is_told() { # FAMILY ADDRESS BYTES MTU
	! in_ns p1 ping "-$1" -M 'do' -c 2 -i 0.2 -W 1 -s "$3" "$2" || return 1
	in_ns p1 ip route get "$2" | grep "mtu $4"
}

tcp_arrives() { # ADDRESS:PORT
	rm -f "$RUN_DIR/tcp.ready"
	spawn p2 "$RUN_DIR/tcp.recv" "$BUILD/tools/flow" tcp-recv --bind "$1" --seconds 20 \
		--ready-file "$RUN_DIR/tcp.ready" --marker "$MARKER"
	wait_until 20 test -e "$RUN_DIR/tcp.ready" || return 1
	in_ns p1 "$BUILD/tools/flow" tcp-send --to "$1" --count 20000000 --marker "$MARKER"
	wait "$SPAWNED"
	cat "$RUN_DIR/tcp.recv"
	jq -e '.bytes >= 20000000 and .corrupt == 0' "$RUN_DIR/tcp.recv"
}

outside_is_ipv6() {
	podveil 1 -o json peers | jq -e '.peers[0].endpoint == "[fd00:50::2]:51890"' &&
		[ "$(watched ip_fragments)" -eq 0 ] && [ "$(watched tunnel)" -gt 1000 ]
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
cluster_up 2
check "agents start and protect both nodes" start_agents
watch_start "$MARKER"
check "IPv4 pings up to the MTU" pings p1 "$(pod_v4 2)" -s 1392 -M 'do'
check "IPv6 pings up to the MTU" pings p1 "$(pod_v6 2)" -s 1372
check "one byte more over IPv4 is told too big" is_told 4 "$(pod_v4 2)" 1393 1420
check "one byte more over IPv6 is told too big" is_told 6 "$(pod_v6 2)" 1373 1420
check "TCP over IPv4 arrives whole" tcp_arrives "$(pod_v4 2):9004"
check "TCP over IPv6 arrives whole" tcp_arrives "[$(pod_v6 2)]:9006"
watch_stop
check "nothing was in cleartext" watch_saw_nothing
check "the outside is IPv6 and never fragmented" outside_is_ipv6
done_testing
