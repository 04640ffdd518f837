#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# wg(8), unmodified, sets and shows every setting of podveil-tunnel; each setting takes effect on
# the wire; bad settings are refused and change nothing.

. "$(dirname "$0")/wireguard.bash"

wg_a() { # SUBCOMMAND ARGUMENT...: on side a's device
	local subcommand=$1
	shift
	wg "$subcommand" "$(device a)" "$@"
}

shows() { # FIELD EXPECTED
	local shown
	shown=$(wg_a show "$1")
	[ "$shown" = "$2" ] || { echo "wg show $1: '$shown', expected '$2'"; return 1; }
}

# -- the device --

fresh_device_is_empty() {
	shows private-key "(none)" && shows peers "" && shows fwmark off && ! wg_a showconf | grep PrivateKey
}

is_open() { [ "$(in_ns a ss -Hlun "sport = :$1" | wc -l)" -eq 2 ]; } # PORT: both families
is_closed() { [ -z "$(in_ns a ss -Hlun "sport = :$1")" ]; }

private_key_is_set_and_clamped() {
	printf '%s\n' "$(head -c 32 /dev/zero | tr '\0' '\377' | base64)" >"$RUN_DIR/unclamped"
	wg_a set private-key "$RUN_DIR/unclamped" || return 1
	[ "$(wg_a show private-key | base64 -d | od -An -tx1 | tr -d ' \n')" = "f8$(printf 'ff%.0s' {1..30})7f" ]
}

up_with_a_key_listens_on_some_port() { [ "$(wg_a show listen-port)" -gt 1024 ] && is_open "$(wg_a show listen-port)"; }

port_moves() {
	wg_a set listen-port 51911 && is_open 51911 || return 1
	wg_a set listen-port 51901 && is_open 51901 && is_closed 51911 && shows listen-port 51901
}

taken_port_is_refused() {
	spawn a "$RUN_DIR/taker.txt" socat -u UDP4-RECV:51920 STDOUT
	wait_until 20 in_ns a ss -Hlun "sport = :51920" || return 1
	wait_until 5 port_51920_is_taken || return 1
	! wg_a set listen-port 51920 2>"$RUN_DIR/taken.txt" && grep -qi "in use" "$RUN_DIR/taken.txt" &&
		shows listen-port 51901 && is_open 51901
}

port_51920_is_taken() { in_ns a ss -Hlun "sport = :51920" | grep -q .; }

datagrams_carry_the_mark() {
	in_ns a nft -f - <<-RULES
		table inet marks {
			counter marked { }
			chain out { type filter hook output priority 0; udp dport 51902 meta mark 0x1234 counter name marked; }
		}
	RULES
	wg_a set fwmark 0x1234 && shows fwmark 0x1234 && pings a v4 || return 1
	in_ns a nft -j list counters | jq -e '[.nftables[].counter // empty | .packets] | add >= 2' || return 1
	is_open 51901 && wg_a set fwmark 0 && shows fwmark off
}

cleared_private_key_sends_nothing() {
	introduce && point_to_other a v4 && wg_a set private-key /dev/null && shows private-key "(none)" || return 1
	! in_ns a ping -n -q -c 1 -W 1 "$(inner_v4 b)" && [ "$(wg_a show transfer | cut -f3)" = 0 ]
}

# -- peers --

figures_are_exact_after_ten_pings() {
	introduce && point_to_other a v4 && in_ns a ping -n -q -c 10 -f -W 1 "$(inner_v4 b)" || return 1
	wg_a show transfer
	wg show "$(device b)" transfer
	[ "$(wg_a show transfer | cut -f2-)" = $'1372\t1428' ] &&
		[ "$(wg show "$(device b)" transfer | cut -f2-)" = $'1428\t1372' ] && has_handshake a && has_handshake b
}

peer_learns_the_endpoint() {
	[ "$(wg show "$(device b)" endpoints | cut -f2)" = "$(endpoint_v4 a 51901)" ]
}

dump_has_every_field() {
	local expected
	expected=$(printf '%s\t%s\t%s\toff' "$(cat "$RUN_DIR/a.key")" "$(public_key a)" 51901)
	[ "$(wg_a show dump | head -n 1)" = "$expected" ] || return 1
	wg_a show dump | awk -F'\t' -v key="$(public_key b)" -v endpoint="$(endpoint_v4 b 51902)" \
		-v ips="$(inner_v4 b)/32,$(inner_v6 b)/128" '
		NR == 2 { good = NF == 8 && $1 == key && $2 == "(none)" && $3 == endpoint && $4 == ips && $5 > 0 &&
			$6 > 0 && $7 > 0 && $8 == "off" }
		END { exit !(good && NR == 2) }'
}

