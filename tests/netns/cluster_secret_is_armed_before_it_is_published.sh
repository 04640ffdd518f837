#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# With a cluster secret the tunnel has the preshared keys of a new key before any other node learns
# of that key. podveil-keyd is killed right after it published its next key, and the other node
# still completes its handshake with that key.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"
# shellcheck source=tests/netns/secret.bash
. "$(dirname "$0")/secret.bash"

SECRET=$(wg genpsk)

# The registry's request waits until five seconds after the last change of keys, so that the step is not made in a pass
# of the agent, which tells the tunnel everything, but between two of them.
dies_after_publishing() {
	BEFORE=$(peer_field 2 1 last_handshake)
	: >"$RUN_DIR/registry/n1.request"
	wait_until 10 is_gone "$(keyd_pid 1)"
}

has_next_of_n1() { podveil 2 -o json key-status | jq -e '.keys[] | select(.node == "n1") | .next != null'; }
has_shaken_hands() { [ "$(peer_field 2 1 last_handshake)" != "$BEFORE" ]; }
comes_back() { start_keyd 1 && wait_until 10 is_under_a_new_key 1 "$OLD_KEY"; }

begin
needs podveil-tunnel podveil-keyd podveil
check "podveil-keyd is built with crash points" build_crashing_keyd
cluster_up 2
write_secret 1 "$SECRET"
write_secret 2 "$SECRET"
check "agents start and protect both nodes" eval \
	'start_agent 2; PODVEIL_CRASH_AFTER=publish_next start_agent 1; wait_until 10 agents_are_ready'
in_ns p1 ping -c 2 -i 0.1 -W 2 -q "$(pod_v4 2)" >/dev/null # the first session
OLD_KEY=$(own_key 1 .fingerprint)
check "keyd dies right after it published its next key" dies_after_publishing
check "the other node sees that key" wait_until 5 has_next_of_n1
check "and completes a handshake to it" wait_until 4 has_shaken_hands
check "no handshake failed" eval '[ "$(drops_of 2 bad_handshake)" -eq 0 ]'
check "the one that comes back finishes the rotation" comes_back
check "pods talk" in_ns p1 ping -c 2 -i 0.1 -W 1 -q "$(pod_v4 2)"
done_testing
