#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# When another program damages a running node's hooks, pins, tunnel device or uplinks, keyd repairs
# the damage within a second and without a second copy of anything, and no packet leaves in
# cleartext in between: both families and both directions carry marked traffic all the time, and the
# detector sees every frame on the wire. The kernel, not keyd, is asked for the programs that are
# attached.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

MARKER=$(new_marker)
MAPS=8 # config, prefixes, peers, peer_traffic, drops, bypass, ratchet, endpoints

agent_flags() { echo --log-format json; } # with the time of each line

# -- traffic and detector --

send_for_ever() { # FROM ADDRESS PORT
	while :; do
		in_ns "p$1" "$BUILD/tools/flow" udp-send --to "$2:$3" --rate 300 --seconds 2 --size 400 --marker "$MARKER"
		sleep 0.05
	done >/dev/null 2>&1
}

traffic_start() {
	local i
	for i in 1 2; do
		send_for_ever "$i" "$(pod_v4 $((3 - i)))" 9004 &
		send_for_ever "$i" "[$(pod_v6 $((3 - i)))]" 9006 &
	done
}

# Only on n2's side of the wire: everything that leaves n1 passes it, and n1's own port comes and
# goes here.
watch_n2() {
	rm -f "$RUN_DIR/watch.ready"
	spawn wire "$RUN_DIR/watch.json" nice -n -15 "$BUILD/tools/wirewatch" --interface n2 --marker "$MARKER" \
		--net "${CLUSTER_CIDRS[0]}" --net "${CLUSTER_CIDRS[1]}" --port $TUNNEL_PORT --ready-file "$RUN_DIR/watch.ready" \
		--seconds 240
	WATCH_PID=$SPAWNED
	wait_until 20 test -e "$RUN_DIR/watch.ready" || bail "wirewatch did not start: $(cat "$RUN_DIR/watch.json.err")"
}

plaintext_leaves() {
	watch_start "$MARKER"
	sleep 0.5
	watch_stop
	watch_saw_plaintext
}

# -- what stands --

uses_tcx() { podveil 1 -o json status | grep -q '"tcx"'; }
chain() { in_ns n1 "$BUILD/tools/hooks" list "$1" "$2"; } # DEV ingress|egress
filters() { in_ns n1 tc filter show dev "$1" "$2" | grep -o ' handle .*'; } # DEV ingress|egress: in their order

is_first_and_once() { # LIST PROGRAM
	[ "$(head -n 1 <<<"$1" | grep -cw "$2")" -eq 1 ] && [ "$(grep -cw "$2" <<<"$1")" -eq 1 ]
}

uplink_is_guarded() { # DEV
	local index
	index=$(ip -n "$(ns n1)" -j link show "$1" | jq '.[0].ifindex') || return 1
	is_first_and_once "$(chain "$1" egress)" to_wire && is_first_and_once "$(chain "$1" ingress)" from_wire &&
		is_first_and_once "$(filters "$1" egress)" wire_guard &&
		[ -e "$(agent_bpffs 1)/links/to_wire_$index" ] && [ -e "$(agent_bpffs 1)/links/from_wire_$index" ]
}

device_is_set_up() {
	ip -n "$(ns n1)" -j address show podveil0 | jq -e '.[0] | (.flags | index("UP")) != null and .mtu == 1440 and
		any(.addr_info[]; .local == "169.254.77.1")' && [ "$(in_ns n1 sysctl -n net.ipv4.conf.podveil0.rp_filter)" = 2 ] &&
		is_first_and_once "$(chain podveil0 ingress)" from_tunnel
}

maps_are_pinned() { [ "$(find "$(agent_bpffs 1)/maps" -type f | wc -l)" -eq $MAPS ]; }
all_stands() { uplink_is_guarded eth0 && device_is_set_up && maps_are_pinned; }
pods_talk() { in_ns p1 ping -c 1 -W 1 -q "$(pod_v4 2)" && in_ns p2 ping -c 1 -W 1 -q "$(pod_v6 1)"; }

# -- faults --

MENDING='reattached|put back|pinned again|is first again|set up again|is attached to'
mendings() { grep -cE "$MENDING" "$(agent_dir 1)/keyd.log"; }

