#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# make bench-kube: the cost of an agent for the API server and its own node, on a real API server.
# Three agents in a cluster of their own, then one of them in a cluster of 1,000 Node objects as
# large as real ones, with their status written as kubelets write it (each every five minutes, apart
# from leases): requests and bytes of joining, of a rotation and of a minute at rest; podveil-keyd's
# memory and CPU; and the time from the moment at which a node's annotation is sent to the API
# server until the other node counts it as usable. REST_SECONDS, JOINERS and OBJECTS set the extent.
# Requests and bytes are those that podveil-keyd counts (HTTP, without TLS), and those that pass the
# node's device (with all headers). Times and CPU are those of this machine, which runs the whole
# cluster.
#
# Requests and bytes as podveil-keyd counts them (HTTP, without TLS), and as they pass the node's device (with all
# headers). Times and CPU are this machine's, which runs the whole cluster.

# shellcheck source=tests/kube/agents.bash
. "$(dirname "$0")/../kube/agents.bash"

OBJECTS=${OBJECTS:-1000}         # Nodes in the large cluster
JOINERS=${JOINERS:-120}          # of them, whose annotation comes while somebody looks
REST_SECONDS=${REST_SECONDS:-120}
STATUS_EVERY=300                 # seconds, each Node
CLUSTER_CIDRS=(10.240.0.0/12 fd00:10:244::/48)
MARKER=$(new_marker)
MESH_RATE=100

# -- counting --

audit_begin() {
	AUDIT=$RUN_DIR/audit.log
	jq -n '{apiVersion: "audit.k8s.io/v1", kind: "Policy", omitStages: ["RequestReceived"], rules: [
		{level: "Metadata", users: ["system:serviceaccount:podveil:podveil"]}, {level: "None"}]}' >"$RUN_DIR/audit.json"
	: >"$AUDIT"
	APISERVER_MORE=(--audit-policy-file "$RUN_DIR/audit.json" --audit-log-path "$AUDIT")
}

# Of a node's agent since audit_mark: "3 get nodes, 1 list nodes". A watch counts when it begins.
audit_mark() { AUDITED=$(wc -l <"$AUDIT"); }
audit_says() { # I
	tail -n +$((AUDITED + 1)) "$AUDIT" | jq -rs --arg node "n$1" '
		map(select(.user.extra["authentication.kubernetes.io/node-name"][0] == $node) |
			select((.verb == "watch") == (.stage == "ResponseStarted")) | "\(.verb) \(.objectRef.resource)") |
		group_by(.) | map("\(length) \(.[0])") | join(", ")'
}

count_on_the_wire() { # I
	in_ns "n$1" nft -f - <<-RULES || bail "nft does not count"
		table inet count {
			chain in { type filter hook input priority 0; tcp sport $API_PORT counter; }
			chain out { type filter hook output priority 0; tcp dport $API_PORT counter; }
		}
	RULES
}

wire_bytes() { in_ns "n$1" nft -j list table inet count | jq '[.. | .counter? | .bytes? // empty] | add'; } # I: both ways

# requests, bytes sent, bytes received, bytes on the wire
costs_of() { # I
	podveil "$1" -o json status | jq -r --arg wire "$(wire_bytes "$1")" '.registry_status | "\(.requests) \(.sent_bytes) \(.received_bytes) \($wire)"'
}

declare -A BEFORE
mark() { # I...
	local i
	for i in "$@"; do
		BEFORE[$i]=$(costs_of "$i")
	done
	audit_mark
}

mark_start() { # I...: podveil-keyd there counts from nothing
	local i
	for i in "$@"; do
		BEFORE[$i]="0 0 0 $(wire_bytes "$i")"
	done
	audit_mark
}

say_costs() { # TEXT I
	echo "${BEFORE[$2]} $(costs_of "$2")" | awk -v text="$1" '{
		printf "  %-44s %6d requests %10.1f KiB sent %10.1f KiB received %10.1f KiB on the wire\n", text, $5 - $1,
			($6 - $2) / 1024, ($7 - $3) / 1024, ($8 - $4) / 1024 }'
	audit_says "$2" | sed -n "s/..*/      &/p"
}

cpu_ms() { awk -v hz="$(getconf CLK_TCK)" '{ print int(($14 + $15) * 1000 / hz) }' "/proc/$(keyd_pid "$1")/stat"; } # I

