#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# An administrator who watches the cluster, and not a node's log, learns of trouble by Events of the
# Node: another node's refused record, a detached hook, cleartext pod traffic. Each Event names the
# fault, and a repeated fault causes only one Event. A Node labelled as excluded needs no agent:
# status names it, and it causes no Event.

# shellcheck source=tests/kube/agents.bash
. "$(dirname "$0")/agents.bash"

MARKER=$(new_marker)

# -- what is told --

events() { # REASON: of n1
	kubectl -n default get events -o json \
		--field-selector "involvedObject.kind=Node,involvedObject.name=n1,reason=$1" | jq .items
}

# Whole, as `kubectl describe node` looks for it.
is_told() { # REASON TEXT
	events "$1" | tee /dev/stderr | jq -e --arg text "$2" --arg uid "$UID_OF_N1" 'map(select(.message == $text)) | length == 1 and
		all(.[]; .involvedObject.uid == $uid and .type == "Warning" and .count == 1 and
			.source == {component: "podveil", host: "n1"} and .firstTimestamp != null and .lastTimestamp != null)'
}

told() { wait_until 10 is_told "$@" || is_told "$@"; } # REASON TEXT

count_is() { [ "$(events "$1" | tee /dev/stderr | jq length)" = "$2" ]; } # REASON NUMBER: once, and not again later

nothing_else_is_told() { # REASON NUMBER
	sleep 2
	count_is "$1" "$2"
}

log_counts() { [ "$(grep -cE "$2" "$(agent_dir "$1")/keyd.log")" -eq "$3" ]; } # I PATTERN NUMBER

# -- records --

write_record() { kubectl annotate --overwrite node n3 $RECORD="$1" >/dev/null; } # TEXT

good_record() { # n2's, as if it were that of n3
	record_of 2 | jq -c --arg uid "$(kubectl get node n3 -o jsonpath='{.metadata.uid}')" --arg key "$THIRD_KEY" \
		'{version, epoch, port, $uid, current: $key, endpoints: ["192.168.50.3"], pods: ["10.244.3.0/24"]}'
}

bad_record() { good_record | jq -c '.port = 0'; }

refused_and_good() {
	write_record "$(bad_record)" && wait_until 10 peer_says 1 3 '.reason != ""' &&
		write_record "$(good_record)" && wait_until 10 peer_says 1 3 '.reason == ""'
}

why_refused() { podveil 1 -o json peers | jq -r '.peers | map(select(.node == "n3"))[0].reason'; }

# -- hooks --

detach() { in_ns n1 "$BUILD/tools/hooks" detach eth0 "$@"; } # ingress|egress PROGRAM
repairs() { podveil 1 -o json status | jq "[.hooks[] | select(.device == \"eth0\" and .program == \"$1\") | .repairs] | add"; }
repairs_are() { [ "$(repairs "$1")" = "$2" ]; } # PROGRAM NUMBER
is_taken_away() { detach "$1" "$2" && wait_until 5 repairs_are "$2" "$3"; } # ingress|egress PROGRAM NUMBER

# -- clear pod traffic --

dropped() { podveil 1 -o json status | jq "[.drops[] | select(.reason == \"$1\") | .packets] | add // 0"; } # REASON
more_is_dropped() { [ "$(dropped "$1")" -gt "$2" ]; } # REASON PACKETS

# While the first hook is detached, the second one has to drop.
pods_send_without_the_first_look() {
	local before status
	before=$(dropped clear_out)
	kill -STOP "$(keyd_pid 1)"
	watch_start "$MARKER"
	detach egress to_wire &&
		in_ns p1 "$BUILD/tools/flow" udp-send --to "$(pod_v4 2):9100" --rate 200 --count 20 --size 300 --marker "$MARKER"
	status=$?
	in_ns n1 ping -c 1 -W 1 -q "$(node_v4 2)" # something to see
	watch_stop
	kill -CONT "$(keyd_pid 1)"
	[ $status -eq 0 ] && watch_saw_nothing && wait_until 5 more_is_dropped clear_out "$before"
}

# As if it came from a pod of n2.
somebody_forges() {
	local before
	before=$(dropped clear_in)
	in_ns api "$BUILD/tools/craft" --shape udp --from "$(pod_v4 2)" --to "$(pod_v4 1)" --marker "$MARKER" --count 5 &&
		wait_until 5 more_is_dropped clear_in "$before"
}

# -- a node that cannot run it --