# The time of keyd's last logged action, in milliseconds.
last_mending_ms() {
	grep -E "$MENDING" "$(agent_dir 1)/keyd.log" | tail -n 1 |
		jq '.time | capture("(?<second>.*)\\.(?<ms>[0-9]+)Z") | (.second + "Z" | fromdate) * 1000 + (.ms | tonumber)'
}

# MS: from the fault to the last repair, which keyd logs when it is done; checking everything from
# here takes longer. STANDS: whether everything is in place then, according to the kernel. LEAKED:
# whether anything was in cleartext in between.
break_and_wait() { # FAULT...
	local began before
	before=$(mendings)
	watch_n2
	pulse_start
	"$@" || { diag "the fault itself failed: $*"; watch_stop; pulse_stop; return 1; }
	began=$(now_ms)
	wait_until 10 all_stands && STANDS=yes || STANDS=no
	MS=0
	[ "$(mendings)" -eq "$before" ] || MS=$(($(last_mending_ms) - began)) # below 0: before the fault's last step
	pulse_stop
	sleep 0.2
	in_ns n2 ping -c 1 -W 1 -q "$(node_v4 1)" >/dev/null 2>&1
	watch_stop
	watch_saw_nothing >/dev/null && LEAKED=no || { LEAKED=yes && diag_file "$RUN_DIR/watch.json" "the wire"; }
	MENDED=$(($(mendings) - before))
}

# The promise is one second, plus the time for which the machine kept the pulse, and so perhaps
# keyd, from running.
is_mended() { # NAME FAULT...
	local name=$1
	shift
	break_and_wait "$@" || { not_ok "$name is mended"; return; }
	diag "$name: mended after $MS ms (this machine stalled for $STALL_MS ms at most)"
	check "$name is mended" test $STANDS = yes
	check "$name is mended in time" test "$MS" -le $((1000 + STALL_MS))
	check "$name lets nothing out in cleartext" test $LEAKED = no
	[ "${HURTS:-yes}" = no ] || check "$name is named in the log" test "$MENDED" -gt 0 # so it was broken at all
}

detach() { in_ns n1 "$BUILD/tools/hooks" detach "$@"; }

stand_before() { # DEV ingress|egress
	[ -z "${SOMEBODY:-}" ] || kill "$SOMEBODY" 2>/dev/null
	spawn n1 "$RUN_DIR/somebody" "$BUILD/tools/hooks" before "$@"
	SOMEBODY=$SPAWNED
	wait_until 20 grep -q there "$RUN_DIR/somebody"
}

filter_behind() { in_ns n1 tc filter add dev eth0 egress pref 50 protocol all bpf bytecode '1,6 0 0 0,'; }
filter_before() { in_ns n1 tc filter add dev eth0 egress pref 1 protocol all bpf bytecode '1,6 0 0 0,'; }
rm_pin() { rm "$(agent_bpffs 1)"/links/to_wire_*; }
rm_pins() { rm -rf "$(agent_bpffs 1)"; }
set_device() { ip -n "$(ns n1)" link set podveil0 "$@"; }
del_address() { ip -n "$(ns n1)" address del 169.254.77.1/32 dev podveil0; }
set_rp_filter() { in_ns n1 sysctl -q -w net.ipv4.conf.podveil0.rp_filter=1; }
del_device() { ip -n "$(ns n1)" link del podveil0; }

uplink_flap() {
	ip -n "$(ns n1)" link set eth0 down && sleep 0.1 && ip -n "$(ns n1)" link set eth0 up &&
		ip -n "$(ns n1)" address replace "$(node_v6 1)/64" dev eth0 nodad && node_route 1 2
}

uplink_anew() {
	ip -n "$(ns n1)" link del eth0 && link_add n1 eth0 wire n1 && ip -n "$(ns wire)" link set n1 master br0 &&
		address_add n1 eth0 "$(node_v4 1)/24" "$(node_v6 1)/64" && node_route 1 2
}

# A second way to the same network, over which the pods' route goes at once.
uplink_more() {
	ip -n "$(ns n1)" link del eth1 2>/dev/null
	link_add n1 eth1 wire n1b && ip -n "$(ns wire)" link set n1b master br0 &&
		address_add n1 eth1 192.168.50.101/24 && ip -n "$(ns n1)" route replace "$(pods_v4 2)" via "$(node_v4 2)" dev eth1
}

