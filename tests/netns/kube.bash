# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Two nodes whose agents find each other through an API server that misbehaves on command
# (tests/tools/apiserver.py), and numbered traffic between their pods that has to survive every
# misbehaviour. Sourced after lib.sh and rotation.bash.
#
#   api: 192.168.50.200, fd00:50::200, port 6443, on the wire beside the nodes

API_V4=192.168.50.200 API_V6=fd00:50::200 API_PORT=6443
API_DIR=$RUN_DIR/api
API_CONTROL=$API_DIR/control
RECORD=podveil.io/tunnel
UDP_RATE=500
MARKER=$(new_marker)
NEWCOMERS=0
BOOKMARKS=2 # seconds between two; the real one sends one a minute

needs_api() {
	local program
	for program in python3 openssl curl jq wg; do
		type -P $program >/dev/null || skip_all "needs $program"
	done
	needs podveil-tunnel podveil-keyd podveil tools/flow tools/later.so
}

# -- the server --

tell() { # METHOD PATH [JSON]: to its control socket
	curl -sS --noproxy '*' --max-time 10 --unix-socket "$API_CONTROL" -X "$1" ${3:+-d "$3"} "http://api$2"
}

fault() { tell POST /faults "$1" >/dev/null; } # JSON

# To the watches that run. False if a node has none; then the event is sent to no watch.
watches() { # JSON, or @FILE
	local command
	case $1 in
	@*) command=$(<"${1#@}") ;;
	*) command=$1 ;;
	esac
	jq -c --argjson nodes "$NODES" '.least = $nodes' <<<"$command" >"$RUN_DIR/watches.json"
	tell POST /watches "@$RUN_DIR/watches.json" | jq -e '.watches > 0' >/dev/null
}
all_is_well() { tell DELETE /faults >/dev/null; }

api_start() {
	rm -f "$API_CONTROL"
	spawn api "$API_DIR/words" python3 "$ROOT/tests/tools/apiserver.py" serve --listen "$API_V4:$API_PORT" \
		--cert "$API_DIR/server.crt" --key "$API_DIR/server.key" --control "$API_CONTROL" --bookmarks $BOOKMARKS
	wait_until 10 tell GET / || bail "the API server does not start: $(cat "$API_DIR/words.err")"
}

api_up() {
	mkdir -m 700 "$API_DIR"
	ns_add api
	link_add api eth0 wire api
	ip -n "$(ns wire)" link set api master br0
	address_add api eth0 "$API_V4/24" "$API_V6/64"
	python3 "$ROOT/tests/tools/apiserver.py" certificates "$API_DIR" $API_V4 $API_V6 || bail "no certificates"
	api_start
	use_tokens first
	api_lists kubernetes "[$API_PORT]" $API_V4
}

# An EndpointSlice that says where the API server is: each address with each port, TCP where the port is a number.
api_lists() { # NAME PORTS ADDRESS...
	jq -n --argjson ports "$2" '{addressType: "IPv4", metadata: {labels: {"kubernetes.io/service-name": "kubernetes"}},
		ports: [$ports[] | if type == "number" then {name: "p\(.)", protocol: "TCP", port: .} else . end],
		endpoints: [$ARGS.positional[] | {addresses: [.], conditions: {ready: true}}]}' --args "${@:3}" >"$RUN_DIR/slice.json"
	tell PUT "/objects/endpointslices/default/$1" "@$RUN_DIR/slice.json" >/dev/null
}

use_tokens() { # WORD: the server takes WORD-n1 and so on, and the nodes have them
	local i tokens='{}'
	for i in $(seq "$NODES"); do
		tokens=$(jq -c --arg token "$1-n$i" --arg node "n$i" '.[$token] = $node' <<<"$tokens")
		mkdir -p "$(agent_dir "$i")"
		printf '%s\n' "$1-n$i" >"$(agent_dir "$i")/token"
	done
	tell POST /tokens "$tokens" >/dev/null
}

serve_certificate() { # NAME: of connections to come; those that are open end
	tell POST /tls "{\"cert\": \"$API_DIR/$1.crt\", \"key\": \"$API_DIR/$1.key\"}" >/dev/null
}

