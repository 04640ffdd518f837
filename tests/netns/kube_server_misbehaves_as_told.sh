#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The control of the tests beside this one: the scripted API server misbehaves on command, as
# another client sees it, and otherwise serves the same responses as the real one.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/kube.bash
. "$(dirname "$0")/kube.bash"

NODES_PATH=/api/v1/nodes
API_V4=127.0.0.1 BOOKMARKS=0.1
NODES=1

api() { # PATH [OPTION...]: its status to `status`, the answer to standard output
	in_ns api curl -sS --noproxy '*' --max-time 5 --cacert "$API_DIR/ca.crt" -H 'Authorization: Bearer first-n1' \
		-w '%{stderr}%{http_code} %{time_total}\n' "${@:2}" "https://127.0.0.1:$API_PORT$1" 2>"$RUN_DIR/status"
}

status_is() { grep -q "^$1 " "$RUN_DIR/status" || { cat "$RUN_DIR/status"; return 1; }; } # STATUS

answers() { # STATUS PATH [OPTION...]
	api "${@:2}" >"$RUN_DIR/answer"
	status_is "$1"
}

fails() { # EXIT STATUS OF CURL, PATH
	local status=0
	api "${@:2}" >"$RUN_DIR/answer" || status=$?
	[ $status -eq "$1" ] || { echo "curl: $status"; return 1; }
}

has() { jq -se "length > 0 and all(.[]; $1)" "$RUN_DIR/answer"; } # FILTER: of each JSON text of the answer

watch_for_a_second() { # [QUERY]: its lines, to be waited for; half of the time is for what is to be heard
	in_ns api curl -sS --noproxy '*' --max-time 1 --cacert "$API_DIR/ca.crt" -H 'Authorization: Bearer first-n1' -H "Accept: $METADATA" \
		"https://127.0.0.1:$API_PORT$NODES_PATH?watch=1&allowWatchBookmarks=true${1:-}" >"$RUN_DIR/answer" 2>/dev/null &
	WATCHER=$!
	sleep 0.4
}

watch_heard() { # FILTER
	wait $WATCHER
	has "$1"
}

says() { # FILTER PATH
	answers 200 "$2" && has "$1"
}

METADATA='application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io'

patch() { # STATUS NODE BODY [QUERY]
	answers "$1" "$NODES_PATH/$2${4:-}" -X PATCH -H 'Content-Type: application/merge-patch+json' -d "$3"
}

event_comes() {
	watch_for_a_second "&resourceVersion=$(tell GET / | jq .version)"
	tell PUT /objects/nodes/n7 '{}' >/dev/null
	watch_heard '.type == "BOOKMARK" or (.type == "ADDED" and .object.metadata.name == "n7" and .object.kind == "PartialObjectMetadata")'
}

event_comes_twice() {
	fault '{"path": "watch=", "do": {"kind": "twice"}}'
	watch_for_a_second "&resourceVersion=$(tell GET / | jq .version)"
	tell PUT /objects/nodes/n8 '{}' >/dev/null
	watch_heard true && jq -se 'map(select(.object.metadata.name == "n8")) | length == 2' "$RUN_DIR/answer"
}

events_come_the_wrong_way_round() {
	fault '{"path": "watch=", "do": {"kind": "shuffled", "seconds": 0.2}}'
	watch_for_a_second "&resourceVersion=$(tell GET / | jq .version)"
	tell PUT /objects/nodes/n9 '{}' >/dev/null
	tell PUT /objects/nodes/n10 '{}' >/dev/null
	watch_heard true && jq -se 'map(.object.metadata.name | values) | index("n10") != null and index("n10") < index("n9")' "$RUN_DIR/answer"
}

silence_is_silent() {
	fault '{"path": "watch=", "do": {"kind": "silence"}}'
	watch_for_a_second
	wait $WATCHER
	[ ! -s "$RUN_DIR/answer" ]
}

what_is_said_is_heard() {
	watch_for_a_second
	tell POST /watches '{"send": ["no JSON\n"], "then": "end"}' >/dev/null
	wait $WATCHER
	grep -qx 'no JSON' "$RUN_DIR/answer"
}

pages_go_on() { # both halves hold everything, once
	api "$NODES_PATH?limit=2" >"$RUN_DIR/first"
	api "$NODES_PATH?limit=100&continue=$(jq -r .metadata.continue "$RUN_DIR/first")" >"$RUN_DIR/answer"
	jq -se 'map(.items[].metadata.name) | length == (unique | length) and length >= 3' "$RUN_DIR/first" "$RUN_DIR/answer"
}

