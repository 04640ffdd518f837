#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# 500 nodes without pod traffic: three have agents, the others exist only as records, and datagrams
# to them vanish. A rotation waits for none of the silent nodes, and the live ones still prove the
# new key. When the silent ones publish a next key at the same moment, each agent tries each of
# those keys at most TRIES times, spread over half the overlap: at most TRIES * peers / (overlap /
# 2) initiations per second, counted on the wire. (For the same reason 500 live idle peers spread
# their handshakes with a node that rotates: each of them draws its own moment.)

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"

AGENTS=3
SILENT=497
OVERLAP=20 # seconds
HALF=$((OVERLAP / 2))
TRIES=3
TRY_SECONDS=6 # after the first try: REKEY_TIMEOUT, its jitter
RATE=$((TRIES * SILENT / HALF))
REGISTRY=$RUN_DIR/registry

agent_flags() { echo --overlap ${OVERLAP}s; }

# -- nodes of which there is nothing but the record --

# Their addresses are 172.30.x.y, behind a router that swallows all.
silent_nodes_up() {
	local i
	ns_add silent
	link_add silent eth0 wire silent
	ip -n "$(ns wire)" link set silent master br0
	address_add silent eth0 192.168.50.250/24
	ip -n "$(ns silent)" route add blackhole 172.30.0.0/16
	for i in $(seq $AGENTS); do
		ip -n "$(ns "n$i")" route add 172.30.0.0/16 via 192.168.50.250
	done
}

# Any 32 bytes are a valid public key to an agent that gets no answer; these end in four zero bits.
new_public_keys() { # COUNT
	head -c $(($1 * 33)) /dev/urandom | base64 -w 44 | sed 's/..$/A=/'
}

