# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests of podveil-tunnel by itself share: two namespaces on one cable, a WireGuard in each (ours or another),
# configured by wg(8). Sourced, never run.
#
#   a (wire0) 192.168.60.1, fd00:60::1  -----  b (wire0) 192.168.60.2, fd00:60::2
#   inside:   10.60.0.1, fd00:10:60::1            10.60.0.2, fd00:10:60::2
#
# wg(8) looks for userspace devices in one folder for the whole machine, so devices carry the run's number.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

WIREGUARD_DIR=/var/run/wireguard
SIDES=(a b)

begin_wireguard() {
	begin
	umask 077
	needs podveil-tunnel
}

# The end that lib.sh knows, and the sockets of what was killed.
eval "end_run() $(declare -f end | tail -n +2)"
end() {
	end_run
	rm -f "$WIREGUARD_DIR/$(device '')"*.sock
}

number() { if [ "$1" = a ]; then echo 1; else echo 2; fi; } # SIDE
other() { if [ "$1" = a ]; then echo b; else echo a; fi; }
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
	spawn "$1" "$RUN_DIR/$1.log" "$BUILD/podveil-tunnel" --interface "$(device "$1")" \
		--control "$(control_socket "$1")" --log-level debug
	started "$1"
}

start_wireguard_go() { # SIDE
	LOG_LEVEL=error spawn "$1" "$RUN_DIR/$1.log" "$WIREGUARD_GO" --foreground "$(device "$1")"
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
	address_add "$1" "$name" "$(inner_v4 "$1")/24" "$(inner_v6 "$1")/64"
	ip -n "$(ns "$1")" link set "$name" up
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

# Fresh keys on both sides, each the other's peer; nobody knows an endpoint.
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

# A second of iperf3 from a side to the other: its report as JSON.
iperf() { # SIDE v4|v6 [IPERF3 ARGUMENT...]
	local side=$1 far address
	far=$(other "$side")
	address=$("inner_$2" "$far")
	shift 2
	spawn "$far" "$RUN_DIR/iperf.txt" iperf3 --server --one-off --bind "$address"
	wait_until 5 is_listening "$far" || return 1
	in_ns "$side" timeout 20 iperf3 --client "$address" --time 1 --connect-timeout 3000 --json "$@"
}

moves_tcp() { # SIDE v4|v6 [IPERF3 ARGUMENT...]
	local report
	report=$(iperf "$@") || { echo "$report"; return 1; }
	jq '.end.sum_received.bits_per_second / 1e6' <<<"$report"
	jq -e '.end.sum_received.bytes > 1000000' <<<"$report"
}

# At a rate that iperf3's socket bears for a quarter of a second while a busy machine does not run it.
moves_udp() { # SIDE v4|v6
	local report
	report=$(iperf "$@" --udp --bitrate 3M --length 1200) || { echo "$report"; return 1; }
	jq .end.sum <<<"$report"
	jq -e '.end.sum.packets > 200 and .end.sum.lost_packets <= .end.sum.packets / 50' <<<"$report"
}

# -- interoperation: podveil-tunnel is side a, OTHER_NAME side b --

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
	check "$name: TCP there" moves_tcp "$side" v4
	check "$name: TCP back" moves_tcp "$side" v6 --reverse
	check "$name: UDP there" moves_udp "$side" v6
	check "$name: UDP back" moves_udp "$side" v4 --reverse
}

who() { if [ "$1" = a ]; then echo podveil-tunnel; else echo "$OTHER_NAME"; fi; } # SIDE

both_have_handshake() { has_handshake a && has_handshake b; }

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
