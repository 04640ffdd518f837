# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Shared by the tests of podveil-tunnel alone: two namespaces on one cable, a WireGuard in each
# (podveil-tunnel or another), configured by wg(8). Sourced, never run.
#
#   a (wire0) 192.168.60.1, fd00:60::1  -----  b (wire0) 192.168.60.2, fd00:60::2
#   inside:   10.60.0.1, fd00:10:60::1            10.60.0.2, fd00:10:60::2
#
# wg(8) looks for userspace devices in one folder for the whole machine, so devices carry the run's number.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

WIREGUARD_DIR=/var/run/wireguard
SIDES=(a b)           # more of them are more letters; what takes no FAR is of these two
MARKER=$(new_marker)
STREAM_BYTES=$((4000000 / SLOW / SLOW))
DATAGRAMS=$((1000 / SLOW))
DATAGRAMS_PER_S=$((1000 / SLOW))
declare -A HOME_OF=() # the namespace of a side's device, where it is not the side's own

begin_wireguard() {
	begin
	umask 077
	needs podveil-tunnel
}

# The cleanup of lib.sh, and the sockets of killed processes.
eval "end_run() $(declare -f end | tail -n +2)"
end() {
	end_run
	rm -f "$WIREGUARD_DIR/$(device '')"*.sock
}

number() { echo $(($(printf %d "'$1") - 96)); } # SIDE: a is 1
other() { if [ "$1" = a ]; then echo b; else echo a; fi; }
home() { echo "${HOME_OF[$1]:-$1}"; }
device() { echo "pvc${RUN_NAME#pv-}$1"; }
outer_v4() { echo "192.168.60.$(number "$1")"; }
outer_v6() { echo "fd00:60::$(number "$1")"; }
inner_v4() { echo "10.60.0.$(number "$1")"; }
inner_v6() { echo "fd00:10:60::$(number "$1")"; }
endpoint_v4() { echo "$(outer_v4 "$1"):$2"; } # SIDE PORT
endpoint_v6() { echo "[$(outer_v6 "$1")]:$2"; }
control_socket() { echo "$RUN_DIR/$1.sock"; }

cable_up() {
	local side
	ns_add a
	ns_add b
	link_add a wire0 b wire0
	for side in "${SIDES[@]}"; do
		address_add "$side" wire0 "$(outer_v4 "$side")/24" "$(outer_v6 "$side")/64"
	done
}

start_ours() { # SIDE
	spawn "$(home "$1")" "$RUN_DIR/$1.log" "$BUILD/podveil-tunnel" --interface "$(device "$1")" \
		--control "$(control_socket "$1")" --log-level debug
	started "$1"
}

start_wireguard_go() { # SIDE
	LOG_LEVEL=error spawn "$(home "$1")" "$RUN_DIR/$1.log" "$WIREGUARD_GO" --foreground "$(device "$1")"
	started "$1"
}

started() { # SIDE
	printf -v "PID_$1" %s "$SPAWNED"
	disown "$SPAWNED" # no word from bash when it ends
	wait_until 10 wg show "$(device "$1")" || { not_started_side "$1"; return 1; }
	device_up "$1"
}

not_started_side() {
	diag "the tunnel of side $1 did not start"
	diag_file "$RUN_DIR/$1.log.err" "its last words"
}

device_up() { # SIDE
	local name
	name=$(device "$1")
	address_add "$(home "$1")" "$name" "$(inner_v4 "$1")/24" "$(inner_v6 "$1")/64"
	ip -n "$(ns "$(home "$1")")" link set "$name" up
}

pid_of() { local name=PID_$1; echo "${!name}"; } # SIDE: the parent, where it is ours
engine_of() { pgrep -P "$(pid_of "$1")"; }

stop_side() { # SIDE
	end_process TERM "$(pid_of "$1")"
}

# -- configuration --

