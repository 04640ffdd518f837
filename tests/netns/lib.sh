# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Shared by the namespace tests and the demo: TAP, a small cluster made of network namespaces, and
# an agent on each of its nodes. Sourced, never run. Everything it creates carries $RUN_NAME, which
# no other run has, and is removed on every exit path; it ends only processes in its own namespaces
# and its own children.
#
#   pod p1 (eth0) -- (pods0) node n1 (eth0) -- (n1) wire, bridge br0 (n2) -- (eth0) node n2 (pods0) -- (eth0) pod p2
#
#   node i: 192.168.50.i, fd00:50::i    its pods: 10.244.i.0/24, fd00:10:244:i::/64    the pod: .10, ::10
#
# Namespaces are entered with nsenter and never with `ip netns exec`, which would mount another /sys and hide the bpffs.

set -u -o pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=$(cd "$ROOT" && realpath -m "${BUILD:-build}")
BPFFS_ROOT=/sys/fs/bpf
TUNNEL_PORT=51890
CLUSTER_CIDRS=(10.244.0.0/16 fd00:10:244::/48)

# How many times slower than usual this machine may be (tests/vm: an emulated one): time limits are as much longer.
SLOW=${PODVEIL_SLOW:-1}

RUN_NAME=pv-$$
[ "${PODVEIL_RUN:-}" = "pv-$PPID" ] && RUN_NAME=$PODVEIL_RUN # see begin
RUN_DIR=${TMPDIR:-/tmp}/$RUN_NAME
NODES=0

# -- TAP --

TESTS_RUN=0
TESTS_FAILED=0

diag() { printf '%s\n' "$*" | sed 's/^/# /'; }

diag_file() { # FILE TITLE
	[ -s "$1" ] || return 0
	diag "$2:"
	tail -n 40 "$1" | sed 's/^/#   /'
}

ok() {
	TESTS_RUN=$((TESTS_RUN + 1))
	echo "ok $TESTS_RUN - $1"
}

not_ok() {
	TESTS_RUN=$((TESTS_RUN + 1))
	TESTS_FAILED=$((TESTS_FAILED + 1))
	echo "not ok $TESTS_RUN - $1"
}

skip() { # NAME REASON
	TESTS_RUN=$((TESTS_RUN + 1))
	echo "ok $TESTS_RUN - $1 # SKIP $2"
}

skip_all() { # REASON: the whole file
	echo "1..0 # SKIP $1"
	exit 0
}

bail() { # REASON: the ground is missing, no verdict is possible
	echo "Bail out! $1"
	exit 1
}

# Runs a command. Its exit status is the verdict, and its output is shown if it fails.
check() { # NAME COMMAND...
	local name=$1 output=$RUN_DIR/check.txt
	shift
	if "$@" >"$output" 2>&1; then
		ok "$name"
	else
		not_ok "$name"
		diag "failed: $*"
		diag_file "$output" "it wrote"
	fi
}

done_testing() {
	echo "1..$TESTS_RUN"
	[ "$TESTS_FAILED" -eq 0 ] && exit 0
	show_agent_logs
	exit 1
}

# -- JSON --

# jq 1.6 exits with 0 on empty input, so that a check on missing data would pass. With -e empty
# output is a failure here, as with jq 1.7 (and so is an empty text).
jq() {
	local argument output status
	for argument in "$@"; do
		[[ $argument =~ ^-[a-z]*e[a-z]*$ ]] || continue
		output=$(command jq "$@")
		status=$?
		[ -n "$output" ] || return $((status ? status : 4))
		printf '%s\n' "$output"
		return $status
	done
	command jq "$@"
}

# -- beginning and end --

