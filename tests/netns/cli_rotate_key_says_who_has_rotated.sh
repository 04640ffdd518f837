#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# podveil rotate-key waits until the requested nodes use their new keys and reports the outcome by
# its exit status. It shows counts and stragglers, reports a merged request and a request that may
# lose packets, and survives hostile or broken replies. A scripted socket stands in for keyd's to
# produce each reply; other tests run real rotations.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

SOCKETS=0

# Answers requests one after the other; the last answer goes on for ever.
answer_with() { # ANSWER...
	local i=0 answer
	stop_answering
	SOCKET=$RUN_DIR/keyd$((++SOCKETS)).sock # a new one: a child may still hold the last one
	rm -rf "$RUN_DIR/answers"
	mkdir "$RUN_DIR/answers"
	for answer in "$@"; do
		printf '%s' "$answer" >"$RUN_DIR/answers/$((i++))"
	done
	echo 0 >"$RUN_DIR/answers/next"
	cat >"$RUN_DIR/answer.sh" <<-END
		head -n 1 >>$RUN_DIR/answers/requests
		i=\$(cat $RUN_DIR/answers/next)
		cat $RUN_DIR/answers/\$i
		[ ! -e $RUN_DIR/answers/\$((i + 1)) ] || echo \$((i + 1)) >$RUN_DIR/answers/next
	END
	timeout 60 socat "UNIX-LISTEN:$SOCKET,fork" EXEC:"sh $RUN_DIR/answer.sh" 2>/dev/null &
	ANSWERING=$!
	wait_until 20 listens_at "$SOCKET"
}

stop_answering() {
	[ -n "${ANSWERING:-}" ] && kill "$ANSWERING" 2>/dev/null && wait "$ANSWERING" 2>/dev/null
	ANSWERING=
}

rotate_key() { # STATUS ARGUMENT...
	local status=$1 seen
	shift
	timeout 20 "$BUILD/podveil" --control "$SOCKET" rotate-key "$@" >"$RUN_DIR/stdout" 2>"$RUN_DIR/stderr"
	seen=$?
	echo "status $seen, stdout and stderr:"
	cat -v "$RUN_DIR/stdout" "$RUN_DIR/stderr"
	[ $seen -eq "$status" ]
}

says() { grep -qF -- "$1" "$RUN_DIR/stdout" "$RUN_DIR/stderr"; }

keys() { # FINGERPRINT NEXT FINGERPRINT_OF_N2 NEXT_OF_N2
	echo "{\"keys\":[{\"node\":\"n1\",\"is_self\":true,\"fingerprint\":\"$1\",\"next\":\"$2\",\"peers_proved\":0,\"peers_live\":1,
		\"time_left\":100.0,\"stragglers\":[]},{\"node\":\"n2\",\"is_self\":false,\"fingerprint\":\"$3\",\"next\":\"$4\"}]}"
}

ACCEPTED='{"accepted":true,"is_merged":false,"epoch":1,"fingerprint":"aaaa"}'
MERGED='{"accepted":true,"is_merged":true,"epoch":1,"fingerprint":"aaaa"}'
ASKED='{"asked":[{"node":"n1","is_self":true,"epoch":1,"fingerprint":"aaaa"},{"node":"n2","is_self":false,"epoch":1,"fingerprint":"bbbb"}],"failed":[]}'
PARTLY='{"asked":[{"node":"n1","is_self":true,"epoch":1,"fingerprint":"aaaa"}],"failed":[{"node":"n3","reason":"\u001b[2J\r\nfake"}]}'

waits_for_this_node() {
	answer_with "$(keys aaaa '' bbbb '')" "$ACCEPTED" "$(keys aaaa cccc bbbb '')" "$(keys cccc '' bbbb '')"
	rotate_key 0 && says '1 nodes: 1 prepared, 0 proved, 0 done; waiting for n1' && says '1 nodes: 1 prepared, 1 proved, 1 done'
}

waits_for_every_node() {
	answer_with "$(keys aaaa '' bbbb '')" "$ASKED" "$(keys cccc '' bbbb dddd)" "$(keys cccc '' dddd '')"
	rotate_key 0 --all && says '2 nodes: 2 prepared, 1 proved, 1 done; waiting for n2' && says '2 nodes: 2 prepared, 2 proved, 2 done'
}

json_says_who_has_rotated() {
	answer_with "$(keys aaaa '' bbbb '')" "$ASKED" "$(keys cccc '' bbbb dddd)" "$(keys cccc '' dddd '')"
	rotate_key 0 --all -o json &&
		jq -e '.finished and .nodes == 2 and .done == 2 and .stragglers == [] and (.asked | length) == 2' "$RUN_DIR/stdout"
}

fails_where_a_node_was_not_asked() {
	answer_with "$(keys aaaa '' bbbb '')" "$PARTLY" "$(keys cccc '' bbbb '')"
	rotate_key 1 --all && says 'cannot ask node n3 to rotate' && says '1 of 2 nodes have not rotated' &&
		! LC_ALL=C grep -q '[^ -~]' "$RUN_DIR/stdout" "$RUN_DIR/stderr"
}

returns_at_once() {
	answer_with "$(keys aaaa '' bbbb '')" "$ACCEPTED" '{"error":"it asked again"}'
	rotate_key 0 --wait=false && ! says 'asked again'
}

says_that_it_was_merged() {
	answer_with "$(keys aaaa cccc bbbb '')" "$MERGED" "$(keys cccc '' bbbb '')"
	rotate_key 0 && says 'it serves this request too'
}

warns_of_loss() {
	answer_with "$(keys aaaa '' bbbb '')" "$ACCEPTED" "$(keys cccc '' bbbb '')"
	rotate_key 0 --revoke && says 'packets may be lost' && grep '"revoke":true' "$RUN_DIR/answers/requests"
}

is_refused() { # ANSWER...
	answer_with "$@"
	rotate_key 1 && [ -s "$RUN_DIR/stderr" ]
}

refuses_usage() { # WORDS ARGUMENT...
	local words=$1
	shift
	rotate_key 2 "$@" && says "$words"
}

shows_a_bar() {
	answer_with "$(keys aaaa '' bbbb '')" "$ASKED" "$(keys cccc '' bbbb dddd)" "$(keys cccc '' dddd '')"
	script -qec "$BUILD/podveil --control $SOCKET rotate-key --all" /dev/null >"$RUN_DIR/stdout" 2>&1 </dev/null || return 1
	cat -v "$RUN_DIR/stdout"
	says '[##########..........] 2 nodes' && says '[####################] 2 nodes' && says 's left; waiting for n2'
}

begin
needs podveil
check "rotate-key waits until this node has its new key" waits_for_this_node
check "--all waits until every node has" waits_for_every_node
check "-o json gives one document" json_says_who_has_rotated
check "a node that could not be asked is named, and the status says so" fails_where_a_node_was_not_asked
check "--wait=false returns at once" returns_at_once
check "a merged request says so" says_that_it_was_merged
check "--revoke says that packets may be lost" warns_of_loss
check "a terminal gets a bar" shows_a_bar
check "a keyd that goes away while it waits is a failure" is_refused "$(keys aaaa '' b '')" "$ACCEPTED" '{"error":"gone"}'
check "an answer that names nobody is refused" is_refused '{"keys":[]}' '{"accepted":true}'
check "an answer with the wrong types is refused" is_refused '{"keys":7}' '{"asked":7,"failed":"x"}'
check "--revoke with --all is refused" refuses_usage '--revoke and --all exclude each other' --all --revoke
check "--wait with another word is refused" refuses_usage "'never': expected true or false" --wait=never
done_testing
