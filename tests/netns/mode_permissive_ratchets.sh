#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Permissive mode is for migrating a live cluster. Traffic to and from a node without an agent
# passes in cleartext and is counted for that node. When its agent starts, existing flows move into
# the tunnel without losing a packet, and from then on no packet to it leaves in cleartext, no
# matter what happens to the node, to its record or to podveil-keyd. The mode can be changed at run
# time, which disturbs no flow.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
UDP_RATE=2000 # each way: the queue of podveil0 outlasts two seconds in which the tunnel gets no CPU
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"

MARKER=$(new_marker)

agent_flags() { echo "--mode permissive"; }

# The exit status of `podveil status` does not matter here: only the answer counts.
agent_answers() { [ -n "$(podveil "$1" -o json status)" ]; }

# As Kubernetes knows a node on which no agent runs yet.
add_silent_node() { # I
	jq -n --arg i "$1" '{name: "n\($i)", uid: "uid-of-n\($i)", created: "2026-01-01T00:00:00Z", annotations: {},
		addresses: ["192.168.50.\($i)", "fd00:50::\($i)"], podCIDRs: ["10.244.\($i).0/24", "fd00:10:244:\($i)::/64"]}' \
		>"$RUN_DIR/registry/.n$1" && mv "$RUN_DIR/registry/.n$1" "$RUN_DIR/registry/n$1.json"
}

status_is() { # I FILTER
	podveil "$1" -o json status >"$RUN_DIR/status.json"
	jq -e "$2" "$RUN_DIR/status.json" || { cat "$RUN_DIR/status.json"; return 1; }
}

peer_is() { # I OTHER FILTER
	podveil "$1" -o json peers | jq --arg node "n$2" '.peers[] | select(.node == $node)' >"$RUN_DIR/peer.json"
	jq -e "$3" "$RUN_DIR/peer.json" || { cat "$RUN_DIR/peer.json"; return 1; }
}

was_reached() { peer_is "$1" "$2" .was_reached; } # I OTHER
have_reached_each_other() { was_reached 1 2 && was_reached 2 1; }
ratchet_holds_one_node() { # whose value is the byte 1
	bpftool -j map dump pinned "$(agent_bpffs 1)/maps/ratchet" | jq -e 'map(.value) == [["0x01"]]'
}
pods_talk() { in_ns p1 ping -c 1 -W 1 -q "$(pod_v4 2)" && in_ns p1 ping -c 1 -W 1 -q "$(pod_v6 2)"; }

# Asked without a pause: between the registry's word and the next pass the node has no id yet.
first_word_is_reached() {
	local until=$(($(now_ms) + 5000 * SLOW))
	until podveil 1 -o json peers | jq -e '.peers[] | select(.node == "n2")' >"$RUN_DIR/peer.json"; do
		[ "$(now_ms)" -lt $until ] || return 1
	done
	cat "$RUN_DIR/peer.json"
	jq -e .was_reached "$RUN_DIR/peer.json"
}

status_is_loud() {
	podveil 1 status >"$RUN_DIR/status.txt"
	[ $? -eq 0 ] || return 1
	cat "$RUN_DIR/status.txt"
	head -n 1 "$RUN_DIR/status.txt" | grep '^PERMISSIVE: .* IS CLEARTEXT: [1-9][0-9]* packets out, [1-9][0-9]* in' &&
		grep '^node .*mode permissive' "$RUN_DIR/status.txt"
}

# p1 sends requests that must reach no receiver: only its own packets count, since a node without an
# agent replies in cleartext to each that arrives.
nothing_leaves_for_n2() {
	local address
	watch_start "$MARKER"
	for address in "$(pod_v4 2):9100" "[$(pod_v6 2)]:9100"; do
		in_ns p1 "$BUILD/tools/flow" udp-send --to "$address" --rate 200 --count 100 --size 300 --marker "$MARKER"
	done
	in_ns p1 ping -c 2 -i 0.1 -W 1 -q "$(pod_v4 2)"
	in_ns n1 ping -c 1 -W 1 -q "$(node_v4 2)" # something to see
	watch_stop
	watch_saw_nothing
}

clean_up() { # I
	kill_agent "$1"
	in_ns "n$1" "$BUILD/podveil" cleanup --control "$(agent_dir "$1")/keyd.sock" --bpffs "$(agent_bpffs "$1")"
}

restart_keyd() { kill_keyd 1 && start_keyd 1 && wait_until 5 status_is 1 '.tunnel.is_connected'; }

