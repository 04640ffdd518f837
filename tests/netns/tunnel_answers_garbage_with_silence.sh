#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A sender that does not prove to be a peer gets no reply from podveil-tunnel's port: no datagram
# and no ICMP error, for any input. Each input is counted under its reason, and the session beside
# it continues. Positive control: the capture that must stay empty sees a reply where there is one.

. "$(dirname "$0")/wireguard.bash"

GARBAGE_PORT=40001

garbage() { # VERB FAMILY [FLAG...]: from b to a's port
	in_ns b timeout 120 "$BUILD/tools/garbage" "$1" --to "$("outer_$2" a)" --port 51901 --from-port $GARBAGE_PORT \
		--capture "$RUN_DIR/real.pcap" "${@:3}"
}

drops() { "$BUILD/tools/drops" --control "$(control_socket a)"; }

dropped() { drops | awk -v reason="$1" '$1 == reason { print $2 }'; } # REASON

has_captured() { grep -q "listening on" "$1.err"; } # FILE

capture_start() { # SIDE FILE FILTER: CAPTURE_PID
	spawn "$1" "$2.out" tcpdump -n -U --immediate-mode -Z root -i wire0 -w "$2" "$3"
	CAPTURE_PID=$SPAWNED
	wait_until 10 has_captured "$2.out" || bail "tcpdump does not start: $(cat "$2.out.err")"
}

capture_stop() {
	sleep 0.3 # what was sent last is on its way to the file
	kill -TERM "$CAPTURE_PID"
	wait "$CAPTURE_PID" 2>/dev/null
}

frames() { # FILE [FILTER]: no number where the filter is bad
	tcpdump -n -r "$1" "${@:2}" >"$RUN_DIR/frames.txt" 2>"$RUN_DIR/frames.err" && wc -l <"$RUN_DIR/frames.txt"
}

capture_real_messages() {
	introduce || return 1
	capture_start b "$RUN_DIR/real.pcap" "udp dst port 51901"
	point_to_other b v4 && pings b v4 -c 3 -s 500 || return 1
	capture_stop
	[ "$(frames "$RUN_DIR/real.pcap")" -ge 4 ]
}

# Everything that a could send to the attacker, ICMP about anything included, without the session
# beside it.
watch_for_answers() {
	capture_start a "$RUN_DIR/answers.pcap" \
		"dst port $GARBAGE_PORT or icmp or (icmp6 and ip6[40] < 128) or src port $GARBAGE_PORT"
}

is_silent_to_garbage() { # FAMILY
	local status
	watch_for_answers
	garbage throw "$1" --key "$(public_key a)"
	status=$?
	capture_stop
	[ "$(frames "$RUN_DIR/answers.pcap" "src port $GARBAGE_PORT")" -gt 8000 ] || return 1
	tcpdump -n -r "$RUN_DIR/answers.pcap" "not src port $GARBAGE_PORT" 2>/dev/null
	[ $status -eq 0 ] && [ "$(frames "$RUN_DIR/answers.pcap" "not src port $GARBAGE_PORT")" -eq 0 ]
}

# A port that is closed answers with ICMP: so the capture would see one.
detector_fires_where_there_is_an_answer() {
	watch_for_answers
	echo hello | in_ns b socat -u - "UDP4-SENDTO:$(outer_v4 a):51999,sourceport=$GARBAGE_PORT"
	capture_stop
	[ "$(frames "$RUN_DIR/answers.pcap" icmp)" -eq 1 ]
}

counts() { # REASON
	local packets
	packets=$(dropped "$1")
	echo "$1: $packets"
	[ "$packets" -gt 0 ]
}

session_goes_on() { pings b v4 && pings a v6; }

# Under load a cookie is the right answer to a message made with our public key, and the only one: of type 3, in 64
# bytes; the capture shows several of them as one super-packet.
flood_gets_cookies_at_most() {
	local status
	watch_for_answers
	garbage flood v4
	status=$?
	capture_stop
	frames "$RUN_DIR/answers.pcap" "dst port $GARBAGE_PORT"
	[ $status -eq 0 ] &&
		[ "$(frames "$RUN_DIR/answers.pcap" "dst port $GARBAGE_PORT and not (udp[8] = 3 and udp[4:2] & 63 = 8)")" -eq 0 ] &&
		[ "$(frames "$RUN_DIR/answers.pcap" "icmp and src $(outer_v4 a)")" -eq 0 ] && counts under_load && session_goes_on
}

# Its sessions ended with it. In a new one the device takes no writes: the tunnel has decrypted in vain, and says so.
packets_for_a_device_that_is_down_are_counted() {
	local unknown written
	unknown=$(dropped unknown_index)
	ip -n "$(ns a)" link set "$(device a)" down
	in_ns b ping -n -q -c 2 -i 0.1 -W 1 "$(inner_v4 a)"
	unknown=$(($(dropped unknown_index) - unknown))
	written=$(dropped tun_write)
	ip -n "$(ns b)" link set "$(device b)" down && ip -n "$(ns b)" link set "$(device b)" up
	in_ns b ping -n -q -c 2 -i 0.1 -W 1 "$(inner_v4 a)"
	ip -n "$(ns a)" link set "$(device a)" up
	[ "$unknown" -ge 2 ] && [ "$(dropped tun_write)" -ge $((written + 2)) ]
}

packets_without_a_way_out_are_counted() {
	ip -n "$(ns a)" route add unreachable "$(outer_v4 b)/32" || return 1
	in_ns a ping -n -q -c 2 -i 0.1 -W 1 "$(inner_v4 b)"
	ip -n "$(ns a)" route delete unreachable "$(outer_v4 b)/32"
	counts udp_send
}

begin_wireguard
needs tools/garbage tools/drops
cable_up
start_ours a && start_ours b || bail "podveil-tunnel does not start"
check "real messages are captured" capture_real_messages
check "positive control: the detector fires where there is an answer" detector_fires_where_there_is_an_answer
check "garbage over IPv4 is met with silence" is_silent_to_garbage v4
check "garbage over IPv6 is met with silence" is_silent_to_garbage v6
for reason in bad_length bad_type bad_mac1 bad_handshake handshake_replay unknown_index bad_tag replayed; do
	check "garbage is counted as $reason" counts $reason
done
check "the session beside it goes on" session_goes_on
check "a flood of initiations gets cookies at most, and the session goes on" flood_gets_cookies_at_most
check "packets for a device that is down are counted" packets_for_a_device_that_is_down_are_counted
check "packets without a way out are counted" packets_without_a_way_out_are_counted
done_testing
