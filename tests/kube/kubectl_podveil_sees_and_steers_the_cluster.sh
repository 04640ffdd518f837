#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# kubectl podveil with the real kubectl on the real API server: its report on Nodes whose
# annotations are written here, also on hostile ones, its writes, its time limits, and its exit
# status. No kubelets run here, so that every exec fails: it must say so, and continue.
# container_*.sh shows that it understands agents' replies.

# shellcheck source=tests/kube/agents.bash
. "$(dirname "$0")/agents.bash"

# As a user calls it, who has it on PATH.
veil() { # ARGUMENT...
	in_ns api env PATH="$ROOT/deploy:$KUBE_BIN:$PATH" KUBECONFIG="$KUBE_DIR/admin.kubeconfig" KUBECACHEDIR="$KUBE_DIR/cache" \
		kubectl podveil "$@" </dev/null >"$RUN_DIR/veil" 2>"$RUN_DIR/veil.err"
}

says() { # STATUS PATTERN ARGUMENT...: on standard output
	veil "${@:3}"
	local status=$?
	cat "$RUN_DIR/veil" "$RUN_DIR/veil.err"
	[ $status -eq "$1" ] && grep -qE -- "$2" "$RUN_DIR/veil"
}

complains() { # STATUS PATTERN ARGUMENT...: in one line that is no shell's or kubectl's
	veil "${@:3}"
	local status=$?
	cat "$RUN_DIR/veil" "$RUN_DIR/veil.err"
	[ $status -eq "$1" ] && grep -qE -- "^kubectl podveil: .*$2" "$RUN_DIR/veil.err" && [ "$(wc -l <"$RUN_DIR/veil.err")" -eq 1 ]
}

# -- as keyd and kubelet would write --

record() { # I KEY [MORE]: JSON that ends a field list
	jq -nc --arg uid "$(kubectl get node "n$1" -o jsonpath='{.metadata.uid}')" --arg key "$2" --argjson age "${AGE:-7500}" \
		"{version: 1, epoch: ((now - \$age) * 1000 | floor), uid: \$uid, current: \$key, port: 51890 ${3:-}}"
}

publish() { kubectl annotate --overwrite node "n$1" "podveil.io/tunnel=$2" >/dev/null || bail "no annotation"; } # I TEXT

pod_is() { # I True|False
	kubectl -n podveil patch pod "podveil-n$1" --subresource=status --type=merge -p '{"status": {"phase": "Running",
		"hostIP": "192.168.50.'"$1"'", "conditions": [{"type": "Ready", "status": "'"$2"'"}], "containerStatuses": ['"$(
		container_state tunnel), $(container_state keyd)"']}}' >"$KUBE_DIR/patch" 2>&1 || bail "no status: $(cat "$KUBE_DIR/patch")"
}

container_state() { # NAME
	echo '{"name": "'"$1"'", "image": "x", "imageID": "x", "ready": true, "restartCount": 0, "containerID": "containerd://'"$1"'",
		"state": {"running": {}}}'
}

untaint() { kubectl taint node "n$1" podveil.io/agent-not-ready- >/dev/null; }

row() { # NODE: of the table, with one space between columns
	grep "^$1 " "$RUN_DIR/veil" | tr -s ' '
}

row_is() { # NODE PATTERN
	row "$1"
	row "$1" | grep -qxE "$1 $2"
}

# -- status --

every_state_has_its_word() {
	says 1 'mode strict, agents ready on 1 of 5 nodes' status &&
		row_is n1 'ready - - current [0-9]{13} 2h -' && row_is n2 'not-ready - - rotating [0-9]{13} 2h -' &&
		row_is n3 'tainted - - overlapping [0-9]{13} 3d -' && row_is n4 'missing - - none - - -' &&
		row_is n5 'excluded - - none - - -' && row_is n6 'missing - - unreadable - - -'
}

failed_execs_are_named() { grep -E '^  n1: exec into podveil-n1: .*connection refused' "$RUN_DIR/veil.err"; }

nothing_is_asked() { says 1 'mode strict' status --exec=false && [ ! -s "$RUN_DIR/veil.err" ]; }

# A terminal's escapes, quotes, tabs, lines, a shell's words; and a record inside of a record.
HOSTILE=$'{"epoch":17,\t"x":"\\"current\\":\\"AAAA\\"","y":"$(touch '"$RUN_DIR"$'/owned)`id`\e[2J\nn1\tready"}'

