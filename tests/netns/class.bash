# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Classes of traffic, one by one, over one cluster: each case sends packets with a marker of its
# own, and at the end the test judges all of them: the places where the marker was on the wire in
# cleartext, its receivers, the packets that went into the tunnels, and the drops. Sourced after
# lib.sh and cni.bash. The verdicts are read from the table in docs/traffic.md, so that table and
# tests cannot contradict each other.
#
#   n1, n2      two nodes, and pods of the bridge plugin on each, masqueraded as flannel and kubenet do:
#   p1 p2       towards everything but pods       q1 q2   never
#   m1 m2       always (ipMasq)                 h1 h2   with a hostPort, by the portmap plugin
#   x           a machine on the wire that is no node
#
# A case's marker is the run's with the number 2 i; answers have 2 i + 1.

PORT=9000      # answered by pods, nodes and x
BYPASSED=9443  # too; given with --bypass
CLOSED=9001    # without a listener
NODE_PORT=30080
HOST_PORT=8080
PACKETS=5 # of each case

TRAFFIC_TABLE=()
declare -A TRAFFIC_VERDICT TRAFFIC_USED

# -- the table of docs/traffic.md --

traffic_table() { # its rows: what, verdict
	sed -n '/^## What goes where$/,/^## [^W]/p' "$ROOT/docs/traffic.md" |
		sed -n 's/^| *\([^|]*[^| ]\) *| *\([^|]*[^| ]\) *|.*/\1|\2/p' | sed 1,2d
}

traffic_table_read() {
	local what verdict
	while IFS='|' read -r what verdict; do
		TRAFFIC_TABLE+=("$what")
		TRAFFIC_VERDICT[$what]=$verdict
	done < <(traffic_table)
	[ "${#TRAFFIC_TABLE[@]}" -gt 0 ] || bail "docs/traffic.md has no table 'What goes where'"
}

# -- the cluster --

x_v4() { echo 192.168.50.100; }
x_v6() { echo fd00:50::100; }
of() { if [ "$1" = 4 ]; then echo "$2"; else echo "$3"; fi; } # FAMILY IPV4 IPV6

address_of() { # FAMILY NAME: of a pod, a node, or x
	case $2 in
	n*) of "$1" "$(node_v4 "${2#n}")" "$(node_v6 "${2#n}")" ;;
	x) of "$1" "$(x_v4)" "$(x_v6)" ;;
	*) of "$1" "${POD_V4[$2]}" "${POD_V6[$2]}" ;;
	esac
}

ip_tables() { # FAMILY NODE ARGUMENT...: both families' rules are the same but for the addresses
	local family=$1 name=$2
	shift 2
	in_ns "$name" "$(of "$family" iptables ip6tables)" "$@" || bail "iptables refuses: $*"
}

pod_add() { # I NAME: the nodes' first pods are p1 and p2
	cni_add "$1" "$2" "$(bridge_config "$1")"
	[ "$2" = "p$1" ] || return 0
	cni_add "$1" "q$1" "$(bridge_config "$1")"
	masquerade_not "$1" "${POD_V4[q$1]}" "${POD_V6[q$1]}"
}
node_prepare() { masquerade "$1"; }

masquerade_not() { # I IPV4 IPV6: sources that keep their addresses
	ip_tables 4 "n$1" -t nat -I POSTROUTING -s "$2" -j ACCEPT
	ip_tables 6 "n$1" -t nat -I POSTROUTING -s "$3" -j ACCEPT
}

# The portmap plugin, chained behind bridge as a runtime does it.
host_port_add() { # I POD
	local config
	config=$(jq -n --slurpfile previous "$RUN_DIR/$2.cni" --argjson host "$HOST_PORT" --argjson pod "$PORT" '{
		cniVersion: "0.4.0", name: "pods", type: "portmap", snat: true, prevResult: $previous[0],
		runtimeConfig: {portMappings: [{hostPort: $host, containerPort: $pod, protocol: "udp"}]}}')
	cni ADD "$1" "$2" portmap "$config" >"$RUN_DIR/portmap" || bail "portmap: $(cat "$RUN_DIR/portmap")"
}

service_v4=10.96.0.10 service_v6=fd00:96::10