# Call it first. The script continues in a child, and this process only waits in order to remove
# everything that the child created, however the child ends, and at once on a signal. (Traps in the
# script itself are too weak: bash 5.2 loses some of the signals that arrive while it expands a
# command substitution.)
begin() {
	[ "$RUN_NAME" = "pv-$$" ] || return 0
	[ "$(id -u)" -eq 0 ] || skip_all "needs root: network namespaces and BPF"
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	trap 'end' EXIT
	mountpoint -q "$BPFFS_ROOT" || mount -t bpf bpf "$BPFFS_ROOT" || bail "cannot mount a bpffs on $BPFFS_ROOT"
	[ ! -e "$RUN_DIR" ] || (end) # of a run that had this process number and was killed
	mkdir -m 700 "$RUN_DIR" "$RUN_DIR/registry" || bail "cannot make $RUN_DIR"
	PODVEIL_RUN=$RUN_NAME "$BASH" "$0" &
	wait $!
	exit $?
}

needs() { # PROGRAM...: built ones
	local program
	for program in "$@"; do
		[ -x "$BUILD/$program" ] || bail "$BUILD/$program is missing: run make all tools"
	done
}

end() {
	local name
	trap '' HUP INT TERM
	disown -a # no word from bash when they are killed
	end_processes
	for name in $(ip netns list | cut -d' ' -f1 | grep -- "^$RUN_NAME-"); do
		ip netns del "$name"
	done
	rm -rf "$BPFFS_ROOT/$RUN_NAME"-* "$RUN_DIR"
}

# All that the child started, and it, carry the run's name in their environment.
own_processes() {
	grep -lzx "PODVEIL_RUN=$RUN_NAME" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3
}

# Again until none is left: one that was just being started is seen at the second look.
end_processes() {
	local pids
	for _ in $(seq 50); do
		pids=$(own_processes)
		[ -n "$pids" ] || return 0
		# shellcheck disable=SC2086 # one word each
		kill -KILL $pids 2>/dev/null
		sleep 0.02
	done
	echo "# processes that do not end: $pids" >&2
}

# -- waiting --

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

wait_until() { # SECONDS COMMAND...
	local until=$(($(now_ms) + $1 * 1000 * SLOW))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(now_ms)" -lt $until ] || return 1
		sleep 0.05
	done
}

# The control of a time limit: while the machine keeps the pulse from running, it may do the same to
# any other process.
pulse_start() {
	spawn wire "$RUN_DIR/pulse.json" "$BUILD/tools/pulse"
	PULSE_PID=$SPAWNED
}

# STALL_MS: the longest time since pulse_start in which a process that wanted to run did not.
pulse_stop() {
	kill -TERM "$PULSE_PID" && wait "$PULSE_PID"
	STALL_MS=$(jq '.longest_stall_ms | ceil' "$RUN_DIR/pulse.json")
}

# A zombie counts as gone: process 1 may take its time to reap it.
is_gone() { ! grep -q '^State:[[:space:]]*[A-Wa-w]' "/proc/$1/status" 2>/dev/null; } # PID

# -- the cluster --

ns() { echo "$RUN_NAME-$1"; }

in_ns() { # NAME COMMAND...
	local name=$1
	shift
	nsenter --net="/run/netns/$(ns "$name")" -- "$@"
}

# Starts a command in a namespace and goes on. SPAWNED: its pid. Its output: FILE, and FILE.err.
spawn() { # NAME FILE COMMAND...
	local name=$1 file=$2
	shift 2
	nsenter --net="/run/netns/$(ns "$name")" -- "$@" >"$file" 2>"$file.err" </dev/null &
	SPAWNED=$!
}

node_v4() { echo "192.168.50.$1"; }
node_v6() { echo "fd00:50::$1"; }
pod_v4() { echo "10.244.$1.10"; }
pod_v6() { echo "fd00:10:244:$1::10"; }
pods_v4() { echo "10.244.$1.0/24"; }
pods_v6() { echo "fd00:10:244:$1::/64"; }

