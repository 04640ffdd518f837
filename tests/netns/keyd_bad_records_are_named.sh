#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# keyd names every bad file in the directory of the registry. No such file affects the traffic of
# nodes with good records, and none ever causes cleartext traffic.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

REGISTRY=
MARKER=$(new_marker)
LOW_ORDER=AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
SHORT_KEY=yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBg==

record() { # NAME JQ_FILTER: n2's record as another node's, changed (`a` is its annotation, decoded)
	jq --arg name "$1" '.annotations["podveil.io/tunnel"] |= fromjson
		| .name = $name | .uid = "uid-" + $name | .created = "2030-01-01T00:00:00Z"
		| .annotations["podveil.io/tunnel"].uid = .uid
		| .podCIDRs = ["10.244.66.0/24"] | .addresses = ["192.168.50.66"]
		| .annotations["podveil.io/tunnel"].current = "'"$FREE_KEY"'"
		| .annotations["podveil.io/tunnel"].pods = ["10.244.66.0/24"]
		| .annotations["podveil.io/tunnel"].endpoints = ["192.168.50.66"]
		| '"${2//@a/.annotations[\"podveil.io/tunnel\"]}"'
		| .annotations["podveil.io/tunnel"] |= tojson' "$REGISTRY/n2.json"
}

put() { # NAME: as a writer should, from stdin
	cat >"$REGISTRY/.$1.tmp" && mv "$REGISTRY/.$1.tmp" "$REGISTRY/$1.json"
}

peer_is() { # NAME STATE REASON
	podveil 1 -o json peers >"$RUN_DIR/peers.json"
	jq -e --arg name "$1" --arg state "$2" --arg reason "$3" \
		'.peers[] | select(.node == $name) | .state == $state and (.reason | contains($reason))' "$RUN_DIR/peers.json"
}

named() { # NAME STATE REASON: and in the log
	wait_until 5 peer_is "$@" || { cat "$RUN_DIR/peers.json"; return 1; }
	grep "warning: node $1: " "$(agent_dir 1)/keyd.log" | grep -qF "$3"
}

good_node_is_untouched() {
	podveil 1 -o json peers | jq -e '.peers[] | select(.node == "n2") | .state == "usable" and .reason == ""' &&
		in_ns p1 ping -c 2 -i 0.05 -W 1 -q "$(pod_v4 2)" && in_ns p1 ping -c 2 -i 0.05 -W 1 -q "$(pod_v6 2)"
}

bad_record() { # WHAT STATE REASON JQ_FILTER
	record x "$4" | put x
	check "names $1" named x "$2" "$3"
	check "the good node's traffic goes on beside $1" good_node_is_untouched
}

bad_file() { # WHAT REASON: x.json from stdin, written in place
	cat >"$REGISTRY/x.json"
	check "names $1" named x refused "$2"
	check "the good node's traffic goes on beside $1" good_node_is_untouched
}

is_forgotten() { podveil 1 -o json peers | jq -e '[.peers[].node] == ["n2"]'; }

bad_prefix_is_dropped() { # the pods of a node with a bad record: neither in clear nor anywhere
	in_ns p1 ping -c 2 -i 0.05 -W 1 -q 10.244.66.10 && return 1
	podveil 1 -o json status >"$RUN_DIR/status.json"
	jq -e '[.drops[] | select(.reason == "peer_unusable")][0].packets >= 2' "$RUN_DIR/status.json"
}

loses_nothing() {
	kill -INT "$PING" && wait "$PING"
	tail -n 3 "$RUN_DIR/ping.txt"
	grep -q ' 0% packet loss' "$RUN_DIR/ping.txt"
}

begin
needs podveil-tunnel podveil-keyd podveil tools/wirewatch
cluster_up 2
REGISTRY=$RUN_DIR/registry
FREE_KEY=$(wg genkey | wg pubkey)
check "agents start and protect both nodes" start_agents
in_ns n1 ip neigh add 192.168.50.66 lladdr 02:00:00:00:00:66 dev eth0 # so that the packets reach the hook
in_ns n1 ip route add 10.244.66.0/24 via 192.168.50.66
watch_start "$MARKER"
spawn p1 "$RUN_DIR/ping.txt" ping -i 0.02 -p "$MARKER" "$(pod_v4 2)"
PING=$SPAWNED

