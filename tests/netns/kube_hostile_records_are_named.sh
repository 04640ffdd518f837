#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A party that may write Nodes writes hostile bytes into them, in the annotations and everywhere
# else. The agents name these Nodes; they take nothing from nodes whose records are good, and they
# never cause cleartext traffic.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"
# shellcheck source=tests/netns/kube.bash
. "$(dirname "$0")/kube.bash"

LOW_ORDER=AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
SHORT_KEY=yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBg==
LONG_KEY=yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBnfBAAA=

# Node x, with this text as its record; standard input.
put_record() { # [JQ_FILTER of the Node]
	newcomer_object 66 | jq --rawfile text /dev/stdin "${1:-.}"
}

node_x() { tell PUT /objects/nodes/x "@$RUN_DIR/x.json" >/dev/null; } # from x.json

is_named() { # STATE REASON: by both nodes, also in the log
	local i
	for i in 1 2; do
		wait_until 10 peer_says "$i" x ".state == \"$1\" and (.reason | contains($(jq -R . <<<"$2")))" ||
			{ cat "$RUN_DIR/peer.json"; return 1; }
		grep "warning: node x: " "$(agent_dir "$i")/keyd.log" | grep -qF -- "$2" || return 1
	done
}

bad_field() { # WHAT STATE REASON JQ_FILTER of the record
	newcomer_object 66 "$4" >"$RUN_DIR/x.json"
	node_x
	check "names $1" is_named "$2" "$3"
}

bad_text() { # WHAT REASON: the whole annotation, from standard input
	newcomer_object 66 >"$RUN_DIR/good.json"
	jq --rawfile text /dev/stdin ".metadata.annotations[\"$RECORD\"] = \$text" "$RUN_DIR/good.json" >"$RUN_DIR/x.json"
	node_x
	check "names $1" is_named refused "$2"
}

bad_node() { # WHAT JQ_FILTER: of the Node itself. It may be anything but a peer.
	newcomer_object 66 | jq "$2" >"$RUN_DIR/x.json"
	node_x
	sleep 0.5
	check "does not take for a peer $1" is_no_peer
}

is_no_peer() { ! peer_says 1 x '.state == "usable"' && ! peer_says 2 x '.state == "usable"'; }
is_a_peer() { peer_says 1 x '.state == "usable" and .reason == ""' && peer_says 2 x '.state == "usable" and .reason == ""'; }

repeat() { head -c "$1" /dev/zero | tr '\0' "$2"; } # BYTES CHARACTER

own_record() { tell GET /objects/nodes/n1 | jq -r ".metadata.annotations[\"$RECORD\"]"; }

key_of() { tell GET "/objects/nodes/n$1" | jq ".metadata.annotations[\"$RECORD\"] | fromjson | .current"; } # I: as JSON

# Another party writes our own record: the agent restores it.
own_record_is_put_right() {
	local good
	good=$(own_record)
	tell GET /objects/nodes/n1 | jq --arg text "$1" "del(.metadata.resourceVersion) | .metadata.annotations[\"$RECORD\"] = \$text" >"$RUN_DIR/n1.json"
	tell PUT /objects/nodes/n1 "@$RUN_DIR/n1.json" >/dev/null
	wait_leaping 15 own_record_is_good || { own_record | head -c 300; echo "was: $good"; return 1; }
}

own_record_is_good() { own_record | jq -e '.version == 1 and .uid != "stolen" and (.current | length) == 44'; }

begin
needs_api
kube_up

bad_text "an empty record" "annotation:" </dev/null
bad_text "a record that is cut off" "annotation:" < <(printf '{"version":1,')
bad_text "255 KiB of brackets" "annotation:" < <(repeat 261120 '[')
bad_text "255 KiB of braces" "annotation:" < <(repeat 87040 '{' | sed 's/{/{"":/g')
bad_text "255 KiB of digits" "annotation:" < <(repeat 261120 9)
bad_text "255 KiB of a string" "annotation:" < <(printf '"'; repeat 261118 x; printf '"')
bad_text "control characters and format strings" "annotation:" < <(printf '%%n%%s\033[31m\001')
bad_text "a zero character in a string" "annotation:" < <(printf '{"version":1,"uid":"\\u0000"}')

bad_field "a key of 31 bytes" refused "expected a key" ".current = \"$SHORT_KEY\""
bad_field "a key of 33 bytes" refused "expected a key" ".current = \"$LONG_KEY\""
bad_field "a low-order key" refused "low-order point" ".current = \"$LOW_ORDER\""
bad_field "the node's own key, or another node's" refused "key" ".current = $(key_of 1)"
bad_field "the key that another node has" refused "key" ".current = $(key_of 2)"
bad_field "next that equals current" refused "are the same key" '.next = .current'
bad_field "a negative epoch" refused "epoch" '.epoch = -1'
bad_field "a huge epoch" refused "epoch" '.epoch = 1e300'
bad_field "an epoch far ahead" refused "more than 24 hours ahead" '.epoch += 200000000'
bad_field "another node's uid" refused "expected the node's own" '.uid = "stolen"'
bad_field "the whole world as pods" usable "0.0.0.0/0 is refused" '.pods += ["0.0.0.0/0"]'
bad_field "another node's pods" usable "10.244.2.0/24 overlaps" '.pods += ["10.244.2.0/24"]'
bad_field "an endpoint inside a pod prefix" refused "10.244.2.10/32 overlaps" '.endpoints = ["10.244.2.10"]'
bad_field "a loopback endpoint" refused "loopback" '.endpoints = ["127.0.0.1"]'
bad_field "port 0" refused "'port' is 0" '.port = 0'

tell DELETE /objects/nodes/x >/dev/null
bad_node "a Node without a uid" '.metadata.uid = ""'
bad_node "a Node with a number as uid" '.metadata.uid = 7'
tell DELETE /objects/nodes/x >/dev/null
bad_node "a Node whose annotations are a list" '.metadata.annotations = ["podveil.io/tunnel"]'
bad_node "a Node whose record is an object" ".metadata.annotations[\"$RECORD\"] |= fromjson"

tell DELETE /objects/nodes/x >/dev/null
newcomer_object 66 | jq '.metadata.annotations.more = "x" * 250000 | .metadata.labels = {a: "\u001b[31m"} | .spec.podCIDRs += ["none", 7, null]
	| .status.addresses += [{type: "InternalIP", address: "javascript:"}, 7, {type: "Hostname"}]' >"$RUN_DIR/x.json"
node_x
check "a good record beside 250 KB of rubbish is taken, or the rubbish is named" wait_until 10 grep -q "node x: " "$(agent_dir 1)/keyd.log"
tell DELETE /objects/nodes/x >/dev/null
newcomer_object 66 >"$RUN_DIR/x.json"
node_x
check "a good record after all the bad ones is taken" wait_until 10 is_a_peer

check "the agent restores its node's own record when another party empties it" own_record_is_put_right ''
check "and when somebody writes rubbish over it" own_record_is_put_right "$(repeat 200000 '[')"
check "the log is one line for each, and holds no control character" test -z "$(tr -d '\n\t -~' <"$(agent_dir 1)/keyd.log")"
converges "all of that" 30

kube_done
