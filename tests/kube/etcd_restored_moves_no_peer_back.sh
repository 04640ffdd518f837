#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# etcd is restored to an older state: the Nodes carry older records again, and the API server counts
# from an earlier resource version. No peer goes back to an older epoch, each node publishes its own
# record once more, no packet is lost, and the agents see all later changes.

# shellcheck source=tests/kube/agents.bash
. "$(dirname "$0")/agents.bash"

UDP_RATE=1000
MARKER=$(new_marker)

epoch_of() { record_of "$1" | jq -r .epoch; } # I
own_epoch() { own_key "$1" .epoch; } # I
epoch_known() { podveil "$1" -o json peers | jq --arg node "n$2" '.peers[] | select(.node == $node) | .epoch'; } # I OTHER

is_published_again() { # I
	[ "$(epoch_of "$1")" = "$(own_epoch "$1")" ]
}

rotates() { # I
	local old
	old=$(own_key "$1" .fingerprint)
	kubectl annotate --overwrite node "n$1" podveil.io/rotate-requested="$EPOCHREALTIME" >/dev/null &&
		wait_until 20 is_under_a_new_key "$1" "$old" && wait_until 5 is_published_again "$1"
}

# Looks all the time which epoch of each other the nodes go by.
note_epochs() {
	while :; do
		echo "$(epoch_known 1 2) $(epoch_known 2 1)"
		sleep 0.1
	done
}

never_lower() { # FILE
	tail -n 3 "$1"
	awk 'NF < 2 { next } $1 < one || $2 < two { exit 1 } { one = $1; two = $2; n++ } END { if (n < 10) exit 1 }' "$1"
}

third_is_known() { peers_are 1 '["n2","n3"]' && peers_are 2 '["n1","n3"]'; }

begin
needs podveil-tunnel podveil-keyd podveil tools/flow
needs_kube kube-apiserver kubectl
command -v etcdctl >/dev/null || skip_all "needs etcdctl"
control_plane_up 3
agents_join 1 2
wait_until 20 two_know_each_other || bail "the agents do not find each other"
udp_start restored 1 2
tcp_start restored 1 2 1000000
etcd_save || bail "etcdctl does not save"
then=("$(epoch_of 1)" "$(epoch_of 2)")
check "both nodes rotate" eval 'rotates 1 && rotates 2 && rotates 1'

note_epochs >"$RUN_DIR/epochs" &
NOTES=$!
etcd_restore
check "the API server has the old records again" test "$(own_epoch 1)" -gt "${then[0]}" -a "$(own_epoch 2)" -gt "${then[1]}"
check "n1 publishes its record once more" wait_until 75 is_published_again 1
check "n2 publishes its record once more" wait_until 75 is_published_again 2
agents_join 3
check "a node that joins then is known to both" wait_until 75 third_is_known
check "its pods talk to both" eval 'wait_until 5 pods_talk 1 3 && wait_until 5 pods_talk 3 2'
check "a rotation is seen by all" rotates 2
kill "$NOTES"
check "no node ever went by an older epoch of another" never_lower "$RUN_DIR/epochs"
check "traffic ran all the time" traffic_runs
traffic_stop
check "no datagram was lost" udp_lost_nothing restored 5000
check "no connection was disturbed" tcp_lost_nothing restored
agents_done
