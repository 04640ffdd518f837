#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A pod talks to a service that its node translates to a pod elsewhere (DNAT), and sends packets
# larger than the tunnel's MTU. It receives `too big` from the service's address about the packet in
# its original form: conntrack translates the tunnel's error back, in both families. Then its data
# arrives. In the other direction the pod behind the service receives the error as well.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/mtu.bash
. "$(dirname "$0")/mtu.bash"

MARKER=$(new_marker)
SERVICE_V4=10.96.0.10
SERVICE_V6=fd00:10:96::10
INNER=1440

translate_service() {
	in_ns n1 nft -f - <<-RULES
		table inet service {
			chain prerouting {
				type nat hook prerouting priority dstnat
				ip daddr $SERVICE_V4 dnat ip to $(pod_v4 2)
				ip6 daddr $SERVICE_V6 dnat ip6 to $(pod_v6 2)
			}
		}
	RULES
}

capture_start() { # what pod 1 hears of errors
	rm -f "$RUN_DIR/errors"
	spawn p1 "$RUN_DIR/errors" tcpdump -i eth0 -nvl 'icmp[icmptype] == 3 or icmp6[icmp6type] == 2'
	CAPTURE_PID=$SPAWNED
	wait_until 20 grep -q 'listening on' "$RUN_DIR/errors.err" || bail "tcpdump did not start"
}

capture_stop() {
	kill "$CAPTURE_PID"
	wait "$CAPTURE_PID" 2>/dev/null
}

heard_v4() {
	cat "$RUN_DIR/errors"
	grep "$SERVICE_V4 > $(pod_v4 1): ICMP $SERVICE_V4 unreachable - need to frag (mtu $INNER)" "$RUN_DIR/errors" &&
		grep "$(pod_v4 1) > $SERVICE_V4: ICMP echo request" "$RUN_DIR/errors"
}

heard_v6() {
	cat "$RUN_DIR/errors"
	grep "$SERVICE_V6 > $(pod_v6 1).*packet too big, mtu $INNER" "$RUN_DIR/errors"
}

# A packet exactly as large as the tunnel's MTU gets through, and so does its reply.
fits() { pings p1 "$1" -M 'do' -s "$2"; } # ADDRESS BYTES

begin
needs podveil-tunnel podveil-keyd podveil tools/sizes
cluster_up 2
translate_service || bail "nft cannot translate a service"
check "agents start and protect both nodes" start_agents
check "the service answers over IPv4" fits $SERVICE_V4 56
check "the service answers over IPv6" fits $SERVICE_V6 56

capture_start
check "a ping to the service that is too big gets an error" is_told 1 $SERVICE_V4 1472 $INNER
check "a ping to the service that is too big gets an error over IPv6" is_told 1 $SERVICE_V6 1452 $INNER
wait_until 5 heard_v6
capture_stop
check "the error came from the service about the pod's own packet" heard_v4
check "the error came from the service over IPv6" heard_v6
check "what fits the tunnel arrives" fits $SERVICE_V4 $((INNER - 28))
check "what fits the tunnel arrives over IPv6" fits $SERVICE_V6 $((INNER - 48))

echo_start 2 "$(pod_v4 2)"
check "UDP sizes with DF end at the MTU" uncut_sizes_end_at $((INNER - 28)) $SERVICE_V4 1380 1440
kill "$SPAWNED"
echo_start 2 "$(pod_v6 2)"
check "UDP sizes with DF end at the MTU over IPv6" uncut_sizes_end_at $((INNER - 48)) $SERVICE_V6 1360 1440
done_testing
