#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A node that keeps its own promise is protected, and `podveil status`, its readiness probe, exits
# with 0, no matter which bad content other Nodes carry. An agent that has just started becomes
# protected beside them, and its startup taint is removed. A Node without a usable name does not
# make a list incomplete, and makes no other node leave. Each fault is a warning, and all are
# counted.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"
# shellcheck source=tests/netns/kube.bash
. "$(dirname "$0")/kube.bash"

BAD=() # Nodes with a bad record

put_node() { # NAME: from standard input
	cat >"$RUN_DIR/node.json"
	tell PUT "/objects/nodes/$1" "@$RUN_DIR/node.json" >/dev/null
}

bad_node() { # NAME JQ_FILTER of the Node [JQ_FILTER of the record]
	newcomer_object $((60 + ${#BAD[@]})) "${3:-.}" | jq "$2" | put_node "$1"
	BAD+=("$1")
}

bad_record() { bad_node "$1" . "$2"; } # NAME JQ_FILTER

is_untouched() { # I: state, exit status and reasons
	podveil "$1" -o json status >"$RUN_DIR/status.json" || return 1
	jq -e '.state == "protected" and .reasons == [] and .reason_count == 0' "$RUN_DIR/status.json"
}

warns_of_each() { # I: by name, and of those that have none
	is_untouched "$1" &&
		jq -e '[$ARGS.positional[] as $name | select(.warnings | any(startswith("node " + $name + ": ")) | not) | $name] == []' \
			"$RUN_DIR/status.json" --args "${BAD[@]}" &&
		jq -e '(.warnings | any(startswith("entries of the registry that name no node: 3; "))) and
			(.warnings | length) == .warning_count and (.warning_kinds | length) == .warning_count and
			(.warning_kinds | unique) == ["peer_record", "stray_records"]' "$RUN_DIR/status.json"
}

warns() { wait_leaping "$2" warns_of_each "$1" || { cat "$RUN_DIR/status.json"; return 1; }; } # I SECONDS

has_taint() { tell GET "/objects/nodes/n$1" | jq -e 'any(.spec.taints[]?; .key == "podveil.io/agent-not-ready")'; } # I
has_no_taint() { ! has_taint "$1"; }
is_usable() { peer_says "$1" "n$2" '.state == "usable"'; } # I J
pods_talk() { pings p1 "$(pod_v4 2)" && pings p2 "$(pod_v6 1)"; }
nobody_left() { ! grep -hE ' node n[0-9]+ left$' "$(agent_dir 1)/keyd.log" "$(agent_dir 2)/keyd.log"; }

begin
needs_api
cluster_up 2
api_up
later 0
trust ca
for i in 1 2; do
	kubeconfig >"$(agent_dir "$i")/kubeconfig"
	node_joins "$i"
done
check "an agent starts before there is any bad Node" start_agent 1
check "it is protected, and its startup taint goes" eval 'wait_until 10 is_untouched 1 && wait_until 5 has_no_taint 1'

bad_node a-brace ".metadata.annotations[\"$RECORD\"] = \"{\""
bad_node a-record-that-is-none ".metadata.annotations[\"$RECORD\"] |= fromjson"
bad_record an-epoch-ahead '.epoch += 200000000'
bad_record anothers-uid '.uid = "stolen"'
bad_record anothers-prefix '.pods += ["10.244.1.0/24"]'
bad_record a-prefix-outside '.pods += ["192.168.50.0/24"]'
bad_record an-address-inside '.endpoints = ["10.244.1.10"]'
bad_node no-prefix '.spec.podCIDRs = ["none"]'
bad_node no-address '.status.addresses += [{type: "InternalIP", address: "none"}]'
bad_node no-time '.metadata.creationTimestamp = "yesterday"'
bad_node no-uid '.metadata.uid = ""'
bad_node a-number-as-uid '.metadata.uid = 7'
newcomer_object 90 | put_node No_Node
newcomer_object 91 | jq '.metadata.name = null' | put_node unnamed
newcomer_object 92 | jq '.metadata.name = 7' | put_node a-number-as-name
check "bad Nodes are warnings, and the node stays protected" warns 1 15

check "an agent that starts now has the startup taint" has_taint 2
check "and starts" start_agent 2
check "it is protected beside all of them" warns 2 15
check "and its startup taint goes" wait_leaping 10 has_no_taint 2
check "the nodes are each other's peers" eval 'wait_leaping 10 is_usable 1 2 && is_usable 2 1'
check "pods talk" pods_talk
newcomer
check "a new node is heard of beside all of them" everybody_knows_newcomer 15
check "no node is taken for gone while a list holds a Node without a name" nobody_left
for name in No_Node unnamed a-number-as-name "${BAD[@]}"; do
	tell DELETE "/objects/nodes/$name" >/dev/null
done
leap 1300
check "the warnings go with their causes" wait_leaping 15 status_says 1 '.warnings == [] and .warning_count == 0'
check "and no other node with them" eval 'nobody_left && is_usable 1 2 && is_usable 2 1'
done_testing