say_memory() { # TEXT I
	local pid
	pid=$(keyd_pid "$2")
	printf '  %-44s RSS %s KiB, PSS %s KiB, of which private %s KiB; at most RSS %s KiB\n' "$1" \
		"$(awk '/^Rss:/ { print $2 }' "/proc/$pid/smaps_rollup")" "$(awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup")" \
		"$(awk '/^Private_(Clean|Dirty):/ { sum += $2 } END { print sum }' "/proc/$pid/smaps_rollup")" \
		"$(awk '/^VmHWM:/ { print $2 }' "/proc/$pid/status")"
}

# -- many Nodes --

curl_as_admin() { # ARGUMENT...
	in_ns api curl -sS --cacert "$KUBE_DIR/ca.crt" --cert "$KUBE_DIR/admin.crt" --key "$KUBE_DIR/admin.key" "$@"
}

# Requests for one curl, which goes on over one connection: METHOD PATH TYPE BODY-FILE, one a line on standard input.
ask_many() { # ARGUMENT... of curl
	local config
	config=$(mktemp "$RUN_DIR/curl.XXXXXX")
	jq -rR --arg server "https://$API_V4:$API_PORT" --arg dir "$KUBE_DIR" '. / " " |
		"next\nsilent\nshow-error\noutput = \"/dev/null\"\nwrite-out = \"%{http_code}\\n\"",
		"cacert = \"\($dir)/ca.crt\"\ncert = \"\($dir)/admin.crt\"\nkey = \"\($dir)/admin.key\"",
		"request = \"\(.[0])\"\nurl = \"\($server)\(.[1])\"\nheader = \"Content-Type: \(.[2])\"\ndata-binary = \"@\(.[3])\""' >"$config"
	in_ns api curl "$@" --config "$config" 2>&1 | sort | uniq -c | sed 's/^ */    the API server answers /' | grep -v ' 20[01]$'
	[ "${PIPESTATUS[0]}" -eq 0 ]
}

# As kubelets register them and others leave their marks on them.
many_nodes() { # COUNT
	mkdir "$RUN_DIR/nodes"
	jq -nc --argjson count "$1" --argjson status "$(node_status 192.0.2.1)" '
		range($count) | . as $k | "w\($k)" as $name | "10.\(245 + ($k / 256 | floor)).\($k % 256).0/24" as $v4 | {
			apiVersion: "v1", kind: "Node",
			metadata: {name: $name,
				labels: ({"kubernetes.io/hostname": $name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
					"node.kubernetes.io/instance-type": "m8.2xlarge", "topology.kubernetes.io/zone": "zone-\($k % 3)",
					"topology.kubernetes.io/region": "region-1"} + ([range(10) | {key: "example.io/label-\(.)", value: "value-\(.)"}] | from_entries)),
				annotations: {"csi.volume.kubernetes.io/nodeid": "{\"ebs.csi.example.io\":\"i-0123456789abcdef\",\"efs.csi.example.io\":\"i-0123456789abcdef\"}",
					"node.alpha.kubernetes.io/ttl": "60", "volumes.kubernetes.io/controller-managed-attach-detach": "true"}},
			spec: {podCIDR: $v4, podCIDRs: [$v4], providerID: "example:///zone/\($name)"},
			status: ($status + {addresses: [{type: "InternalIP", address: "172.16.\($k / 250 | floor).\($k % 250 + 1)"},
				{type: "Hostname", address: $name}]})}' | (cd "$RUN_DIR/nodes" && split -l 1 -a 4 -d - node.)
	printf 'POST /api/v1/nodes?fieldManager=kubelet application/json %s\n' "$RUN_DIR"/nodes/node.* | ask_many ||
		bail "the API server does not take $1 Nodes"
}

# Each needs the uid that the API server gave it.
many_records() {
	kubectl get nodes -o json | jq -c '.items[] | select(.metadata.name | startswith("w")) | (.metadata.name[1:] | tonumber) as $k | {
		name: .metadata.name, body: {metadata: {annotations: {"podveil.io/tunnel": ({version: 1, epoch: 1795348800000, uid: .metadata.uid,
			current: ("the key of node number \($k) .........." | .[0:32] | @base64), port: 51890,
			endpoints: ["172.16.\($k / 250 | floor).\($k % 250 + 1)"], pods: .spec.podCIDRs} | tojson)}}}}' >"$RUN_DIR/records"
	jq -c .body "$RUN_DIR/records" | (cd "$RUN_DIR/nodes" && split -l 1 -a 4 -d - record.)
	jq -r .name "$RUN_DIR/records" | awk -v dir="$RUN_DIR/nodes" '{
		printf "PATCH /api/v1/nodes/%s?fieldManager=podveil application/merge-patch+json %s/record.%04d\n", $1, dir, NR - 1 }' >"$RUN_DIR/patches"
}

