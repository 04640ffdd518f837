#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A node that cannot reach the registry while another rotates keeps its traffic, is named as straggler, and is current
# within 5 seconds of seeing the registry again; one that missed two rotations recovers too. With --overlap-strict it is
# cut off at the end of the overlap, and recovers in the same way.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"

OVERLAP=10
MARKER=$(new_marker)
STRICT=

agent_flags() { echo --overlap ${OVERLAP}s $STRICT; }

state_is() { [ "$(own_key 1 .state)" = "$1" ]; } # STATE
straggler_is() { [ "$(own_key 1 '.stragglers | join(",")')" = "$1" ]; } # NAME
is_promoted() { [ "$(own_key 1 .fingerprint)" != "$1" ]; } # OLD_FINGERPRINT
knows_current() { # n2 goes by n1's current key
	[ "$(podveil 2 -o json key-status | jq -r '.keys[] | select(.node == "n1") | .fingerprint')" = "$(own_key 1 .fingerprint)" ]
}
warning_names() { # NAME: the node that rotates does what it promises
	podveil 1 -o json status >"$RUN_DIR/status" &&
		jq -e --arg name "$1" '.state == "protected" and .reasons == [] and any(.warnings[]; test("previous key.*" + $name)) and
			.warning_kinds == ["straggler"] and .warning_count == 1' "$RUN_DIR/status"
}
warns_of_nobody() { podveil 1 -o json status | jq -e '.state == "protected" and .warnings == []'; }
pods_talk() { in_ns p1 ping -c 1 -W 1 -q "$(pod_v4 2)" && in_ns p2 ping -c 1 -W 1 -q "$(pod_v4 1)"; }

# keyd of n2 is stopped: it sees neither the registry nor anything else, and its tunnel continues.
freeze() { kill -STOP "$(keyd_pid 2)"; }
thaw() { kill -CONT "$(keyd_pid 2)"; }

catches_up() { # within 5 seconds
	wait_until 5 knows_current && wait_until 5 state_is current
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow
cluster_up 2
check "agents start and protect both nodes" start_agents
in_ns p1 ping -c 2 -i 0.1 -W 2 -q "$(pod_v4 2)" >/dev/null # the first session
udp_start cut 1 2

freeze
old=$(own_key 1 .fingerprint)
check "a node rotates while the other sees no registry" rotate 1
check "it waits for the proofs" wait_until 3 state_is proving
check "and names the one it waits for" wait_until 2 straggler_is n2
check "it promotes at the deadline, without it" wait_until 5 is_promoted "$old"
check "the straggler is still named" straggler_is n2
check "after the overlap the rotation waits for it" wait_until $((OVERLAP + 5)) state_is degraded
check "and status warns of the node that still needs the previous key, and is protected" wait_until 3 warning_names n2
thaw
check "it is current within 5 seconds of seeing the registry again" catches_up

check "the warning goes with its cause" wait_until 3 warns_of_nobody
check "the traffic ran all the time" traffic_runs
traffic_stop
check "no datagram was lost, doubled or changed" udp_lost_nothing cut
diag "longest gaps: $(longest_gaps cut) ms"
[ "$TESTS_FAILED" -eq 0 ] || show_drops

# After two rotations it knows none of the other's keys: its old sessions last until it sees the new
# record.
udp_start twice 1 2
freeze
for n in 1 2; do
	old=$(own_key 1 .fingerprint)
	check "rotation $n that it misses" rotate 1
	check "is finished without it" wait_until 8 is_promoted "$old"
done
thaw
check "it is current within 5 seconds after two that it missed" catches_up
check "and pods talk" pods_talk
traffic_stop
diag "lost while it took an unknown key: $(jq -s 'map(.lost) | add' "$RUN_DIR"/twice-{there,back}.recv); longest gaps: $(longest_gaps twice) ms"

STRICT=--overlap-strict
OVERLAP=5
stop_keyd 1 && start_keyd 1 && wait_until 10 agent_is_ready 1
freeze
old=$(own_key 1 .fingerprint)
rotate 1
check "with --overlap-strict the rotation ends with the overlap" wait_until 15 is_under_a_new_key 1 "$old"
thaw
check "and the straggler recovers" catches_up
check "with its traffic" wait_until 10 pods_talk
done_testing
