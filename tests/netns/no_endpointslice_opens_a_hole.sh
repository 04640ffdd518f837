#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Write access to EndpointSlices opens nothing: no slice under any name makes a pod's traffic leave
# in cleartext, in either family, over TCP or UDP. An API server gets its bypass, also inside the
# cluster's range, as soon as podveil-keyd itself has completed TLS there, for TCP alone. A server
# of another authority or name gets none, the last proved set stays until a new server is reached,
# and a bypass ends at once when a node claims its address for a pod.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"
# shellcheck source=tests/netns/kube.bash
. "$(dirname "$0")/kube.bash"

PORT=9001    # of the pod that is attacked
CONTROL=9100 # left outside by --bypass
SECOND_V4=192.168.50.201
IN_RANGE_V4=10.244.200.9 IN_RANGE_V6=fd00:10:244:200::9
STRANGER=10.244.200.10 ELSEWHERE=10.244.200.11

agent_flags() { echo "--bypass $(pod_v4 2):$CONTROL --bypass [$(pod_v6 2)]:$CONTROL"; }

# -- traffic of pods --

receive() { # NAME KIND ADDRESS
	rm -f "$RUN_DIR/$1.ready"
	spawn p2 "$RUN_DIR/$1.recv" "$BUILD/tools/flow" "$2-recv" --bind "$3:$PORT" --seconds 300 --ready-file "$RUN_DIR/$1.ready" \
		--marker "$MARKER"
	RECEIVERS+=("$SPAWNED")
	wait_until 20 test -e "$RUN_DIR/$1.ready" || bail "flow did not start: $(cat "$RUN_DIR/$1.recv.err")"
}

send() { # NAME KIND ADDRESS RATE
	spawn p1 "$RUN_DIR/$1.send" "$BUILD/tools/flow" "$2-send" --to "$3:$PORT" --rate "$4" --seconds 300 --marker "$MARKER"
	FLOWS+=("$SPAWNED")
	TRAFFIC_BEGAN=$(now_ms)
}

traffic_start() {
	local family address
	for family in 4 6; do
		address=$(pod_v4 2)
		[ $family = 4 ] || address="[$(pod_v6 2)]"
		receive udp$family udp "$address"
		receive tcp$family tcp "$address"
		send udp$family udp "$address" "$UDP_RATE"
		send tcp$family tcp "$address" 200000
	done
	# Every connection that asks p2 whether it is an API server leaves a line.
	spawn p2 "$RUN_DIR/asked" socat "TCP6-LISTEN:$API_PORT,ipv6only=0,fork,reuseaddr" "SYSTEM:echo asked >>$RUN_DIR/asked.p2"
}

datagrams_lost_nothing() {
	cat "$RUN_DIR"/udp[46].{send,recv} "$RUN_DIR"/udp[46].recv.err
	cat "$RUN_DIR"/udp[46].recv | all_arrived "$UDP_RATE" "$TRAFFIC_MS"
}

streams_lost_nothing() {
	local family
	for family in 4 6; do
		tcp_lost_nothing_of tcp$family || return 1
	done
}

tcp_lost_nothing_of() { # NAME
	cat "$RUN_DIR/$1.send" "$RUN_DIR/$1.send.err" "$RUN_DIR/$1.recv"
	[ ! -s "$RUN_DIR/$1.send.err" ] && jq -se '.[1].resets == 0 and .[1].corrupt == 0 and .[0].bytes == .[1].bytes and
		.[1].bytes > 0' "$RUN_DIR/$1.send" "$RUN_DIR/$1.recv"
}

# -- what the detector sees --

clear_frames() { jq -e ".missed == 0 and .frames > 0 and .marker $1" "$RUN_DIR/watch.json" || { cat "$RUN_DIR/watch.json"; return 1; }; }

administrators_bypass_shows() {
	local address
	watch_start "$MARKER"
	for address in "$(pod_v4 2)" "[$(pod_v6 2)]"; do
		in_ns p1 "$BUILD/tools/flow" udp-send --to "$address:$CONTROL" --rate 200 --count 20 --marker "$MARKER" >/dev/null
	done
	watch_stop
	clear_frames '>= 40'
}

# -- the attack --

names_the_stranger() { log_says "$1" 'EndpointSlice mine of default/kubernetes is ignored' | wc -l | grep -qx 1; }
bypass_is() { # I ENDPOINT FILTER
	status_says "$1" '[.bypasses[] | select(.endpoint == "'"$2"'")] | length == 1 and (.[0] | '"$3"')'
}
is_claimed() { # I BY
	bypass_is "$1" "$(pod_v4 2):$PORT" '.state == "claimed by '"$2"'"' &&
		bypass_is "$1" "[$(pod_v6 2)]:$PORT" '.state == "claimed by '"$2"'"'
}