n3_is() { peer_says 1 3 ".state == \"$1\" and .reason != \"\""; } # STATE
is_protected() { status_says 1 '.state == "protected" and .reasons == [] and .warning_count == 0'; }
is_warned_of_n3() { status_says 1 '.state == "protected" and .reasons == [] and any(.warnings[]; test("node n3"))'; }
is_excluded_without_a_word() { peer_says 1 3 '.state == "excluded" and .reason == ""'; }
table_says() { podveil 1 peers | tee /dev/stderr | grep -E "^n3 +$1 "; } # STATE
label_n3() { kubectl label --overwrite node n3 "podveil.io/exclude$1" >/dev/null; } # =VALUE or -

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/hooks tools/craft tools/wirewatch
needs_kube kube-apiserver kubectl
kube_cluster_up 2
check "agents start and protect both nodes" start_agents
UID_OF_N1=$(kubectl get node n1 -o jsonpath='{.metadata.uid}')
THIRD_KEY=$(head -c 32 /dev/urandom | base64)
ip -n "$(ns api)" route add "$(pods_v4 1)" via "$(node_v4 1)"
check "nothing is told while all is well" eval 'sleep 1; count_is RecordRefused 0 && count_is HookRemoved 0 && count_is PlaintextSeen 0'

node_registers 3 "$(pods_v4 3)" "$(pods_v6 3)"
check "a node without a record is waited for" wait_until 10 table_says waiting
write_record "$(bad_record)"
check "its record is refused, which is a warning" wait_until 10 is_warned_of_n3
WHY=$(why_refused)
check "and is reported, with the node and the fault" told RecordRefused "the record of node n3 is refused: $WHY"
check "which is what was written" grep -F "'port' is 0" <<<"$WHY"
check "it is mended and refused for the same twice more" eval 'write_record "$(good_record)"; refused_and_good && refused_and_good'
check "each time the log says so" log_counts 1 'warning: node n3: ' 3
check "in an Event it is told once" nothing_else_is_told RecordRefused 1
write_record '{"version": "seven"}'
check "another fault is reported as well" told RecordRefused "the record of node n3 is refused: $(
	wait_until 10 n3_is refused; why_refused)"
check "and is the second Event" nothing_else_is_told RecordRefused 2

kubectl delete node n3 >/dev/null
wait_until 10 peers_are 1 '["n2"]' # nothing is left of its good record, which would stay in use
node_registers 3 "$(pods_v4 3)" "$(pods_v6 3)"
write_record "$(bad_record)"
check "made anew, it is refused from the start" wait_until 10 is_warned_of_n3
check "a node that cannot run the agent is labelled" label_n3 =yes
check "it is named excluded, and why its record is refused" wait_until 10 n3_is excluded
check "also in the table" table_says excluded
check "and is not warned of" wait_until 5 is_protected
check "the label says false: it is warned of again" eval 'label_n3 =false && wait_until 10 is_warned_of_n3 && n3_is refused'
check "labelled, and without a record: excluded, and not warned of either" eval \
	'label_n3 =yes && kubectl annotate node n3 $RECORD- && wait_until 10 is_excluded_without_a_word && is_protected'
check "labelled, and with a good record: a peer like the others" eval \
	'write_record "$(good_record)" && wait_until 10 peers_are 1 "[\"n2\",\"n3\"]"'
kubectl delete node n3 >/dev/null

check "to_wire is taken off" is_taken_away egress to_wire 1
check "that is reported, with the program and the device" told HookRemoved "to_wire on eth0 was detached by another program, and was repaired"
check "to_wire is taken off again" is_taken_away egress to_wire 2
check "that is told once" nothing_else_is_told HookRemoved 1
check "from_wire is taken off" is_taken_away ingress from_wire 1
check "that is told as well" told HookRemoved "from_wire on eth0 was detached by another program, and was repaired"

check "without to_wire and keyd pods' packets get as far as wire_guard, and no further" pods_send_without_the_first_look
check "outgoing cleartext is reported, with the counter" told PlaintextSeen \
	"a cleartext pod packet reached the wire side of a device, and was dropped (clear_out in podveil status)"
check "the same happens again" pods_send_without_the_first_look
check "and is told once" nothing_else_is_told PlaintextSeen 1
check "packets from the wire have a remote pod's address, twice" eval 'somebody_forges && sleep 2 && somebody_forges'
check "incoming cleartext is reported, with the counter" told PlaintextSeen \
	"a cleartext packet from the wire claimed to come from a remote pod, and was dropped (clear_in in podveil status)"
check "and once" nothing_else_is_told PlaintextSeen 2
check "of the hooks no third Event came meanwhile" count_is HookRemoved 2
agents_done
