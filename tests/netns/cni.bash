# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Clusters whose pods are created by the real CNI plugins (Debian's containernetworking-plugins),
# and the checks that must pass in every shape. Sourced after lib.sh, whose node_add, pod_v4 and
# pod_v6 it replaces: nodes come without a pod, and a pod has the addresses that the plugin
# assigned. Pods are called p<node>; a test may name further ones.

CNI_BIN=/usr/lib/cni
declare -A POD_V4 POD_V6
MARKER=$(new_marker)

needs_cni() { # PLUGIN...
	local plugin
	for plugin in "$@"; do
		[ -x "$CNI_BIN/$plugin" ] || skip_all "needs the CNI plugin $plugin (containernetworking-plugins)"
	done
}

node_add() { # I
	ns_add "n$1"
	link_add "n$1" eth0 wire "n$1"
	ip -n "$(ns wire)" link set "n$1" master br0
	address_add "n$1" eth0 "$(node_v4 "$1")/24" "$(node_v6 "$1")/64"
	node_prepare "$1"
	pod_add "$1" "p$1"
}

# Preparation that a shape's nodes need before their first pod; a test redefines it if it needs any.
node_prepare() { :; } # I

pod_v4() { echo "${POD_V4[p$1]}"; }
pod_v6() { echo "${POD_V6[p$1]}"; }

cni() { # COMMAND I POD PLUGIN CONFIG: as a container runtime calls a plugin, in the node's network namespace
	CNI_COMMAND=$1 CNI_CONTAINERID=$(ns "$3") CNI_NETNS=/run/netns/$(ns "$3") CNI_IFNAME=eth0 CNI_PATH=$CNI_BIN \
		nsenter --net="/run/netns/$(ns "n$2")" -- "$CNI_BIN/$4" <<<"$5"
}

# The prefixes a node hands out: RANGES is host-local's JSON.
ipam() { # I RANGES
	echo '{"type": "host-local", "dataDir": "'"$RUN_DIR/ipam-n$1"'", "ranges": '"$2"',
		"routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}'
}

bridge_config() { # I [MORE, as "key": value,]
	echo '{"cniVersion": "0.4.0", "name": "pods", "type": "bridge", "bridge": "cni0", "isGateway": true,
		"hairpinMode": true, '"${2:-}"'
		"ipam": '"$(ipam "$1" '[[{"subnet": "'"$(pods_v4 "$1")"'"}], [{"subnet": "'"$(pods_v6 "$1")"'"}]]')"'}'
}

ptp_config() { # I RANGES
	echo '{"cniVersion": "0.4.0", "name": "pods", "type": "ptp", "ipam": '"$(ipam "$1" "$2")"'}'
}