new_keys() { # SIDE: into files and PUBLIC_a, PUBLIC_b
	wg genkey >"$RUN_DIR/$1.key"
	printf -v "PUBLIC_$1" %s "$(wg pubkey <"$RUN_DIR/$1.key")"
}

public_key() { local name=PUBLIC_$1; echo "${!name}"; } # SIDE

# Fresh keys on both sides, each the other's peer; neither side knows an endpoint.
introduce() { # [PRESHARED_KEY_FILE]
	local side
	new_keys a
	new_keys b
	for side in "${SIDES[@]}"; do
		wg set "$(device "$side")" listen-port "5190$(number "$side")" private-key "$RUN_DIR/$side.key" || return 1
		forget_peers "$side"
		add_peer "$side" "$@" || return 1
	done
}

add_peer() { # SIDE [PRESHARED_KEY_FILE]
	local far
	far=$(other "$1")
	wg set "$(device "$1")" peer "$(public_key "$far")" ${2:+preshared-key "$2"} \
		allowed-ips "$(inner_v4 "$far")/32,$(inner_v6 "$far")/128"
}

forget_peers() { # SIDE
	local peer
	for peer in $(wg show "$(device "$1")" peers); do
		wg set "$(device "$1")" peer "$peer" remove
	done
}

point_to_other() { # SIDE v4|v6
	local far
	far=$(other "$1")
	wg set "$(device "$1")" peer "$(public_key "$far")" endpoint "$("endpoint_$2" "$far" "5190$(number "$far")")"
}

# -- traffic --

pings() { # SIDE v4|v6 [PING ARGUMENT...]: to the other side, through the tunnel
	local side=$1 family=$2
	shift 2
	in_ns "$side" ping -n -q -c 2 -i 0.1 -W 5 "$@" "$("inner_$family" "$(other "$side")")"
}

has_handshake() { # SIDE
	[ "$(wg show "$(device "$1")" latest-handshakes | cut -f2)" -gt 0 ]
}

is_listening() { in_ns "$1" ss -Hltn "sport = :5201" | grep -q .; } # SIDE

address_of() { if [ "$2" = v4 ]; then echo "$(inner_v4 "$1"):9000"; else echo "[$(inner_v6 "$1")]:9000"; fi; } # SIDE v4|v6

receive() { # SIDE KIND ADDRESS
	rm -f "$RUN_DIR/flow.ready"
	spawn "$1" "$RUN_DIR/received.json" "$BUILD/tools/flow" "$2-recv" --bind "$3" --seconds $((25 * SLOW)) \
		--ready-file "$RUN_DIR/flow.ready" --marker "$MARKER"
	RECEIVER=$SPAWNED
	wait_until 20 test -e "$RUN_DIR/flow.ready"
}

stream_arrives_whole() { # SIDE v4|v6
	local to
	to=$(address_of "$(other "$1")" "$2")
	receive "$(other "$1")" tcp "$to" || return 1
	in_ns "$1" timeout $((25 * SLOW)) "$BUILD/tools/flow" tcp-send --to "$to" --count $STREAM_BYTES --marker "$MARKER" \
		>"$RUN_DIR/sent.json"
	wait "$RECEIVER"
	cat "$RUN_DIR/sent.json" "$RUN_DIR/received.json" "$RUN_DIR/received.json.err"
	jq -e --argjson bytes $STREAM_BYTES '.bytes == $bytes and .verified == $bytes and .resets == 0' "$RUN_DIR/sent.json"
}

send_datagrams() { # SIDE v4|v6: what came is told in received.json
	local to
	to=$(address_of "$(other "$1")" "$2")
	receive "$(other "$1")" udp "$to" || return 1
	in_ns "$1" "$BUILD/tools/flow" udp-send --to "$to" --marker "$MARKER" --rate $DATAGRAMS_PER_S --count $DATAGRAMS \
		--size 600 >"$RUN_DIR/sent.json"
	wait "$RECEIVER"
	cat "$RUN_DIR/received.json"
}