# As kube-proxy does: the service's address and the node's port lead to a pod on the other node;
# traffic to the node's port gets the node's address, so that the replies find their way back.
services_add() { # I POD
	local family chain to
	for family in 4 6; do
		to=$(in_brackets "$(address_of "$family" "$2")"):$PORT
		for chain in PREROUTING OUTPUT; do
			ip_tables "$family" "n$1" -t nat -A $chain -d "$(of "$family" $service_v4 $service_v6)" -p udp \
				--dport 80 -j DNAT --to-destination "$to"
			ip_tables "$family" "n$1" -t nat -A $chain -d "$(address_of "$family" "n$1")" -p udp \
				--dport $NODE_PORT -j CONNMARK --set-mark 0x4000
			ip_tables "$family" "n$1" -t nat -A $chain -d "$(address_of "$family" "n$1")" -p udp \
				--dport $NODE_PORT -j DNAT --to-destination "$to"
		done
		ip_tables "$family" "n$1" -t nat -I POSTROUTING -m connmark --mark 0x4000 -j MASQUERADE
	done
}

x_add() {
	local i
	ns_add x
	link_add x eth0 wire x
	ip -n "$(ns wire)" link set x master br0
	address_add x eth0 "$(x_v4)/24" "$(x_v6)/64"
	for i in 1 2; do
		ip -n "$(ns x)" route add "$(pods_v4 "$i")" via "$(node_v4 "$i")"
		ip -n "$(ns x)" route add "$(pods_v6 "$i")" via "$(node_v6 "$i")"
	done
}

# x plays the router for packets without any other route; without it the kernel itself would drop
# them.
ways_to_nobody() {
	local i prefix
	for i in 1 2; do
		for prefix in 10.96.0.0/16 10.244.3.0/24 10.244.77.0/24 10.244.200.0/24; do
			ip -n "$(ns "n$i")" route add $prefix via "$(x_v4)"
		done
		for prefix in fd00:96::/64 fd00:10:244:3::/64 fd00:10:244:77::/64 fd00:10:244:200::/64; do
			ip -n "$(ns "n$i")" route add $prefix via "$(x_v6)"
		done
	done
}

# Each namespace says all that it has to say: ICMP errors are limited in rate else.
speak_freely() {
	local name
	for name in "${CLASS_SPACES[@]}"; do
		in_ns "$name" sysctl -q -w net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 \
			net.ipv4.icmp_echo_ignore_broadcasts=1
	done
}

CLASS_SPACES=(p1 p2 q1 q2 m1 m2 h1 h2 n1 n2 x)

class_cluster_up() {
	local i
	cluster_up 2
	x_add
	for i in 1 2; do
		cni_add $i m$i "$(bridge_config $i '"ipMasq": true,')"
		cni_add $i h$i "$(bridge_config $i)"
		host_port_add $i h$i
		services_add $i p$((3 - i))
	done
	ways_to_nobody
	speak_freely
	WATCH_MORE=(x)
}

# -- listening --

servers_start() {
	local name
	SERVERS=()
	for name in "${CLASS_SPACES[@]}"; do
		rm -f "$RUN_DIR/$name.ready"
		spawn "$name" "$RUN_DIR/$name.heard" "$BUILD/tools/answer" serve --marker "$MARKER" --port $PORT \
			--port $BYPASSED --seconds 200 --ready-file "$RUN_DIR/$name.ready"
		SERVERS+=("$SPAWNED")
	done
	for name in "${CLASS_SPACES[@]}"; do
		wait_until 20 test -e "$RUN_DIR/$name.ready" || bail "cannot listen in $name: $(cat "$RUN_DIR/$name.heard.err")"
	done
}

servers_stop() {
	kill -TERM "${SERVERS[@]}"
	wait "${SERVERS[@]}" 2>/dev/null
}

# -- cases --

# The parts of a case, and the counters during it; all arrays are indexed by its number.
CASE_CLASS=() CASE_TEXT=() CASE_KIND=() CASE_AT=() CASE_TO=() CASE_TUNNELLED=() CASE_DROPS=()
declare -A CLEAR HEARD # frames by "number,interface", packets by "number,name,protocol"
CLASS=

row() { # TRAFFIC, as in the table's first column: the cases that follow belong to it
	CLASS=$1
	TRAFFIC_USED[$1]=yes
}

verdict_of() { echo "${TRAFFIC_VERDICT[$1]:-a row that docs/traffic.md does not have}"; } # CLASS
reason_of() { sed -n 's/^drop, `\(.*\)`$/\1/p' <<<"$1"; } # VERDICT

# The counters of both agents up to here. Only the cases send while they run.
sample() {
	[ -n "$AGENTS_RUN" ] || return 0
	agents_count >"$(sample_file 0)"
}
sample_file() { echo "$RUN_DIR/sample.$((1000 + ${#CASE_CLASS[@]} - $1))"; } # CASES-AGO
agents_count() { podveil 1 -o json status; podveil 2 -o json status; }