attack() {
	local status=0
	api_lists mine "[$PORT]" "$(pod_v4 2)" "$(pod_v6 2)"
	wait_until 5 names_the_stranger 1 && wait_until 5 names_the_stranger 2 || status=1
	sleep 0.7
	api_lists kubernetes "[$API_PORT, $PORT, {\"protocol\": \"UDP\", \"port\": $PORT}]" $API_V4 "$(pod_v4 2)" "$(pod_v6 2)"
	wait_until 5 is_claimed 1 "node n2" && wait_until 5 is_claimed 2 "this node" || status=1
	sleep 0.7
	api_lists kubernetes "[$PORT]" "::ffff:$(pod_v4 2)" # refused as a whole
	sleep 0.3
	# shellcheck disable=SC2046 # one word each
	api_lists kubernetes "[$PORT]" $(seq -f "$(pod_v4 2 | cut -d. -f1-3).%g" 1 200)
	sleep 0.3
	return $status
}

# -- API servers --

serve_at() { # ADDRESS CERTIFICATE
	local address=$1
	[[ $1 != *:* ]] || address="[$1]"
	address_add api eth0 "$1/$([[ $1 = *:* ]] && echo 128 || echo 32)"
	spawn api "$RUN_DIR/server.${1//:/_}" python3 "$ROOT/tests/tools/apiserver.py" serve --listen "$address:$API_PORT" \
		--cert "$API_DIR/$2.crt" --key "$API_DIR/$2.key" --control "$API_DIR/control.${1//:/_}"
	wait_until 10 tell_at "$1" GET / || bail "no server at $1"
}

tell_at() { curl -sS --noproxy '*' --max-time 10 --unix-socket "$API_DIR/control.${1//:/_}" -X "$2" "http://api$3"; } # ADDRESS METHOD PATH

servers_up() {
	local i
	for i in 1 2; do
		ip -n "$(ns n$i)" route add 10.244.200.0/24 via $API_V4
		ip -n "$(ns n$i)" route add fd00:10:244:200::/64 via $API_V6
		ip -n "$(ns api)" route add "$(pods_v4 $i)" via "$(node_v4 $i)"
		ip -n "$(ns api)" route add "$(pods_v6 $i)" via "$(node_v6 $i)"
	done
	serve_at $SECOND_V4 server
	serve_at $IN_RANGE_V4 server
	serve_at $IN_RANGE_V6 server
	serve_at $STRANGER stranger
	serve_at $ELSEWHERE elsewhere
}

endpoint() { if [[ $1 = *:* ]]; then echo "[$1]:$API_PORT"; else echo "$1:$API_PORT"; fi; } # ADDRESS
state_is() { # I ADDRESS STATE [SOURCE]
	bypass_is "$1" "$(endpoint "$2")" '.source == "'"${4:-registry}"'" and .protocols == "tcp" and .state == "'"$3"'"'
}
is_in_force() { state_is 1 "$1" "in force" && state_is 2 "$1" "in force"; } # ADDRESS
is_no_bypass() { status_says "$1" '[.bypasses[] | select(.endpoint == "'"$(endpoint "$2")"'")] == []'; } # I ADDRESS

