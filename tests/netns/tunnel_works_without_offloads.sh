#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# podveil-tunnel carries all traffic on kernels that lack an offload: super-packets of the TUN (USO,
# TSO, checksums), UDP_SEGMENT and UDP_GRO. tools/older_kernel.so removes them on one side, to prove
# that old and new work together, and then on both; ping, TCP and UDP pass in both directions and
# both families, and no datagram is lost. Positive controls: the side with all offloads reports it
# and puts super-packets on the wire; each side that lacks one was refused it, and the test also
# checks every trace of that in the tunnel and on the wire.
#
# Positive controls: the side that lacks nothing says so and puts super-packets on the wire; each that lacks something
# was refused it, and what the tunnel or the wire can tell of that is asked for too.

# shellcheck source=tests/netns/wireguard.bash
. "$(dirname "$0")/wireguard.bash"

MARKER=$(new_marker)
TCP_BYTES=20000000
UDP_COUNT=200 # at once, some in two fragments: fewer than fit into the queue of a TUN device, 500

start_older() { # SIDE [WORDS]: those of tools/older_kernel.c
	LD_PRELOAD=${2:+$BUILD/tools/older_kernel.so} OLDER_KERNEL=${2:-} start_ours "$1"
}

restart_older() { # SIDE [WORDS]
	stop_side "$1" && start_older "$@" && introduce && point_to_other a v4
}

receive() { # SIDE KIND ADDRESS [FLOW ARGUMENT...]: RECEIVER, its pid
	rm -f "$RUN_DIR/flow.ready"
	spawn "$1" "$RUN_DIR/received.json" "$BUILD/tools/flow" "$2-recv" --bind "$3" --seconds 20 \
		--ready-file "$RUN_DIR/flow.ready" --marker "$MARKER"
	RECEIVER=$SPAWNED
	wait_until 20 test -e "$RUN_DIR/flow.ready"
}

flow_address() { # SIDE v4|v6: of the side's inner end
	if [ "$2" = v4 ]; then echo "$(inner_v4 "$1"):9000"; else echo "[$(inner_v6 "$1")]:9000"; fi
}

carries_udp() { # SIDE v4|v6 SIZE [--joined]: bursts, all of them, unchanged
	local to
	to=$(flow_address "$(other "$1")" "$2")
	receive "$(other "$1")" udp "$to" || return 1
	spawn "$1" "$RUN_DIR/sent.json" "$BUILD/tools/flow" udp-send --to "$to" --marker "$MARKER" \
		--rate 100000 --count $UDP_COUNT --size "${@:3}"
	wait "$RECEIVER"
	kill -TERM "$SPAWNED" && wait "$SPAWNED" # from announcing its end
	cat "$RUN_DIR"/{sent,received}.json "$RUN_DIR"/{sent,received}.json.err
	jq -e --argjson count $UDP_COUNT '.received == $count and .lost == 0 and .duplicate == 0 and .corrupt == 0' \
		"$RUN_DIR/received.json"
}

# From an empty datagram's neighbour to the largest that fits into one packet, one that is cut, and sends of many.
carries_udp_of_every_kind() { # SIDE v4|v6
	local largest=1392 size
	[ "$2" = v4 ] || largest=1372
	for size in 48 49 1000 $largest 2000; do
		carries_udp "$1" "$2" $size || { echo "size $size"; return 1; }
	done
	for size in 48 1000 $largest; do
		carries_udp "$1" "$2" $size --joined || { echo "size $size, joined"; return 1; }
	done
}

carries_tcp() { # SIDE v4|v6
	local to
	to=$(flow_address "$(other "$1")" "$2")
	receive "$(other "$1")" tcp "$to" || return 1
	in_ns "$1" "$BUILD/tools/flow" tcp-send --to "$to" --count $TCP_BYTES --marker "$MARKER" | tee "$RUN_DIR/sent.json"
	wait "$RECEIVER"
	cat "$RUN_DIR/received.json" "$RUN_DIR/received.json.err"
	jq -e --argjson bytes $TCP_BYTES '.bytes == $bytes and .verified == $bytes and .resets == 0' "$RUN_DIR/sent.json"
}

carries_everything() { # NAME
	local side far family
	for side in "${SIDES[@]}"; do
		far="$side to $(other "$side")"
		for family in v4 v6; do
			check "$1: ping, $far, IP$family" pings "$side" $family
			check "$1: TCP, $far, IP$family" carries_tcp "$side" $family
			check "$1: UDP of every kind, $far, IP$family" carries_udp_of_every_kind "$side" $family
		done
	done
}

