#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Network policy, conntrack and a node's firewall treat decrypted packets as they treat packets
# without podveil. If a FORWARD or INPUT chain of the receiving node drops packets by the pods' own
# addresses and ports, iptables and nft drop them; if a stateful policy permits a reply, the reply
# arrives; and no packet is INVALID to conntrack.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/cni.bash
. "$(dirname "$0")/cni.bash"
# shellcheck source=tests/netns/class.bash
. "$(dirname "$0")/class.bash"

# Behind conntrack, in front of any policy.
watch_states() {
	local node
	for node in n1 n2; do
		in_ns "$node" nft -f - <<-'RULES' || bail "this machine's nft cannot see conntrack's states"
			table inet states {
				counter invalid {}
				counter established {}
				chain forward {
					type filter hook forward priority -300
					ct state invalid counter name invalid
					ct state established counter name established
				}
				chain input { type filter hook input priority -300; ct state invalid counter name invalid; }
				chain output { type filter hook output priority 300; ct state invalid counter name invalid; }
			}
		RULES
	done
}

counted_by() { in_ns "$1" nft -j list counter inet "$2" "$3" | jq '[.nftables[].counter // empty | .packets] | add'; } # NODE TABLE COUNTER
state_count() { counted_by "$1" states "$2"; } # NODE STATE

nothing_is_invalid() {
	local node
	for node in n1 n2; do
		echo "$node: $(state_count "$node" invalid) invalid, $(state_count "$node" established) established"
		[ "$(state_count "$node" invalid)" -eq 0 ] && [ "$(state_count "$node" established)" -gt 100 ] || return 1
	done
}

question() { # FAMILY FROM TO [PORT]
	in_ns "$2" "$BUILD/tools/answer" ask --marker "$MARKER" --number 0 --to "$(address_of "$1" "$3")" --port "${4:-$PORT}" \
		--count $PACKETS --wait $((400 * SLOW)) | tee "$RUN_DIR/question"
}

in_both_families() { "$1" 4 "${@:2}" && "$1" 6 "${@:2}"; } # COMMAND ARGUMENT...
is_answered() { question "$@" | jq -e --argjson all $PACKETS '.answered == $all'; }
is_not_answered() { question "$@" | jq -e --argjson all $PACKETS '.sent == $all and .answered == 0 and .refused == 0'; }
is_refused() { question "$@" | jq -e '.answered == 0 and .refused > 0'; }

everything_is_answered() {
	local pair
	for pair in "p1 p2" "p2 p1" "q1 p2" "q1 n2" "q2 n1" "n1 p2" "n2 p1" "m1 p2" "p1 n2" "n1 n2"; do
		# shellcheck disable=SC2086 # two words
		in_both_families is_answered $pair || { echo "$pair" && return 1; }
	done
	pings p1 "$(pod_v4 2)" && pings p2 "$(pod_v6 1)" &&
		tcp_arrives p1 p2 "$(pod_v4 2)" && tcp_arrives p2 p1 "$(pod_v6 1)" && tcp_arrives m1 p2 "$(pod_v6 2)"
}

# The rule has counted them, so it saw them decrypted; datagrams that the tunnel has joined count once.
is_dropped_by() { # COUNTER-COMMAND FAMILY FROM TO [PORT]
	is_not_answered "${@:2}" && "$1" "$2" && [ "$("$1" "$2")" -ge 1 ] && [ "$("$1" "$2")" -le $PACKETS ]
}

chain_drop() { # FAMILY CHAIN FROM TO: on n2, by iptables
	ip_tables "$1" n2 -I "$2" -s "$(address_of "$1" "$3")" -d "$(address_of "$1" "$4")" -p udp --dport $PORT -j DROP
}
dropped_in() { in_ns n2 "$(of "$1" iptables ip6tables)" -nvxL "$2" | awk '$3 == "DROP" { print $1 }'; } # FAMILY CHAIN
dropped_in_forward() { dropped_in "$1" FORWARD; }
dropped_in_input() { dropped_in "$1" INPUT; }

chains_flush() {
	local family
	for family in 4 6; do
		ip_tables $family n2 -F FORWARD
		ip_tables $family n2 -F INPUT
	done
}

# Default deny for n2's pods, as a CNI makes it of a NetworkPolicy: from p1 only the other port.
stateful_policy() {
	in_ns n2 nft -f - <<-RULES
		table inet pods {
			counter denied4 {}
			counter denied6 {}
			chain forward {
				type filter hook forward priority 0; policy accept;
				ct state established,related accept
				ip saddr $(address_of 4 p1) ip daddr $(address_of 4 p2) udp dport $BYPASSED accept
				ip6 saddr $(address_of 6 p1) ip6 daddr $(address_of 6 p2) udp dport $BYPASSED accept
				ip daddr $(pods_v4 2) udp dport $PORT counter name denied4 drop
				ip6 daddr $(pods_v6 2) udp dport $PORT counter name denied6 drop
			}
		}
	RULES
}
denied() { counted_by n2 pods "denied$1"; } # FAMILY

begin
needs podveil-tunnel podveil-keyd podveil tools/answer tools/flow
needs_cni bridge host-local portmap
class_cluster_up
servers_start
watch_states
check "agents start and protect both nodes" start_agents
check "pods and nodes talk" everything_is_answered
check "no packet was invalid to conntrack" nothing_is_invalid

for family in 4 6; do
	chain_drop $family FORWARD p1 p2
	check "a FORWARD chain drops a pod's decrypted packets by its address (IPv$family)" \
		is_dropped_by dropped_in_forward $family p1 p2
	check "another pod's pass (IPv$family)" is_answered $family q1 p2
	check "another port's pass (IPv$family)" is_answered $family p1 p2 $BYPASSED
	check "the way back is no matter of that rule (IPv$family)" is_answered $family p2 p1 $BYPASSED
	chain_drop $family INPUT q1 n2
	check "an INPUT chain drops packets for the node itself (IPv$family)" is_dropped_by dropped_in_input $family q1 n2
done
chains_flush
check "without the rules all is answered" everything_is_answered

check "nft takes a stateful policy" stateful_policy
for family in 4 6; do
	check "nft drops packets that the policy denies (IPv$family)" is_dropped_by denied $family p1 p2
	check "what it allows is answered (IPv$family)" is_answered $family p1 p2 $BYPASSED
	check "requests of the protected pod are answered, as established (IPv$family)" is_answered $family p2 p1
	check "an ICMP error for its request comes in, as related (IPv$family)" is_refused $family p2 p1 $CLOSED
done
check "no packet was invalid to conntrack meanwhile" nothing_is_invalid
servers_stop
shape_done
