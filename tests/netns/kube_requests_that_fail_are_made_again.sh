#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A write of a node may be refused, lost on the way, or carried out although the reply is lost; a
# record of another node may contain anything. The agents retry until the write has succeeded, a
# rotation that depends on it completes, and the traffic loses no packet.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"
# shellcheck source=tests/netns/kube.bash
. "$(dirname "$0")/kube.bash"

rotates_in_spite() { # the new key is another one, and is what the server has
	local old
	old=$(own_key 1 .fingerprint)
	rotate 1 && wait_leaping 40 has_rotated 1 "$old" && wait_leaping 20 server_has_the_key
}

server_has_the_key() {
	tell GET /objects/nodes/n1 | jq -r ".metadata.annotations[\"$RECORD\"] | fromjson | .current" |
		grep -q "^$(own_key 1 .fingerprint | sed 's/[+/]/./g')"
}

fault_was_met() { was_met "$FAULT_PATH" | jq -e 'length > 0'; }
was_met() { asked ".method == \"$FAULT_METHOD\" and (.target | test(\"$1\"))"; }

goes_wrong() { # METHOD PATH DO: twice
	FAULT_METHOD=$1 FAULT_PATH=$2
	mark
	fault "{\"method\": \"$1\", \"path\": \"$2\", \"times\": 2, \"do\": $3}"
}

writing() { # WHAT DO
	goes_wrong PATCH nodes/n1 "$2"
	check "a rotation completes although its writing meets $1" rotates_in_spite
	check "it did meet $1" fault_was_met
	check "the nodes and their traffic go on after $1" others_are_untouched
	all_is_well
}

reading() { # WHAT DO
	goes_wrong GET "nodes/x" "$2"
	newcomer
	check "a new node is heard of although reading it meets $1" everybody_knows_newcomer 40
	check "it did meet $1" fault_was_met
	all_is_well
}

# A node that is known moves, so that it is read again: it is there until the watch or a whole list says otherwise.
rereading() { # WHAT DO
	newcomer
	check "a new node is heard of before $1" everybody_knows_newcomer 20
	goes_wrong GET nodes/x "$2"
	newcomer_object $((100 + NEWCOMERS)) '.epoch += 1 | .endpoints = ["'$MOVED'"]' >"$RUN_DIR/newcomer.json"
	tell PUT "/objects/nodes/x$NEWCOMERS" "@$RUN_DIR/newcomer.json" >/dev/null
	check "it is read again, and that meets $1" wait_until 20 fault_was_met
	sleep 0.5
	check "it is not taken for gone because of $1" is_still_there
	check "that it has moved is heard of after $1" wait_leaping 40 has_moved
	all_is_well
}

MOVED=192.168.50.90

is_still_there() { peer_says 1 "x$NEWCOMERS" '.state == "usable"' && peer_says 2 "x$NEWCOMERS" '.state == "usable"'; }

has_moved() {
	peer_says 1 "x$NEWCOMERS" ".endpoints[0] == \"$MOVED:51890\"" && peer_says 2 "x$NEWCOMERS" ".endpoints[0] == \"$MOVED:51890\""
}

begin
needs_api
kube_up

writing "500" '{"kind": "status", "status": 500}'
writing "409" '{"kind": "status", "status": 409, "reason": "Conflict"}'
writing "422" '{"kind": "status", "status": 422, "reason": "Invalid"}'
writing "429" '{"kind": "status", "status": 429, "headers": {"Retry-After": "2"}}'
writing "an end without an answer" '{"kind": "close"}'
writing "an answer that is lost after the writing was done" '{"kind": "truncate"}'
writing "an answer that is no JSON" '{"kind": "body", "body": "ok"}'
rereading "500" '{"kind": "status", "status": 500}'
rereading "404" '{"kind": "status", "status": 404, "reason": "NotFound"}'
reading "500" '{"kind": "status", "status": 500}'
reading "404" '{"kind": "status", "status": 404}'
reading "half an answer" '{"kind": "truncate"}'
reading "an answer that is no JSON" '{"kind": "body", "body": "<html>"}'
reading "another object" '{"kind": "body", "body": "{\"kind\": \"Node\", \"metadata\": {\"name\": \"other\", \"uid\": \"u\"}}"}'
reading "100 MB" '{"kind": "huge", "bytes": 100000000}'
reading "an end without an answer" '{"kind": "reset"}'
converges "all of that"

check "nobody was ever taken for gone" nobody_left
kube_done
