# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Shared by the cluster shapes that this project's usual kernels lack: lib.sh's two nodes, with a
# new path between them, and one order of checks. Sourced, never run. A shape defines node_shape I
# J, which changes node I so that J's pods are reached in that shape.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"

MARKER=$(new_marker)
STREAM_BYTES=300000
DATAGRAMS=200

on_node() { # I IP_ARGUMENT...
	local i=$1
	shift
	ip -n "$(ns "n$i")" "$@"
}

make_device() { # I NAME KIND_AND_ARGUMENTS...
	on_node "$1" link add "${@:2}" 2>"$RUN_DIR/device.txt"
}

# Its packets are counted: without a link-local address the kernel sends no packets of its own.
make_overlay() { # I NAME KIND_AND_ARGUMENTS...
	make_device "$@" && on_node "$1" link set "$2" addrgenmode none && on_node "$1" link set "$2" up
}

# The pods of node J by way of an overlay's device with an Ethernet of its own, as flannel does it: one address for each
# node out of its pods' range, and nothing to be asked on the overlay.
route_by_ethernet() { # I J DEVICE
	local i=$1 j=$2 device=$3 mac
	on_node "$i" link set "$device" address "02:00:00:00:00:0$i"
	mac=02:00:00:00:00:0$j
	address_add "n$i" "$device" "10.244.$i.0/32" "fd00:10:244:$i::/128"
	on_node "$i" route del "$(pods_v4 "$j")"
	on_node "$i" route del "$(pods_v6 "$j")" # or its gateway would count as the NIC's
	on_node "$i" neighbour add "10.244.$j.0" lladdr $mac dev "$device" nud permanent
	on_node "$i" neighbour add "fd00:10:244:$j::" lladdr $mac dev "$device" nud permanent
	on_node "$i" route add "$(pods_v4 "$j")" via "10.244.$j.0" dev "$device" onlink
	on_node "$i" route add "$(pods_v6 "$j")" via "fd00:10:244:$j::" dev "$device" onlink
}

stream_arrives() { # FROM TO ADDRESS
	rm -f "$RUN_DIR/tcp.ready"
	spawn "p$2" "$RUN_DIR/tcp.json" "$BUILD/tools/flow" tcp-recv --bind "$3:9003" --seconds 20 --marker "$MARKER" \
		--ready-file "$RUN_DIR/tcp.ready"
	local receiver=$SPAWNED
	wait_until 20 test -e "$RUN_DIR/tcp.ready" || return 1
	in_ns "p$1" "$BUILD/tools/flow" tcp-send --to "$3:9003" --count $STREAM_BYTES --marker "$MARKER" || return 1
	wait "$receiver"
	cat "$RUN_DIR/tcp.json" "$RUN_DIR/tcp.json.err"
	jq -e --argjson all $STREAM_BYTES '.bytes == $all and .corrupt == 0 and .resets == 0' "$RUN_DIR/tcp.json"
}

datagrams_arrive() { # FROM TO ADDRESS
	rm -f "$RUN_DIR/udp.ready"
	spawn "p$2" "$RUN_DIR/udp.json" "$BUILD/tools/flow" udp-recv --bind "$3:9000" --seconds 20 --marker "$MARKER" \
		--ready-file "$RUN_DIR/udp.ready"
	local receiver=$SPAWNED
	wait_until 20 test -e "$RUN_DIR/udp.ready" || return 1
	in_ns "p$1" "$BUILD/tools/flow" udp-send --to "$3:9000" --rate $DATAGRAMS --count $DATAGRAMS --size 1000 \
		--marker "$MARKER" || return 1
	wait "$receiver"
	cat "$RUN_DIR/udp.json" "$RUN_DIR/udp.json.err"
	jq -e --argjson all $DATAGRAMS '.received == $all and .lost == 0 and .corrupt == 0' "$RUN_DIR/udp.json"
}

traffic_passes() { # FROM TO ADDRESS
	wait_until 5 in_ns "p$1" ping -c 1 -W 1 -q "${3//[][]/}" && datagrams_arrive "$1" "$2" "$3" && stream_arrives "$1" "$2" "$3"
}

both_families_pass() { # FROM TO
	traffic_passes "$1" "$2" "$(pod_v4 "$2")" && traffic_passes "$1" "$2" "[$(pod_v6 "$2")]"
}

carried_by() { # DEVICE...: packets that both nodes sent by these
	local device i sum=0
	for device in "$@"; do
		for i in 1 2; do
			sum=$((sum + $(on_node "$i" -s -j link show "$device" | jq '.[0].stats64.tx.packets')))
		done
	done
	echo $sum
}

no_shape() { # NAME
	[ -s "$RUN_DIR/device.txt" ] && skip_all "this kernel has no $1: $(cat "$RUN_DIR/device.txt")"
	bail "the nodes cannot be given the shape of $1"
}

# The nodes in their shape, with the proof that the following checks are about that shape: pods'
# packets are seen on the wire inside of it.
shape_up() { # NAME DEVICE...: those that carry it
	local name=$1 before
	shift
	cluster_up 2
	node_shape 1 2 && node_shape 2 1 || no_shape "$name"
	before=$(carried_by "$@")
	watch_start "$MARKER"
	check "$name: both families pass without agents" both_families_pass 1 2
	watch_stop
	check "$name: the detector sees the pods' packets inside it" watch_saw_plaintext
	check "$name: and it is what carries them" test $(($(carried_by "$@") - before)) -gt $((2 * DATAGRAMS))
}

protected_pass() { # NAME
	watch_start "$MARKER"
	check "$1: the first node's pod reaches the second's" both_families_pass 1 2
	check "$1: the second node's pod reaches the first's" both_families_pass 2 1
	watch_stop
	check "$1: none of it is on the wire in cleartext" watch_saw_nothing
	check "$1: it is in the tunnel" test "$(watched tunnel)" -gt $((4 * DATAGRAMS))
}

# Packets of the kernel's own may still use an overlay; pods' packets do not.
overlay_carries_nothing() { # BEFORE DEVICE...
	local before=$1
	shift
	echo "$(($(carried_by "$@") - before)) packets"
	[ $(($(carried_by "$@") - before)) -lt 10 ]
}

# The whole order for an overlay, which the tunnel takes the place of.
overlay_is_bypassed() { # NAME DEVICE...
	local name=$1 before
	shift
	check "$name: agents start and protect both nodes" start_agents
	before=$(carried_by "$@")
	protected_pass "$name"
	check "$name: the overlay is bypassed" overlay_carries_nothing "$before" "$@"
	watch_start "$MARKER"
	kill_agent 1
	check "$name: without its agent a pod is cut off" sh -c '! "$@"' - nsenter --net="/run/netns/$(ns p1)" -- \
		ping -c 2 -i 0.2 -W 1 -q "$(pod_v4 2)"
	watch_stop
	check "$name: and nothing of it is on the wire" test "$(watched addresses)" -eq 0
}
