#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A device that leads to other nodes appears while podveil-keyd cannot see it (a signal has stopped
# it). Until the device has its hooks, no packet with a pod's address leaves by it, in either
# family, and every such packet is counted as unguarded_device. Traffic that stays on the node,
# traffic between nodes, and --bypass are not affected. Without the guard's table the same steps
# leak. If another program deletes the table, keyd restores it; `podveil cleanup` removes it and no
# other table.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

MARKER=$(new_marker)
COUNT=200
LAST_WORDS=20 # by which flow says that it ends, and does not count
BYPASSED=9444

agent_flags() { echo "--bypass $(node_v4 2):$BYPASSED --bypass [$(node_v6 2)]:$BYPASSED"; }

table() { in_ns n1 nft list table inet podveil_guard; }
status_of() { podveil 1 -o json status | jq "$1"; } # FILTER
dropped() { status_of "[.drops[] | select(.reason == \"$1\") | .packets] | add // 0"; } # REASON
kernel_names_losses() { [ -e "$(agent_bpffs 1)/links/kernel_drops" ]; }

# -- the fault: a second way to the same network, over which everything for node 2 goes at once --

more_uplink() {
	link_add n1 eth1 wire n1b
	ip -n "$(ns wire)" link set n1b master br0 && address_add n1 eth1 192.168.50.101/24 fd00:50::101/64 &&
		ip -n "$(ns n1)" route add "$(node_v4 2)" dev eth1 && ip -n "$(ns n1)" route add "$(node_v6 2)" dev eth1 &&
		ip -n "$(ns n1)" route replace "$(pods_v4 2)" via "$(node_v4 2)" dev eth1 &&
		ip -n "$(ns n1)" route replace "$(pods_v6 2)" via "$(node_v6 2)" dev eth1
}

less_uplink() {
	ip -n "$(ns n1)" link del eth1
	node_route 1 2
	wait_until 5 eval 'status_of .datapath.uplinks | jq -e ". == [\"eth0\"]"'
}

new_pod() { # of this node, beside the first, and its device
	ns_add q1
	link_add n1 pods1 q1 eth0
	ip -n "$(ns n1)" route add 10.244.1.20 dev pods1 && ip -n "$(ns n1)" route add fd00:10:244:1::20 dev pods1
	address_add n1 pods1 10.244.1.21/32 fd00:10:244:1::21/128
	address_add q1 eth0 10.244.1.20/32 fd00:10:244:1::20/64
	ip -n "$(ns q1)" route add default via 10.244.1.21 dev eth0 onlink
	ip -n "$(ns p1)" route add 10.244.1.20 via 10.244.1.1
}

keyd_looks_away() { kill -STOP "$(keyd_pid 1)"; }
keyd_looks_again() { kill -CONT "$(keyd_pid 1)"; }

# -- traffic --

receive() { # NAME ADDRESS:PORT
	rm -f "$RUN_DIR/$1.ready"
	spawn p2 "$RUN_DIR/$1.recv" "$BUILD/tools/flow" udp-recv --bind "$2" --seconds 60 --ready-file "$RUN_DIR/$1.ready" \
		--marker "$MARKER"
	RECEIVERS+=("$SPAWNED")
	wait_until 20 test -e "$RUN_DIR/$1.ready" || bail "flow did not start: $(cat "$RUN_DIR/$1.recv.err")"
}

send() { # NAME ADDRESS:PORT
	in_ns p1 "$BUILD/tools/flow" udp-send --to "$2" --rate 400 --count $COUNT --size 200 --marker "$MARKER" \
		>"$RUN_DIR/$1.send" 2>"$RUN_DIR/$1.send.err"
}

# Both families, from pod 1 to pod 2: SENT and RECEIVED.
send_and_count() {
	RECEIVERS=()
	receive v4 "$(pod_v4 2):9300"
	receive v6 "[$(pod_v6 2)]:9300"
	send v4 "$(pod_v4 2):9300"
	send v6 "[$(pod_v6 2)]:9300"
	sleep 0.2
	kill -TERM "${RECEIVERS[@]}"
	wait "${RECEIVERS[@]}"
	SENT=$(($(jq .sent "$RUN_DIR/v4.send") + $(jq .sent "$RUN_DIR/v6.send")))
	RECEIVED=$(($(jq .received "$RUN_DIR/v4.recv") + $(jq .received "$RUN_DIR/v6.recv")))
}

send_while_keyd_looks_away() {
	local before other
	before=$(dropped unguarded_device) other=$(dropped netfilter)
	watch_start "$MARKER"
	keyd_looks_away
	more_uplink || diag "the new device is not as it should be"
	send_and_count
	in_ns p1 ping -c 1 -W 1 -q "$(node_v4 2)" >/dev/null # not masqueraded: one packet more
	in_ns p1 ping -c 1 -W 1 -q "$(node_v6 2)" >/dev/null
	in_ns n1 ping -c 1 -W 1 -q "$(pod_v4 2)" >/dev/null # the node itself, to a pod
	watch_stop
	SENT=$((SENT + 2 * LAST_WORDS + 3))
	meanwhile # what it sends from pods to nodes is none of what was counted
	keyd_looks_again
	DROPPED=$(($(dropped unguarded_device) - before)) OTHER=$(($(dropped netfilter) - other))
	diag "$SENT sent, $RECEIVED received, $DROPPED dropped as unguarded_device"
}

# Traffic that the guard must not touch, tested while the guard is the only protection.
meanwhile() {
	local_talk=no nodes_talk=no bypass_talks=no
	new_pod
	{
		pings p1 10.244.1.20 && pings n1 10.244.1.20 && pings n1 fd00:10:244:1::20 && pings n1 "$(pod_v6 1)" &&
			local_talk=yes
		pings n1 "$(node_v4 2)" && pings n1 "$(node_v6 2)" && nodes_talk=yes
		asks_bypassed "$(node_v4 2)" && asks_bypassed "$(node_v6 2)" && bypass_talks=yes
	} >"$RUN_DIR/meanwhile.txt" 2>&1
}

