#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A node that keeps its own promise is protected, and `podveil status` exits with 0, no matter which
# bad files other nodes have in the registry `file:DIR`, even when the agent has just started. Each
# fault is listed as a warning and counted; no number of warnings hides a fault of the node itself.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

REGISTRY=$RUN_DIR/registry
BAD=() # nodes with a bad record

put() { # NAME: as a writer should, from stdin
	cat >"$REGISTRY/.$1.tmp" && mv "$REGISTRY/.$1.tmp" "$REGISTRY/$1.json"
	BAD+=("$1")
}

bad_record() { # NAME JQ_FILTER: n2's record as a younger node's, changed (@a is its annotation, decoded)
	local a='.annotations["podveil.io/tunnel"]' i=$((60 + ${#BAD[@]}))
	jq --arg name "$1" --arg i $i --arg key "$(wg genkey | wg pubkey)" "$a |= fromjson
		| .name = \$name | .uid = \"uid-\" + \$name | .created = \"2030-01-01T00:00:00Z\"
		| .podCIDRs = [\"10.244.\" + \$i + \".0/24\"] | .addresses = [\"192.168.50.\" + \$i]
		| $a.uid = .uid | $a.current = \$key | $a.pods = .podCIDRs | $a.endpoints = .addresses
		| ${2//@a/$a} | $a |= tojson" "$REGISTRY/n2.json" >"$RUN_DIR/record.json"
	put "$1" <"$RUN_DIR/record.json"
}

key_of() { jq '.annotations["podveil.io/tunnel"] | fromjson | .current' "$REGISTRY/n$1.json"; } # I: as JSON

is_untouched() { # I: state, exit status and reasons
	podveil "$1" -o json status >"$RUN_DIR/status.json" || return 1
	jq -e '.state == "protected" and .reasons == [] and .reason_kinds == [] and .reason_count == 0' "$RUN_DIR/status.json"
}

warns_of_each() { # I: by name, with a kind for each line and their count
	is_untouched "$1" &&
		jq -e '[$ARGS.positional[] as $name | select(.warnings | any(startswith("node " + $name + ": ")) | not) | $name] == []' \
			"$RUN_DIR/status.json" --args "${BAD[@]}" &&
		jq -e '(.warnings | length) == .warning_count and (.warning_kinds | length) == .warning_count and
			(.warning_kinds | unique - ["peer_record", "stray_records"]) == []' "$RUN_DIR/status.json"
}

both_warn() { wait_until 5 warns_of_each 1 && wait_until 5 warns_of_each 2 || { cat "$RUN_DIR/status.json"; return 1; }; }

warns_of_strays() { # I NUMBER
	is_untouched "$1" && jq -e --arg text "entries of the registry that name no node: $2; one of them: 'No Node.json' " \
		'.warnings | any(startswith($text))' "$RUN_DIR/status.json"
}

text_shows() { # PATTERN
	podveil 1 status >"$RUN_DIR/status.txt"
	cat "$RUN_DIR/status.txt"
	grep -E "$1" "$RUN_DIR/status.txt"
}

starts_anew() { # n2, as at its first start: without a trace of an earlier agent
	kill_agent 2
	podveil 2 cleanup --bpffs "$(agent_bpffs 2)" || return 1
	start_agent 2 && wait_until 10 warns_of_each 2 || { cat "$RUN_DIR/status.json"; return 1; }
}

pods_talk() { pings p1 "$(pod_v4 2)" && pings p2 "$(pod_v6 1)"; }

counts_the_flood() { # NUMBER: so many, of which 64 are listed
	is_untouched 1 && jq -e --argjson number "$1" '.warning_count == $number and (.warnings | length) == 64 and
		(.warning_kinds | length) == 64' "$RUN_DIR/status.json"
}

names_its_own_fault() { # beside all of them
	! podveil 1 -o json status >"$RUN_DIR/status.json" && jq -e '.state == "degraded" and .reason_count == 1 and
		.reason_kinds == ["tunnel"] and .warning_count > 64' "$RUN_DIR/status.json"
}

begin
type -P wg >/dev/null || skip_all "needs wg"
needs podveil-tunnel podveil-keyd podveil
cluster_up 2
check "agents start and protect both nodes" start_agents

bad_record a-brace '@a = "{"'
bad_record an-epoch-ahead '@a.epoch += 200000000'
bad_record anothers-uid '@a.uid = "stolen"'
bad_record anothers-key "@a.current = $(key_of 1)"
bad_record anothers-prefix '@a.pods += ["10.244.1.0/24", "10.244.2.0/25"]'
bad_record a-prefix-outside '@a.pods += ["192.168.50.0/24"]'
bad_record an-address-inside '@a.endpoints = ["10.244.2.10"]'
bad_record no-time '.created = "yesterday"'
bad_record no-uid '.uid = ""'
bad_record another-name '.name = "n2"'
put no-json <<<'{'
mkfifo "$REGISTRY/a-fifo.json" && touch "$REGISTRY/a-fifo.json"
BAD+=(a-fifo)
mkdir "$REGISTRY/.a-folder.tmp" && mv "$REGISTRY/.a-folder.tmp" "$REGISTRY/a-folder.json"
BAD+=(a-folder)
check "bad records of other nodes are warnings, and both nodes stay protected" both_warn
check "status as text shows the warnings and their number" text_shows "^warnings +${#BAD[@]}$"
check "which it does below the verdict" text_shows '^  WARNING: node a-brace: '

echo '{}' >"$REGISTRY/No Node.json"
check "so are files that name no node" wait_until 5 warns_of_strays 1 1
check "an agent that has just started is protected beside all of them" starts_anew
check "and counts the files that name no node" warns_of_strays 2 1
check "pods talk" wait_until 5 pods_talk
rm "$REGISTRY/No Node.json"
check "a warning goes with its cause" wait_until 5 eval '! warns_of_strays 1 1'

for i in $(seq 80); do
	echo '{' >"$REGISTRY/flood$i.json"
done
check "of a flood of bad records as many as fit are listed, and all are counted" wait_until 5 counts_the_flood $((${#BAD[@]} + 80))
check "status as text says how many more there are" text_shows '^  WARNING: and [0-9]+ more$'
stop_tunnel 1
check "a fault of the node itself is named beside the flood, and degrades it" wait_until 5 names_its_own_fault
done_testing
