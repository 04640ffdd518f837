#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The API server becomes unreachable, as a whole and for a single agent whose token it rejects:
# traffic continues and loses nothing, also across a restart of podveil-keyd, and the agents catch
# up as soon as it answers.

# shellcheck source=tests/kube/agents.bash
. "$(dirname "$0")/agents.bash"

UDP_RATE=1000
MARKER=$(new_marker)

reason_says() { status_says "$1" 'any(.reasons[]; test("'"$2"'"))'; } # I PATTERN
agents_do_not_hear() { reason_says 1 "API server|registry" && reason_says 2 "API server|registry"; }

revoke_token() { # I: it ends with the pod to which it is bound; another one is there at once
	kubectl -n $NAMESPACE delete pod "$(agent_pod "$1")" --force --grace-period=0 >/dev/null 2>&1
	wait_until 20 token_is_refused "$1" || bail "the API server takes the token of a pod that is gone"
}
token_is_refused() { [[ $(as_agent "$1" auth whoami 2>&1) == *Unauthorized* ]]; } # I

# The server does not check the token of an open connection again, so it closes the connection.
connections_end() { # I
	in_ns "n$1" ss -K dst "$API_V4" >/dev/null 2>&1
}

rotates_by_annotation() { # I
	local old
	old=$(own_key "$1" .fingerprint)
	kubectl annotate --overwrite node "n$1" podveil.io/rotate-requested="$EPOCHREALTIME" >/dev/null &&
		wait_until "${2:-60}" is_under_a_new_key "$1" "$old"
}

third_is_known() { peers_are 1 '["n2","n3"]' && peers_are 2 '["n1","n3"]'; }

begin
needs podveil-tunnel podveil-keyd podveil tools/flow
needs_kube kube-apiserver kubectl
control_plane_up 3
agents_join 1 2
node_joins 3
agent_is_deployed 3
wait_until 20 two_know_each_other || bail "the agents do not find each other"
udp_start away 1 2
tcp_start away 1 2 1000000

apiserver_kill
check "the API server dies: status says that it does not answer" wait_until 30 agents_do_not_hear
check "podveil-keyd starts anew meanwhile" eval 'kill_keyd 1 && start_keyd 1'
check "and says so too" wait_until 10 agents_do_not_hear
sleep 1
check "pods talk" pods_talk 1 2
start_agent 3 || bail "no agent"
apiserver_start
check "the API server is back: a new node is known to all within a minute" wait_until 75 third_is_known
check "its pods talk to both" eval 'wait_until 5 pods_talk 1 3 && wait_until 5 pods_talk 3 2'
check "a rotation is served" rotates_by_annotation 1
check "traffic ran all the time" traffic_runs
traffic_stop
check "no datagram was lost" udp_lost_nothing away 5000
check "no connection was disturbed" tcp_lost_nothing away

udp_start refused 1 2
revoke_token 1
connections_end 1
kubectl annotate --overwrite node n1 podveil.io/rotate-requested=unheard >/dev/null
check "the API server takes an agent's token no more: status says so" wait_until 40 reason_says 1 "401|Unauthorized"
check "pods talk" pods_talk 1 2
agent_is_deployed 1
check "with another token the agent continues, and serves the request" wait_until 75 node_says 1 \
	'.metadata.annotations["podveil.io/rotate-served"] == "unheard"'
check "traffic ran all the time" traffic_runs
traffic_stop
check "no datagram was lost" udp_lost_nothing refused 2000
agents_done
