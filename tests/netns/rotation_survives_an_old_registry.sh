#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A registry that shows the past, after a restored backup or by malice, moves no key back. A node
# writes its own newer record again; the others ignore records older than those they have seen, also
# of a node that left in between, and also after the agent that saw them has died, because the
# tunnel remembers. Whatever the file of a request contains, or whatever lies in its place, causes
# at most one rotation.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"

MARKER=$(new_marker)
REGISTRY=$RUN_DIR/registry

epoch_of() { own_key "$1" .epoch; } # I
shown_epoch() { podveil "$1" -o json peers | jq ".peers[] | select(.node == \"$2\") | .epoch"; } # I NODE
shown_reason() { podveil "$1" -o json peers | jq -r ".peers[] | select(.node == \"$2\") | .reason"; }
goes_by() { [ "$(shown_epoch "$1" "$2")" = "$3" ]; } # I NODE EPOCH
reason_is() { shown_reason "$1" "$2" | grep -q "$3"; } # I NODE TEXT
is_left() { podveil "$1" -o json peers | jq -e '[.peers[].node] | index("'"$2"'") | not'; } # I NODE
record_says() { jq -r '.annotations["podveil.io/tunnel"]' "$REGISTRY/$1.json" | jq -e ".epoch == $2"; } # NODE EPOCH

put_back() { # NODE: as a restore does it
	cp "$RUN_DIR/$1.old" "$REGISTRY/.$1.restored" && mv "$REGISTRY/.$1.restored" "$REGISTRY/$1.json"
}

pods_talk() { in_ns p1 ping -c 1 -W 1 -q "$(pod_v4 2)" && in_ns p2 ping -c 1 -W 1 -q "$(pod_v4 1)"; }
is_rotated() { [ "$(own_key 1 .fingerprint)" != "$1" ]; } # OLD_FINGERPRINT
request_is_gone() { [ ! -e "$REGISTRY/n1.request" ]; }

begin
needs podveil-tunnel podveil-keyd podveil tools/flow
cluster_up 2
check "agents start and protect both nodes" start_agents
check "pods talk" wait_until 5 pods_talk
cp "$REGISTRY/n1.json" "$RUN_DIR/n1.old"
cp "$REGISTRY/n2.json" "$RUN_DIR/n2.old"
udp_start old 1 2
check "both nodes rotate" rotate_and_wait 1 2

new=$(epoch_of 1)
check "a rotated node has published its new epoch" record_says n1 "$new"
put_back n1
check "it writes its record again where the registry shows an older one" wait_until 5 record_says n1 "$new"
check "the other node goes by the newer one" goes_by 2 n1 "$new"

new=$(epoch_of 2)
stop_keyd 2
put_back n2
check "an older record of a node whose agent is stopped is ignored, and named" wait_until 5 reason_is 1 n2 "is lower than $new"
check "what was known of it stays in use" goes_by 1 n2 "$new"
traffic_stop
check "no datagram was lost, doubled or changed" udp_lost_nothing old
rm "$REGISTRY/n2.json"
check "a node whose record goes away has left" wait_until 5 is_left 1 n2
put_back n2
check "it does not come back with a record older than its last" wait_until 5 reason_is 1 n2 "is lower than $new"
start_keyd 2
check "its own agent mends that" wait_until 10 agent_is_ready 1
check "pods talk again" wait_until 10 pods_talk

# The agent that saw the newer record is gone, and so is the one that could mend the registry.
cp "$REGISTRY/n1.json" "$RUN_DIR/n1.old"
udp_start past 1 2
check "a node rotates once more" rotate_and_wait 1
new=$(epoch_of 1)
check "the other node goes by its new record" wait_until 5 goes_by 2 n1 "$new"
stop_keyd 1
kill_keyd 2
put_back n1
spawn_keyd 2
check "an agent that knows only the past ignores the old record, and names it" wait_until 10 reason_is 2 n1 "is lower than $new"
sleep 2
check "pods talk on with the keys that the tunnel has" pods_talk
check "the node's own agent comes back" start_keyd 1
check "and mends the registry" wait_until 10 record_says n1 "$new"
check "both agents protect their pods" wait_until 10 agents_are_ready
check "the other node uses the newer record again" goes_by 2 n1 "$new"
traffic_stop
check "no datagram was lost, doubled or changed meanwhile" udp_lost_nothing past

# Any content causes at most one rotation.
old=$(own_key 1 .fingerprint)
head -c 300000 /dev/urandom >"$REGISTRY/n1.request"
check "a request full of garbage is a request" wait_until 5 is_rotated "$old"
check "and is taken away" wait_until 5 request_is_gone
sleep 0.5
old=$(own_key 1 .fingerprint)
ln -s /etc/passwd "$REGISTRY/n1.request"
sleep 0.5
rm "$REGISTRY/n1.request"
mkdir "$REGISTRY/n1.request"
sleep 0.5
check "a link and a folder are none" test "$(own_key 1 .fingerprint)" = "$old"
rmdir "$REGISTRY/n1.request"
made=$(grep -c "made this node's next key" "$(agent_dir 1)/keyd.log")
for _ in $(seq 40); do
	: >"$REGISTRY/n1.request"
	sleep 0.05
done
made=$(($(grep -c "made this node's next key" "$(agent_dir 1)/keyd.log") - made))
check "forty requests in two seconds are at most one rotation" test $made -le 1
done_testing