hostile_text_stays_text() {
	publish 6 "$HOSTILE"
	says 1 'mode strict' status --exec=false
	row_is n6 'missing - - unreadable 17 [0-9]+d -' && [ "$(grep -c '^n' "$RUN_DIR/veil")" -eq 6 ] && [ ! -e "$RUN_DIR/owned" ] &&
		! grep -P '\x1b' "$RUN_DIR/veil"
}

# -- rotate-key --

request_of() { kubectl get node "n$1" -o jsonpath='{.metadata.annotations.podveil\.io/rotate-requested}'; } # I

was_asked_again() { [ "$(request_of "$1")" != "$2" ]; } # I BEFORE

rotate_in_background() { # SECONDS I KEY
	local before
	before=$(request_of "$2")
	(
		wait_until 20 was_asked_again "$2" "$before"
		sleep "$1"
		publish "$2" "$(record "$2" "$3")"
	) &
}

all_rotate() {
	rotate_in_background 1 1 KEY1B=
	rotate_in_background 2 2 KEY2B=
	says 1 '^2 of 4 nodes have new keys$' rotate-key --all --timeout 12s || return 1
	grep -x 'n1: has a new key' "$RUN_DIR/veil" && grep -x 'n2: has a new key' "$RUN_DIR/veil" &&
		grep -E '^n3: has not answered within 12 s' "$RUN_DIR/veil.err" && grep -E '^n4: has published no key' "$RUN_DIR/veil.err" &&
		[ -n "$(request_of 1)" ] && [ "$(request_of 1)" = "$(request_of 3)" ] && [ -z "$(request_of 5)" ]
}

two_rotate() {
	rotate_in_background 1 1 KEY1C=
	rotate_in_background 1 2 KEY2C=
	says 0 '^2 of 2 nodes have new keys$' rotate-key n1 n2 --timeout=1m
}

# A terminal gets one line that moves.
bar_on_a_terminal() {
	rotate_in_background 1 1 KEY1D=
	script -qec "$(printf '%q ' nsenter --net="/run/netns/$(ns api)" env PATH="$ROOT/deploy:$KUBE_BIN:$PATH" \
		KUBECONFIG="$KUBE_DIR/admin.kubeconfig" kubectl podveil rotate-key n1 --timeout 20s)" /dev/null </dev/null >"$RUN_DIR/bar"
	local status=$?
	cat -v "$RUN_DIR/bar"
	[ $status -eq 0 ] && tr '\r' '\n' <"$RUN_DIR/bar" | grep -F '[##############################] 1 of 1 nodes have new keys'
}

not_waited_for() {
	local before
	before=$(request_of 1)
	says 0 'asked 1 of 1 nodes' rotate-key n1 --wait=false && [ "$(request_of 1)" != "$before" ] && [ "$(request_of 1 | wc -c)" -le 253 ]
}

served_is_told_apart() {
	publish 3 "$(AGE=1 record 3 KEY3= )"
	(sleep 1 && kubectl annotate --overwrite node n3 podveil.io/rotate-served="$(request_of 3)" >/dev/null) &
	says 1 '^0 of 1' rotate-key n3 --timeout 3s && grep -E '^n3: has accepted the request' "$RUN_DIR/veil.err"
}

# A user without any right on Nodes.
refusals_are_told() {
	kubectl create serviceaccount nobody >/dev/null && kubectl create clusterrolebinding nobody --clusterrole view \
		--serviceaccount default:nobody >/dev/null && kubeconfig_by_token nobody default nobody
	! in_ns api env PATH="$ROOT/deploy:$KUBE_BIN:$PATH" kubectl podveil status --kubeconfig "$KUBE_DIR/nobody.kubeconfig" \
		>"$RUN_DIR/veil" 2>&1 && cat "$RUN_DIR/veil" && grep -E '^kubectl podveil: .*forbidden.*nodes' "$RUN_DIR/veil"
}

# -- mode --

mode() { kubectl -n podveil get configmap podveil -o jsonpath='{.data.mode}'; }

strict_is_not_forced_on_a_cluster_half_done() { complains 1 'n4' mode strict && [ "$(mode)" = permissive ]; }
strict_is_forced() { says 0 'mode strict .*before: permissive' mode strict --force && [ "$(mode)" = strict ]; }
permissive_is_set() { says 0 'mode permissive' mode permissive && [ "$(mode)" = permissive ] && says 0 '^permissive$' mode; }

# -- verify --