pod_reaches() { # ADDRESS [SECONDS]: any answer
	[ "$(in_ns p1 curl -sk --noproxy '*' --max-time "${2:-$((2 * SLOW))}" -o /dev/null -w '%{http_code}' "https://$(endpoint "$1")/version")" -ge 200 ]
}
pod_is_cut_off() { ! pod_reaches "$1" 0.5; } # ADDRESS
servers_in_range_are_cut_off() { pod_is_cut_off $IN_RANGE_V4 && pod_is_cut_off $IN_RANGE_V6; }

in_range_is_in_force() { wait_until 10 is_in_force $IN_RANGE_V4 && wait_until 10 is_in_force $IN_RANGE_V6; }
pod_reaches_both() { pod_reaches $IN_RANGE_V4 && pod_reaches $IN_RANGE_V6; }

# TCP only: datagrams to the same address and port do not leave.
no_datagram_follows() {
	local address
	watch_start "$MARKER"
	for address in $IN_RANGE_V4 "[$IN_RANGE_V6]"; do
		in_ns p1 "$BUILD/tools/flow" udp-send --to "$address:$API_PORT" --rate 200 --count 20 --marker "$MARKER" >/dev/null
	done
	watch_stop
	clear_frames '== 0'
}

others_are_not_reached() {
	wait_until 5 failure_is_logged_once $STRANGER && wait_until 5 failure_is_logged_once $ELSEWHERE
	sleep 1.5 # and not at the second time either
	state_is 1 $STRANGER "not reached yet" && state_is 1 $ELSEWHERE "not reached yet" &&
		pod_is_cut_off $STRANGER && pod_is_cut_off $ELSEWHERE && failure_is_logged_once $STRANGER && failure_is_logged_once $ELSEWHERE
}
failure_is_logged_once() { log_says 1 "lists an API server at $1:" | tee /dev/stderr | wc -l | grep -qx 1; } # ADDRESS

# Without the registry, the bypasses that an earlier agent knew stay.
restart_keeps_the_bypass() {
	fault '{"from": "'"$(node_v4 1)"'", "times": 0, "do": {"kind": "close"}}'
	stop_keyd 1 && start_keyd 1 && state_is 1 $IN_RANGE_V4 kept "earlier agent" && pod_reaches_both
}
registry_comes_back() {
	all_is_well
	wait_leaping 20 agent_is_ready 1 && wait_leaping 20 state_is 1 $IN_RANGE_V4 "in force"
}

agent_is_ready_beside() { status_says "$1" ".state == \"protected\""; } # I

pod_asks_for_ever() { # as long as the file is there
	while [ -e "$RUN_DIR/asking" ]; do
		pod_reaches $IN_RANGE_V4 0.5
		pod_reaches $IN_RANGE_V6 0.5
	done >/dev/null 2>&1
}

takes_the_range() { # a node that has the API servers' addresses among its pods
	newcomer_object 200 '.pods = ["10.244.200.0/24", "fd00:10:244:200::/64"]' >"$RUN_DIR/newcomer.json"
	tell PUT /objects/nodes/x200 "@$RUN_DIR/newcomer.json" >/dev/null
	CLAIMED_MS=$(now_ms)
	wait_until 5 eval 'state_is 1 $IN_RANGE_V4 "claimed by node x200" && state_is 1 $IN_RANGE_V6 "claimed by node x200"'
	local status=$?
	CLAIMED_MS=$(($(now_ms) - CLAIMED_MS))
	return $status
}

# The machine of the servers has no agent, and would retransmit in cleartext for minutes.
servers_fall_silent() {
	in_ns api nft -f - <<-END
		table inet silent_servers {
			chain output {
				type filter hook output priority 0
				ip saddr $IN_RANGE_V4 meta l4proto tcp drop
				ip6 saddr $IN_RANGE_V6 meta l4proto tcp drop
			}
		}
	END
}

nothing_leaves_for_the_range() {
	watch_start "$MARKER"
	sleep 1
	watch_stop
	jq -e '.frames > 0 and .addresses == 0 and .missed == 0' "$RUN_DIR/watch.json" || { cat "$RUN_DIR"/watch.json*; return 1; }
}

something_leaves_for_the_range() { ! nothing_leaves_for_the_range && jq -e '.addresses > 0' "$RUN_DIR/watch.json"; }

begin
needs_api
needs tools/wirewatch
kube_agents_up
traffic_start
check "the detector sees the traffic of an administrator's bypass" administrators_bypass_shows
watch_start "$MARKER"
check "a slice of another name is named once, and the API server's own is refused a pod's address" attack
watch_stop
diag "attack: $(watched frames) frames seen, $(watched marker) in cleartext"
check "no frame of the pods' flows left in cleartext, both families, TCP and UDP" clear_frames '== 0'
check "nothing asked the pod whether it is an API server" test ! -e "$RUN_DIR/asked.p2"

servers_up
check "before it is listed no pod reaches a server inside the cluster's range" servers_in_range_are_cut_off
api_lists kubernetes "[$API_PORT]" $API_V4 $SECOND_V4 $IN_RANGE_V4 $IN_RANGE_V6
check "a second API server gets its bypass after TLS" wait_until 10 is_in_force $SECOND_V4
check "so do those inside the cluster's range" in_range_is_in_force
check "pods reach them" pod_reaches_both
check "over TCP, and no datagram follows" no_datagram_follows
check "the account's own server is named as such" state_is 1 $API_V4 "in force" account
api_lists kubernetes "[$API_PORT]" $API_V4 $STRANGER $ELSEWHERE
check "servers of another authority and of another name get none" others_are_not_reached
check "what was proved last stays meanwhile" eval 'state_is 1 $IN_RANGE_V4 kept && pod_reaches_both'
tell DELETE /objects/endpointslices/default/kubernetes >/dev/null
check "also when the slice is deleted" eval 'sleep 0.3; state_is 1 $IN_RANGE_V4 kept'
check "and when podveil-keyd comes back without the registry" restart_keeps_the_bypass
api_lists kubernetes "[$API_PORT]" $API_V4 $IN_RANGE_V4 $IN_RANGE_V6
check "with the registry it is proved anew" registry_comes_back
check "a server that is listed no more loses its bypass then" wait_until 10 is_no_bypass 1 $SECOND_V4

touch "$RUN_DIR/asking"
pod_asks_for_ever &
check "the detector sees pods talk to the server in the range" something_leaves_for_the_range
check "the bypass falls when a node has its address among its pods" takes_the_range
diag "it fell within $CLAIMED_MS ms"
servers_fall_silent || bail "nft does not silence the servers"
check "nothing leaves for it in cleartext any more" nothing_leaves_for_the_range
rm "$RUN_DIR/asking"
check "no node's state has changed for all that" eval 'agent_is_ready_beside 1 && agent_is_ready_beside 2'

traffic_stop
check "numbered datagrams: nothing was lost" datagrams_lost_nothing
check "the TCP connections: nothing was lost, and none was reset" streams_lost_nothing
done_testing
