#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# No matter which bytes a node puts into its annotations, and keyd into its reply, the podveil
# command prints printable ASCII, keeps its line structure, and does not crash on fields that are
# missing or have another type.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

HOSTILE='\u001b[2J\u0007\r\nfake: protected\u007f\u009b\u202e'

answer_with() { # JSON: from a socket that stands in for keyd's
	rm -f "$RUN_DIR/keyd.sock"
	printf '%s' "$1" >"$RUN_DIR/answer"
	timeout 20 socat "UNIX-LISTEN:$RUN_DIR/keyd.sock" SYSTEM:"head -n 1 >/dev/null; cat $RUN_DIR/answer" 2>/dev/null &
	wait_until 20 listens_at "$RUN_DIR/keyd.sock"
}

stays_printable() { # STATUS JSON ARGUMENT...
	local status=$1 json=$2 seen
	shift 2
	answer_with "$json" || return 1
	"$BUILD/podveil" --control "$RUN_DIR/keyd.sock" "$@" >"$RUN_DIR/printed" 2>&1
	seen=$?
	echo "status $seen, printed:"
	cat -v "$RUN_DIR/printed"
	[ $seen -eq "$status" ] && ! LC_ALL=C grep -q '[^ -~]' "$RUN_DIR/printed" && ! grep -q '^fake' "$RUN_DIR/printed"
}

status_answer() {
	echo "{\"state\":\"$HOSTILE\",\"node\":\"$HOSTILE\",\"reasons\":[\"$HOSTILE\",1],\"registry\":\"$HOSTILE\",
		\"pod_cidrs\":[\"$HOSTILE\"],\"datapath\":{\"uplinks\":[\"$HOSTILE\"]},
		\"drops\":[{\"reason\":\"$HOSTILE\",\"text\":\"$HOSTILE\",\"packets\":-1}]}"
}

peers_answer() {
	echo "{\"peers\":[{\"node\":\"$HOSTILE\",\"state\":\"$HOSTILE\",\"reason\":\"$HOSTILE\",\"pods\":[\"$HOSTILE\"]},[],7]}"
}

keys_answer() {
	echo "{\"keys\":[{\"node\":\"$HOSTILE\",\"fingerprint\":\"$HOSTILE\",\"reason\":\"$HOSTILE\",\"age\":\"x\"},null]}"
}

begin
needs podveil
for output in text json; do
	check "status as $output" stays_printable 1 "$(status_answer)" -o $output status
	check "peers as $output" stays_printable 0 "$(peers_answer)" -o $output peers
	check "key-status as $output" stays_printable 0 "$(keys_answer)" -o $output key-status
done
check "an error" stays_printable 1 "{\"error\":\"$HOSTILE\"}" status
check "fields of the wrong type" stays_printable 1 '{"state":1,"peers":[],"traffic":"x","drops":{},"tunnel":[]}' status
check "an empty object" stays_printable 1 '{}' status
check "an answer cut short" stays_printable 1 '{"state":"protec' status
check "an empty answer" stays_printable 1 '' status
done_testing
