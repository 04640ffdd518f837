#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# podveil-keyd is killed after every step of a rotation in turn, under traffic: the one that comes back finishes the
# rotation, makes no second key, serves the request once, and no packet is lost. Crash points exist in a build of
# podveil-keyd for tests only, which is made here.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"

STEPS=(make_next settle_request publish_next promote publish_promoted clear publish_current)
MARKER=$(new_marker)

keys_made() { grep -c "made this node's next key" "$(agent_dir 1)/keyd.log"; }
request_is_gone() { [ ! -e "$RUN_DIR/registry/n1.request" ]; }

crash_after() { # STEP
	stop_keyd 1 && PODVEIL_CRASH_AFTER=$1 start_keyd 1 && wait_until 10 agent_is_ready 1 || return 1
	: >"$RUN_DIR/registry/n1.request"
	wait_until 10 is_gone "$(keyd_pid 1)"
}

finishes() { # OLD_FINGERPRINT KEYS_MADE
	start_keyd 1 && wait_until 10 is_under_a_new_key 1 "$1" || { own_key 1 .; return 1; }
	wait_until 5 request_is_gone && [ "$(keys_made)" -eq $(($2 + 1)) ]
}

records_agree() { # what n1 published is what n2 uses
	local shown
	shown=$(podveil 2 -o json peers | jq -r '.peers[] | select(.node == "n1") | .key')
	jq -e --arg key "$shown" '.annotations["podveil.io/tunnel"] | if type == "string" then fromjson else . end |
		.current == $key and (has("next") or has("previous") | not)' "$RUN_DIR/registry/n1.json"
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow
check "podveil-keyd is built with crash points" build_crashing_keyd
cluster_up 2
check "agents start and protect both nodes" start_agents
in_ns p1 ping -c 2 -i 0.1 -W 2 -q "$(pod_v4 2)" >/dev/null # the first session
udp_start crashed 1 2
for step in "${STEPS[@]}"; do
	old=$(own_key 1 .fingerprint)
	made=$(keys_made)
	check "keyd dies after $step" crash_after "$step"
	check "the one that comes back finishes the rotation" finishes "$old" "$made"
	check "and the other node uses the new record" wait_until 5 records_agree
done
# A request made while no keyd runs is served at the next start.
old=$(own_key 1 .fingerprint)
made=$(keys_made)
kill_keyd 1
: >"$RUN_DIR/registry/n1.request"
check "a request that was written while keyd was away is served" finishes "$old" "$made"
check "the traffic ran all the time" traffic_runs
traffic_stop
check "no datagram was lost, doubled or changed" udp_lost_nothing crashed
diag "longest gaps: $(longest_gaps crashed) ms"
[ "$TESTS_FAILED" -eq 0 ] || show_drops
done_testing