# Stdin: a line of keys for each, "current", "current next" or "current previous". All of them appear within a moment.
publish_silent() { # EPOCH SECOND_KEY
	rm -rf "$RUN_DIR/silent" && mkdir "$RUN_DIR/silent" || return 1
	awk -v folder="$RUN_DIR/silent" -v epoch="$1" -v second="$2" -v port=$TUNNEL_PORT '{
		address = "172.30." int(NR / 250) "." NR % 250 + 1
		pods = "10.244." 100 + int(NR / 16) "." NR % 16 * 16 "/28"
		name = "s" NR
		other = NF > 1 ? sprintf(",\\\"%s\\\":\\\"%s\\\"", second, $2) : ""
		file = folder "/" name ".json"
		printf "{\"name\":\"%s\",\"uid\":\"uid-%s\",\"created\":\"2026-01-01T00:00:00Z\",\"podCIDRs\":[\"%s\"]," \
			"\"addresses\":[\"%s\"],\"annotations\":{\"podveil.io/tunnel\":\"{\\\"version\\\":1,\\\"epoch\\\":%s," \
			"\\\"uid\\\":\\\"uid-%s\\\",\\\"current\\\":\\\"%s\\\"%s,\\\"port\\\":%d,\\\"endpoints\\\":[\\\"%s\\\"]," \
			"\\\"pods\\\":[\\\"%s\\\"]}\"}}\n", \
			name, name, pods, address, epoch, name, $1, other, port, address, pods >file
		close(file)
	}'
	mv -t "$REGISTRY" "$RUN_DIR"/silent/*.json
}

agent_knows_all() { # I
	podveil "$1" -o json status | jq -e --argjson others $((AGENTS + SILENT - 1)) \
		'.state == "protected" and .peers.usable == $others' >/dev/null
}

all_are_known() {
	local i
	for i in $(seq $AGENTS); do
		agent_knows_all "$i" || return 1
	done
}

all_go_by() { # EPOCH of the silent ones
	local i
	for i in $(seq $AGENTS); do
		podveil "$i" -o json peers | jq -e --argjson epoch "$1" --argjson silent $SILENT \
			'[.peers[] | select(.epoch == $epoch)] | length == $silent' || return 1
	done
}

# -- what is on the wire --

count_start() {
	spawn wire "$RUN_DIR/initiations" tcpdump --immediate-mode -l -n -tt -i br0 -B 65536 \
		"ip and udp dst port $TUNNEL_PORT and udp[8:4] = 0x01000000"
	COUNT_PID=$SPAWNED
	wait_until 20 grep -q listening "$RUN_DIR/initiations.err" || bail "tcpdump: $(cat "$RUN_DIR/initiations.err")"
}

count_stop() {
	kill -TERM "$COUNT_PID"
	wait "$COUNT_PID"
	grep -qx '0 packets dropped by kernel' "$RUN_DIR/initiations.err"
}

# Lines "seconds.microseconds source destination", ports taken off.
initiations() { # [FROM_S TO_S] of Unix time
	awk -v from="${1:-0}" -v to="${2:-9999999999}" '$1 >= from && $1 < to {
		sub(/\.[0-9]+$/, "", $3); sub(/\.[0-9]+:$/, "", $5); print $1, $3, $5 }' "$RUN_DIR/initiations"
}

now_s() { echo "$EPOCHREALTIME"; }

to_silent() { initiations "$@" | grep ' 172\.30\.' >"$RUN_DIR/to_silent" || true; }

# The initiations of an agent's tunnel to the next keys of the silent nodes.
tries_of() { # I
	awk -v source="$(node_v4 "$1")" -v begin="$PUBLISHED" '$2 == source {
		total++
		each[$3]++
		second[int($1 - begin)]++
		if (each[$3] == 1 && $1 - begin > last_first) last_first = $1 - begin
		if (each[$3] > most_each) most_each = each[$3]
	} END {
		for (peer in each) peers++
		for (s in second) if (second[s] > most) most = second[s]
		print peers + 0, total + 0, most_each + 0, most + 0, last_first + 0
	}' "$RUN_DIR/to_silent"
}

# After a stall of the machine, which the pulse measures, a tunnel catches up: the initiations that
# became due in that time are sent late and all at once.
agent_keeps_the_rate() { # I
	local peers total most_each most last_first
	read -r peers total most_each most last_first < <(tries_of "$1")
	echo "n$1: $peers silent peers tried, $total initiations, $most_each to one peer and $most per second at most; first tries over $last_first s"
	[ "$peers" -eq $SILENT ] && [ "$total" -le $((TRIES * SILENT)) ] && [ "$most_each" -le $TRIES ] &&
		[ "$most" -le $((RATE + RATE * STALL_MS / 1000)) ] &&
		awk "BEGIN { exit !($last_first <= $LEARNT - $PUBLISHED + $HALF + $STALL_MS / 1000) }"
}

say_rate() { agent_keeps_the_rate "$1" | sed "s/^/# /"; } # I

to_n1_are_few() { # from each of the two that are there
	local count i
	for i in 2 3; do
		count=$(initiations | awk -v source="$(node_v4 $i)" -v target="$(node_v4 1)" '$2 == source && $3 == target' | wc -l)
		echo "n$i to n1: $count"
		[ "$count" -ge 1 ] && [ "$count" -le $TRIES ] || return 1
	done
}

# -- the rotation --

is_promoted() { [ "$(own_key 1 .fingerprint)" != "$1" ]; } # OLD_FINGERPRINT
have_proved() { own_key 1 '[.peers_proved, .peers_live] | join(" ")' | grep -qx '2 2'; }
state_is() { [ "$(own_key 1 .state)" = "$1" ]; } # STATE

begin
needs podveil-tunnel podveil-keyd podveil tools/pulse
cluster_up $AGENTS
silent_nodes_up
new_public_keys $SILENT >"$RUN_DIR/keys"
new_public_keys $SILENT >"$RUN_DIR/next"
publish_silent 1 none <"$RUN_DIR/keys" || bail "the records cannot be written"
began=$(now_ms)
for i in $(seq $AGENTS); do
	start_agent "$i" || bail "no agents to try"
done
check "each agent knows $((AGENTS + SILENT - 1)) other nodes" wait_until 20 all_are_known
diag "after $(($(now_ms) - began)) ms"
count_start

old=$(own_key 1 .fingerprint)
rotated=$(now_ms)
check "a node of $((AGENTS + SILENT)) rotates" rotate 1
check "it waits for no idle peer" wait_until 3 is_promoted "$old"
diag "promoted after $(($(now_ms) - rotated)) ms"
check "idle peers that are there prove the new key within half the overlap" wait_until $((HALF + 2)) have_proved
diag "proved after $(($(now_ms) - rotated)) ms"
to_silent
check "the rotation made the node send nothing to the silent ones" sh -c "! grep . '$RUN_DIR/to_silent'"
check "and each of the others began one to $TRIES handshakes with it" to_n1_are_few

pulse_start
PUBLISHED=$(now_s)
check "all silent nodes publish a next key" publish_silent 2 next < <(paste -d' ' "$RUN_DIR/keys" "$RUN_DIR/next")
check "all agents go by it" wait_until 5 all_go_by 2
LEARNT=$(now_s)
check "and they promote it, as no peer talks to them" publish_silent 3 previous < <(paste -d' ' "$RUN_DIR/next" "$RUN_DIR/keys")
check "the key that the silent ones do not prove is wiped at the end of the overlap" wait_until $((OVERLAP + 3)) state_is current
diag "wiped after $(($(now_ms) - rotated)) ms"
left=$(awk "BEGIN { print $PUBLISHED + $HALF + ($TRIES - 1) * $TRY_SECONDS - $(now_s) }")
sleep "${left#-}"
check "every initiation was seen" count_stop
pulse_stop
diag "this machine stalled for $STALL_MS ms at most"
to_silent "$PUBLISHED"
for i in $(seq $AGENTS); do
	check "n$i tried each at most $TRIES times, and kept to $RATE initiations per second" agent_keeps_the_rate "$i"
	say_rate "$i"
done
done_testing
