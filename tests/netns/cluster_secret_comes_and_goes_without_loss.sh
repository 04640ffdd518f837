#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A cluster secret is introduced on a cluster that runs, and withdrawn again, as docs/rotation.md says: by way of the line `none`,
# one node after the other. All pods talk and all keys rotate meanwhile, and not one of the numbered datagrams is lost. As
# long as a node takes peers without a preshared key, its status says so.

MESH_RATE=${MESH_RATE:-500} # of each of six pairs

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"
# shellcheck source=tests/netns/secret.bash
. "$(dirname "$0")/secret.bash"

MARKER=$(new_marker)
SECRET=$(wg genpsk)

restarts() { # I: with the flags of now
	stop_keyd "$1" && start_keyd "$1" && wait_until 10 agent_is_ready "$1"
}

warns() { keyd_status "$1" '.warnings[]' | grep -F "nodes without the secret are accepted, and $2 of 2 "; } # I COUNT
warns_nobody() { ! keyd_status 1 '.warnings[]' | grep .; }
is_shown() { podveil 1 status | grep "WARNING: --cluster-secret .* lists none"; }
has_no_secret() { [ "$(keyd_status "$1" .cluster_secret)" = null ]; }

begin
needs podveil-tunnel podveil-keyd podveil tools/flow
cluster_up 3
check "agents start and protect all nodes, without a secret" start_agents
check "all talk without one" all_talk_by none
check "no status warns of anything" warns_nobody
begin_sessions
mesh_start secret
began=$(now_ms)

write_secret 1 "$SECRET" none
check "the first node has the secret, and takes nodes without it" restarts 1
ID=$(own_ids 1 | cut -d' ' -f1)
check "its status says so, and how many there are" warns 1 2
check "also to people" is_shown
check "its key rotates" rotate_and_wait 1
for i in 2 3; do
	write_secret $i "$SECRET" none
	check "n$i has it too" restarts $i
	check "two that have it talk by it" wait_until 5 talks_by $i 1 "$ID"
done
check "all talk by the secret" wait_until 5 all_talk_by "$ID"
check "all keys rotate" rotate_and_wait 1 2 3
for i in 1 2 3; do
	check "n$i takes no node without it any more" gives $i "$ID" "$SECRET"
done
check "no status warns any more" warns_nobody
check "all keys rotate under it" rotate_and_wait 1 2 3
check "all talk by it still" all_talk_by "$ID"

for i in 1 2 3; do
	check "n$i is to go without it" gives $i "none $ID" none "$SECRET"
	check "its key rotates" rotate_and_wait $i
done
check "all talk without it" wait_until 5 all_talk_by none
for i in 1 2 3; do
	rm "$(secret_file $i)"
	check "n$i has none" restarts $i
	check "and says so" has_no_secret $i
done
check "all keys rotate without it" rotate_and_wait 1 2 3

took=$(($(now_ms) - began))
check "the traffic ran all the time" kill -0 "${FLOWS[@]}"
traffic_stop
check "no datagram was lost, doubled or changed" mesh_lost_nothing secret
diag "in $took ms: $(mesh_figures secret)"
check "no handshake failed" no_bad_handshakes
[ "$TESTS_FAILED" -eq 0 ] || show_drops
done_testing
