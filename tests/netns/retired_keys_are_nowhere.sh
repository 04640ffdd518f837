#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# While a key lives it is in the engine's locked memory, which no core dump contains, and nowhere
# else. Once it is retired it is gone: from the memory of all our processes, from their core dumps,
# logs, socket replies, the registry, and /proc. The test reads the bytes to look for from the
# engine while they live. Copies that the kernel keeps of a message between keyd and tunnel after it
# was received are outside our control and not checked.
#
# What the kernel keeps of a message between keyd and tunnel after it was received is not ours to wipe, and not looked at.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"

OVERLAP=5
MARKER=$(new_marker)
UDP_RATE=500
CORES=$RUN_DIR/cores
DUMPABLE="limit flag" # what is taken away from the processes of node 2

agent_flags() { echo --overlap ${OVERLAP}s --log-level debug; }

# Those of node 2 run in a directory of their own, into which they may dump core under any user.
eval "spawn_plain() $(declare -f spawn_daemon | tail -n +2)"
spawn_daemon() { # I NAME COMMAND...
	local i=$1 name=$2
	shift 2
	[ "$i" = 2 ] && set -- env -C "$CORES" LD_PRELOAD="$BUILD/tools/dumpable.so" DUMPABLE="$DUMPABLE" \
		prlimit --core=unlimited -- "$@"
	spawn_plain "$i" "$name" "$@"
}

spawn_tunnel() { # I
	spawn_daemon "$1" tunnel "$BUILD/podveil-tunnel" --interface podveil0 --log-level debug \
		--control "$(agent_dir "$1")/tunnel.sock" --wireguard-dir "$(agent_dir "$1")/wireguard"
}

engine_pid() { pgrep -P "$(tunnel_pid "$1")"; } # I

# -- looking --

memscan() { "$BUILD/tools/memscan" "$@" >"$RUN_DIR/scan.json" && echo "$*: $(cat "$RUN_DIR/scan.json")"; }
secrets_of() { "$BUILD/tools/secrets" "$(engine_pid "$1")" | sort -u -k 2; } # I

is_nowhere_in() { # memscan's arguments
	memscan "$@" && jq -e '.found == 0 and .bytes > 0' "$RUN_DIR/scan.json" >/dev/null
}

is_in_no_process() { # NEEDLES
	local i pid
	for i in 1 2; do
		for pid in "$(keyd_pid $i)" "$(tunnel_pid $i)" "$(engine_pid $i)"; do
			is_nowhere_in --pid "$pid" --needles "$1" || return 1
		done
	done
}

# Every needle once, and nothing outside of locked memory.
is_found_once() { # PID NEEDLES
	memscan --pid "$1" --needles "$2" &&
		jq -e --argjson count "$(wc -l <"$2")" '.found == $count and .guarded == $count' "$RUN_DIR/scan.json"
}

# Once: looked at again where a packet was just being sealed, with its key on the stack.
lives_in_the_engine_alone() { # I NEEDLES
	local pid
	wait_until 2 is_found_once "$(engine_pid "$1")" "$2" || { cat "$RUN_DIR/scan.json"; return 1; }
	for pid in "$(keyd_pid "$1")" "$(tunnel_pid "$1")"; do
		is_nowhere_in --pid "$pid" --needles "$2" || return 1
	done
}

# The region of the secrets, between two guard pages.
is_guarded() { # I
	grep -B 1 -A 1 -F "$("$BUILD/tools/secrets" --region "$(engine_pid "$1")")" "/proc/$(engine_pid "$1")/maps" |
		tee "$RUN_DIR/regions" && [ "$(cut -d' ' -f2 "$RUN_DIR/regions" | paste -sd' ')" = "---p rw-p ---p" ]
}

# -- what our processes say --

# Every verb; those that want a body get one that changes nothing.
ask_tunnel() { # I
	local verb
	for verb in $(seq 0 12); do
		perl -e 'print pack("SSlLx256", 1, shift, 0, 0)' "$verb" | timeout 5 socat -t 0.3 - "UNIX-CONNECT:$(agent_dir "$1")/tunnel.sock,type=5"
		perl -e 'print pack("SSl", 1, shift, 0)' "$verb" | timeout 5 socat -t 0.3 - "UNIX-CONNECT:$(agent_dir "$1")/tunnel.sock,type=5"
	done
}

ask_all() { # I
	local verb
	for verb in status peers key-status nonsense; do
		ask_keyd "$1" "{\"verb\":\"$verb\"}"
	done
	for verb in status peers key-status version; do
		podveil "$1" "$verb"
		podveil "$1" -o json "$verb"
	done
	printf 'get=1\n\n' | timeout 5 socat -t 1 - "UNIX-CONNECT:$(agent_dir "$1")/wireguard/podveil0.sock"
	ask_tunnel "$1"
}