# Duplicate address detection would keep IPv6 waiting for two seconds.
ns_add() { # NAME
	ip netns add "$(ns "$1")" || bail "cannot make the network namespace $(ns "$1")"
	in_ns "$1" sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
		net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
		net.ipv6.conf.default.dad_transmits=0 || bail "cannot set up $(ns "$1")"
	ip -n "$(ns "$1")" link set lo up
}

# A veth pair between two namespaces; no device ever exists outside of them.
link_add() { # NAME DEVICE PEER_NAME PEER_DEVICE
	ip -n "$(ns "$1")" link add "$2" type veth peer name "$4" netns "$(ns "$3")" ||
		bail "cannot connect $(ns "$1") and $(ns "$3")"
	ip -n "$(ns "$1")" link set "$2" up
	ip -n "$(ns "$3")" link set "$4" up
}

address_add() { # NAME DEVICE ADDRESS...
	local name=$1 device=$2 address
	shift 2
	for address in "$@"; do
		ip -n "$(ns "$name")" address add "$address" dev "$device" || bail "cannot give $address to $device"
	done
}

node_add() { # I
	ns_add "n$1"
	ns_add "p$1"
	link_add "n$1" eth0 wire "n$1"
	ip -n "$(ns wire)" link set "n$1" master br0
	address_add "n$1" eth0 "$(node_v4 "$1")/24" "$(node_v6 "$1")/64"
	link_add "n$1" pods0 "p$1" eth0
	address_add "n$1" pods0 "10.244.$1.1/24" "fd00:10:244:$1::1/64"
	address_add "p$1" eth0 "$(pod_v4 "$1")/24" "$(pod_v6 "$1")/64"
	ip -n "$(ns "p$1")" route add default via "10.244.$1.1"
	ip -n "$(ns "p$1")" route add default via "fd00:10:244:$1::1"
}

# Plain routing, as flannel's host-gw does it: the other nodes' pods by way of their nodes.
node_route() { # FROM TO
	ip -n "$(ns "n$1")" route add "$(pods_v4 "$2")" via "$(node_v4 "$2")"
	ip -n "$(ns "n$1")" route add "$(pods_v6 "$2")" via "$(node_v6 "$2")"
}

cluster_up() { # NUMBER OF NODES
	local i j
	NODES=$1
	ns_add wire
	ip -n "$(ns wire)" link add br0 type bridge forward_delay 0 mcast_snooping 0 || bail "this kernel has no bridge"
	ip -n "$(ns wire)" link set br0 up
	for i in $(seq "$NODES"); do
		node_add "$i"
	done
	for i in $(seq "$NODES"); do
		for j in $(seq "$NODES"); do
			[ "$i" -eq "$j" ] || node_route "$i" "$j"
		done
	done
	pods_reach_each_other || bail "plain routing between the pods does not work"
}

pods_reach_each_other() {
	local i
	for i in $(seq 2 "$NODES"); do
		wait_until 5 in_ns p1 ping -c 1 -W 1 -q "$(pod_v4 "$i")" &&
			wait_until 5 in_ns p1 ping -c 1 -W 1 -q "$(pod_v6 "$i")" || return 1
	done
}

# -- agents --

agent_dir() { echo "$RUN_DIR/n$1"; }
agent_bpffs() { echo "$BPFFS_ROOT/$RUN_NAME-n$1"; }
tunnel_pid() { cat "$(agent_dir "$1")/tunnel.pid"; }
keyd_pid() { cat "$(agent_dir "$1")/keyd.pid"; }

spawn_daemon() { # I NAME COMMAND...: its pid goes to NAME.pid, its words to NAME.log
	local i=$1 name=$2 dir
	shift 2
	dir=$(agent_dir "$i")
	mkdir -p "$dir"
	nsenter --net="/run/netns/$(ns "n$i")" -- "$@" >>"$dir/$name.log" 2>&1 </dev/null &
	echo $! >"$dir/$name.pid"
	disown $! # no word from bash when it is killed
}