key() { podveil 1 -o json key-status | jq -r '.keys[] | select(.is_self) | .fingerprint'; }
repairs() { podveil 1 -o json status | jq "[.hooks[] | select(.device == \"eth0\" and .program == \"$1\") | .repairs] | add"; }

take_off_often() {
	local i
	for i in 1 2 3 4 5; do
		detach eth0 egress to_wire || return 1
		wait_until 5 uplink_is_guarded eth0 || return 1
	done
}

is_alarmed() {
	podveil 1 -o json status >"$RUN_DIR/status.json"
	cat "$RUN_DIR/status.json"
	jq -e '.state == "degraded" and (.reasons | any(test("keeps detaching to_wire from eth0"))) and
		all(.hooks[]; .state == "in_place")' "$RUN_DIR/status.json"
}

status_names_hooks() {
	podveil 1 status >"$RUN_DIR/status.txt" # its exit status says: degraded
	cat "$RUN_DIR/status.txt"
	grep -E '^ +to_wire on eth0: in_place, repaired [1-9][0-9]* times' "$RUN_DIR/status.txt"
}

leaks_without_keyd() { # the control: both looks taken away, and nobody there to put them back
	stop_keyd 1 && in_ns n1 tc qdisc del dev eth0 clsact && detach eth0 egress to_wire && plaintext_leaves
}

nothing_of_ours_is_left() {
	kill_agent 1
	in_ns n1 "$BUILD/podveil" cleanup --control "$(agent_dir 1)/keyd.sock" --bpffs "$(agent_bpffs 1)" || return 1
	[ -z "$(chain eth0 egress)$(chain eth0 ingress)$(chain eth1 egress)" ] && ! filters eth0 egress | grep -w wire_guard &&
		[ ! -e "$(agent_bpffs 1)" ] && ! ip -n "$(ns n1)" link show podveil0
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch tools/hooks tools/pulse
cluster_up 2
traffic_start
check "the detector sees plaintext before the agents come" plaintext_leaves
check "agents start and protect both nodes" start_agents
uses_tcx || skip_all "this kernel has no tcx: tests/bpf/test_inspect.c has the rest"
check "everything stands" wait_until 5 all_stands
key_before=$(key)

is_mended "a clsact qdisc that is deleted" in_ns n1 tc qdisc del dev eth0 clsact
is_mended "a filter that is deleted" in_ns n1 tc filter del dev eth0 egress
is_mended "to_wire detached" detach eth0 egress to_wire
is_mended "from_wire detached" detach eth0 ingress from_wire
is_mended "from_tunnel detached" detach podveil0 ingress from_tunnel
is_mended "a program put before to_wire" stand_before eth0 egress
kill "$SOMEBODY"
is_mended "a program put before from_wire" stand_before eth0 ingress
kill "$SOMEBODY"
is_mended "a filter put before wire_guard" filter_before
is_mended "a pin that is removed" rm_pin
is_mended "all pins removed" rm_pins
is_mended "podveil0 set down" set_device down
is_mended "podveil0's MTU changed" set_device mtu 9000
is_mended "podveil0's address removed" del_address
is_mended "podveil0's rp_filter changed" set_rp_filter
is_mended "podveil0 deleted" del_device
check "the pods talk through the recreated device" wait_until 5 pods_talk
check "under the same key: the tunnel did not end" test "$(key)" = "$key_before"
HURTS=no is_mended "an uplink that goes down and comes back" uplink_flap
is_mended "an uplink that is made anew" uplink_anew
check "the pods talk over it" wait_until 10 pods_talk
is_mended "a new uplink" uplink_more
check "it is guarded like the first" wait_until 2 uplink_is_guarded eth1
check "the pods talk over that one" wait_until 10 pods_talk

check "to_wire taken off five times is put back five times" take_off_often
check "that is an alarm, and every hook is in place nevertheless" wait_until 5 is_alarmed
check "the repairs are counted" test "$(repairs to_wire)" -ge 5
check "status names what was repaired" status_names_hooks
check "without keyd and both looks the detector sees plaintext" leaks_without_keyd
check "keyd comes back and puts everything in its place" eval 'spawn_keyd 1; wait_until 10 all_stands'
check "somebody has a filter there too" filter_behind
check "cleanup leaves nothing of ours" nothing_of_ours_is_left
check "and the other's filter stands" grep -q bytecode <(in_ns n1 tc filter show dev eth0 egress)
done_testing