# All that can be read of the agents from outside, in one file.
collect() {
	local i pid
	for i in 1 2; do
		ask_all $i 2>&1
		for pid in "$(keyd_pid $i)" "$(tunnel_pid $i)" "$(engine_pid $i)"; do
			cat "/proc/$pid/environ" "/proc/$pid/cmdline" "/proc/$pid/status"
		done
		cat "$(agent_dir $i)"/*.log
	done
	find "$RUN_DIR/registry" "$RUN_DIR/n1" "$RUN_DIR/n2" -type f -exec cat {} +
}

says_nothing_of() { # NEEDLES
	collect >"$RUN_DIR/said"
	grep -aq '"fingerprint"' "$RUN_DIR/said" && grep -aq '^allowed_ip=' "$RUN_DIR/said" &&
		is_nowhere_in --file "$RUN_DIR/said" --needles "$1"
}

# -- core dumps --

cores_are_files_here() { # as opposed to a program that takes them, or another folder
	[ "$(cat /proc/sys/kernel/core_pattern)" = core ] && [ "$(cat /proc/sys/kernel/core_uses_pid)" = 0 ]
}

pid_of() { # keyd|parent|engine, of node 2
	case $1 in
	keyd) keyd_pid 2 ;;
	parent) tunnel_pid 2 ;;
	engine) engine_pid 2 ;;
	esac
}

# Ends one of node 2's processes in the way that makes a core dump.
crash() { # keyd|parent|engine
	local pid
	pid=$(pid_of "$1")
	rm -f "$CORES/core"
	kill -SEGV "$pid" && wait_until 10 is_gone "$pid"
}

leaves_no_core() { crash "$1" && [ ! -e "$CORES/core" ]; } # keyd|parent|engine

# The path of its control socket, an argument of each of them, has to be in it.
leaves_a_core() { crash "$1" && ls -l "$CORES" && grep -aqF "$(agent_dir 2)/tunnel.sock" "$CORES/core"; } # keyd|parent|engine

leaves_a_core_without() { # keyd|parent|engine NEEDLES
	leaves_a_core "$1" && is_nowhere_in --file "$CORES/core" --needles "$2"
}

leaves_a_core_with() { # keyd|parent|engine NEEDLES
	leaves_a_core "$1" && memscan --file "$CORES/core" --needles "$2" && jq -e '.found > 0' "$RUN_DIR/scan.json"
}

start_node_2_anew() { # WHAT IS TAKEN AWAY (tests/tools/dumpable.c)
	DUMPABLE=$1
	end_process KILL "$(keyd_pid 2)"
	end_process KILL "$(tunnel_pid 2)"
	start_agent 2 && wait_until 20 agents_are_ready && wait_until 10 pods_talk
}

# Each process with its keys alive, in an agent of its own, as it ends with it.
live_keys_are_in_no_core() {
	local name
	for name in engine parent keyd; do
		start_node_2_anew "limit flag" && secrets_of 2 >"$RUN_DIR/live" && grep -q '^session' "$RUN_DIR/live" &&
			leaves_a_core_without $name "$RUN_DIR/live" || { echo "core of $name"; return 1; }
	done
}

search_of_a_core_finds_keys() {
	start_node_2_anew "limit flag regions" && secrets_of 2 >"$RUN_DIR/live" &&
		leaves_a_core_with engine "$RUN_DIR/live"
}

nobody_leaves_a_core() { # WHAT IS TAKEN AWAY
	local name
	for name in engine parent keyd; do
		start_node_2_anew "$1" && leaves_no_core $name || { echo "a core of $name"; return 1; }
	done
}

retired_keys_are_in_no_core() { # NEEDLES
	local name
	for name in engine keyd; do # the parent ends with its engine
		leaves_a_core_without $name "$1" || { echo "core of $name"; return 1; }
	done
}

tcp_runs() { in_ns p1 ss -Htn "dport = :9003" | grep -q ESTAB; }
pods_talk() { in_ns p1 ping -c 1 -W 1 -q "$(pod_v4 2)"; }

retire_all() { # three more sessions put the first ones out of their places
	rotate_and_wait 1 && rotate_and_wait 2 && rotate_and_wait 1 && rotate_and_wait 2 1
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/memscan tools/secrets tools/dumpable.so
mkdir "$CORES"
chmod 777 "$CORES"
cluster_up 2
check "agents start and protect both nodes" start_agents
wait_until 10 pods_talk
udp_start run 1 2
tcp_start run 1 2 2000000 # long packets take other ways through the ciphers
wait_until 5 tcp_runs

secrets_of 1 >"$RUN_DIR/first.1"
secrets_of 2 >"$RUN_DIR/first.2"
check "keys and sessions of a live node are in its engine's locked memory, once, and in no other process" \
	lives_in_the_engine_alone 1 "$RUN_DIR/first.1"
check "a guard page lies before that memory, and one behind it" is_guarded 1
check "no socket, log or file says anything of them" says_nothing_of "$RUN_DIR/first.1"

check "the node rotates" rotate_and_wait 1
secrets_of 1 >"$RUN_DIR/second.1"
check "its new key and the sessions under it are where the first were" lives_in_the_engine_alone 1 "$RUN_DIR/second.1"
grep '^static\|^shared\|^ephemeral\|^chaining' "$RUN_DIR/first.1" >"$RUN_DIR/retired"
check "its retired key is in the memory of no process" is_in_no_process "$RUN_DIR/retired"
check "no socket, log or file says anything of it" says_nothing_of "$RUN_DIR/retired"

check "both nodes rotate until their first sessions are gone too" retire_all
sort -u "$RUN_DIR/first.1" "$RUN_DIR/first.2" >"$RUN_DIR/first"
check "then no key of the first sessions is in the memory of any process" is_in_no_process "$RUN_DIR/first"
check "no socket, log or file says anything of them either" says_nothing_of "$RUN_DIR/first"
check "the traffic ran all the time" traffic_runs

if cores_are_files_here; then
	check "retired keys are in no core dump, of keyd or of the engine" retired_keys_are_in_no_core "$RUN_DIR/first"
	check "live keys are in no core dump either" live_keys_are_in_no_core
	check "they would be in it, were their memory not left out" search_of_a_core_finds_keys
	check "the dumpable flag alone keeps each process from leaving a core dump at all" nobody_leaves_a_core limit
	check "and so does the limit alone" nobody_leaves_a_core flag
else
	skip "core dumps hold no keys" "core_pattern is '$(cat /proc/sys/kernel/core_pattern)': a test cannot have them"
fi
done_testing