trust() { # AUTHORITY: all nodes do, from now on
	local i
	for i in $(seq "$NODES"); do
		cp "$API_DIR/$1.crt" "$(agent_dir "$i")/ca.new" && mv "$(agent_dir "$i")/ca.new" "$(agent_dir "$i")/ca.crt"
	done
}

# -- what was asked --

# Requests since MARK that FILTER selects, as JSON.
mark() { MARK=$(tell GET /requests | jq length); }
asked() { tell GET /requests | jq -c --argjson mark "$MARK" ".[\$mark:] | map(select($1))"; } # FILTER
was_asked() { asked "$1" | jq -e --argjson nodes "$NODES" '(map(.from) | unique | length) >= $nodes'; } # FILTER: by every node

# A request for a single Node does not count as the registry's: the check for the admission policy
# asks for any other Node.
IS_LIST='.method == "GET" and (.target | test("/nodes\\?") and (test("watch=|[?&]limit=1(&|$)") | not))'
IS_WATCH='.method == "GET" and (.target | test("/nodes\\?.*watch="))'

# -- the nodes --

node_object() { # NAME POD_CIDRS ADDRESSES [RECORD]: as JSON lists
	jq -n --argjson cidrs "$2" --argjson addresses "$3" --arg record "${4:-}" '{
		spec: {podCIDR: $cidrs[0], podCIDRs: $cidrs, taints: [{key: "podveil.io/agent-not-ready", effect: "NoSchedule"}]},
		metadata: {annotations: (if $record == "" then {} else {"'$RECORD'": $record} end)},
		status: {addresses: [$addresses[] | {type: "InternalIP", address: .}]}}' >"$RUN_DIR/object.json"
	tell PUT "/objects/nodes/$1" "@$RUN_DIR/object.json" >/dev/null
}

node_joins() { # I
	node_object "n$1" "[\"$(pods_v4 "$1")\", \"$(pods_v6 "$1")\"]" "[\"$(node_v4 "$1")\", \"$(node_v6 "$1")\"]"
}

kubeconfig() { # I
	cat <<-CONFIG
		current-context: test
		contexts: [{name: test, context: {cluster: test, user: agent}}]
		clusters: [{name: test, cluster: {server: "https://$API_V4:$API_PORT", certificate-authority: ca.crt}}]
		users: [{name: agent, user: {tokenFile: token}}]
	CONFIG
}

LATER_LEN=16 LATER=0
later() { # SECONDS [tunnel]: it is so much later for all keyds (tests/tools/later.c), or for all tunnels that were told so
	printf "%-${LATER_LEN}s" "$1" | dd of="$RUN_DIR/later${2:+.$2}" conv=notrunc status=none
}

leap() { # SECONDS: they are over, for all keyds
	LATER=$((LATER + $1))
	later $LATER
}

# Waits as wait_until does, while for the keyds a second passes at each look: it is their waiting that is waited for.
wait_leaping() { # SECONDS COMMAND...
	wait_until "$1" looks_a_second_later "${@:2}"
}

looks_a_second_later() {
	leap 1
	"$@"
}

spawn_keyd() { # I
	local cidr flags=()
	for cidr in "${CLUSTER_CIDRS[@]}"; do
		flags+=(--cluster-cidr "$cidr")
	done
	# shellcheck disable=SC2046 # one word each
	spawn_daemon "$1" keyd env LD_PRELOAD="$BUILD/tools/later.so" PODVEIL_LATER="$RUN_DIR/later" \
		HTTPS_PROXY=http://127.0.0.1:9 "$BUILD/podveil-keyd" --node "n$1" --registry kubernetes \
		--kubeconfig "$(agent_dir "$1")/kubeconfig" "${flags[@]}" --tunnel "$(agent_dir "$1")/tunnel.sock" \
		--control "$(agent_dir "$1")/keyd.sock" --bpffs "$(agent_bpffs "$1")" $(agent_flags "$1")
}

agent_answers() { [ -n "$(podveil "$1" -o json status)" ]; } # I

# Both agents protect their pods.
kube_agents_up() {
	local i
	cluster_up 2
	api_up
	later 0
	trust ca
	for i in 1 2; do
		kubeconfig >"$(agent_dir "$i")/kubeconfig"
		node_joins "$i"
	done
	check "agents find each other through the API server" start_agents
}