bad_file "an empty file" "not JSON" </dev/null
bad_file "truncated JSON" "not JSON" < <(head -c 300 "$REGISTRY/n2.json")
bad_file "wrong types" "'name' is an integer" <<<'{"name":7}'
bad_file "a record under another's name" "'name' is 'n2': expected the file's name, 'x'" <"$REGISTRY/n2.json"
bad_file "control characters, escaped" "'uid' is '\\x1b[31m'" \
	<<<'{"name":"x","uid":"\u001b[31m","created":"2030-01-01T00:00:00Z"}'
bad_file "a file over 1 MiB" "file is larger than 1048576 bytes" < <(head -c 1200000 /dev/zero | tr '\0' ' ')
bad_file "a JSON bomb" "not JSON" < <(head -c 900000 /dev/zero | tr '\0' '[')
rm "$REGISTRY/x.json" && mkfifo "$REGISTRY/x.json" && touch "$REGISTRY/x.json"
check "names a FIFO in a record's place" named x refused "not a regular file"
rm "$REGISTRY/x.json"
ln -s /etc/shadow "$REGISTRY/x.tmp" && mv "$REGISTRY/x.tmp" "$REGISTRY/x.json"
check "names a symbolic link in a record's place" named x refused "not a regular file"
check "the good node's traffic goes on beside odd files" good_node_is_untouched

bad_record "prefixes that are none" refused "'podCIDRs' holds '10.0.0.0/99'" '.podCIDRs = ["10.0.0.0/99"]'
bad_record "a truncated annotation" refused "annotation:" '@a = "{"'
bad_record "a key of 31 bytes" refused "expected a key" "@a.current = \"$SHORT_KEY\""
bad_record "a low-order key" refused "low-order point" "@a.current = \"$LOW_ORDER\""
bad_record "this node's own key" refused "this node's own key" \
	"@a.current = \"$(jq -r '.annotations["podveil.io/tunnel"] | fromjson | .current' "$REGISTRY/n1.json")\""
bad_record "another node's key" refused "a key of node n2" \
	"@a.current = \"$(jq -r '.annotations["podveil.io/tunnel"] | fromjson | .current' "$REGISTRY/n2.json")\""
bad_record "next that equals current" refused "are the same key" '@a.next = @a.current'
bad_record "port 0" refused "'port' is 0" '@a.port = 0'
bad_record "an epoch far ahead" refused "more than 24 hours ahead" '@a.epoch += 200000000'
bad_record "an annotation of another uid" refused "expected the node's own" '@a.uid = "stolen"'
bad_record "another node's pod prefix" usable "10.244.2.0/24 overlaps" '@a.pods += ["10.244.2.0/24"]'
bad_record "a part of another node's pod prefix" usable "10.244.2.128/25 overlaps" '@a.pods += ["10.244.2.128/25"]'
bad_record "this node's own pod prefix" usable "which belongs to this node" '@a.pods += ["10.244.1.0/24"]'
bad_record "a prefix outside the cluster range" usable "outside the cluster range" '@a.pods += ["192.168.50.0/24"]'
bad_record "an endpoint inside a pod prefix" refused "10.244.2.10/32 overlaps" '@a.endpoints = ["10.244.2.10"]'
bad_record "a loopback endpoint" refused "loopback" '@a.endpoints = ["127.0.0.1"]'
check "pods of a node with a bad record are dropped and counted" bad_prefix_is_dropped

record x '.' | put x
check "a good record after bad ones is taken" wait_until 5 peer_is x usable ""
record x '@a.epoch -= 1 | @a.current = "AAAA"' | put x
check "a bad record after a good one leaves the good one in use" named x usable "annotation:"
record x '@a.epoch -= 5' | put x
check "a lower epoch is ignored and named" named x usable "is lower than"
rm "$REGISTRY/x.json"
check "a node whose file goes away has left" wait_until 5 is_forgotten
echo '{}' >"$REGISTRY/No Node.json"
echo x >"$REGISTRY/n2.request"
sleep 0.3
check "files that are nobody's are left alone" is_forgotten
check "the good node's traffic lost nothing meanwhile" loses_nothing
watch_stop
check "nothing was on the wire in cleartext" watch_saw_nothing
done_testing
