# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Shared by the tests of rotations: asking an agent to rotate, waiting for the end, and traffic
# accounted for to the last packet. Sourced after lib.sh.

ask_keyd() { # I REQUEST
	printf '%s\n' "$2" | timeout 10 socat -t 10 - "UNIX-CONNECT:$(agent_dir "$1")/keyd.sock"
}

rotate() { ask_keyd "$1" '{"verb":"rotate-key","revoke":false}' | jq -e .accepted >/dev/null; } # I

own_key() { podveil "$1" -o json key-status | jq -cr ".keys[] | select(.is_self) | $2"; } # I FIELD

is_under_a_new_key() { # I OLD_FINGERPRINT: and the old one is wiped
	own_key "$1" '[.fingerprint, .state] | join(" ")' | grep -qvF "$2" && [ "$(own_key "$1" .state)" = current ]
}

# Rotates these nodes at the same moment and waits until the last of them is done. MS: how long that took.
rotate_and_wait() { # I...
	local i began
	declare -A old
	for i in "$@"; do
		old[$i]=$(own_key "$i" .fingerprint)
	done
	began=$(now_ms)
	for i in "$@"; do
		rotate "$i" || return 1
	done
	for i in "$@"; do
		wait_until 20 is_under_a_new_key "$i" "${old[$i]}" || { own_key "$i" .; return 1; }
	done
	MS=$(($(now_ms) - began))
}

# -- a podveil-keyd that dies where PODVEIL_CRASH_AFTER says --

# A build folder of its own, with the other programs as they are.
build_crashing_keyd() {
	local crashing=$BUILD/crash_points name
	MAKEFLAGS='' make -s -C "$ROOT" BUILD="$crashing" CRASH_POINTS=1 "$crashing/podveil-keyd" || return 1
	for name in podveil-tunnel podveil tools; do
		ln -sfn "$BUILD/$name" "$crashing/$name"
	done
	BUILD=$crashing
}

# -- traffic --

FLOW_SECONDS=1800 # at most: traffic_stop ends it
UDP_RATE=${UDP_RATE:-10000}
FLOWS=()
RECEIVERS=()

flow_receive() { # NAME I KIND PORT
	rm -f "$RUN_DIR/$1.ready"
	spawn "p$2" "$RUN_DIR/$1.recv" "$BUILD/tools/flow" "$3-recv" --bind "$(pod_v4 "$2"):$4" --seconds $FLOW_SECONDS \
		--ready-file "$RUN_DIR/$1.ready" --marker "$MARKER"
	RECEIVERS+=("$SPAWNED")
	wait_until 20 test -e "$RUN_DIR/$1.ready" || bail "flow did not start: $(cat "$RUN_DIR/$1.recv.err")"
}

flow_send() { # NAME FROM TO KIND PORT RATE MORE...
	local name=$1 from=$2 to=$3 kind=$4 port=$5 rate=$6
	shift 6
	spawn "p$from" "$RUN_DIR/$name.send" "$BUILD/tools/flow" "$kind-send" --to "$(pod_v4 "$to"):$port" --rate "$rate" \
		--seconds $FLOW_SECONDS --marker "$MARKER" "$@"
	FLOWS+=("$SPAWNED")
	TRAFFIC_BEGAN=$(now_ms)
}

# Numbered datagrams both ways between the pods of two nodes.
udp_start() { # PREFIX A B
	flow_receive "$1-there" "$3" udp 9001
	flow_receive "$1-back" "$2" udp 9002
	flow_send "$1-there" "$2" "$3" udp 9001 "$UDP_RATE" --size 200
	flow_send "$1-back" "$3" "$2" udp 9002 "$UDP_RATE" --size 200
}

tcp_start() { # PREFIX A B BYTES_PER_SECOND
	flow_receive "$1-tcp" "$3" tcp 9003
	flow_send "$1-tcp" "$2" "$3" tcp 9003 "$4"
}

traffic_runs() { kill -0 "${FLOWS[@]}" "${RECEIVERS[@]}"; }

traffic_stop() { # TRAFFIC_MS: how long all of it ran
	TRAFFIC_MS=$(($(now_ms) - TRAFFIC_BEGAN))
	kill -TERM "${FLOWS[@]}" 2>/dev/null
	wait "${FLOWS[@]}" "${RECEIVERS[@]}" 2>/dev/null
	FLOWS=() RECEIVERS=()
}