datagrams_arrive() { # SIDE v4|v6 MOST_LOST: the others once and unchanged
	send_datagrams "$1" "$2" && jq -e --argjson most "$3" '.corrupt == 0 and .duplicate == 0 and .lost <= $most and
		.receiver_overflow == 0 and .received > 0' "$RUN_DIR/received.json"
}

# A second of iperf3 from a side to the other: its report as JSON.
iperf() { # SIDE v4|v6 [IPERF3 ARGUMENT...]
	local side=$1 far address
	far=$(other "$side")
	address=$("inner_$2" "$far")
	shift 2
	spawn "$far" "$RUN_DIR/iperf.txt" iperf3 --server --one-off --bind "$address"
	wait_until 20 is_listening "$far" || return 1
	in_ns "$side" timeout 20 iperf3 --client "$address" --time 1 --connect-timeout 3000 --json "$@"
}

# -- interoperation: podveil-tunnel is side a, OTHER_NAME side b --

# Datagrams are the same with and without a preshared key: once is enough.
round() { # INITIATOR OUTER_FAMILY [PRESHARED_KEY_FILE]
	local side=$1 outer=$2 far name
	far=$(other "$side")
	name="$(who "$side") initiates over IP$outer${3:+, preshared key}"
	check "$name: wg(8) configures both ends" introduce "${@:3}"
	check "$name: the endpoint is set" point_to_other "$side" "$outer"
	check "$name: ping, IPv4 inside" pings "$side" v4
	check "$name: ping, IPv6 inside" pings "$side" v6
	check "$name: ping back, to the endpoint it learnt" pings "$far" v4
	check "$name: wg show tells of the handshake on both ends" both_have_handshake
	check "$name: a TCP stream there" stream_arrives_whole "$side" v4
	check "$name: a TCP stream back" stream_arrives_whole "$far" v6
	[ -z "${3:-}" ] || return 0
	check "$name: UDP there" datagrams_arrive "$side" v6 0
	check "$name: UDP back" datagrams_arrive "$far" v4 0
}

rounds_over() { # OUTER_FAMILY: either side initiates, without and with a preshared key
	local side
	wg genpsk >"$RUN_DIR/psk"
	for side in "${SIDES[@]}"; do
		round "$side" "$1"
		round "$side" "$1" "$RUN_DIR/psk"
	done
}

who() { if [ "$1" = a ]; then echo podveil-tunnel; else echo "$OTHER_NAME"; fi; } # SIDE

both_have_handshake() { has_handshake a && has_handshake b; }

# Two minutes pass in six seconds for this one (tools/hasty_clock.so).
start_hasty() { # SIDE
	LD_PRELOAD=$BUILD/tools/hasty_clock.so HASTY_CLOCK=20 start_ours "$1"
}

is_hasty() { grep -F 'hasty_clock: 20 times' "$RUN_DIR/$1.log.err"; } # SIDE

# Numbered datagrams both ways, of which the far side's receiver tells in FROM.json; RECEIVER_FROM is its pid.
numbered_start() { # FROM RATE SECONDS
	local far to
	far=$(other "$1")
	to=$(inner_v4 "$far"):9000
	rm -f "$RUN_DIR/$1.ready"
	spawn "$far" "$RUN_DIR/$1.json" "$BUILD/tools/flow" udp-recv --bind "$to" --seconds $(($3 * 3 + 5)) \
		--ready-file "$RUN_DIR/$1.ready" --marker "$MARKER"
	printf -v "RECEIVER_$1" %s "$SPAWNED"
	wait_until 20 test -e "$RUN_DIR/$1.ready" || return 1
	spawn "$1" "$RUN_DIR/$1.sent" "$BUILD/tools/flow" udp-send --to "$to" --marker "$MARKER" --rate "$2" --seconds "$3" \
		--size 300
}