says() { grep -F -- "$2" "$RUN_DIR/$1.log.err"; } # SIDE TEXT

says_super_packets() { # SIDE TCP UDP: yes or no
	says "$1" "TCP super-packets $2, UDP super-packets $3"
}

was_refused() { # SIDE WORD...
	local side=$1 word
	shift
	for word in "$@"; do
		says "$side" "older_kernel: refused $word" || { echo "not refused: $word"; return 1; }
	done
}

was_refused_nothing() { ! says "$1" 'older_kernel:'; } # SIDE

writes_no_unknown_super_packet() { ! was_refused "$1" 'a written UDP super-packet'; } # SIDE

wire_counters() { # SIDE: packets and bytes sent
	ip -n "$(ns "$1")" -s -j link show dev wire0 | jq -r '.[0].stats64.tx | "\(.packets) \(.bytes)"'
}

# A super-packet is one packet of the wire's device, so TCP's mean there tells whether there are any.
mean_of_tcp_on_the_wire() { # SIDE: bytes a packet
	local packets bytes packets_after bytes_after
	read -r packets bytes < <(wire_counters "$1")
	carries_tcp "$1" v4 >&2 || return 1
	read -r packets_after bytes_after < <(wire_counters "$1")
	echo $(((bytes_after - bytes) / (packets_after - packets)))
}

wire_has_super_packets() { # SIDE
	local mean
	mean=$(mean_of_tcp_on_the_wire "$1") && echo "$mean bytes a packet" && [ "$mean" -gt 3000 ]
}

wire_has_no_super_packets() { # SIDE
	local mean
	mean=$(mean_of_tcp_on_the_wire "$1") && echo "$mean bytes a packet" && [ "$mean" -gt 0 ] && [ "$mean" -le 1514 ]
}

begin_wireguard
needs tools/flow tools/older_kernel.so
cable_up
start_older a && start_older b && introduce && point_to_other a v4 || bail "no two ends to try"
pings a v4 >/dev/null || bail "the two ends do not reach each other"
says_super_packets a yes yes >/dev/null || skip_all "this kernel itself has no UDP super-packets (Linux 6.2)"
check "nothing refused: the shim is not there" was_refused_nothing a
check "nothing refused: super-packets are on the wire" wire_has_super_packets a

check "no USO: the tunnel starts" restart_older a uso
check "no USO: it was refused" was_refused a uso
check "no USO: the tunnel says so" says_super_packets a yes no
carries_everything "no USO"
check "no USO: the TUN is given no UDP super-packet" writes_no_unknown_super_packet a

check "no TSO: the tunnel starts" restart_older a 'uso tso'
check "no TSO: it was refused" was_refused a uso tso
check "no TSO: the tunnel says so" says_super_packets a no no
carries_everything "no TSO"

check "no offload of the TUN: the tunnel starts" restart_older a 'uso tso csum'
check "no offload of the TUN: it was refused" was_refused a uso tso csum
check "no offload of the TUN: the tunnel says so" says a 'supports no offload'
carries_everything "no offload of the TUN"

check "no UDP_SEGMENT: the tunnel starts" restart_older a segment
check "no UDP_SEGMENT: it was refused" was_refused a segment
carries_everything "no UDP_SEGMENT"
check "no UDP_SEGMENT: each datagram is a packet on the wire" wire_has_no_super_packets a

check "no UDP_SEGMENT on this route: the tunnel starts" restart_older a route
carries_everything "no UDP_SEGMENT on this route"
check "no UDP_SEGMENT on this route: it was refused" was_refused a route
check "no UDP_SEGMENT on this route: the tunnel says so" says a 'the kernel refuses UDP_SEGMENT (Input/output error)'
check "no UDP_SEGMENT on this route: each datagram is a packet on the wire" wire_has_no_super_packets a

check "no UDP_GRO: the tunnel starts" restart_older a gro
check "no UDP_GRO: it was refused" was_refused a gro
carries_everything "no UDP_GRO"

check "none at all, on both sides: the first tunnel starts" restart_older a 'uso tso csum segment gro'
check "none at all, on both sides: the second tunnel starts" restart_older b 'uso tso csum segment gro'
check "none at all, on both sides: they were refused to the first" was_refused a uso tso csum segment gro
check "none at all, on both sides: they were refused to the second" was_refused b uso tso csum segment gro
carries_everything "none at all, on both sides"
check "none at all, on both sides: each datagram is a packet on the wire" wire_has_no_super_packets b

[ "$TESTS_FAILED" -eq 0 ] || diag_file "$RUN_DIR/a.log.err" "podveil-tunnel of side a"
done_testing