udp_lost_nothing() { # PREFIX
	local way
	for way in there back; do
		echo "$way: $(cat "$RUN_DIR/$1-$way.send" "$RUN_DIR/$1-$way.recv" "$RUN_DIR/$1-$way.recv.err")"
	done
	cat "$RUN_DIR/$1"-{there,back}.recv | all_arrived "$UDP_RATE" "$TRAFFIC_MS"
}

# The sender stops on request and does not wait for the receiver: both counts must be equal.
tcp_lost_nothing() { # PREFIX
	cat "$RUN_DIR/$1-tcp.send" "$RUN_DIR/$1-tcp.send.err" "$RUN_DIR/$1-tcp.recv"
	[ ! -s "$RUN_DIR/$1-tcp.send.err" ] &&
		jq -se '.[1].resets == 0 and .[1].corrupt == 0 and .[0].bytes == .[1].bytes and .[1].bytes > 0' \
			"$RUN_DIR/$1-tcp.send" "$RUN_DIR/$1-tcp.recv"
}

longest_gaps() { # PREFIX: in milliseconds
	jq -rs 'map(.longest_gap_ms) | join(" ")' "$RUN_DIR/$1"-{there,back}.recv
}

# Where packets went that are gone: reasons of the agents, queues of the kernel.
show_drops() {
	local i
	for i in $(seq "$NODES"); do
		diag "n$i: $(podveil "$i" -o json status | jq -c '[.drops[] | {(.reason): .packets}] | add')" \
			"podveil0: $(ip -n "$(ns "n$i")" -s -j link show podveil0 | jq '.[0].stats64.tx.dropped') dropped" \
			"UDP: $(in_ns "n$i" nstat -asz UdpRcvbufErrors UdpSndbufErrors | awk 'NR > 1 { print $1, $2 }' | paste -sd' ')"
	done
}

# -- traffic of each pod with each other --

# Of each ordered pair; with ten nodes a tunnel that gets no CPU for two seconds still loses nothing in its device's queue.
MESH_RATE=${MESH_RATE:-25}
MESH_PORT=9004
MESH_SIZE=200

mesh_start() { # PREFIX: all of them receive before the first one sends
	local i j to
	rm -f "$RUN_DIR/$1-mesh."*
	for i in $(seq "$NODES"); do
		to=()
		for j in $(seq "$NODES"); do
			[ "$i" -eq "$j" ] || to+=(--to "$(pod_v4 "$j"):$MESH_PORT")
		done
		spawn "p$i" "$RUN_DIR/$1-mesh.$i" "$BUILD/tools/flow" udp-mesh --bind "$(pod_v4 "$i"):$MESH_PORT" "${to[@]}" \
			--rate "$MESH_RATE" --size $MESH_SIZE --seconds $FLOW_SECONDS --marker "$MARKER" \
			--ready-file "$RUN_DIR/$1-mesh.ready.$i" --start-file "$RUN_DIR/$1-mesh.start"
		FLOWS+=("$SPAWNED")
	done
	for i in $(seq "$NODES"); do
		wait_until 20 test -e "$RUN_DIR/$1-mesh.ready.$i" || bail "flow did not start: $(cat "$RUN_DIR/$1-mesh.$i.err")"
	done
	: >"$RUN_DIR/$1-mesh.start"
	TRAFFIC_BEGAN=$(now_ms)
}

mesh_results() { # PREFIX: what each pod had from each other, a line for each
	local i
	for i in $(seq "$NODES"); do
		cat "$RUN_DIR/$1-mesh.$i"
	done
}

mesh_lost_nothing() { # PREFIX
	mesh_results "$1" | jq -c 'select((.end_seen | not) or .lost > 0 or .duplicate > 0 or .corrupt > 0)'
	mesh_results "$1" | jq -se --argjson pairs $((NODES * (NODES - 1))) 'length == $pairs' &&
		mesh_results "$1" | all_arrived "$MESH_RATE" "$TRAFFIC_MS"
}

mesh_figures() { # PREFIX
	mesh_results "$1" | jq -rs '"\(length) pairs, \(map(.received) | add) datagrams, \(map(.lost) | add) lost; longest gap " +
		"\(map(.longest_gap_ms) | max) ms, longest delay \(map(.longest_delay_ms) | max) ms"'
}
