#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# podveil-keyd refuses a configuration with which it cannot keep its promise before it touches
# anything: one line quotes the text and says what was expected, and the exit status is not 0.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

keyd() { # FLAG...: runs in n1 for a moment; its words are in refused.txt
	in_ns n1 timeout 5 "${AS[@]}" "$BUILD/podveil-keyd" "$@" >"$RUN_DIR/refused.txt" 2>&1
}

good_flags() {
	GOOD=(--node n1 --registry "file:$RUN_DIR/registry" --cluster-cidr 10.244.0.0/16 --pod-cidr 10.244.1.0/24
		--control "$RUN_DIR/n1/keyd.sock" --tunnel "$RUN_DIR/n1/tunnel.sock" --bpffs "$(agent_bpffs 1)")
}

refuses() { # STATUS TEXT FLAG...: exactly one line, with the text
	local status=$1 text=$2 got
	shift 2
	keyd "$@"
	got=$?
	cat "$RUN_DIR/refused.txt"
	echo "exit status $got"
	[ "$got" -eq "$status" ] && [ "$(grep -c 'error:' "$RUN_DIR/refused.txt")" -eq 1 ] &&
		[ "$(wc -l <"$RUN_DIR/refused.txt")" -eq 1 ] && grep -qF -- "$text" "$RUN_DIR/refused.txt"
}

bad_flag() { # TEXT FLAG VALUE...: with all else right
	local text=$1
	shift
	check "refuses $*" refuses 2 "$text" "${GOOD[@]}" "$@"
}

nothing_was_touched() {
	ls "$(agent_bpffs 1)" 2>/dev/null && return 1
	[ -z "$(ls -A "$RUN_DIR/registry")" ]
}

answers() { # also an agent that does not protect yet
	podveil 1 -o json status >"$RUN_DIR/status.json"
	grep -q '"state"' "$RUN_DIR/status.json"
}

starts_without_tunnel() { spawn_keyd 1 && wait_until 10 answers; }

names_missing_tunnel() {
	grep -q "podveil-tunnel does not answer at $(agent_dir 1)/tunnel.sock.*start it" "$(agent_dir 1)/keyd.log" || return 1
	podveil 1 -o json status >"$RUN_DIR/status.json"
	cat "$RUN_DIR/status.json"
	jq -e '.state == "starting" and (.reasons[0] | test("podveil-tunnel"))' "$RUN_DIR/status.json"
}

is_closed_without_tunnel() { # the cluster range is dropped from the first moment
	bpftool -j map dump pinned "$(agent_bpffs 1)/maps/prefixes" >"$RUN_DIR/prefixes.json"
	cat "$RUN_DIR/prefixes.json"
	jq -e 'length == 8' "$RUN_DIR/prefixes.json" &&
		! in_ns p1 ping -c 1 -W 1 -q "$(pod_v4 2)" && ! in_ns p1 ping -c 1 -W 1 -q "$(pod_v6 2)"
}

begin
needs podveil-tunnel podveil-keyd podveil tools/without_bpf
cluster_up 2
AS=()
mkdir -p "$RUN_DIR/n1"
good_flags

check "refuses to start without a node's name" refuses 2 "--node is missing" --registry "file:$RUN_DIR/registry" \
	--cluster-cidr 10.0.0.0/8
check "refuses to start without a registry" refuses 2 "--registry is missing" --node n1 --cluster-cidr 10.0.0.0/8
check "strict mode refuses to start without the cluster's range, and names the flag" refuses 2 \
	"give it with --cluster-cidr" --node n1 --registry "file:$RUN_DIR/registry" --pod-cidr 10.244.1.0/24

bad_flag "unknown flag '--no-such-flag'" --no-such-flag
bad_flag "unexpected argument 'word'" word
bad_flag "'N1': expected a node's name" --node N1
bad_flag "'../n1': expected a node's name" --node ../n1
bad_flag "'etcd:x': expected kubernetes or file:DIR" --registry etcd:x
bad_flag "'kubernetes:x': expected kubernetes or file:DIR" --registry kubernetes:x
check "permissive mode refuses to start without it as well" refuses 2 "permissive mode needs the cluster's pod range" \
	--node n1 --registry "file:$RUN_DIR/registry" --mode permissive --pod-cidr 10.244.1.0/24
bad_flag "'off': expected strict or permissive" --mode off
bad_flag "'Strict': expected strict or permissive" --mode Strict
bad_flag "'x': expected a prefix" --except-cidr x
bad_flag "'10.250.0.0/16' lies outside every --cluster-cidr" --except-cidr 10.250.0.0/16
bad_flag "'10.244.0.0/16' equals that --cluster-cidr" --except-cidr 10.244.0.0/16
bad_flag "'10.0.0.0/8' lies outside every --cluster-cidr" --except-cidr 10.0.0.0/8
bad_flag "'10.244.1.0/24' overlaps --except-cidr 10.244.1.128/25" --except-cidr 10.244.1.128/25
bad_flag "'10.244.1.0/24' overlaps --except-cidr 10.244.0.0/20" --except-cidr 10.244.0.0/20
bad_flag "overlaps 10.244.8.0/24, given before" --except-cidr 10.244.8.0/24 --except-cidr 10.244.8.0/25
for bypass in 10.0.0.1 10.0.0.1: 10.0.0.1:0 10.0.0.1:65536 10.0.0.1:443x host:443 fd00::1:443 '[10.0.0.1]:443' '[fd00::1]443' '[::ffff:10.0.0.1]:443' ''; do
	bad_flag "'$bypass': expected an address and a port such as" --bypass "$bypass"