kube_up() { # and traffic runs
	kube_agents_up
	udp_start all 1 2
	tcp_start all 1 2 200000
}

away_says() { status_says "$1" ".registry_status.away | test($(jq -R . <<<"$2"))"; } # I PATTERN

# -- whether all is as it should be --

peer_says() { # I NAME FILTER
	podveil "$1" -o json peers | jq --arg node "$2" '[.peers[] | select(.node == $node)]' >"$RUN_DIR/peer.json"
	jq -e "length == 1 and (.[0] | $3)" "$RUN_DIR/peer.json"
}

status_says() { # I FILTER: its exit status says other things
	podveil "$1" -o json status >"$RUN_DIR/status.json" 2>&1
	jq -e "$2" "$RUN_DIR/status.json"
}

# The record that a node which does not exist would publish: it is a peer as soon as the agents see
# it.
newcomer_object() { # NUMBER [JQ_FILTER of the record]
	local uid="uid-x$1" key
	key=$(wg genkey | wg pubkey)
	jq -n --arg uid "$uid" --arg key "$key" --argjson i "$1" '{version: 1, epoch: (now * 1000 | floor), uid: $uid, current: $key,
		port: 51890, endpoints: ["192.168.50.\($i)"], pods: ["10.244.\($i).0/24"]} | '"${2:-.}" >"$RUN_DIR/record.json"
	jq -n --arg uid "$uid" --rawfile record "$RUN_DIR/record.json" --argjson i "$1" '{
		metadata: {uid: $uid, annotations: {"'$RECORD'": ($record | fromjson | tojson)}},
		spec: {podCIDR: "10.244.\($i).0/24", podCIDRs: ["10.244.\($i).0/24"]},
		status: {addresses: [{type: "InternalIP", address: "192.168.50.\($i)"}]}}'
}

newcomer() { # a Node of its own each time: x<NEWCOMERS>
	NEWCOMERS=$((NEWCOMERS + 1))
	newcomer_object $((100 + NEWCOMERS)) >"$RUN_DIR/newcomer.json"
	tell PUT "/objects/nodes/x$NEWCOMERS" "@$RUN_DIR/newcomer.json" >/dev/null
}

is_known() { # I
	peer_says "$1" "x$NEWCOMERS" '.state == "usable" and .reason == ""'
}

everybody_knows_newcomer() { # SECONDS
	wait_leaping "$1" is_known 1 && wait_leaping "$1" is_known 2
}

# Its key is another one, which every node that is there has proved. Those of newcomers never do, so that the old one stays
# until the end of the overlap.
has_rotated() { own_key "$1" '[.fingerprint, .state] | join(" ")' | grep -vF "$2" | grep -qE ' (overlapping|current)$'; } # I OLD_FINGERPRINT

rotates() { # I
	local old
	old=$(own_key "$1" .fingerprint)
	rotate "$1" && wait_until 20 has_rotated "$1" "$old"
}

others_are_untouched() {
	peer_says 1 n2 '.state == "usable"' && peer_says 2 n1 '.state == "usable"' && traffic_runs
}

# The state converges: the agents learn of every change after the fault.
converges() { # AFTER WHAT [SECONDS]
	newcomer
	check "a new node is heard of after $1" everybody_knows_newcomer "${2:-15}"
	check "the nodes and their traffic go on after $1" others_are_untouched
}

log_says() { grep -E "$2" "$(agent_dir "$1")/keyd.log"; } # I PATTERN

# No known node was taken for gone, not even for a moment.
nobody_left() { ! logs_mention ' node [a-z0-9.-]+ left$'; }
logs_mention() { log_says 1 "$1" || log_says 2 "$1"; } # PATTERN

# Each keyd is the one that was started.
nobody_ended() { ! is_gone "$(keyd_pid 1)" && ! is_gone "$(keyd_pid 2)"; }

kube_done() {
	check "no keyd ended" nobody_ended
	traffic_stop
	check "numbered datagrams: nothing was lost" udp_lost_nothing all
	check "the TCP connection: nothing was lost, and it was never reset" tcp_lost_nothing all
	[ "$TESTS_FAILED" -eq 0 ] || diag_file "$API_DIR/words.err" "the API server"
	done_testing
}