# kubelet's periodic write: new heartbeat times of its conditions.
kubelets_go_on() { # SECONDS
	local per_minute=$((OBJECTS * 60 / STATUS_EVERY))
	jq -nc '{status: {conditions: [("MemoryPressure", "DiskPressure", "PIDPressure", "Ready") |
		{type: ., lastHeartbeatTime: (now | todate)}]}}' >"$RUN_DIR/heartbeat"
	jq -r .name "$RUN_DIR/records" | shuf -n $((per_minute * $1 / 60 + 1)) |
		sed "s|.*|PATCH /api/v1/nodes/&/status?fieldManager=kubelet application/strategic-merge-patch+json $RUN_DIR/heartbeat|" |
		ask_many --rate "$per_minute/m"
}

usable() { podveil "$1" -o json status | jq .peers.usable; } # I
has_usable() { [ "$(usable "$1")" -ge "$2" ]; } # I COUNT

# One after the other; milliseconds go to the file.
joiners_come() {
	local n count began method path type body
	count=$(usable 1)
	for ((n = 1; n <= JOINERS; n++)); do
		read -r method path type body
		began=$(now_ms)
		curl_as_admin -f -o /dev/null -X "$method" -H "Content-Type: $type" --data-binary "@$body" "https://$API_V4:$API_PORT$path" ||
			bail "no annotation for $path"
		until [ "$(ask_keyd 1 '{"verb":"status"}' | jq .peers.usable)" -ge $((count + n)) ]; do
			[ $(($(now_ms) - began)) -lt 60000 ] || bail "$path is not usable after a minute"
		done
		echo $(($(now_ms) - began))
	done
}

percentile() { sort -n "$1" | awk -v p="$2" '{ v[NR] = $1 } END { i = int(NR * p / 100 + 0.9999); print v[i < 1 ? 1 : i] }'; } # FILE P

# -- the scenes --

three_nodes() {
	local i
	echo "three nodes"
	for i in 1 2 3; do
		count_on_the_wire $i
	done
	mark_start 1 2 3
	start_agents || bail "no agents"
	sleep 3
	for i in 1 2 3; do
		say_costs "joining, n$i" $i
	done
	mesh_start live
	sleep 2
	mark 1 2
	rotate_and_wait 1 || bail "no rotation"
	sleep 2
	traffic_stop
	say_costs "a rotation, the node itself" 1
	say_costs "a rotation, another node" 2
	mark 1
	sleep "$REST_SECONDS"
	say_costs "at rest, $REST_SECONDS s" 1
	say_memory "podveil-keyd" 1
}

large_cluster() {
	local began cpu
	echo "$OBJECTS nodes"
	stop_agent 2 && stop_agent 3 # their records stay
	many_nodes $((OBJECTS - 3))
	echo "  a Node object has $(kubectl get --show-managed-fields node w7 -o json | jq -c . | wc -c) bytes"
	many_records
	tail -n +$((JOINERS + 1)) "$RUN_DIR/patches" | ask_many || bail "no annotations"
	stop_keyd 1
	mark_start 1
	began=$(now_ms)
	start_keyd 1 || bail "no agent"
	wait_until 120 has_usable 1 $((OBJECTS - 1 - JOINERS)) || bail "n1 does not know all: $(usable 1)"
	echo "  joining takes $(($(now_ms) - began)) ms until $(usable 1) peers are usable, and $(cpu_ms 1) ms of CPU"
	say_costs "joining, n1" 1
	say_memory "podveil-keyd" 1
	sleep 5
	mark 1
	cpu=$(cpu_ms 1)
	kubelets_go_on "$REST_SECONDS" || bail "the kubelets' writing fails"
	say_costs "at rest, $REST_SECONDS s" 1
	echo "  at rest it takes $((($(cpu_ms 1) - cpu) * 60 / REST_SECONDS)) ms of CPU a minute"
	say_memory "podveil-keyd" 1
}

joining_is_seen() {
	kubelets_go_on 600 &
	mark 1
	joiners_come <"$RUN_DIR/patches" >"$RUN_DIR/joined"
	say_costs "$JOINERS nodes publish their first record" 1
	echo "  from a node's annotation to a usable peer: p50 $(percentile "$RUN_DIR/joined" 50) ms, p99 $(percentile "$RUN_DIR/joined" 99) ms, longest $(percentile "$RUN_DIR/joined" 100) ms"
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow
needs_kube kube-apiserver kubectl
audit_begin
kube_cluster_up 3
three_nodes
large_cluster
joining_is_seen