past_is_listed() {
	tell POST /snapshot >/dev/null
	tell PUT /objects/nodes/later '{}' >/dev/null
	fault '{"do": {"kind": "past"}}'
	answers 200 $NODES_PATH && has 'all(.items[]; .metadata.name != "later")' &&
		answers 200 $NODES_PATH && has 'any(.items[]; .metadata.name == "later")'
}

connection_ends() { fails 52 $NODES_PATH || fails 56 $NODES_PATH; } # TLS of some versions tells the two apart
answer_drips() { answers 200 $NODES_PATH && ! grep -q ' 0.0' "$RUN_DIR/status"; }
answer_is_huge() { answers 200 $NODES_PATH && [ "$(stat -c %s "$RUN_DIR/answer")" -eq 20000000 ]; }
body_is_told() { answers 200 $NODES_PATH && [ "$(cat "$RUN_DIR/answer")" = "<html>" ]; }

certificate_is() { # SUBJECT
	in_ns api openssl s_client -connect "127.0.0.1:$API_PORT" </dev/null 2>/dev/null | openssl x509 -noout -subject | grep -q "CN = $1"
}

begin
needs_api
mkdir -m 700 "$API_DIR"
python3 "$ROOT/tests/tools/apiserver.py" certificates "$API_DIR" 127.0.0.1 || bail "no certificates"
ns_add api
api_start
use_tokens first
for i in 1 2 3; do
	tell PUT "/objects/nodes/n$i" '{"spec": {"podCIDRs": ["10.244.'"$i"'.0/24"]}}' >/dev/null
done

check "a list is a list" says '.kind == "NodeList" and (.items | length == 3)' $NODES_PATH
check "a node is a node" says '.metadata.name == "n2" and .spec.podCIDRs == ["10.244.2.0/24"]' $NODES_PATH/n2
check "nobody is not found" answers 404 $NODES_PATH/nobody
check "a list comes in pages" pages_go_on
check "a watch receives changes, and bookmarks" event_comes
tell POST /compact >/dev/null
check "a watch from before a compaction is gone" answers 410 "$NODES_PATH?watch=1&resourceVersion=1"
check "a token that is none is refused" answers 401 $NODES_PATH -H 'Authorization: Bearer nothing'
check "an agent may write its own record" patch 200 n1 '{"metadata": {"annotations": {"podveil.io/tunnel": "x"}}}'
check "and nobody else's" patch 422 n2 '{"metadata": {"annotations": {"podveil.io/tunnel": "x"}}}'
check "and nothing else" patch 422 n1 '{"metadata": {"annotations": {"podveil.io/self-test": "x"}}}' '?dryRun=All'
check "preconditions hold" patch 409 n1 '{"metadata": {"resourceVersion": "1", "annotations": {"podveil.io/tunnel": "y"}}}'

fault '{"times": 2, "do": {"kind": "status", "status": 429, "headers": {"Retry-After": "3"}}}'
check "a fault is what was told" answers 429 $NODES_PATH
check "as often as told" answers 429 $NODES_PATH
check "and not more often" answers 200 $NODES_PATH
fault '{"do": {"kind": "hang"}}'
check "hang: no answer comes" fails 28 $NODES_PATH
fault '{"do": {"kind": "close"}}'
check "close: the connection ends" connection_ends
fault '{"do": {"kind": "truncate"}}'
check "truncate: half an answer" fails 18 $NODES_PATH
fault '{"do": {"kind": "truncate", "chunked": true}}'
check "truncate: half a chunk" fails 18 $NODES_PATH
fault '{"do": {"kind": "reset"}}'
check "reset: the connection is reset" fails 56 $NODES_PATH
fault '{"do": {"kind": "drip", "bytes": 200, "every": 0.1}}'
check "drip: the answer takes its time" answer_drips
fault '{"do": {"kind": "huge", "bytes": 20000000}}'
check "huge: so many bytes come" answer_is_huge
fault '{"do": {"kind": "body", "body": "<html>"}}'
check "body: what was told is said" body_is_told
check "past: what is newer is not listed" past_is_listed
check "twice: each event comes twice" event_comes_twice
check "shuffled: the last event comes first" events_come_the_wrong_way_round
check "silence: not a byte comes" silence_is_silent
check "what watches are told to say is said" what_is_said_is_heard
tell POST /restore >/dev/null
check "restore: what came later is not there" answers 404 $NODES_PATH/later
for name in stranger expired elsewhere server; do
	serve_certificate $name
	check "the certificate is $name" certificate_is $name
done
done_testing
