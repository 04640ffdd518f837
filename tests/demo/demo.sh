#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# make demo: two nodes and two pods made of network namespaces, an agent on each node, and a look at
# the wire between them. First with the agents off, where the detector must see the pods' addresses
# and a random marker in the payload; then with them on, where it must see neither, for all traffic
# of the pods, while both nodes change their keys, and while an agent is killed. One line and one
# verdict per claim; the exit status is their sum. Leaves nothing behind.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/../netns/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/../netns/rotation.bash"
# shellcheck source=tests/demo/lines.bash
. "$(dirname "$0")/lines.bash"

MARKER=$(new_marker)
MEASURE_SECONDS=2
UDP_RATE=2000 # packets a second each way, while keys rotate
WATCHED_RATE=300M # the detector has to see every frame of it, also on a small machine

# -- the traffic of the pods; each writes its result into SEEN and fails if it did not work --

pod_address() { if [ "$1" = 4 ]; then pod_v4 "$2"; else pod_v6 "$2"; fi; } # FAMILY POD
url_host() { if [ "$1" = 4 ]; then pod_v4 "$2"; else echo "[$(pod_v6 "$2")]"; fi; }

try_ping() { # FAMILY
	local output
	output=$(in_ns p1 ping "-$1" -c 5 -i 0.2 -W 1 -q -p "$MARKER" "$(pod_address "$1" 2)")
	SEEN=$(echo "$output" | sed -n -e 's/.* \([0-9.]*% packet loss\).*/\1/p' -e 's|^rtt [^=]*= [^/]*/\([^/]*\)/.*|\1 ms|p' | paste -sd' ')
	[[ $output == *' 0% packet loss'* ]]
}

try_http() { # FAMILY
	rm -f "$RUN_DIR/page"
	in_ns p1 curl -s --max-time 5 -o "$RUN_DIR/page" "http://$(url_host "$1" 2):8080/page"
	SEEN="$(stat -c %s "$RUN_DIR/page" 2>/dev/null || echo 0) bytes"
	cmp -s "$RUN_DIR/www/page" "$RUN_DIR/page"
}

# Mbit/s into MBITS; 0 where it did not work.
try_bulk() { # FAMILY SECONDS RATE: in bits per second, 0 for all it can
	MBITS=$(timeout $(($2 + 8)) nsenter --net="/run/netns/$(ns p1)" -- \
		iperf3 "-$1" -c "$(pod_address "$1" 2)" -t "$2" -b "$3" -J --connect-timeout 3000 2>/dev/null |
		jq -r '(.end.sum_received.bits_per_second // 0) / 1e6 | floor' 2>/dev/null)
	MBITS=${MBITS:-0}
	SEEN="$(gbits "$MBITS")"
	[ "$MBITS" -gt 0 ]
}

gbits() { awk -v m="$1" 'BEGIN { printf "%.2f Gbit/s", m / 1000 }'; } # MBITS

serve() {
	mkdir "$RUN_DIR/www"
	{ marker_bytes "$MARKER"; head -c 200000 /dev/urandom; } >"$RUN_DIR/www/page"
	spawn p2 "$RUN_DIR/http.out" python3 -m http.server --bind :: --directory "$RUN_DIR/www" 8080
	spawn p2 "$RUN_DIR/iperf.out" iperf3 -s
	wait_until 10 in_ns p2 curl -s -o /dev/null 'http://[::1]:8080/' || bail "python3 -m http.server does not start"
}

# -- the scenes --

agents_off() {
	local family
	echo "agents off: plain routing"
	watch_start "$MARKER"
	for family in 4 6; do
		try_ping $family
		try_http $family
	done
	wire_line_in_clear "the detector sees the pods' traffic"
	for family in 4 6; do
		try "bulk TCP over IPv$family, as fast as it goes" try_bulk $family $MEASURE_SECONDS 0
		PLAIN_MBITS[family]=$MBITS
	done
}