done
bad_flag "'127.0.0.1:6443': is loopback" --bypass 127.0.0.1:6443
bad_flag "'10.0.0.1:6443': is given twice" --bypass 10.0.0.1:6443 --bypass 10.0.0.1:6443
bad_flag "'eth0/x': expected a device's name" --uplink eth0/x
bad_flag "expected auto, or devices" --uplink ,
bad_flag "local and --pod-cidr exclude each other" --pod-cidrs-from local
bad_flag "'me': expected auto, node, local or flag" --pod-cidrs-from me
bad_flag "'10.244.1.0/33': expected a prefix" --pod-cidr 10.244.1.0/33
bad_flag "'10.245.1.0/24' lies outside every --cluster-cidr" --pod-cidr 10.245.1.0/24
bad_flag "overlaps 10.244.1.0/24, given before" --pod-cidr 10.244.1.128/25
bad_flag "'pods': expected a prefix" --cluster-cidr pods
bad_flag "overlaps 10.244.0.0/16, given before" --cluster-cidr 10.0.0.0/8
bad_flag "'0.0.0.0/0': contains" --cluster-cidr 0.0.0.0/0
bad_flag "'::/0': contains" --cluster-cidr ::/0
bad_flag "'127.0.0.0/8': contains loopback addresses" --cluster-cidr 127.0.0.0/8
bad_flag "'n2': expected an IP address" --endpoint n2
bad_flag "'127.0.0.1': is loopback" --endpoint 127.0.0.1
bad_flag "'0': expected a UDP port from 1 to 65535" --port 0
bad_flag "'65536': expected a UDP port" --port 65536
bad_flag "'12x': expected a UDP port" --port 12x
bad_flag "expected a device's name of at most 15 characters" --interface abcdefghijklmnop
bad_flag "'keyd.sock': expected an absolute path" --control keyd.sock
bad_flag "expected an absolute path of at most 107 bytes" --tunnel "/$(printf 'x%.0s' {1..120})"
bad_flag "'bpf': expected an absolute path" --bpffs bpf
bad_flag "'loud': expected error, warning, info or debug" --log-level loud
bad_flag "'xml': expected text or json" --log-format xml
for duration in x 10 -5m 1d 1h30 5mm "" 99999999999h; do
	bad_flag "'$duration': expected a duration such as 24h" --rotate-every "$duration"
	bad_flag "'$duration': expected a duration such as 10m" --overlap "$duration"
done
bad_flag "'4m': expected 0 for never, or from 5m" --rotate-every 4m
bad_flag "'8761h': expected 0 for never, or from 5m" --rotate-every 8761h
bad_flag "'0': expected from 5s to 24h" --overlap 0
bad_flag "'25h': expected from 5s to 24h" --overlap 25h
check "refuses to rotate more often than the overlap lasts" refuses 2 "--rotate-every is shorter than --overlap" \
	"${GOOD[@]}" --rotate-every 5m --overlap 1h30m
bad_flag "--cluster-secret: expected the absolute path of a file" --cluster-secret secret
bad_flag "is not in this version" --metrics x
bad_flag "'config': expected an absolute path" --kubeconfig config
bad_flag "--kubeconfig needs --registry kubernetes" --kubeconfig /etc/kubernetes/admin.conf
bad_flag "--require-admission needs --registry kubernetes" --require-admission
bad_flag "'on': is not in this version" --xdp on

check "refuses a registry folder that is not there" refuses 1 "No such file or directory: expected a directory" \
	"${GOOD[@]}" --registry "file:$RUN_DIR/nowhere"
check "refuses a registry that is no folder" refuses 1 "expected a directory" "${GOOD[@]}" --registry file:/etc/passwd
check "refuses a node without pod prefixes" refuses 1 "give --pod-cidr" "${GOOD[@]:0:6}" "${GOOD[@]:8}" \
	--pod-cidrs-from node
check "nothing was touched by all this" nothing_was_touched

AS=(setpriv --reuid 65534 --regid 65534 --clear-groups --)
chmod 0777 "$RUN_DIR" "$RUN_DIR/n1" "$RUN_DIR/registry"
check "refuses to run without privileges" refuses 1 "root" "${GOOD[@]}" --control "$RUN_DIR/unprivileged/keyd.sock"
AS=("$BUILD/tools/without_bpf")
check "refuses to run on a kernel without BPF" refuses 1 "this kernel has no BPF" "${GOOD[@]}"
AS=()

check "starts without podveil-tunnel" starts_without_tunnel
check "names the missing podveil-tunnel and the remedy" names_missing_tunnel
check "drops pod traffic to other nodes already" is_closed_without_tunnel
check "refuses a second agent in the same run-time folder, naming the first" refuses 1 \
	"another podveil-keyd (pid $(keyd_pid 1)) runs" "${GOOD[@]}"
check "the first agent does not mind" answers
stop_keyd 1

start_tunnel 1
spawn n1 "$RUN_DIR/taken" socat -u UDP-RECV:$TUNNEL_PORT STDOUT
wait_until 20 in_ns n1 sh -c "ss -Hlun sport = :$TUNNEL_PORT | grep -q ." || bail "socat does not listen"
port_is_named() {
	keyd "${GOOD[@]}"
	local status=$?
	cat "$RUN_DIR/refused.txt"
	[ $status -eq 1 ] && grep -q "error: UDP port $TUNNEL_PORT is in use" "$RUN_DIR/refused.txt"
}
check "ends with one clear error where the UDP port is taken" port_is_named
done_testing