asks_bypassed() { # ADDRESS: an unmasqueraded pod asks, and hears the answer
	local server
	rm -f "$RUN_DIR/server.ready"
	spawn n2 "$RUN_DIR/server" "$BUILD/tools/answer" serve --marker "$MARKER" --port $BYPASSED \
		--ready-file "$RUN_DIR/server.ready" --seconds 30
	server=$SPAWNED
	wait_until 20 test -e "$RUN_DIR/server.ready"
	in_ns p1 "$BUILD/tools/answer" ask --marker "$MARKER" --number 1 --to "$1" --port $BYPASSED --count 3 \
		--wait $((500 * SLOW)) >"$RUN_DIR/bypassed.json"
	kill "$server"
	jq -e '.answered > 0' "$RUN_DIR/bypassed.json"
}

pods_talk() { in_ns p1 ping -c 1 -W 1 -q "$(pod_v4 2)" && in_ns p2 ping -c 1 -W 1 -q "$(pod_v6 1)"; }
is_taken_in() { table | grep -A 3 'set guarded' | grep -q eth1; }
all_arrive() {
	watch_start "$MARKER"
	send_and_count
	watch_stop
	[ "$SENT" -eq $((2 * COUNT)) ] && [ "$RECEIVED" -eq "$SENT" ] && watch_saw_nothing
}

leaks_without_the_table() {
	watch_start "$MARKER"
	keyd_looks_away
	in_ns n1 nft delete table inet podveil_guard
	more_uplink
	send_and_count
	watch_stop
	keyd_looks_again
	watch_saw_plaintext
}

# -- somebody else --

stands_as_before() { [ "$(table | grep -v counter)" = "$STOOD" ]; }

is_put_back() { # NFT COMMAND...
	local repairs
	repairs=$(status_of .guard.repairs)
	in_ns n1 nft "$@" || return 1
	wait_until 3 stands_as_before || { table; return 1; }
	[ "$(status_of .guard.repairs)" -gt "$repairs" ] && grep -q "podveil_guard was .* by another program" "$(agent_dir 1)/keyd.log"
}

is_alarmed() { [[ $(status_of .reasons) == *'changing the table inet podveil_guard'* ]]; } # its exit status says: degraded

others_do_not_matter() {
	local repairs
	repairs=$(status_of .guard.repairs)
	in_ns n1 nft add table inet somebody && in_ns n1 nft add chain inet somebody chain && sleep 0.3
	[ "$(status_of .guard.repairs)" -eq "$repairs" ]
}

outlives_keyd() {
	kill_keyd 1
	stands_as_before && start_keyd 1 && wait_until 10 agents_are_ready && stands_as_before
}

cleanup_takes_it() {
	kill_agent 1
	in_ns n1 "$BUILD/podveil" cleanup --control "$(agent_dir 1)/keyd.sock" --bpffs "$(agent_bpffs 1)" \
		>"$RUN_DIR/cleanup.txt" || return 1
	cat "$RUN_DIR/cleanup.txt"
	grep -q "the guard's table" "$RUN_DIR/cleanup.txt" && ! table && in_ns n1 nft list table inet somebody
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch tools/answer
cluster_up 2
in_ns n1 nft list ruleset >/dev/null 2>&1 || skip_all "needs nf_tables"
check "agents start and protect both nodes" start_agents
check "the pods talk" wait_until 5 pods_talk
check "the guard's table stands" eval 'table | grep "goto judge"'
send_while_keyd_looks_away
check "no cleartext leaves by a device that appears while keyd is stopped" watch_saw_nothing
check "though enough was sent" test "$SENT" -ge $COUNT
if kernel_names_losses; then
	check "every packet is received or counted as unguarded_device" test $((RECEIVED + DROPPED)) -eq "$SENT"
	check "and none of them as netfilter too" test "$OTHER" -eq 0
else
	skip "every packet is received or counted as unguarded_device" "this kernel has no BTF"
	skip "and none of them as netfilter too" "this kernel has no BTF"
fi
check "pods of this node go on, a new one included" test "$local_talk" = yes
check "nodes talk to each other over the new device" test "$nodes_talk" = yes
check "what --bypass names goes over it too" test "$bypass_talks" = yes
check "keyd looks again: the device has its hooks, and the guard takes it in" wait_until 2 is_taken_in
check "the pods talk over it" wait_until 10 pods_talk
check "no further packet is lost, and none is in cleartext" all_arrive
check "the device goes away again" less_uplink
check "the pods talk as before" wait_until 10 pods_talk
check "without the table the detector sees the same steps leak" leaks_without_the_table
check "keyd puts the table back" wait_until 2 is_taken_in
STOOD=$(table | grep -v counter)

check "a deleted table is put back" is_put_back delete table inet podveil_guard
check "after a flush of everything too" is_put_back flush ruleset
check "a rule that is gone" is_put_back flush chain inet podveil_guard judge
check "an element that is gone" is_put_back delete element inet podveil_guard remote4 '{ 10.244.0.0/24 }'
check "a device that somebody let pass" is_put_back add element inet podveil_guard guarded '{ 4711 }'
check "a table that was put to sleep" is_put_back add table inet podveil_guard '{ flags dormant; }'
check "so often, that it is an alarm" is_alarmed
check "other tables are no concern of it" others_do_not_matter
check "the table outlives keyd, and the next one finds it" outlives_keyd
check "cleanup takes it away, and no other's" cleanup_takes_it
done_testing
