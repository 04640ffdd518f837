#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Has spin search every run of the rotation's model (rotation.pml): the right order loses nothing and comes to rest, and
# each order that is wrong on purpose is caught, so that a search that finds nothing means something. With --trace SEED
# prints the events of one random run, for the replay against keyd/rotate.c.

set -u -o pipefail

MODEL=$(realpath "$(dirname "$0")/rotation.pml")
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
REPLAY=$(cd "$ROOT" && realpath -m "${BUILD:-build}")/tests/model_replay
TESTS_RUN=0
TESTS_FAILED=0

verdict() { # STATUS NAME OUTPUT
	TESTS_RUN=$((TESTS_RUN + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $TESTS_RUN - $2"
		return
	fi
	echo "not ok $TESTS_RUN - $2"
	TESTS_FAILED=$((TESTS_FAILED + 1))
	cut -c1-200 "$3" | sed 's/^/# /' | head -n 20
}

# The compiler gets the macros only spin's way; one folder per search, so that two can run at once.
search() { # FOLDER PAN_FLAGS PAN_ARGUMENTS MODEL_FLAGS...: into FOLDER/found
	local folder=$WORK/$1 flags=$2 arguments=$3
	shift 3
	mkdir -p "$folder" && cd "$folder" || return 1
	# shellcheck disable=SC2086 # one word each
	{ spin -a "$@" "$MODEL" && gcc -O1 -w -DVECTORSZ=2048 -DNOREDUCE $flags -o pan pan.c &&
		timeout 120 ./pan -n -m1000000 $arguments; } >found 2>&1
}

finds_nothing() { # FOLDER: all of it was searched, or all that the bits hold
	grep -q 'errors: 0' "$WORK/$1/found" && ! grep -qE 'max search depth too small|Search not completed|out of memory' "$WORK/$1/found"
}

holds() { # NAME FOLDER PAN_FLAGS PAN_ARGUMENTS MODEL_FLAGS...
	local name=$1
	shift
	search "$@"
	finds_nothing "$1"
	verdict $? "$name" "$WORK/$1/found"
}

catches() { # NAME WORDS FOLDER MODEL_FLAGS...: words of the assertion that fails
	local name=$1 words=$2 folder=$3
	shift 3
	search "$folder" "-O0 -DSAFETY -DCOLLAPSE" "" "$@"
	grep -q "assertion violated.*$words" "$WORK/$folder/found"
	verdict $? "$name" "$WORK/$folder/found"
}

trace() { # SEED MODEL_FLAGS...
	local seed=$1
	shift
	cd "$WORK" && spin -T -B -u3000 "-n$seed" "$@" "$MODEL" | sed -n 's/^ *trace //p'
}

# What the model does, the machine does: it follows random runs, of which enough must hold a whole rotation.
follows_runs() { # SEEDS MODEL_FLAGS...
	local seeds=$1 seed rotated=0
	shift
	for seed in $(seq "$seeds"); do
		trace "$seed" "$@" >"$WORK/run" || return 1
		"$REPLAY" 2 <"$WORK/run" >"$WORK/replayed" || { echo "seed $seed"; cat "$WORK/replayed"; return 1; }
		grep -q clear "$WORK/run" && rotated=$((rotated + 1))
	done
	echo "$rotated of $seeds runs hold a whole rotation"
	[ $rotated -ge $((seeds / 4)) ]
}

refuses_counterexample() { # FOLDER MODEL_FLAGS...: the run that search found
	local folder=$1
	shift
	cd "$WORK/$folder" || return 1
	spin -t -T -B -k rotation.pml.trail "$@" "$MODEL" | sed -n 's/^ *trace //p' >run
	cat run
	"$REPLAY" 2 <run
	[ $? -eq 3 ]
}

replay() { # NAME COMMAND...
	local name=$1
	shift
	if [ ! -x "$REPLAY" ]; then
		TESTS_RUN=$((TESTS_RUN + 1))
		echo "ok $TESTS_RUN - $name # SKIP $REPLAY is not built: make tests"
		return
	fi
	"$@" >"$WORK/said" 2>&1
	verdict $? "$name" "$WORK/said"
}

command -v spin >/dev/null || { echo "1..0 # SKIP spin is not installed"; exit 0; }
WORK=$(mktemp -d) || exit 1
trap 'kill ${BOTH:-} 2>/dev/null; wait; rm -rf "$WORK"' EXIT
if [ "${1:-}" = --trace ]; then
	shift
	trace "$@"
	exit
fi

SAFETY="-DSAFETY -DCOLLAPSE"
# Too many states for all of them: what a minute reaches, on the second core.
search both "-O0 -DSAFETY -DBITSTATE" "-w29 -k2 -Q1" -DNODES=3 -DROTATING=2 &
BOTH=$!
holds "two nodes that both rotate, with sessions that end, lose nothing" two "$SAFETY" "" -DSESSIONS
holds "they come to rest on the newest epoch when the faults stop" rest "-DCOLLAPSE" "-a"
holds "two nodes that stop waiting for proofs name whom they cut off" deadlines "$SAFETY" "" -DDEADLINES
holds "two rotations in a row with a straggler end well" twice "$SAFETY" "" -DKEYS=3 -DROTATING=1 -DDEADLINES
holds "a node that lost its keys comes back" lost "$SAFETY" "" -DLOSE_TUNNEL -DROTATING=0
holds "three nodes lose nothing while one rotates" three "-O0 -DSAFETY -DCOLLAPSE" "" -DNODES=3 -DROTATING=1
catches "publishing before arming tells a key that cannot answer" last_armed unarmed -DPUBLISH_BEFORE_ARM
catches "publishing before arming does so after keys were lost" last_armed unarmed_lost -DPUBLISH_BEFORE_ARM -DLOSE_TUNNEL -DROTATING=0
catches "wiping before the proof cuts a peer off" cut_off unproved -DCLEAR_BEFORE_PROOF
catches "sending under a key not proved is not understood" cut_off preferred -DPREFER_UNPROVED
catches "a crash that forgets peers' epochs takes a lower one" taken forgotten -DFORGET_PEER_EPOCH
catches "sending while there is no session goes out in clear" is_clear clear -DSESSIONS -DSEND_CLEAR
catches "a restored registry that is not told again keeps old keys" shown silent -DNO_REPUBLISH
wait $BOTH
grep -q 'errors: 0' "$WORK/both/found"
verdict $? "three nodes lose nothing while two rotate at once, as far as a minute reaches" "$WORK/both/found"
replay "keyd's state machine follows random runs of the model" follows_runs 40
replay "it follows them with deadlines and two rotations" follows_runs 40 -DKEYS=3 -DDEADLINES
replay "it refuses the run in which publishing came first" refuses_counterexample unarmed -DPUBLISH_BEFORE_ARM
replay "it refuses the run that wipes before the proof" refuses_counterexample unproved -DCLEAR_BEFORE_PROOF
echo "1..$TESTS_RUN"
[ "$TESTS_FAILED" -eq 0 ]