agents_on() {
	local family began
	echo "agents on"
	began=$(now_ms)
	if start_agents; then
		line ok "an agent on each node, both protected" "after $(($(now_ms) - began)) ms"
	else
		line FAILED "an agent on each node, both protected" "see above"
		return
	fi
	watch_start "$MARKER"
	for family in 4 6; do
		try "ping over IPv$family" try_ping $family
		try "HTTP over IPv$family" try_http $family
		try "bulk TCP over IPv$family, watched" try_bulk $family 1 $WATCHED_RATE
	done
	wire_line "nothing of it is on the wire, bulk TCP included"
	for family in 4 6; do
		measure $family
	done
}

measure() { # FAMILY
	local share
	try_bulk "$1" $MEASURE_SECONDS 0
	share=$((${PLAIN_MBITS[$1]} > 0 ? MBITS * 100 / ${PLAIN_MBITS[$1]} : 0))
	line "$(verdict test "$MBITS" -gt 0)" "bulk TCP over IPv$1, as fast as it goes" "$SEEN ($share % of plain routing)"
}

fingerprints() { own_key 1 .fingerprint; own_key 2 .fingerprint; }

have_new_keys() { ! fingerprints | grep -qxFf "$RUN_DIR/fingerprints"; }

udp_lost() { # PREFIX
	jq -rs '"\(map(.received) | add) datagrams, \(map(.lost) | add) lost"' "$RUN_DIR/$1"-{there,back}.recv
}

keys_rotated() {
	local began
	echo "both nodes rotate their keys, at once, under $UDP_RATE datagrams/s each way"
	fingerprints >"$RUN_DIR/fingerprints"
	watch_start "$MARKER"
	udp_start rotated 1 2
	sleep 1
	began=$(now_ms)
	if podveil 1 rotate-key --all >"$RUN_DIR/rotate.txt" 2>&1 && have_new_keys; then
		line ok "podveil rotate-key --all: both have new keys" "after $(($(now_ms) - began)) ms"
	else
		line FAILED "podveil rotate-key --all: both have new keys" "$(tail -n 1 "$RUN_DIR/rotate.txt")"
	fi
	sleep 1
	traffic_stop
	line "$(verdict udp_lost_nothing rotated)" "not one datagram is lost" "$(udp_lost rotated)"
	wire_line "nothing leaves in the clear meanwhile"
}

some_traffic() {
	local to
	for to in "$(pod_v4 2)" "[$(pod_v6 2)]"; do
		spawn p1 "$RUN_DIR/traffic.$to" "$BUILD/tools/flow" udp-send --to "$to:9000" --rate 500 --seconds 20 \
			--size 400 --marker "$MARKER"
	done
	for to in "$(pod_v4 1)" "[$(pod_v6 1)]"; do
		spawn p2 "$RUN_DIR/traffic.$to" "$BUILD/tools/flow" udp-send --to "$to:9000" --rate 500 --seconds 20 \
			--size 400 --marker "$MARKER"
	done
}

agent_killed() {
	local began
	echo "agent of n1 killed (SIGKILL) under traffic"
	some_traffic
	watch_start "$MARKER"
	sleep 0.3
	kill_agent 1
	sleep 1
	wire_line "nothing leaves in the clear"
	watch_start "$MARKER"
	began=$(now_ms)
	if start_agent 1 && wait_until 15 in_ns p1 ping -c 1 -W 1 -q "$(pod_v4 2)" && wait_until 15 agents_are_ready; then
		line ok "it comes back, the pods talk again" "after $(($(now_ms) - began)) ms"
	else
		line FAILED "it comes back, the pods talk again" "not within 15 s"
	fi
	wire_line "nothing leaves while it comes back"
}

[ "$(id -u)" -eq 0 ] || { echo "demo: run as root: it makes network namespaces and loads BPF programs" >&2; exit 1; }
needs podveil-tunnel podveil-keyd podveil tools/wirewatch tools/flow
PLAIN_MBITS=()
begin
echo "podveil demo: pods p1 and p2 on nodes n1 and n2, watched on the wire between the nodes"
cluster_up 2
serve
agents_off
agents_on
show_status
keys_rotated
agent_killed
lines_done
