#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A virtual address moves ten times between two nodes, and each time the node that had it dies with
# the address still in its record. Pods of a third node reach the new holder at most a second later
# than processes of that node do, since podveil does not handle the packets of processes. The wire
# shows no packet of the pods in cleartext.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

VIP_V4=192.168.50.222 VIP_V6=fd00:50::de
MARKER=$(new_marker)
MOVES=10
MORE_MS=1000

# -- the holder --

vip_add() { # I: and node 1 asks for its link address again, as after keepalived's announcement
	in_ns "n$1" ip address add $VIP_V4/32 dev eth0 && in_ns "n$1" ip address add $VIP_V6/128 dev eth0 || return 1
	in_ns n1 ip neigh del $VIP_V4 dev eth0
	in_ns n1 ip neigh del $VIP_V6 dev eth0
	true
}
vip_del() { in_ns "n$1" ip address del $VIP_V4/32 dev eth0 && in_ns "n$1" ip address del $VIP_V6/128 dev eth0; } # I

node_dies() { # I: its processes at once, its cable with them; what it published stays
	kill_agent "$1" && ip -n "$(ns wire)" link set "n$1" down && vip_del "$1"
}

node_comes_back() { # I: without the address, and says so
	ip -n "$(ns wire)" link set "n$1" up
	# IPv6 loses its routes with the cable.
	for j in 1 2 3; do
		[ "$j" -eq "$1" ] || in_ns "n$1" ip route replace "$(pods_v6 $j)" via "$(node_v6 $j)"
	done
	start_agent "$1" && wait_until 10 agent_is_ready "$1" && wait_until 10 forgets_vip "$1"
}

holds_vip() { # I: in the eyes of node 1
	podveil 1 -o json peers | jq -e --arg node "n$1" \
		'.peers[] | select(.node == $node) | .addresses | (index("'$VIP_V4'") and index("'$VIP_V6'"))'
}
forgets_vip() { ! grep -q $VIP_V4 "$RUN_DIR/registry/n$1.json"; } # I

# -- who answers --

# Replies with the time at which each came. `host` is plain routing: the same packets from a process of node 1.
pings_start() {
	PINGS=()
	ping_start pod4 p1 $VIP_V4
	ping_start pod6 p1 $VIP_V6
	ping_start host4 n1 $VIP_V4
	ping_start host6 n1 $VIP_V6
}
ping_start() { # NAME FROM ADDRESS
	local pattern=()
	[ "$2" = n1 ] || pattern=(-p "$MARKER")
	spawn "$2" "$RUN_DIR/ping.$1" ping -D -n -O -i 0.02 "${pattern[@]}" "$3"
	PINGS+=("$SPAWNED")
}
pings_stop() { kill -INT "${PINGS[@]}" && wait "${PINGS[@]}"; }

last_reply_ms() { # NAME
	awk '/ bytes from / { gsub(/[][]/, "", $1); at = $1 } END { printf "%.0f\n", at * 1000 }' "$RUN_DIR/ping.$1"
}
answers_since() { [ "$(last_reply_ms "$1")" -gt "$2" ]; } # NAME MS
all_answer_since() { # MS
	local name
	for name in pod4 pod6 host4 host6; do
		answers_since $name "$1" || return 1
	done
}

# Milliseconds from AFTER to the first reply behind it.
first_reply_after() { # NAME AFTER_MS
	awk -v after="$2" '/ bytes from / { gsub(/[][]/, "", $1); ms = $1 * 1000; if (ms > after) { printf "%.0f\n", ms - after; exit } }' \
		"$RUN_DIR/ping.$1"
}

declare -A OUTAGES
note_outages() { # AFTER_MS
	local name
	for name in pod4 pod6 host4 host6; do
		OUTAGES[$name]+=" $(first_reply_after $name "$1")"
	done
}

# Each of a pod's outages against the process's of the same move and family.
follows_within_a_second() { # 4 or 6
	local pods hosts i
	read -ra pods <<<"${OUTAGES[pod$1]}"
	read -ra hosts <<<"${OUTAGES[host$1]}"
	echo "pod: ${pods[*]}; plain routing: ${hosts[*]}"
	[ ${#pods[@]} -eq $MOVES ] && [ ${#hosts[@]} -eq $MOVES ] || return 1
	for i in "${!pods[@]}"; do
		[ "${pods[$i]}" -le $((hosts[i] + MORE_MS + STALL_MS)) ] || return 1
	done
}

move() { # FROM TO: AT is when the new holder had the address
	node_dies "$1" && sleep 0.2 || return 1
	AT=$(now_ms)
	vip_add "$2" && wait_until 20 all_answer_since $((AT + 50))
}

moves() {
	local from=2 to=3 spare
	for _ in $(seq $MOVES); do
		move $from $to || { echo "from node $from to node $to"; podveil 1 peers; return 1; }
		note_outages "$AT"
		node_comes_back $from || return 1
		spare=$from from=$to to=$spare
	done
}

# The proofs are the tunnel's, so that not for a moment another node has it.
judges_as_before() { # I
	local until
	kill_keyd 1 && start_keyd 1 || return 1
	until=$(($(now_ms) + 1500))
	while [ "$(now_ms)" -lt $until ]; do
		holds_vip "$1" || { podveil 1 peers; return 1; }
	done
}

begin
needs podveil-tunnel podveil-keyd podveil tools/wirewatch tools/pulse
cluster_up 3
check "agents start and protect three nodes" start_agents
check "node 2 has the virtual address" vip_add 2
check "node 1 knows" wait_until 5 holds_vip 2
watch_start "$MARKER"
pulse_start
pings_start
BEGAN=$(now_ms)
check "it answers" wait_until 5 all_answer_since "$BEGAN"
check "it moves $MOVES times, its holder killed each time" moves
check "node 1 knows who has it now" wait_until 5 holds_vip 2
check "it moves once more" move 2 3
check "a restart of podveil-keyd judges as the one before it, though the dead node is older" judges_as_before 3
pings_stop
pulse_stop
watch_stop
check "IPv4: pods follow at most a second after plain routing" follows_within_a_second 4
check "IPv6: pods follow at most a second after plain routing" follows_within_a_second 6
diag "milliseconds without an answer: pods over IPv4:${OUTAGES[pod4]}; plain:${OUTAGES[host4]}"
diag "pods over IPv6:${OUTAGES[pod6]}; plain:${OUTAGES[host6]}"
check "the pods' packets were never in cleartext" watch_saw_nothing
done_testing