showconf_and_setconf_are_inverse() {
	wg genpsk >"$RUN_DIR/psk"
	wg_a set peer "$(wg genkey | wg pubkey)" preshared-key "$RUN_DIR/psk" persistent-keepalive 25 \
		endpoint "[fd00:60::77]:51977" allowed-ips 10.77.0.0/16,fd00:77::/37 || return 1
	wg_a showconf >"$RUN_DIR/before.conf"
	wg_a setconf "$RUN_DIR/before.conf" || return 1
	wg_a showconf >"$RUN_DIR/after.conf"
	diff <(sort "$RUN_DIR/before.conf") <(sort "$RUN_DIR/after.conf") && grep -q "PersistentKeepalive = 25" "$RUN_DIR/after.conf"
}

syncconf_leaves_sessions_alone() {
	local before
	introduce && point_to_other a v4 && pings a v4 || return 1
	wg_a showconf >"$RUN_DIR/sync.conf"
	before=$(wg_a show latest-handshakes)
	wg_a set peer "$(wg genkey | wg pubkey)" allowed-ips 10.78.0.0/16 || return 1
	[ "$(wg_a show peers | wc -l)" -eq 2 ] && wg_a syncconf "$RUN_DIR/sync.conf" || return 1
	shows peers "$(public_key b)" && shows latest-handshakes "$before" && in_ns a ping -n -q -c 1 -W 1 "$(inner_v4 b)"
}

removed_peer_gets_nothing() {
	wg_a set peer "$(public_key b)" remove && shows peers "" && ! in_ns a ping -n -q -c 1 -W 1 "$(inner_v4 b)"
}

own_key_is_no_peer() {
	wg_a set peer "$(public_key a)" allowed-ips 10.79.0.0/16
	! wg_a show peers | grep -qF "$(public_key a)"
}

moved_prefix_belongs_to_the_last() {
	local first second
	first=$(wg genkey | wg pubkey)
	second=$(wg genkey | wg pubkey)
	wg_a set peer "$first" allowed-ips 10.80.0.0/16,10.81.0.0/16 peer "$second" allowed-ips 10.81.0.0/16 || return 1
	wg_a show allowed-ips | grep -qxF "$first"$'\t'10.80.0.0/16 && wg_a show allowed-ips | grep -qxF "$second"$'\t'10.81.0.0/16
}

keepalives_flow_without_traffic() {
	local before
	introduce && point_to_other a v4 && pings a v4 || return 1
	before=$(wg_a show transfer | cut -f3)
	wg_a set peer "$(public_key b)" persistent-keepalive 1 || return 1
	wait_until 5 sent_more_than $((before + 63)) || return 1
	wg_a set peer "$(public_key b)" persistent-keepalive off && wg_a show persistent-keepalive | grep -q off
}

sent_more_than() { [ "$(wg_a show transfer | cut -f3)" -ge "$1" ]; }

sent_bytes() { wg_a show transfer | cut -f3; }

interface_that_comes_up_sends_its_keepalive() {
	local before
	introduce && point_to_other a v4 && pings a v4 && wg_a set peer "$(public_key b)" persistent-keepalive 25 || return 1
	ip -n "$(ns a)" link set "$(device a)" down
	before=$(sent_bytes)
	ip -n "$(ns a)" link set "$(device a)" up && ip -n "$(ns a)" address add "$(inner_v6 a)/64" dev "$(device a)"
	wait_until 5 sent_more_than "$((before + 32))"
}

# Padding reveals the tunnel's MTU: 1297 bytes become 1300, not 1312 (kernel netns tests N14).
mtu_of_the_device_is_followed() {
	local before
	introduce && point_to_other a v4 && pings a v4 -s 1392 -M do || return 1
	ip -n "$(ns a)" link set "$(device a)" mtu 1300
	wait_until 5 grep -q "MTU 1300" "$RUN_DIR/a.log.err" || return 1
	before=$(sent_bytes)
	pings a v4 -s 1269 -M do || return 1
	echo "sent $(($(sent_bytes) - before)) bytes"
	[ $(($(sent_bytes) - before)) -eq $((2 * (1300 + 32))) ] || return 1
	ip -n "$(ns a)" link set "$(device a)" mtu 1420
}

# Ticks of the processor that the engine took: utime and stime.
ticks() { awk '{ print $14 + $15 }' "/proc/$(engine_of a)/stat"; }

idle_engine_sleeps() {
	local before
	before=$(ticks)
	sleep 1
	echo "$(($(ticks) - before)) ticks in a second"
	[ $(($(ticks) - before)) -le 2 ]
}