# Drops on the other node are counted there a little later.
sample_until_dropped() { # REASON
	sample
	[ -z "$1" ] || [ -z "$AGENTS_RUN" ] || cat "$(sample_file 1)" "$(sample_file 0)" |
		jq -se --arg reason "$1" --argjson all $PACKETS 'map([.drops[] | select(.reason == $reason) | .packets] | add // 0) |
			(.[length / 2:] | add) - (.[:length / 2] | add) >= $all'
}

run_case() { # TEXT KIND AT TO COMMAND...: AT is where on the wire it would be seen, TO who is to hear it
	local number=$((2 * ${#CASE_CLASS[@]}))
	[ $number -gt 0 ] || sample
	CASE_CLASS+=("$CLASS") CASE_TEXT+=("$1") CASE_KIND+=("$2") CASE_AT+=("$3") CASE_TO+=("$4")
	shift 4
	"$@" --marker "$MARKER" --number $number >"$RUN_DIR/case.$number" 2>"$RUN_DIR/case.$number.err"
	wait_until 2 sample_until_dropped "$(reason_of "$(verdict_of "$CLASS")")"
}

# Datagrams and their answers, both ways.
ask() { # FAMILY FROM TO [ADDRESS PORT [AT]]
	local address=${4:-$(address_of "$1" "$3")}
	run_case "IPv$1, $2 to $3${5:+ by port $5}" ask "${6:-n2}" "$3" in_ns "$2" "$BUILD/tools/answer" ask --to "$address" \
		--port "${5:-$PORT}" --count $PACKETS --wait $((700 * SLOW))
}

# Made by hand, one way.
craft() { # TEXT KIND AT FROM TO FROM_ADDRESS TO_ADDRESS OPTION...
	local text=$1 kind=$2 at=$3 from=$4 to=$5 source=$6 destination=$7
	shift 7
	run_case "$text, $from to $to" "$kind" "$at" "$to" in_ns "$from" "$BUILD/tools/craft" --from "$source" \
		--to "$destination" --count $PACKETS "$@"
}

craft_shape() { # FAMILY FROM TO SHAPE OPTION...: from and to the addresses of their own
	local family=$1 from=$2 to=$3 shape=$4
	shift 4
	craft "IPv$family, $shape" send n2 "$from" "$to" "$(address_of "$family" "$from")" "$(address_of "$family" "$to")" \
		--shape "$shape" "$@"
}

# -- judging --

# All that was written meanwhile, read once.
cases_read() {
	local number name protocol count
	CLEAR=() HEARD=() CASE_TUNNELLED=() CASE_DROPS=()
	while read -r number name count; do
		CLEAR[$number,$name]=$count
	done < <(jq -r '.numbers[] | "\(.number) \(.interface) \(.frames)"' "$RUN_DIR/watch.json")
	for name in "${CLASS_SPACES[@]}"; do
		while read -r number protocol count; do
			HEARD[$number,$name,$protocol]=$count
		done < <(jq -r '.heard[] | "\(.number) \(.protocol) \(.packets)"' "$RUN_DIR/$name.heard")
	done
	while read -r number count name; do
		CASE_TUNNELLED[number]=$count CASE_DROPS[number]=$name
	done < <([ -z "$AGENTS_RUN" ] || counted)
}

# For each case its index, packets into the tunnels, and the drops as "reason=packets ...".
counted() {
	jq -nr '[inputs | {file: input_filename, tunnel: .traffic.to_tunnel.packets, drops}] | group_by(.file) | map({
			tunnel: (map(.tunnel) | add),
			drops: ([.[].drops[] | select(.reason != "own_multicast" and (.text | startswith("kernel:") | not))] | group_by(.reason) |
				map({key: .[0].reason, value: (map(.packets) | add)}) | from_entries)}) as $all |
		range(1; $all | length) | . as $i | [($i - 1), $all[$i].tunnel - $all[$i - 1].tunnel,
			($all[$i].drops | to_entries[] | .value -= ($all[$i - 1].drops[.key] // 0) | select(.value > 0) |
				"\(.key)=\(.value)")] | join(" ")' "$RUN_DIR"/sample.*
}

clear_frames() { echo "${CLEAR[$1,$2]:-0}"; } # NUMBER AT: with the marker, at that port of the wire

heard() { # NUMBER NAME [PROTOCOL...]: packets with the marker that came to the end of their way there
	local number=$1 name=$2 protocol sum=0
	shift 2
	for protocol in "${@:-1}" $([ $# -gt 0 ] || echo 4 17 41 47 50 58 132 253); do
		sum=$((sum + ${HEARD[$number,$name,$protocol]:-0}))
	done
	echo $sum
}

answered() { [[ $(<"$RUN_DIR/case.$1") == *'"answered":'"$PACKETS"* ]]; } # NUMBER

was_sent() { [[ $(<"$RUN_DIR/case.$1") == *'"sent":'"$PACKETS"* ]]; } # NUMBER

# Everything arrived that the kind of the case promises.
arrives() { # INDEX
	local number=$((2 * $1))
	case ${CASE_KIND[$1]} in
	ask) answered $number && [ "$(heard $number "${CASE_TO[$1]}" 17)" -eq $PACKETS ] ;;
	send) [ "$(heard $number "${CASE_TO[$1]}")" -ge $PACKETS ] ;;
	error) [ "$(heard $number "${CASE_TO[$1]}" 1 58)" -ge 1 ] ;;
	tcp) jq -e '.bytes >= 2000000 and .resets == 0 and .corrupt == 0' "$RUN_DIR/case.$number" >/dev/null ;;
	leave | stay) was_sent $number ;; # no receiver is needed
	esac
}

