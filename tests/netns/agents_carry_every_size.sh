#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Every payload size from zero to well over the MTU crosses between the pods exactly once and
# unchanged, in both families. A packet that is too big and may not be fragmented is answered with
# `too big`, and the wire never carries an outer fragment. The wire's MTU is 1500, so the tunnel's
# is 1440 (60 bytes of overhead over IPv4), and the largest UDP payload that fits is 1412 bytes over
# IPv4 and 1392 over IPv6.
#
# The wire's MTU is 1500, so the tunnel's is 1440 (60 bytes of overhead over IPv4), and the largest UDP payload
# that fits is 1412 bytes over IPv4 and 1392 over IPv6.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

PORT=7000
UNTIL=3000

echo_start() { # I ADDRESS
	rm -f "$RUN_DIR/echo.ready"
	spawn "p$1" "$RUN_DIR/echo.out" "$BUILD/tools/sizes" echo --bind "$2:$PORT" --ready-file "$RUN_DIR/echo.ready"
	wait_until 20 test -e "$RUN_DIR/echo.ready" || bail "the echo did not start: $(cat "$RUN_DIR/echo.out.err")"
}

ask() { # FROM TO_ADDRESS FLAG...
	local from=$1 to=$2
	shift 2
	in_ns "p$from" "$BUILD/tools/sizes" ask --to "$to:$PORT" --until $UNTIL "$@" | tee "$RUN_DIR/sizes.json"
}

every_size_is_echoed_once() { # FROM TO_ADDRESS
	ask "$@"
	jq -e --argjson until $UNTIL '.answered == $until + 1 and .lost == 0 and .wrong == 0 and .twice == 0' \
		"$RUN_DIR/sizes.json"
}

# Every size that fits arrives. The first one that does not is reported by the path, and the
# sender's kernel remembers the path MTU.
sizes_end_at() { # LARGEST FROM TO_ADDRESS
	ask "$2" "$3" --dont-fragment
	jq -e --argjson largest "$1" --argjson until $UNTIL '.answered == $largest + 1 and .largest == $largest and
		.told_too_big + .refused == $until - $largest and .lost == 0 and .wrong == 0 and .twice == 0' \
		"$RUN_DIR/sizes.json"
}

# The pods learn the path MTU from the first `too big`; an echo that meets it cannot be sent again.
is_told_too_big() { # FROM FAMILY TO_ADDRESS BYTES MTU
	ip -n "$(ns "p$1")" "-$2" route flush cache
	in_ns "p$1" ping "-$2" -M 'do' -c 3 -i 0.2 -W 1 -s "$4" "$3"
	in_ns "p$1" ip route get "$3" | grep "mtu $5"
}

tcp_carries() { # FROM TO_ADDRESS
	rm -f "$RUN_DIR/tcp.in"
	head -c 3000000 /dev/urandom >"$RUN_DIR/tcp.out"
	spawn p2 "$RUN_DIR/tcp.in" socat -u "TCP6-LISTEN:$PORT,ipv6only=0,reuseaddr" STDOUT
	local receiver=$SPAWNED
	wait_until 20 in_ns p2 sh -c "ss -ltn | grep -q :$PORT" || return 1
	in_ns "p$1" socat -u "OPEN:$RUN_DIR/tcp.out" "TCP:$2:$PORT" || return 1
	wait "$receiver"
	cmp "$RUN_DIR/tcp.out" "$RUN_DIR/tcp.in"
}

no_outer_fragments() {
	watch_saw_nothing && [ "$(watched ip_fragments)" -eq 0 ] && [ "$(watched tunnel)" -gt 0 ]
}

begin
needs podveil-tunnel podveil-keyd podveil tools/sizes tools/wirewatch
cluster_up 2
check "agents start and protect both nodes" start_agents
watch_start "$(new_marker)"

echo_start 2 "$(pod_v4 2)"
check "every IPv4 UDP size without DF is echoed once" every_size_is_echoed_once 1 "$(pod_v4 2)"
check "an IPv4 packet with DF that is too big is answered with too big" is_told_too_big 1 4 "$(pod_v4 2)" 1472 1440
check "the other pod is told so too" is_told_too_big 2 4 "$(pod_v4 1)" 1472 1440
check "every IPv4 UDP size with DF is echoed once up to the MTU" sizes_end_at 1412 1 "$(pod_v4 2)"

echo_start 2 "[$(pod_v6 2)]"
check "an IPv6 packet that is too big is answered with too big" is_told_too_big 1 6 "$(pod_v6 2)" 1452 1440
check "the other pod is told so too over IPv6" is_told_too_big 2 6 "$(pod_v6 1)" 1452 1440
check "every IPv6 UDP size is echoed once" every_size_is_echoed_once 1 "[$(pod_v6 2)]"
check "every IPv6 UDP size uncut is echoed once up to the MTU" sizes_end_at 1392 1 "[$(pod_v6 2)]"

check "TCP over IPv4 arrives byte for byte" tcp_carries 1 "$(pod_v4 2)"
check "TCP over IPv6 arrives byte for byte" tcp_carries 1 "[$(pod_v6 2)]"

watch_stop
check "no outer fragment and no plaintext was on the wire" no_outer_fragments
done_testing