# -- bad input, and bad clients --

answer() { # REQUEST: straight to the socket, as wg(8) would never say it
	printf %b "$1" | timeout 5 socat -t 2 - "UNIX-CONNECT:$WIREGUARD_DIR/$(device a).sock"
}

is_refused() { # REQUEST
	local before after words
	before=$(wg_a showconf)
	words=$(answer "$1") || return 1
	after=$(wg_a showconf)
	echo "answer: $words"
	grep -q '^errno=-\?[1-9]' <<<"$words" && [ "$before" = "$after" ]
}

bad_values_are_refused() {
	local long
	long=$(printf 'a%.0s' {1..70000})
	is_refused 'set=1\nlisten_port=70000\n\n' && is_refused 'set=1\nlisten_port=-1\n\n' &&
		is_refused 'set=1\nprivate_key=00\n\n' && is_refused 'set=1\nfwmark=x\n\n' &&
		is_refused "set=1\npublic_key=$(printf 'ab%.0s' {1..31})\n\n" &&
		is_refused "set=1\npublic_key=$(printf 'zz%.0s' {1..32})\n\n" &&
		is_refused 'set=1\nallowed_ip=10.0.0.0/8\n\n' && is_refused 'set=1\nno_such_word=1\n\n' &&
		is_refused 'set=1\nlisten_port\n\n' && is_refused 'hello\n\n' && is_refused "set=1\n$long=1\n\n"
}

socket_is_roots_alone() {
	[ "$(stat -c '%a %U' "$WIREGUARD_DIR/$(device a).sock")" = "600 root" ] &&
		[ "$(stat -c '%a %U' "$(control_socket a)")" = "600 root" ] &&
		! setpriv --reuid 65534 --regid 65534 --clear-groups wg_a show
}

half_a_request_holds_nobody_up() {
	(printf 'set=1\nlisten_port=1'; sleep 20) | socat - "UNIX-CONNECT:$WIREGUARD_DIR/$(device a).sock" &
	local slow=$!
	timeout 5 wg show "$(device a)" >/dev/null || return 1
	kill "$slow" && timeout 5 wg show "$(device a)" && is_open 51901
}

twenty_at_once_are_all_answered() {
	local i pids=()
	for i in $(seq 20); do
		timeout 10 wg show "$(device a)" dump >"$RUN_DIR/dump.$i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i" || return 1
	done
	[ "$(sort -u "$RUN_DIR"/dump.* | wc -l)" -eq "$(sort -u "$RUN_DIR/dump.1" | wc -l)" ]
}

begin_wireguard
cable_up
start_ours a && start_ours b || bail "podveil-tunnel does not start"
check "fresh_device_is_empty" fresh_device_is_empty
check "private_key_is_set_and_clamped" private_key_is_set_and_clamped
check "device_that_is_up_and_has_a_key_listens_on_some_port" up_with_a_key_listens_on_some_port
check "listen_port_moves_and_the_old_one_is_closed" port_moves
check "taken_port_is_refused_and_the_old_one_stays" taken_port_is_refused
check "figures_are_exact_after_ten_pings" figures_are_exact_after_ten_pings
check "peer_learns_the_endpoint" peer_learns_the_endpoint
check "dump_has_every_field" dump_has_every_field
check "outer_datagrams_carry_the_mark" datagrams_carry_the_mark
check "showconf_and_setconf_are_inverse" showconf_and_setconf_are_inverse
check "syncconf_leaves_sessions_alone" syncconf_leaves_sessions_alone
check "removed_peer_gets_nothing" removed_peer_gets_nothing
check "own_key_is_no_peer" own_key_is_no_peer
check "moved_prefix_belongs_to_the_last_peer_named" moved_prefix_belongs_to_the_last
check "keepalives_flow_without_traffic" keepalives_flow_without_traffic
check "interface_that_comes_up_sends_its_keepalive" interface_that_comes_up_sends_its_keepalive
check "mtu_of_the_device_is_followed" mtu_of_the_device_is_followed
check "idle_engine_sleeps" idle_engine_sleeps
check "bad_values_are_refused_and_change_nothing" bad_values_are_refused
check "sockets_are_roots_alone" socket_is_roots_alone
check "half_a_request_holds_nobody_up" half_a_request_holds_nobody_up
check "twenty_at_once_are_all_answered" twenty_at_once_are_all_answered
check "cleared_private_key_sends_nothing" cleared_private_key_sends_nothing
[ "$TESTS_FAILED" -eq 0 ] || diag_file "$RUN_DIR/a.log.err" "podveil-tunnel"
done_testing