numbered_wait() { # notes meanwhile when the handshakes were
	: >"$RUN_DIR/handshakes"
	while ! is_gone "$SPAWNED"; do
		wg show "$(device a)" latest-handshakes | cut -f2 >>"$RUN_DIR/handshakes"
		sleep 0.2
	done
	# shellcheck disable=SC2154 # numbered_start's
	wait "$RECEIVER_a" && wait "$RECEIVER_b"
}

sessions_were_renewed() { # TIMES
	sort -u "$RUN_DIR/handshakes"
	[ "$(sort -u "$RUN_DIR/handshakes" | wc -l)" -gt "$1" ]
}

arrives_whole() { # FROM LEAST: every number that was sent, once and unchanged
	cat "$RUN_DIR/$1.sent" "$RUN_DIR/$1.json"
	jq -e --argjson least "$2" '.lost == 0 and .duplicate == 0 and .corrupt == 0 and .received >= $least' "$RUN_DIR/$1.json"
}

# The side's hasty clock makes it renew the session under traffic.
renews_without_loss() { # INITIATOR
	introduce && point_to_other "$1" v4 && pings "$1" v4 && is_hasty "$1" || return 1
	numbered_start a $((1000 / SLOW)) 8 && numbered_start b $((1000 / SLOW)) 8 && numbered_wait && sessions_were_renewed 1 &&
		arrives_whole a $((7000 / SLOW)) && arrives_whole b $((7000 / SLOW))
}

# Setting a private key, even for a moment, ends a side's sessions (kernel netns test N20): it
# establishes a new one, which the far side accepts while its own is still valid.
makes_a_new_session() { # SIDE
	local before
	introduce && point_to_other "$1" v4 && pings "$1" v4 || return 1
	before=$(wg show "$(device a)" latest-handshakes | cut -f2)
	sleep 1.1 # handshakes are told by the second
	wg genkey >"$RUN_DIR/moment.key"
	wg set "$(device "$1")" private-key "$RUN_DIR/moment.key" && wg set "$(device "$1")" private-key "$RUN_DIR/$1.key" || return 1
	pings "$1" v4 -W 1 && pings "$(other "$1")" v6 -W 1 && [ "$(wg show "$(device a)" latest-handshakes | cut -f2)" -gt "$before" ]
}

has_no_session_with_another_preshared_key() {
	wg genpsk >"$RUN_DIR/other.psk"
	introduce "$RUN_DIR/psk" || return 1
	wg set "$(device b)" peer "$(public_key a)" preshared-key "$RUN_DIR/other.psk"
	point_to_other a v4
	! in_ns a ping -n -q -c 1 -W 1 "$(inner_v4 b)" && ! has_handshake a
}

survives_a_change_of_its_private_key() {
	introduce && point_to_other a v4 && pings a v4 || return 1
	new_keys a
	wg set "$(device b)" peer "$(public_key a)" allowed-ips "$(inner_v4 a)/32,$(inner_v6 a)/128" || return 1
	wg set "$(device a)" private-key "$RUN_DIR/a.key" || return 1
	in_ns a ping -n -q -c 1 -W 1 "$(inner_v4 b)"
}

# -- a long cable, from to_a to to_b in a namespace w of its own --

long_cable_start() { # DELAY_MS JITTER_MS
	rm -f "$RUN_DIR/wire.ready"
	spawn w "$RUN_DIR/wire.json" nice -n -10 "$BUILD/tools/wire" --between to_a --and to_b --delay "$1" --jitter "$2" \
		--ready-file "$RUN_DIR/wire.ready"
	WIRE_PID=$SPAWNED
	wait_until 20 test -e "$RUN_DIR/wire.ready"
}

long_cable_stop() {
	kill -TERM "$WIRE_PID" && wait "$WIRE_PID"
	cat "$RUN_DIR/wire.json"
	jq -e '.missed + .refused + .full + .too_long == 0' "$RUN_DIR/wire.json"
}
