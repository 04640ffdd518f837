#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A list of the API server may go wrong in any way (410 in its middle, cut off, 100 MB, invalid
# JSON, from the past). No node counts as gone because of it, the agents learn the missing changes
# later, and the traffic between the nodes loses no packet.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"
# shellcheck source=tests/netns/kube.bash
. "$(dirname "$0")/kube.bash"

EXPIRED='{"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}}'

# A list is asked for now: the watch can not go on, and the last list is long ago.
list_is_asked_for() {
	mark
	wait_until 20 watches "{\"path\": \"nodes\", \"send\": [$EXPIRED], \"then\": \"end\"}" || { tell GET /; return 1; }
	sleep 0.5
	leap 1300
	wait_until 20 was_asked "$IS_LIST" || { asked true; return 1; }
}

list_goes_wrong() { # WHAT FAULT [SECONDS]
	fault "$2"
	check "a list is asked for, and gets $1" list_is_asked_for
	converges "$1" "${3:-20}"
	all_is_well
}

pages_began_anew() { # a first page, a second one that failed, a first one again
	asked "$IS_LIST" | jq -e 'group_by(.from) | any(.[]; map([(.target | contains("continue=")), .status]) |
		index([[true, 410], [false, 200]]) != null)'
}

current_key() { # I: as the server has it
	tell GET "/objects/nodes/n$1" | jq -r ".metadata.annotations[\"$RECORD\"] | fromjson | .current"
}

nobody_went_back() { # neither the one who rotated since, nor those who came since
	peer_says 1 n2 '.state == "usable"' && peer_says 2 n1 '.state == "usable"' && is_known 1 && is_known 2 && traffic_runs
}

is_restored() {
	tell POST /restore >/dev/null
	wait_until 20 watches '{"path": "", "then": "reset"}'
}

# The Nodes of newcomers are gone with the backup; this one is new, and has a number that was used before.
newcomer_is_heard() {
	[ "$NEWCOMERS" -eq 99 ] || { NEWCOMERS=98 && newcomer; }
	is_known 1 && is_known 2
}

record_is_published_again() { [ "$(current_key 1)" = "$KEY" ] && [ "$(current_key 1)" != "$OLD_KEY" ]; }

begin
needs_api
kube_up
tell POST /fill '{"nodes": 150}' >/dev/null

list_goes_wrong "410 in its middle" '{"path": "nodes.*continue=", "times": 2, "do": {"kind": "status", "status": 410, "reason": "Expired"}}'
check "it began with the first page again" pages_began_anew
list_goes_wrong "half a page" '{"path": "nodes\\?limit", "times": 2, "do": {"kind": "truncate"}}'
list_goes_wrong "half a chunk" '{"path": "nodes\\?limit", "times": 2, "do": {"kind": "truncate", "chunked": true}}'
list_goes_wrong "no JSON" '{"path": "nodes\\?limit", "times": 2, "do": {"kind": "body", "body": "<html>502</html>"}}'
list_goes_wrong "a list without items" '{"path": "nodes\\?limit", "times": 2, "do": {"kind": "body", "body": "{}"}}'
list_goes_wrong "100 MB" '{"path": "nodes\\?limit", "times": 4, "do": {"kind": "huge", "bytes": 100000000}}' 30
list_goes_wrong "one byte after the other" '{"path": "nodes\\?limit", "times": 2, "do": {"kind": "drip", "bytes": 2000, "every": 0.1}}' 30

tell POST /snapshot >/dev/null
OLD_KEY=$(current_key 1)
newcomer
check "a new node is heard of that the past knows nothing of" everybody_knows_newcomer 20
check "n1 rotates" rotates 1
KEY=$(current_key 1)
list_goes_wrong "the past" '{"path": "nodes\\?limit", "times": 2, "do": {"kind": "past"}}' 40
check "nobody went back because of it" nobody_went_back
check "nobody was ever taken for gone" nobody_left

mark
check "the server is restored from an old backup" is_restored
leap 1300
check "later changes arrive, although they have resource versions of the past" wait_leaping 30 newcomer_is_heard
check "n1 publishes its record again" wait_leaping 30 record_is_published_again
check "the nodes and their traffic go on after that" others_are_untouched

kube_done