cni_add() { # I POD CONFIG
	local plugin address
	plugin=$(jq -r .type <<<"$3")
	ns_add "$2"
	cni ADD "$1" "$2" "$plugin" "$3" >"$RUN_DIR/$2.cni" || bail "$plugin: $(cat "$RUN_DIR/$2.cni")"
	echo "$3" >"$RUN_DIR/$2.config"
	for address in $(jq -r '.ips[].address' "$RUN_DIR/$2.cni"); do
		case $address in
		*:*) POD_V6[$2]=${address%/*} ;;
		*) POD_V4[$2]=${address%/*} ;;
		esac
	done
}

cni_del() { # I POD
	local config
	config=$(cat "$RUN_DIR/$2.config")
	cni DEL "$1" "$2" "$(jq -r .type <<<"$config")" "$config" && ip netns del "$(ns "$2")"
}

# As flanneld, kubenet and Calico do it: packets from a pod to any destination except pods get the
# node's address.
masquerade() { # I
	in_ns "n$1" iptables -t nat -A POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -m comment --comment masquerade -j MASQUERADE &&
		in_ns "n$1" ip6tables -t nat -A POSTROUTING -s fd00:10:244::/48 ! -d fd00:10:244::/48 -j MASQUERADE ||
		bail "this machine's iptables cannot masquerade"
}

# -- traffic --

in_brackets() { case $1 in *:*) echo "[$1]" ;; *) echo "$1" ;; esac }

flow_start() { # KIND NAME FROM TO ADDRESS PORT SEND-OPTION...
	local kind=$1 name=$2 from=$3 to=$4 endpoint
	endpoint=$(in_brackets "$5"):$6
	shift 6
	rm -f "$RUN_DIR/$name.ready"
	spawn "$to" "$RUN_DIR/$name.recv" "$BUILD/tools/flow" "$kind-recv" --bind "$endpoint" --seconds 60 \
		--ready-file "$RUN_DIR/$name.ready" --marker "$MARKER"
	FLOWS+=("$SPAWNED")
	wait_until 20 test -e "$RUN_DIR/$name.ready" || { cat "$RUN_DIR/$name.recv.err"; return 1; }
	spawn "$from" "$RUN_DIR/$name.send" "$BUILD/tools/flow" "$kind-send" --to "$endpoint" --marker "$MARKER" "$@"
	FLOWS+=("$SPAWNED")
	SENDERS+=("$SPAWNED")
}

# Numbered datagrams between the pods of two nodes, both ways and in both families.
udp_start() { # RATE SECONDS [A B]
	local a=${3:-1} b=${4:-2}
	FLOWS=() SENDERS=() UDP_RATE=$1 UDP_MS=$(($2 * 1000))
	flow_start udp udp4-there "p$a" "p$b" "$(pod_v4 "$b")" 9001 --rate "$1" --seconds "$2" --size 600 &&
		flow_start udp udp4-back "p$b" "p$a" "$(pod_v4 "$a")" 9002 --rate "$1" --seconds "$2" --size 600 &&
		flow_start udp udp6-there "p$a" "p$b" "$(pod_v6 "$b")" 9003 --rate "$1" --seconds "$2" --size 600 &&
		flow_start udp udp6-back "p$b" "p$a" "$(pod_v6 "$a")" 9004 --rate "$1" --seconds "$2" --size 600 &&
		UDP_BEGAN=$(now_ms)
}

udp_wait() { wait "${FLOWS[@]}"; }

udp_stop() { # before their time is over
	UDP_MS=$(($(now_ms) - UDP_BEGAN))
	kill -TERM "${SENDERS[@]}"
	udp_wait
}

udp_lost_nothing() {
	local flow
	for flow in udp4-there udp4-back udp6-there udp6-back; do
		echo "$flow: $(cat "$RUN_DIR/$flow.send" "$RUN_DIR/$flow.recv" "$RUN_DIR/$flow.recv.err")"
	done
	cat "$RUN_DIR"/udp[46]-{there,back}.recv | all_arrived "$UDP_RATE" "$UDP_MS"
}

udp_arrives() { udp_start 500 1 && udp_wait; udp_lost_nothing; }

tcp_arrives() { # FROM TO ADDRESS
	FLOWS=() SENDERS=()
	flow_start tcp tcp "$1" "$2" "$3" 9005 --count 2000000 && wait "${FLOWS[@]}"
	cat "$RUN_DIR"/tcp.send "$RUN_DIR"/tcp.recv "$RUN_DIR"/tcp.*.err
	jq -se '.[1].resets == 0 and .[1].corrupt == 0 and .[1].bytes >= 2000000' "$RUN_DIR/tcp.send" "$RUN_DIR/tcp.recv"
}

# -- what must hold in every shape --

# The prefixes that the detector looks for; a test redefines this where nodes have addresses in the
# cluster range.
watched_cidrs() { printf '%s\n' "${CLUSTER_CIDRS[@]}"; }

shape_watch_start() { # MARKER_HEX
	local nets
	mapfile -t nets < <(watched_cidrs)
	local CLUSTER_CIDRS=("${nets[@]}")
	watch_start "$1"
}

# Before the agents come: if the detector sees nothing now, it proves nothing later.
shape_is_seen_in_clear() {
	local seen
	shape_watch_start "$MARKER"
	udp_arrives >"$RUN_DIR/clear.txt" 2>&1
	watch_stop
	seen=$(watched marker)
	cat "$RUN_DIR/clear.txt" "$RUN_DIR/watch.json"
	[ "$seen" -ge 1600 ] && watch_saw_plaintext
}

shape_carries() {
	local from to
	shape_watch_start "$MARKER"
	for from in 1 2; do
		to=$((3 - from))
		check "pod of n$from pings pod of n$to over IPv4" pings "p$from" "$(pod_v4 "$to")"
		check "pod of n$from pings pod of n$to over IPv6" pings "p$from" "$(pod_v6 "$to")"
		check "pod of n$from pings n$to itself over IPv4" pings "p$from" "$(node_v4 "$to")"
		check "pod of n$from pings n$to itself over IPv6" pings "p$from" "$(node_v6 "$to")"
		check "n$from itself pings pod of n$to over IPv4" pings "n$from" "$(pod_v4 "$to")"
		check "n$from itself pings pod of n$to over IPv6" pings "n$from" "$(pod_v6 "$to")"
		check "TCP over IPv4 from n$from to n$to" tcp_arrives "p$from" "p$to" "$(pod_v4 "$to")"
		check "TCP over IPv6 from n$from to n$to" tcp_arrives "p$from" "p$to" "$(pod_v6 "$to")"
	done
	check "UDP in both families and directions arrives complete" udp_arrives
	watch_stop
	check "neither marker nor pod address was on the wire" watch_saw_nothing
}

# Node to node on the wire, and so outside of the tunnel: the detector must see its marker, and no pod's address.
masqueraded_flow_is_seen() { # FROM TO-NODE
	local MARKER receiver
	MARKER=$(new_marker)
	shape_watch_start "$MARKER"
	rm -f "$RUN_DIR/masqueraded.ready"
	spawn "n$2" "$RUN_DIR/masqueraded.json" "$BUILD/tools/flow" udp-recv --bind "$(node_v4 "$2"):9009" --seconds 20 \
		--ready-file "$RUN_DIR/masqueraded.ready" --marker "$MARKER"
	receiver=$SPAWNED
	wait_until 20 test -e "$RUN_DIR/masqueraded.ready" &&
		in_ns "$1" "$BUILD/tools/flow" udp-send --to "$(node_v4 "$2"):9009" --rate 200 --count 100 --marker "$MARKER"
	wait "$receiver"
	watch_stop
	cat "$RUN_DIR/masqueraded.json" "$RUN_DIR/watch.json"
	jq -e '.received == 100 and .lost == 0' "$RUN_DIR/masqueraded.json" &&
		jq -e '.marker >= 100 and .addresses == 0' "$RUN_DIR/watch.json"
}

# -- what the agents say --

status_of() { podveil "$1" -o json status; } # I
pods_from() { status_of "$1" | jq -e --arg from "$2" '.pods_from == $from'; } # I local|node|flag
publishes() { # I CIDR...: exactly these
	local i=$1
	shift
	status_of "$i" | jq -c .pod_cidrs
	status_of "$i" | jq -e '(.pod_cidrs | sort) == ($ARGS.positional | sort)' --args "$@"
}
leads_to_pods() { # I DEVICE: and is no uplink
	status_of "$1" | jq -c .datapath
	status_of "$1" | jq -e --arg device "$2" '.datapath | (.pods | index($device)) and (.uplinks | index($device) | not)'
}
is_uplink() { status_of "$1" | jq -e --arg device "$2" '.datapath.uplinks | index($device)'; } # I DEVICE

# podveil-keyd with the pods' prefixes from where FROM says, instead of from flags.
spawn_keyd_from() { # I FROM
	local cidr flags=()
	for cidr in "${CLUSTER_CIDRS[@]}"; do
		flags+=(--cluster-cidr "$cidr")
	done
	# shellcheck disable=SC2046 # one word each
	spawn_daemon "$1" keyd "$BUILD/podveil-keyd" --node "n$1" --registry "file:$RUN_DIR/registry" \
		--pod-cidrs-from "$2" "${flags[@]}" --tunnel "$(agent_dir "$1")/tunnel.sock" \
		--control "$(agent_dir "$1")/keyd.sock" --bpffs "$(agent_bpffs "$1")" $(agent_flags "$1")
}

# done_testing, which prints the agents' drops first if a check failed.
shape_done() {
	local i
	[ "$TESTS_FAILED" -eq 0 ] || for i in $(seq "$NODES"); do
		diag "n$i dropped: $(status_of "$i" | jq -c '[.drops[] | {(.reason): .packets}] | add')"
	done
	done_testing
}
