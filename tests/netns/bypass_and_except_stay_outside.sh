#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Exactly the traffic that the user excludes stays outside the tunnel: a port of an address
# (--bypass), as destination and as source, and a part of the cluster's range (--except-cidr). A
# bypass works while the tunnel is down, because the path to the API server must not depend on the
# tunnel.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

MARKER=$(new_marker)
API=9443

# n2's node address is where the pods of n1 reach "the API server"; the pods' own addresses are p1's and p2's.
agent_flags() {
	echo "--bypass $(node_v4 2):$API --bypass [$(node_v6 2)]:$API --bypass $(pod_v4 2):$API --except-cidr 10.244.200.0/24"
}

listen() { # NAME ADDRESS:PORT
	spawn "$1" "$RUN_DIR/sink" "$BUILD/tools/flow" udp-recv --bind "$2" --marker "$MARKER" --seconds 60 --idle 60000
}

send_to() { # ADDRESS:PORT
	in_ns p1 "$BUILD/tools/flow" udp-send --to "$1" --rate 200 --count 40 --size 200 --marker "$MARKER"
}

watched_send() { # ADDRESS:PORT
	watch_start "$MARKER"
	send_to "$1"
	in_ns n1 ping -c 1 -W 1 -q "$(node_v4 2)"
	watch_stop
	cat "$RUN_DIR/watch.json"
}

leaves_in_clear() { watched_send "$1" && jq -e '.marker >= 40' "$RUN_DIR/watch.json"; }
leaves_not_in_clear() { watched_send "$1" && jq -e '.frames > 0 and .marker == 0' "$RUN_DIR/watch.json"; }

# The answer comes back from the bypassed port: that is the bypass as a source.
answers_over() { # SOCAT_LISTEN SOCAT_CONNECT NAME_OF_SERVER
	spawn "$3" "$RUN_DIR/server" timeout 20 socat "$1,fork,reuseaddr" EXEC:'echo hello',pipes
	wait_until 5 in_ns p1 timeout 2 socat -T 1 -u "$2" "OPEN:$RUN_DIR/answer,creat,trunc" && grep -q hello "$RUN_DIR/answer"
}

drops_of() { podveil 1 -o json status | jq "[.drops[] | select(.reason == \"$1\") | .packets] | add // 0"; }
shows() { podveil 1 -o json status | jq -e "$1" || { podveil 1 -o json status; return 1; }; }

is_dropped_again() { # without the flags the same address is one that nobody claims
	local before
	agent_flags() { :; }
	stop_keyd 1 && start_keyd 1 && wait_until 10 agent_is_ready 1 || return 1
	before=$(drops_of no_peer)
	leaves_not_in_clear 10.244.200.9:9000 && [ "$(drops_of no_peer)" -ge $((before + 40)) ]
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
cluster_up 2
check "agents start and protect both nodes" start_agents
ip -n "$(ns n1)" route add 10.244.200.0/24 via "$(node_v4 2)"
check "status shows both" shows '.except_cidrs == ["10.244.200.0/24"] and
	.bypasses == [("192.168.50.2:9443", "[fd00:50::2]:9443", "10.244.2.10:9443") |
		{endpoint: ., protocols: "tcp,udp", source: "flag", state: "in force"}]'
check "the bypassed port of a node is reached in cleartext" leaves_in_clear "$(node_v4 2):$API"
check "over IPv6 too" leaves_in_clear "[$(node_v6 2)]:$API"
check "another port of that address is not" leaves_not_in_clear "$(node_v4 2):$((API + 1))"
check "the bypassed port of a pod is reached in cleartext" leaves_in_clear "$(pod_v4 2):$API"
check "another port of that pod is not" leaves_not_in_clear "$(pod_v4 2):$((API + 1))"
check "that port over the pod's other family is not" leaves_not_in_clear "[$(pod_v6 2)]:$API"
check "TCP to a bypassed port is answered" answers_over "TCP-LISTEN:$API" "TCP:$(pod_v4 2):$API" p2
check "TCP to a port that is not is answered too" answers_over "TCP-LISTEN:$((API + 1))" "TCP:$(pod_v4 2):$((API + 1))" p2
check "the excepted part of the range stays in cleartext" leaves_in_clear 10.244.200.9:9000
check "what lies beside it is not" leaves_not_in_clear 10.244.201.9:9000

kill_tunnel 1 >/dev/null
kill_tunnel 2 >/dev/null
check "without the tunnel the bypassed port is still reached" answers_over "TCP-LISTEN:$API" "TCP:$(pod_v4 2):$API" p2
check "and nothing else is" leaves_not_in_clear "$(pod_v4 2):$((API + 1))"
start_tunnel 1 && start_tunnel 2
check "the tunnel comes back" wait_until 10 agents_are_ready
check "without the flags all of it is dropped again" is_dropped_again
check "status shows none of them then" shows '.except_cidrs == [] and .bypasses == []'
check "and the port is not reached in cleartext" leaves_not_in_clear "$(pod_v4 2):$API"
done_testing
