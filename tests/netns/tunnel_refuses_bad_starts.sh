#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Anything that keeps podveil-tunnel from starting is reported in one line that quotes the text and
# says what was expected, with a non-zero exit status. It leaves nothing behind, and does not
# disturb a tunnel that runs. It repairs the conditions that can be repaired.

. "$(dirname "$0")/wireguard.bash"

tunnel() { # FLAG...: with our own paths unless it says otherwise
	in_ns a timeout 5 "$BUILD/podveil-tunnel" --interface "$(device x)" --control "$RUN_DIR/x/tunnel.sock" \
		--wireguard-dir "$RUN_DIR/x/wireguard" "$@"
}

# One line on stderr with the pattern, nothing on stdout, a status that says failure and not time-out, no device left.
refuses() { # PATTERN COMMAND...
	local pattern=$1 status
	shift
	"$@" >"$RUN_DIR/out" 2>"$RUN_DIR/err"
	status=$?
	echo "status $status"
	cat "$RUN_DIR/out" "$RUN_DIR/err"
	[ $status -ne 0 ] && [ $status -lt 124 ] && [ ! -s "$RUN_DIR/out" ] &&
		[ "$(wc -l <"$RUN_DIR/err")" -eq 1 ] && grep -q -- "$pattern" "$RUN_DIR/err" &&
		! ip -n "$(ns a)" link show "$(device x)" && [ ! -S "$RUN_DIR/x/tunnel.sock" ]
}

tunnel_without() { # CAPABILITY
	tunnel_by setpriv --bounding-set "-$1" --inh-caps "-$1"
}

tunnel_by() { # COMMAND...: that runs what follows it
	in_ns a timeout 5 "$@" "$BUILD/podveil-tunnel" --interface "$(device x)" --control "$RUN_DIR/x/tunnel.sock" \
		--wireguard-dir "$RUN_DIR/x/wireguard"
}

tunnel_with_dev_hidden() {
	# shellcheck disable=SC2016 # expanded inside
	tunnel_by unshare --mount -- sh -c 'mount -t tmpfs tmpfs /dev/net && exec "$@"' sh
}

tunnel_with_bad_environment() { PODVEIL_AEAD=rot13 tunnel; }

is_ready() { grep -q "is ready" "$1.err"; } # LOG

runs() { # FLAG...: and leaves when it is told to, cleaning up
	rm -f "$RUN_DIR/run.log.err"
	spawn a "$RUN_DIR/run.log" "$BUILD/podveil-tunnel" --interface "$(device x)" --control "$RUN_DIR/x/tunnel.sock" \
		--wireguard-dir "$RUN_DIR/x/wireguard" "$@"
	local pid=$SPAWNED
	wait_until 5 is_ready "$RUN_DIR/run.log"
	[ -S "$RUN_DIR/x/tunnel.sock" ] && [ -S "$RUN_DIR/x/wireguard/$(device x).sock" ]
	local ready=$?
	kill -TERM "$pid"
	wait "$pid"
	local status=$?
	cat "$RUN_DIR/run.log.err"
	echo "ready $ready, status $status"
	[ $ready -eq 0 ] && [ $status -eq 0 ] && [ ! -e "$RUN_DIR/x/tunnel.sock" ] &&
		[ ! -e "$RUN_DIR/x/wireguard/$(device x).sock" ]
}

stale_socket_is_replaced() {
	mkdir -p "$RUN_DIR/x"
	# type 5 is SOCK_SEQPACKET; one that is killed leaves its socket behind
	socat "UNIX-LISTEN:$RUN_DIR/x/tunnel.sock,type=5" - </dev/null >/dev/null 2>&1 &
	wait_until 20 test -S "$RUN_DIR/x/tunnel.sock" || return 1
	kill -KILL $! && wait $! 2>/dev/null
	[ -S "$RUN_DIR/x/tunnel.sock" ] || return 1
	runs
}

missing_folders_are_made_private() {
	rm -rf "$RUN_DIR/x"
	runs && [ "$(stat -c %a "$RUN_DIR/x")" = 700 ] && [ "$(stat -c %a "$RUN_DIR/x/wireguard")" = 700 ]
}

persistent_device_is_taken_over() {
	ip -n "$(ns a)" tuntap add dev "$(device x)" mode tun vnet_hdr || return 1
	ip -n "$(ns a)" link set "$(device x)" mtu 1333
	runs && grep -q "MTU 1333" "$RUN_DIR/run.log.err" && ip -n "$(ns a)" link show "$(device x)"
	local status=$?
	ip -n "$(ns a)" link delete "$(device x)"
	return $status
}