spawn_tunnel() { # I
	spawn_daemon "$1" tunnel "$BUILD/podveil-tunnel" --interface podveil0 \
		--control "$(agent_dir "$1")/tunnel.sock" --wireguard-dir "$(agent_dir "$1")/wireguard"
}

# More flags for podveil-keyd of node I; a test redefines it if it needs any.
agent_flags() { :; } # I

spawn_keyd() { # I
	local cidr flags=()
	for cidr in "${CLUSTER_CIDRS[@]}"; do
		flags+=(--cluster-cidr "$cidr")
	done
	# shellcheck disable=SC2046 # one word each
	spawn_daemon "$1" keyd "$BUILD/podveil-keyd" --node "n$1" --registry "file:$RUN_DIR/registry" \
		--pod-cidrs-from flag --pod-cidr "$(pods_v4 "$1")" --pod-cidr "$(pods_v6 "$1")" "${flags[@]}" \
		--tunnel "$(agent_dir "$1")/tunnel.sock" --control "$(agent_dir "$1")/keyd.sock" \
		--bpffs "$(agent_bpffs "$1")" $(agent_flags "$1")
}

# A socket file exists before its server listens, and after its server was killed.
listens_at() { ss -xlH | grep -qF "$1 "; } # PATH
tunnel_answers() { in_ns "n$1" ss -xlH | grep -qF "$(agent_dir "$1")/tunnel.sock"; } # I

start_tunnel() { # I
	spawn_tunnel "$1"
	wait_until 10 tunnel_answers "$1" || { not_started tunnel "$1"; return 1; }
}

start_keyd() { # I
	spawn_keyd "$1"
	wait_until 10 agent_answers "$1" || { not_started keyd "$1"; return 1; }
}

not_started() { # NAME I
	diag "podveil-$1 of n$2 did not start"
	diag_file "$(agent_dir "$2")/$1.log" "its last words"
}

start_agent() { start_tunnel "$1" && start_keyd "$1"; } # I

start_agents() { # and waits until each of them protects its pods
	local i
	for i in $(seq "$NODES"); do
		start_agent "$i" || return 1
	done
	wait_until 20 agents_are_ready || { show_agent_logs; return 1; }
}

# The command line, pointed at the agent of node I.
podveil() { # I ARGUMENT...
	local i=$1
	shift
	in_ns "n$i" "$BUILD/podveil" --control "$(agent_dir "$i")/keyd.sock" "$@"
}

agent_answers() { podveil "$1" -o json status | jq -e .state >/dev/null; } # I

agent_is_ready() { # I: protected, and every other node usable
	podveil "$1" -o json status |
		jq -e --argjson others $((NODES - 1)) '.state == "protected" and .peers.usable == $others' >/dev/null
}

agents_are_ready() {
	local i
	for i in $(seq "$NODES"); do
		agent_is_ready "$i" || return 1
	done
}

# A signal to a process and its children, and waits until they are gone. TERM goes to the process alone: it ends its own.
end_process() { # SIGNAL PID
	local pids=$2 pid
	[ "$1" = TERM ] || pids="$2 $(ps -o pid= --ppid "$2" | tr '\n' ' ')"
	# shellcheck disable=SC2086 # one word each
	kill "-$1" $pids 2>/dev/null
	for pid in $pids; do
		wait_until 5 is_gone "$pid" || { diag "process $pid did not end after SIG$1"; return 1; }
	done
}

stop_tunnel() { end_process TERM "$(tunnel_pid "$1")"; }
stop_keyd() { end_process TERM "$(keyd_pid "$1")"; }
kill_tunnel() { end_process KILL "$(tunnel_pid "$1")"; }
kill_keyd() { end_process KILL "$(keyd_pid "$1")"; }
stop_agent() { stop_keyd "$1" && stop_tunnel "$1"; }
kill_agent() { kill_tunnel "$1" && kill_keyd "$1"; }