nothing_arrives() { # INDEX
	[ "${CASE_KIND[$1]}" = leave ] || [ "$(heard $((2 * $1)) "${CASE_TO[$1]}")" -eq 0 ]
}

# The expected number of cleartext frames with the marker if no agent runs: requests and replies.
is_clear() { # INDEX
	local number=$((2 * $1)) at=${CASE_AT[$1]}
	[ "$(clear_frames $number "$at")" -ge "$(case ${CASE_KIND[$1]} in error) echo 1 ;; *) echo $PACKETS ;; esac)" ] &&
		{ [ "${CASE_KIND[$1]}" != ask ] || [ "$(clear_frames $((number + 1)) "$at")" -ge $PACKETS ]; }
}

is_not_clear() { # INDEX
	local number=$((2 * $1)) at=${CASE_AT[$1]}
	[ "$(clear_frames $number "$at")" -eq 0 ] && [ "$(clear_frames $((number + 1)) "$at")" -eq 0 ]
}

needs_tunnel() { # INDEX: how many packets at least
	case ${CASE_KIND[$1]} in
	ask) echo $((2 * PACKETS)) ;;
	error) echo $((PACKETS + 1)) ;;
	*) echo $PACKETS ;;
	esac
}

show_case() { # INDEX
	local number=$((2 * $1)) key
	echo "number $number, kind ${CASE_KIND[$1]}, into tunnels ${CASE_TUNNELLED[$1]:-}, dropped ${CASE_DROPS[$1]:-}"
	cat "$RUN_DIR/case.$number" "$RUN_DIR/case.$number.err"
	for key in "${!CLEAR[@]}"; do
		case $key in $number,* | $((number + 1)),*) echo "clear $key: ${CLEAR[$key]}" ;; esac
	done
	for key in "${!HEARD[@]}"; do
		case $key in $number,* | $((number + 1)),*) echo "heard $key: ${HEARD[$key]}" ;; esac
	done
}

tunnels_at_least() { [ "${CASE_TUNNELLED[$1]}" -ge "$2" ]; } # INDEX COUNT
tunnels_nothing() { [ "${CASE_TUNNELLED[$1]}" -eq 0 ]; }         # INDEX
drops_nothing() { [ -z "${CASE_DROPS[$1]}" ]; }                  # INDEX

is_as_promised() { # INDEX VERDICT
	show_case "$1"
	case $2 in
	tunnel) arrives "$1" && is_not_clear "$1" && drops_nothing "$1" && tunnels_at_least "$1" "$(needs_tunnel "$1")" ;;
	outside) arrives "$1" && is_clear "$1" && drops_nothing "$1" && tunnels_nothing "$1" ;;
	stays) arrives "$1" && is_not_clear "$1" && drops_nothing "$1" && tunnels_nothing "$1" ;;
	drop,*) nothing_arrives "$1" && drops_as_named "$1" "$(reason_of "$2")" ;;
	*) echo "no verdict: $2" && false ;;
	esac
}

# All of it, under this reason and no other. Packets that come in from the wire were in cleartext
# before.
drops_as_named() { # INDEX REASON
	[ "${CASE_DROPS[$1]}" = "$2=$PACKETS" ] && { [ "${CASE_KIND[$1]}" = comes ] || is_not_clear "$1"; }
}

cases_judge() {
	local i verdict
	cases_read
	for i in "${!CASE_CLASS[@]}"; do
		verdict=$(verdict_of "${CASE_CLASS[$i]}")
		check "${CASE_CLASS[$i]}: $verdict (${CASE_TEXT[$i]})" is_as_promised "$i" "$verdict"
	done
}

cases_forget() { CASE_CLASS=() CASE_TEXT=() CASE_KIND=() CASE_AT=() CASE_TO=(); }