mode_says() { # MODE FILTER
	podveil 1 -o json mode "$1" >"$RUN_DIR/mode.json"
	cat "$RUN_DIR/mode.json"
	jq -e "$2" "$RUN_DIR/mode.json"
}

mode_text_says() { # MODE PATTERN
	podveil 1 mode "$1" | tee "$RUN_DIR/mode.txt"
	grep -E "$2" "$RUN_DIR/mode.txt"
}

there_and_back_many_times() {
	local i
	for i in 1 2 3 4 5; do
		mode_says permissive '.before == "strict"' && sleep 0.1 &&
			mode_says strict '.before == "permissive" and .clear_peers == ["n3"]' && sleep 0.1 || return 1
	done
}

# The kernel stops a device for some microseconds while it gets its first clsact qdisc, and drops
# packets sent then. That is a cost of an agent's first start on a machine without such a qdisc, and
# not the subject of this test.
add_clsact() { in_ns "n$1" tc qdisc add dev eth0 clsact; } # I

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
cluster_up 2
add_clsact 1 && add_clsact 2 || bail "this kernel has no clsact"
add_silent_node 2
start_agent 1 || bail "no agent"
check "permissive is said, and is not protected" wait_until 5 status_is 1 '.mode == "permissive" and .state == "permissive" and
	(.reasons | any(test("PERMISSIVE")))'

udp_start move 1 2
tcp_start move 1 2 1000000
check "traffic to a node without an agent passes in cleartext: the detector sees it" wire_shows_plaintext
check "and is counted for that node, both ways" peer_is 1 2 '.state == "waiting" and (.was_reached | not) and
	.clear_out.packets > 100 and .clear_in.packets > 100 and .to_tunnel.packets == 0'
check "status says so first, with the counts; its exit status says that the node keeps the promise of its mode" status_is_loud

start_agent 2 || bail "no agent"
check "when its agent comes, both nodes reach each other by themselves" wait_until 10 have_reached_each_other
sleep 0.3
check "from then on the flows are in the tunnel and nothing is in cleartext" wire_shows_nothing
check "and is counted there" peer_is 1 2 '.to_tunnel.packets > 100 and .from_tunnel.packets > 100'
traffic_stop
check "no datagram was lost on the way over" udp_lost_nothing move
check "no connection was reset, nor lost a byte" tcp_lost_nothing move

check "keyd comes back" restart_keyd
check "and still knows who was reached" was_reached 1 2
check "from a map entry of one byte" ratchet_holds_one_node
clean_up 2 >/dev/null 2>&1
check "when that node's agent is gone, nothing leaves for it in cleartext" nothing_leaves_for_n2
rm "$RUN_DIR/registry/n2.json"
n2_is_forgotten() { podveil 1 -o json peers | jq -e '.peers == []'; }
check "its record goes away" wait_until 5 n2_is_forgotten
check "and nothing leaves for its pods in cleartext either" nothing_leaves_for_n2
check "keyd comes back without that record" restart_keyd
check "and nothing leaves then" nothing_leaves_for_n2
add_silent_node 2
check "the node comes back without an agent: the first word of it is that it was reached" first_word_is_reached
check "and its record is no agent's" wait_until 5 peer_is 1 2 '.state == "waiting" and .id > 0'
check "nothing leaves for it" nothing_leaves_for_n2

rm "$RUN_DIR/registry/n2.json"
start_agent 2 || bail "no agent"
check "its agent comes back: the pods talk" wait_until 10 pods_talk
add_silent_node 3
check "another node has no agent" wait_until 5 peer_is 1 3 '.state == "waiting"'
check "podveil mode names it when it cuts it off" mode_text_says strict '^cut off, because they were never reached: n3$'
check "status knows the mode" status_is 1 '.mode == "strict" and (.reasons | any(test("PERMISSIVE")) | not)'
udp_start switch 1 2
tcp_start switch 1 2 1000000
sleep 0.3
check "the mode goes back and forth under traffic" there_and_back_many_times
sleep 0.3
check "nothing was in cleartext in between, nor is now" wire_shows_nothing
traffic_stop
check "no datagram was lost by it" udp_lost_nothing switch
check "no connection was disturbed" tcp_lost_nothing switch
check "keyd comes back with the mode of its flags" restart_keyd
check "which is permissive" status_is 1 '.mode == "permissive"'
check "a word that is no mode is refused by keyd too" sh -c 'printf "%s" "$1" | grep -q "expected strict or permissive"' - \
	"$(ask_keyd 1 '{"verb":"mode","mode":"clear"}')"
done_testing