show_agent_logs() {
	local i
	for i in $(seq "$NODES"); do
		diag_file "$(agent_dir "$i")/tunnel.log" "podveil-tunnel of n$i"
		diag_file "$(agent_dir "$i")/keyd.log" "podveil-keyd of n$i"
	done
}

# -- counting what arrives --

# Five of five are answered. One at a time: of several, ping(8) waits for the last no longer than for their interval or
# twice the longest of those before, whatever -W says, and takes it for lost.
pings() { # NAME ADDRESS [OPTION...]
	local name=$1 address=$2
	shift 2
	for _ in 1 2 3 4 5; do
		in_ns "$name" ping -c 1 -W $((2 * SLOW)) -q "$@" "$address" || return 1
	done
}

# Stdin: a line of `flow` for each receiver. Every datagram arrived once and whole, and their number
# is that of RATE over the time, less the datagrams of the time for which the machine kept the
# sender from sending, as the sender reports. A tenth is allowed for its start, and half of all must
# have arrived in any case: otherwise the test has tested nothing.
all_arrived() { # RATE MILLISECONDS
	jq -se --argjson rate "$1" --argjson ms "$2" 'length > 0 and all(.[]; .end_seen and .lost == 0 and .duplicate == 0 and
		.corrupt == 0 and .received >= $rate * $ms / 2000 and
		.received >= $rate * (0.9 * $ms - .sender_held_ms) / 1000)'
}

# -- watching the wire --

WATCH_MORE=() # devices in the wire's namespace beside those that lead to eth0 of each node

new_marker() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
marker_bytes() { printf '%s' "$1" | perl -pe 's/([0-9a-f]{2})/chr(hex($1))/ge'; } # MARKER_HEX

# Looks in every frame of every node for the marker's 16 bytes and for pods' addresses, until
# watch_stop. Has priority over all other processes: a verdict needs every frame.
watch_start() { # MARKER_HEX [OPTION...]
	local marker=$1 nets=() ports=() cidr i
	shift
	for cidr in "${CLUSTER_CIDRS[@]}"; do
		nets+=(--net "$cidr")
	done
	for i in $(seq "$NODES"); do
		ports+=(--interface "n$i")
	done
	for i in "${WATCH_MORE[@]}"; do
		ports+=(--interface "$i")
	done
	rm -f "$RUN_DIR/watch.ready"
	spawn wire "$RUN_DIR/watch.json" nice -n -15 "$BUILD/tools/wirewatch" "${ports[@]}" --marker "$marker" "${nets[@]}" \
		--port $TUNNEL_PORT --ready-file "$RUN_DIR/watch.ready" --seconds 240 "$@"
	WATCH_PID=$SPAWNED
	wait_until 20 test -e "$RUN_DIR/watch.ready" || bail "wirewatch did not start: $(cat "$RUN_DIR/watch.json.err")"
}

watch_stop() {
	kill -TERM "$WATCH_PID" 2>/dev/null
	wait "$WATCH_PID" 2>/dev/null
}

watched() { jq -r ".$1" "$RUN_DIR/watch.json"; } # FIELD of what it saw

watch_saw_plaintext() { # the positive control: marker and addresses both
	jq -e '.marker > 0 and .addresses > 0' "$RUN_DIR/watch.json"
}

watch_saw_nothing() { # neither, and it saw every frame
	cat "$RUN_DIR/watch.json"
	jq -e '.frames > 0 and .marker == 0 and .addresses == 0 and .missed == 0' "$RUN_DIR/watch.json" && return
	cat "$RUN_DIR/watch.json.err" # samples of what it saw
	return 1
}

# While another program sends packets with $MARKER.
watch_for() { # SECONDS
	watch_start "$MARKER"
	sleep "$1"
	watch_stop
}

wire_shows_plaintext() { watch_for 0.5 && watch_saw_plaintext; }
wire_shows_nothing() { watch_for 1 && watch_saw_nothing; }