the_running_one_still_works() { timeout 5 wg show "$(device a)"; }

is_told_of_its_lost_device() {
	start_ours b || return 1
	ip -n "$(ns b)" link delete "$(device b)"
	wait_until 5 is_gone "$(pid_of b)" && grep -q "$(device b).*removed" "$RUN_DIR/b.log.err"
}

ends_when_its_engine_is_killed() {
	start_ours b || return 1
	kill -KILL "$(engine_of b)"
	wait_until 5 is_gone "$(pid_of b)" && grep -q "killed by signal 9" "$RUN_DIR/b.log.err" &&
		[ ! -e "$(control_socket b)" ]
}

engine_ends_with_its_parent() {
	start_ours b || return 1
	local engine
	engine=$(engine_of b)
	kill -KILL "$(pid_of b)"
	wait_until 5 is_gone "$engine"
}

begin_wireguard
cable_up
start_ours a || bail "podveil-tunnel does not start"
mkdir -p "$RUN_DIR/x"
touch "$RUN_DIR/file"
ip -n "$(ns a)" link add pvbridge type veth peer name pvother || bail "no veth"

check "unknown flag is named" refuses "'--no-such'" tunnel --no-such
check "word that is no flag is named" refuses "'start'" tunnel start
check "flag without its value is named" refuses "'--aead'.*NAME" tunnel --aead
check "two threads are refused" refuses "threads: '2'.*expected 1" tunnel --threads 2
check "threads that are no number are refused" refuses "threads: 'many'.*expected" tunnel --threads many
check "unknown AEAD is refused" refuses "aead: 'rot13'.*expected" tunnel --aead rot13
check "unknown log level is refused" refuses "log-level: 'loud'.*expected" tunnel --log-level loud
check "unknown log format is refused" refuses "log-format: 'xml'.*expected" tunnel --log-format xml
check "interface name with a slash is refused" refuses "interface: 'a/b'.*expected" tunnel --interface a/b
check "interface name that is too long is refused" refuses "interface: 'abcdefghijklmnop'.*expected" tunnel --interface abcdefghijklmnop
check "empty interface name is refused" refuses "interface: ''.*expected" tunnel --interface ""
check "bad environment is named" refuses "environment: aead: 'rot13'" tunnel_with_bad_environment
check "interface of another process is named" refuses "interface '$(device a)' is in use" tunnel --interface "$(device a)"
check "interface that is no TUN is named" refuses "'pvbridge'.*no.*TUN" tunnel --interface pvbridge
check "control socket of a running tunnel is named" refuses "'$(control_socket a)' is in use" tunnel --control "$(control_socket a)"
check "file in the socket's place is named" refuses "'$RUN_DIR/file'.*not a socket" tunnel --control "$RUN_DIR/file"
check "file in the folder's place is named" refuses "'$RUN_DIR/file" tunnel --control "$RUN_DIR/file/tunnel.sock"
check "path too long for a socket is refused" refuses "expected a" tunnel --control "$RUN_DIR/$(printf 'x%.0s' {1..120})"
check "wireguard folder too long for a socket is refused" refuses "expected a shorter path" tunnel --wireguard-dir "/tmp/$(printf 'x%.0s' {1..120})"
for capability in net_admin setuid setpcap kill; do
	check "missing cap_$capability is named" refuses "missing privileges: CAP_${capability^^}" tunnel_without "$capability"
done
check "ordinary user is refused" refuses "missing privileges: CAP_NET_ADMIN" tunnel_by setpriv --reuid 65534 --regid 65534 --clear-groups
check "machine without /dev/net/tun is told" refuses "/dev/net/tun" tunnel_with_dev_hidden
check "the running tunnel is not disturbed by any of these" the_running_one_still_works
check "stale socket is replaced" stale_socket_is_replaced
check "missing folders are made, for root alone" missing_folders_are_made_private
check "persistent device of that name is taken over and stays" persistent_device_is_taken_over
check "JSON log lines are JSON" runs --log-format json
check "and parse" jq -es 'length > 0 and all(.message != null and .level != null)' "$RUN_DIR/run.log.err"
check "a tunnel whose device is deleted says so and exits" is_told_of_its_lost_device
check "a tunnel whose engine is killed says so and exits" ends_when_its_engine_is_killed
check "engine ends with its parent" engine_ends_with_its_parent
done_testing
