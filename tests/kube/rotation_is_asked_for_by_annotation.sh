#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Anyone with write access to Nodes can request a rotation of one node by its annotation, or of all
# nodes by kubectl podveil rotate-key --all. Each new value causes one rotation, also across a
# restart of keyd; traffic loses nothing; and an Event of the Node names each straggler.

# shellcheck source=tests/kube/agents.bash
. "$(dirname "$0")/agents.bash"

UDP_RATE=1000 # so that the queue of podveil0 outlasts a second in which the machine does something else
ROTATIONS=${ROTATIONS:-5}
OVERLAP=10
MARKER=$(new_marker)

agent_flags() { echo --overlap ${OVERLAP}s; }

request() { kubectl annotate --overwrite node "n$1" podveil.io/rotate-requested="$2" >/dev/null; } # I VALUE
has_served() { node_says "$1" '.metadata.annotations["podveil.io/rotate-served"] == "'"$2"'"'; } # I VALUE

rotates_once() { # I VALUE
	local old
	old=$(own_key "$1" .fingerprint)
	request "$1" "$2" && wait_until 20 is_under_a_new_key "$1" "$old" && wait_until 5 has_served "$1" "$2"
}

rotates_again_and_again() {
	local n
	for n in $(seq "$ROTATIONS"); do
		rotates_once $((n % 2 + 1)) "request-$n" || { echo "request $n is not served"; return 1; }
	done
}

keeps_its_key() { # I FINGERPRINT
	sleep 2
	[ "$(own_key "$1" .fingerprint)" = "$2" ]
}

fingerprints() { own_key 1 .fingerprint; own_key 2 .fingerprint; }
have_new_keys() { ! fingerprints | grep -qxFf "$RUN_DIR/fingerprints"; }

all_rotate() {
	fingerprints >"$RUN_DIR/fingerprints"
	kubectl_podveil rotate-key --all && have_new_keys
}

long_value() { printf 'x%.0s' $(seq "$1"); } # LENGTH

straggler_event() {
	kubectl -n default get events -o json >"$RUN_DIR/events.json"
	jq -c '.items[] | {reason, message, involvedObject, source}' "$RUN_DIR/events.json"
	jq -e --arg uid "$(kubectl get node n1 -o jsonpath='{.metadata.uid}')" 'any(.items[]; .reason == "RotationStraggler" and
		.involvedObject.kind == "Node" and .involvedObject.name == "n1" and .involvedObject.uid == $uid and
		.source.component == "podveil" and .type == "Warning" and (.message | test("n2")))' "$RUN_DIR/events.json"
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow
needs_kube kube-apiserver kubectl
kube_cluster_up 2
check "agents start and protect both nodes" start_agents
udp_start rotated 1 2
tcp_start rotated 1 2 1000000
began=$(now_ms)
check "$ROTATIONS requests by annotation are served one after the other" rotates_again_and_again
old=$(own_key 1 .fingerprint)
check "the same value again is no new request" eval 'request 1 "request-$((ROTATIONS / 2 * 2))" && keeps_its_key 1 "$old"'
check "keyd comes back" eval 'kill_keyd 1 && start_keyd 1 && wait_until 10 agent_is_ready 1'
check "and does not serve it once more" keeps_its_key 1 "$old"
check "a value longer than 253 characters is refused and named" eval 'request 1 "$(long_value 254)" && wait_until 5 log_says 1 "rotate-requested.*253"'
check "and not served" keeps_its_key 1 "$old"
check "the next good one is" rotates_once 1 after-the-long-one
check "kubectl podveil rotate-key --all: both nodes have other keys" all_rotate
sleep 0.5
took=$(($(now_ms) - began))
check "the traffic ran all the time" traffic_runs
traffic_stop
check "no datagram was lost, doubled or changed" udp_lost_nothing rotated $((UDP_RATE * took / 1000 / 2))
check "TCP had neither reset nor error" tcp_lost_nothing rotated
diag "longest gaps: $(longest_gaps rotated) ms"

in_ns p1 ping -c 2 -i 0.1 -W 2 -q "$(pod_v4 2)" >/dev/null # live
kill -STOP "$(keyd_pid 2)" # it sees neither the API server nor anything else
request 1 without-n2
check "an Event of the Node names a straggler of a rotation" wait_until 30 straggler_event
kill -CONT "$(keyd_pid 2)"
agents_done
