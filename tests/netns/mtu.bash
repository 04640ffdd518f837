# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Shared by the tests of the MTU: echoes of every size, TCP both ways, the MTU that a pod learns,
# and the largest packet on the wire. Sourced after lib.sh. The nodes' uplinks segment super-packets
# before the detector sees them, so that `largest` is exact.

ECHO_PORT=7000
OUTER=4 # the family outside
SEGMENTS_OFF=(tx-udp-segmentation off gso off tso off)

device_mtu() { ip -n "$(ns "$1")" -j link show "$2" | jq '.[].mtu'; } # NAMESPACE DEVICE

address_port() { case $1 in *:*) echo "[$1]:$2" ;; *) echo "$1:$2" ;; esac; } # ADDRESS PORT

uplinks_without_super_packets() {
	local i
	for i in $(seq "$NODES"); do
		in_ns "n$i" ethtool -K eth0 "${SEGMENTS_OFF[@]}" || bail "cannot keep n$i from sending super-packets"
	done
}

set_mtu() { # NAMESPACE DEVICE MTU
	ip -n "$(ns "$1")" link set "$2" mtu "$3" || bail "cannot set the MTU of $2"
}

# The pods' devices are as large as nodes usually make them: 1500, or jumbo where the wire is.
set_underlay() { # MTU
	local i pods=$(($1 > 1500 ? $1 : 1500))
	for i in $(seq "$NODES"); do
		set_mtu wire "n$i" "$1"
		set_mtu "n$i" eth0 "$1"
		set_mtu "n$i" pods0 $pods
		set_mtu "p$i" eth0 $pods
	done
}

forget_path() { # POD: what it was told
	ip -n "$(ns "p$1")" -4 route flush cache
	ip -n "$(ns "p$1")" -6 route flush cache
}

echo_start() { # POD ADDRESS
	rm -f "$RUN_DIR/echo.ready"
	spawn "p$1" "$RUN_DIR/echo.out" "$BUILD/tools/sizes" echo --bind "$(address_port "$2" $ECHO_PORT)" --ready-file "$RUN_DIR/echo.ready"
	wait_until 20 test -e "$RUN_DIR/echo.ready" || bail "the echo did not start: $(cat "$RUN_DIR/echo.out.err")"
}

ask() { # FLAG...: from pod 1
	in_ns p1 "$BUILD/tools/sizes" ask "$@" | tee "$RUN_DIR/sizes.json"
}

# The kernel of the echo server has to know the path MTU as well: a reply that meets `too big`
# cannot be sent again. (It learns it twice where the uplink is narrower than the pod: from its node
# about the uplink, then from the tunnel.)
every_size_is_echoed() { # ADDRESS FROM UNTIL
	forget_path 1
	forget_path 2
	[[ $1 != *:* ]] || in_ns p2 ping -6 -M want -c 4 -i 0.05 -W 0.2 -s $(($(device_mtu p2 eth0) - 48)) "$(pod_v6 1)"
	ask --to "$(address_port "$1" $ECHO_PORT)" --from "$2" --until "$3"
	jq -e '.answered == .asked and .lost == 0 and .wrong == 0 and .twice == 0' "$RUN_DIR/sizes.json"
}

# Every size that fits arrives. The first one that does not is reported by the path, and the pod's
# kernel remembers the path MTU.
uncut_sizes_end_at() { # LARGEST ADDRESS FROM UNTIL
	forget_path 1
	forget_path 2
	ask --to "$(address_port "$2" $ECHO_PORT)" --from "$3" --until "$4" --dont-fragment
	jq -e --argjson largest "$1" --argjson until "$4" '.largest == $largest and .told_too_big >= 1 and
		.told_too_big + .refused == $until - $largest and .lost == 0 and .wrong == 0 and .twice == 0' \
		"$RUN_DIR/sizes.json"
}

tcp_arrives() { # FROM TO ADDRESS BYTES
	rm -f "$RUN_DIR/tcp.ready"
	spawn "p$2" "$RUN_DIR/tcp.recv" "$BUILD/tools/flow" tcp-recv --bind "$(address_port "$3" 9000)" --seconds 20 \
		--ready-file "$RUN_DIR/tcp.ready" --marker "$MARKER"
	wait_until 20 test -e "$RUN_DIR/tcp.ready" || return 1
	in_ns "p$1" timeout 20 "$BUILD/tools/flow" tcp-send --to "$(address_port "$3" 9000)" --count "$4" --marker "$MARKER"
	wait "$SPAWNED"
	cat "$RUN_DIR/tcp.recv"
	jq -e --argjson bytes "$4" '.bytes >= $bytes and .corrupt == 0' "$RUN_DIR/tcp.recv"
}

tcp_arrives_both_ways() { # BYTES
	tcp_arrives 1 2 "$(pod_v4 2)" "$1" && tcp_arrives 2 1 "$(pod_v4 1)" "$1" &&
		tcp_arrives 1 2 "$(pod_v6 2)" "$1" && tcp_arrives 2 1 "$(pod_v6 1)" "$1"
}

pod_path_mtu() { # POD ADDRESS: what its kernel was told; the device's own is not shown
	in_ns "p$1" ip route get "$2" | sed -n 's/.* mtu \([0-9]*\).*/\1/p'
}

# Pings that may not be cut, until the way has said that they are too big.
is_told() { # POD ADDRESS BYTES MTU
	local family=4
	[[ $2 == *:* ]] && family=6
	in_ns "p$1" ping "-$family" -M 'do' -c 3 -i 0.05 -W 1 -q -s "$3" "$2" >/dev/null
	echo "told: $(pod_path_mtu "$1" "$2"), expected: $4"
	[ "$(pod_path_mtu "$1" "$2")" = "$4" ]
}

# With IPv4 outside, then with IPv6.
with_each_underlay_family() { # COMMAND...
	for OUTER in 4 6; do
		rm -f "$RUN_DIR"/registry/*
		check "agents start with IPv$OUTER outside" start_agents
		agents_are_ready || break
		"$@"
		check "agents stop" eval 'stop_agent 1 && stop_agent 2'
	done
}

wire_watch_start() { # NAMESPACE DEVICE...
	local name=$1 device devices=()
	shift
	for device in "$@"; do
		devices+=(--interface "$device")
	done
	rm -f "$RUN_DIR/watch.ready"
	spawn "$name" "$RUN_DIR/watch.json" nice -n -15 "$BUILD/tools/wirewatch" "${devices[@]}" --marker "$MARKER" \
		--net 10.244.0.0/16 --net fd00:10:244::/48 --port $TUNNEL_PORT --ready-file "$RUN_DIR/watch.ready" --seconds 240
	WATCH_PID=$SPAWNED
	wait_until 20 test -e "$RUN_DIR/watch.ready" || bail "wirewatch did not start: $(cat "$RUN_DIR/watch.json.err")"
}

# Every frame was seen, none was clear, none a fragment, and the largest is as large as it may be or a little smaller.
wire_saw_whole_datagrams() { # MTU [AT LEAST]
	cat "$RUN_DIR/watch.json"
	jq -e --argjson mtu "$1" --argjson least "${2:-0}" '.tunnel > 0 and .marker == 0 and .addresses == 0 and .missed == 0 and
		.ip_fragments == 0 and .largest <= $mtu and .largest >= $least' "$RUN_DIR/watch.json"
}
