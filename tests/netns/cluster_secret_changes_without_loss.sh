#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The cluster secret is changed as docs/rotation.md describes: new and old on one node after the
# other, then the new one alone. During the change all pods talk and all keys rotate, so that every
# preshared key is really used, and n3 is cut off from the registry: first the others do not see its
# records, then it does not see theirs. No numbered datagram is lost, every node proves every
# rotation, and no rotation waits for a session that cannot be established.

MESH_RATE=${MESH_RATE:-500} # of each of six pairs

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"
# shellcheck source=tests/netns/secret.bash
. "$(dirname "$0")/secret.bash"

MARKER=$(new_marker)
OLD=$(wg genpsk)
NEW=$(wg genpsk)

# n3 has a registry of its own, between which and the others' records are carried, in both directions or in one.
carry() { # FROM TO NODE...
	local from=$1 to=$2 node
	shift 2
	for node in "$@"; do
		cmp -s "$from/n$node.json" "$to/n$node.json" ||
			{ cp "$from/n$node.json" "$to/.n$node.tmp" && mv "$to/.n$node.tmp" "$to/n$node.json"; }
	done
}

carry_for_ever() {
	while :; do
		[ -e "$RUN_DIR/cut.in" ] || carry "$RUN_DIR/registry" "$RUN_DIR/registry3" 1 2
		[ -e "$RUN_DIR/cut.out" ] || carry "$RUN_DIR/registry3" "$RUN_DIR/registry" 3
		sleep 0.05
	done >/dev/null 2>&1
}

cut_off() { touch "$RUN_DIR/cut.$1"; sleep 0.2; } # in|out
mend() { rm -f "$RUN_DIR/cut.$1"; }

agent_flags() { # I
	echo --cluster-secret "$(secret_file "$1")"
	[ "$1" -ne 3 ] || echo --registry "file:$RUN_DIR/registry3"
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow
cluster_up 3
mkdir "$RUN_DIR/registry3"
carry_for_ever &
for i in 1 2 3; do
	write_secret $i "$OLD"
done
check "agents start and protect all nodes, with one secret" start_agents
OLD_ID=$(own_ids 1)
check "all talk by it" all_talk_by "$OLD_ID"
begin_sessions
mesh_start secret
began=$(now_ms)

write_secret 1 "$NEW" "$OLD"
wait_until 5 eval 'own_ids 1 | grep -q " "'
NEW_ID=$(own_ids 1 | cut -d' ' -f1)
check "the first node has both" has_ids 1 "$NEW_ID $OLD_ID"
check "its key rotates" rotate_and_wait 1
check "all still talk by the old one" all_talk_by "$OLD_ID"

cut_off out
check "n3 has both, and nobody sees its record" gives 3 "$NEW_ID $OLD_ID" "$NEW" "$OLD"
check "n3 goes over to the new one towards n1" wait_until 5 talks_by 3 1 "$NEW_ID"
check "n1 does not yet towards n3" talks_by 1 3 "$OLD_ID"
check "the keys of n1 and n2 rotate, proved by all" rotate_and_wait 1 2
cut_off in
mend out
check "the others see the record of n3, which sees none now" wait_until 5 talks_by 1 3 "$NEW_ID"
check "n2 has both" gives 2 "$NEW_ID $OLD_ID" "$NEW" "$OLD"
check "n2 goes over to the new one towards n3" wait_until 5 talks_by 2 3 "$NEW_ID"
check "n3 does not know that" talks_by 3 2 "$OLD_ID"
check "the key of n3 rotates, proved by all" rotate_and_wait 3
mend in
check "after that all talk by the new one" wait_until 5 all_talk_by "$NEW_ID"

check "all keys rotate at once" rotate_and_wait 1 2 3
for i in 2 3 1; do
	rotate $i
	check "n$i has the new one alone, while its key rotates" gives $i "$NEW_ID" "$NEW"
	sleep 0.5
done
wait_until 10 agents_are_ready
check "all keys rotate under it" rotate_and_wait 1 2 3
check "all talk by it still" all_talk_by "$NEW_ID"

took=$(($(now_ms) - began))
check "the traffic ran all the time" kill -0 "${FLOWS[@]}"
traffic_stop
check "no datagram was lost, doubled or changed" mesh_lost_nothing secret
diag "in $took ms: $(mesh_figures secret)"
check "no handshake failed" no_bad_handshakes
check "nobody wrote a secret anywhere" nobody_says "$OLD" "$NEW"
[ "$TESTS_FAILED" -eq 0 ] || show_drops
done_testing