what_is_wrong_is_named() {
	says 1 'WRONG +every node has an agent that is ready: not n2 \(not-ready\) n4 \(missing\) n6 \(missing\)$' verify &&
		grep -E 'WRONG +every node has published a key of its own: not n4 \(none\) n6 \(of another Node' "$RUN_DIR/veil" &&
		grep -E 'WRONG +no node has the startup taint .* not n2 n3 n4 n5 n6$' "$RUN_DIR/veil" &&
		grep -E 'ok +its binding denies' "$RUN_DIR/veil" && grep -E "ok +it is in force" "$RUN_DIR/veil" &&
		grep -E 'note .* n5$' "$RUN_DIR/veil"
}

cluster_is_mended() {
	local i
	kubectl delete node n4 n6 >/dev/null
	for i in 1 2 3; do
		pod_is $i True
		publish $i "$(record $i "KEY${i}X=")"
	done
	untaint 2 && untaint 3 && untaint 5
	kubectl -n podveil patch configmap podveil --type=merge -p '{"data": {"mode": "strict"}}' >/dev/null
}

what_cannot_be_seen_is_unknown() { says 3 'UNKNOWN +all nodes reach each other: 3 of 3 agents' verify && ! grep WRONG "$RUN_DIR/veil"; }

a_copied_record_is_wrong() {
	publish 3 "$(record 1 KEY1X=)"
	says 1 'WRONG +every node has published a key of its own: not n3 \(of another Node' verify
	local result=$?
	publish 3 "$(record 3 KEY3X=)"
	return $result
}

a_policy_that_is_off_is_wrong() {
	kubectl delete validatingadmissionpolicybinding podveil-agent >/dev/null
	wait_until 10 says 1 'WRONG +it is in force: an agent.s account may write' verify && grep -E 'WRONG +its binding denies: .*not found' "$RUN_DIR/veil"
}

begin
needs_kube kube-apiserver kubectl
kube_cluster_up 3
for i in 4 5 6; do
	node_joins $i
done
kubectl label node n5 podveil.io/exclude=yes >/dev/null
for i in 1 2 3; do
	pod_is $i True
done
pod_is 2 False
untaint 1
publish 1 "$(record 1 KEY1=)"
publish 2 "$(record 2 KEY2= ', next: "NEXT2="')"
publish 3 "$(AGE=260000 record 3 KEY3= ', previous: "PREV3="')"
publish 6 'no JSON'

check "status has a word for every state" every_state_has_its_word
check "and names the execs that failed" failed_execs_are_named
check "--exec=false asks nobody" nothing_is_asked
check "a hostile annotation stays text" hostile_text_stays_text
check "verify names what is wrong" what_is_wrong_is_named

publish 6 "$(record 6 KEY6=)"
kubectl label node n6 podveil.io/exclude=yes >/dev/null
check "rotate-key --all names the nodes that have rotated, those that have not, and the reasons" all_rotate
check "rotate-key NODE... waits for them alone" two_rotate
check "a terminal gets a bar" bar_on_a_terminal
check "--wait=false only asks" not_waited_for
check "a node that accepted the request is distinguished from one that did not" served_is_told_apart
kubectl label node n6 podveil.io/exclude- >/dev/null

check "mode permissive is the whole cluster's" permissive_is_set
check "mode strict does not cut off nodes without an agent" strict_is_not_forced_on_a_cluster_half_done
check "but with --force it does" strict_is_forced

cluster_is_mended
check "when no agent can be reached, verify does not report success" what_cannot_be_seen_is_unknown
check "verify finds a record that is another Node's" a_copied_record_is_wrong
check "verify finds a policy that is not in force" a_policy_that_is_off_is_wrong
check "what the API server refuses is told" refusals_are_told

check "version" says 0 'keyd podveil:0.1.0' version
check "help" says 0 'rotate-key NODE' help
says_how_it_is_used() { ! veil && grep -q '^usage: kubectl podveil' "$RUN_DIR/veil.err"; }
check "without a command it says how it is used" says_how_it_is_used
check "an unknown command" complains 2 "unknown command 'rotate'" rotate
check "an unknown flag" complains 2 "'--al': expected" rotate-key --al
check "a duration that is none" complains 2 "'soon': expected a duration" rotate-key --all --timeout soon
check "nodes and --all" complains 2 'not both' rotate-key n1 --all
check "a mode that is none" complains 2 "'off': expected strict or permissive" mode off
check "a node that there is not" says 1 'asked 0 of 1' rotate-key nowhere --wait=false
check "a context that there is not" complains 1 'context "nowhere" does not exist' mode --context nowhere
agents_done
