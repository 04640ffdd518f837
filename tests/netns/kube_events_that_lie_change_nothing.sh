#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A watch of the API server may repeat events, reverse their order, send invalid JSON or never end.
# The nodes follow the final true state, and the traffic between them loses no packet.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"
# shellcheck source=tests/netns/kube.bash
. "$(dirname "$0")/kube.bash"

# A new watch, for faults that begin with one.
watch_begins_anew() {
	mark
	wait_until 20 watches '{"path": "nodes", "then": "end"}' && wait_until 20 was_asked "$IS_WATCH"
}

under_a_watch_that() { # WHAT KIND
	fault "{\"path\": \"nodes.*watch=\", \"times\": 2, \"do\": {\"kind\": \"$2\"}}"
	check "the watch $1" watch_begins_anew
	check "n1 rotates although the watch $1" rotates 1
	check "n2 rotates although the watch $1" rotates 2
	converges "a watch that $1"
	all_is_well
}

says() { # WHAT LINE, as JSON
	mark
	check "the watch says $1" wait_until 20 watches "{\"path\": \"nodes\", \"send\": [$2]}"
	converges "$1" "${3:-15}"
}

# An event that was true once: n2 with the record it had before it rotated.
old_event_changes_nothing() {
	local old
	old=$(tell GET /objects/nodes/n2)
	rotates 2 && wait_until 5 n1_knows_the_key_of_n2 || return 1
	watches "{\"path\": \"nodes\", \"send\": [{\"type\": \"MODIFIED\", \"object\": $old}]}" || return 1
	sleep 1
	n1_knows_the_key_of_n2
}

n1_knows_the_key_of_n2() {
	peer_says 1 n2 '.state == "usable" and (.key | startswith("'"$(own_key 2 .fingerprint)"'"))'
}

begin
needs_api
kube_up

under_a_watch_that "says everything twice" twice
under_a_watch_that "says everything late and the wrong way round" shuffled
check "an event from the past changes nothing" old_event_changes_nothing
converges "an event from the past"

says "a line that is no JSON" '"garbage\n"'
says "an event without an object" '{"type": "MODIFIED"}'
says "an event of an unknown type" '{"type": "WHAT", "object": {"metadata": {"name": "n2"}}}'
leap 1300
says "a deletion of nobody" '{"type": "DELETED", "object": {"metadata": {"name": "nobody", "uid": "u", "resourceVersion": "1"}}}'
leap 1300
head -c 5000000 /dev/zero | tr '\0' x | jq -Rc '{path: "nodes", send: [.]}' >"$RUN_DIR/long.json"
check "the watch says a line that never ends" wait_until 20 watches "@$RUN_DIR/long.json"
converges "a line that never ends"

check "nobody was ever taken for gone" nobody_left
kube_done
