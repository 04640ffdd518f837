#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Has spin search every run of the rotation's model (rotation.pml): the right order loses nothing and comes to rest, and
# each order that is wrong on purpose is caught, so that a search that finds nothing means something. Which searches are
# whole, and which one is not, is said with the states they saw. With --trace SEED prints the events of one random run, for
# the replay against keyd/cluster/rotate.c.

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
		timeout 600 ./pan -n -m20000 $arguments; } >found 2>&1
	echo "exit status $?" >>found
}

no_error() { # FOUND: spin's own line, and that it came to its end
	grep -q '^exit status 0$' "$1" && grep -qE '^State-vector [0-9]+ byte, depth reached [0-9]+, errors: 0$' "$1" &&
		grep -qE '^ *[1-9][0-9.e+]* states, stored' "$1"
}

# A search that was cut short, by time, depth or memory, has shown nothing; nor has one that keeps bits for states.
is_whole() { # FOUND
	no_error "$1" && grep -q '^Full statespace search for' "$1" &&
		! grep -qiE 'search depth too small|not completed|out of memory|MEMLIM|interrupted|aborting|bit statespace' "$1"
}

say_states() { # KIND FOUND
	echo "# $1: $(sed -nE 's/^ *([0-9.e+]+) states, stored.*/\1/p' "$2") states"
}

holds() { # NAME FOLDER PAN_FLAGS PAN_ARGUMENTS MODEL_FLAGS...
	local name=$1
	shift
	search "$@"
	was_whole "$name" "$1" "${@:4}"
}

was_whole() { # NAME FOLDER MODEL_FLAGS...
	is_whole "$WORK/$2/found"
	verdict $? "$1" "$WORK/$2/found"
	say_states "every run of $(printf '%s ' "${@:3}")" "$WORK/$2/found"
}

catches() { # NAME WORDS FOLDER MODEL_FLAGS...: words of the assertion that fails
	local name=$1 words=$2 folder=$3
	shift 3
	search "$folder" "-O0 -DSAFETY -DCOLLAPSE" "" "$@"
	grep -q "assertion violated.*$words" "$WORK/$folder/found"
	verdict $? "$name" "$WORK/$folder/found"
}

catches_endless() { # NAME FOLDER MODEL_FLAGS...
	local name=$1 folder=$2
	shift 2
	search "$folder" "-O0 -DCOLLAPSE" "-a" "$@"
	grep -q 'acceptance cycle' "$WORK/$folder/found"
	verdict $? "$name" "$WORK/$folder/found"
}

# The searched model once more, with one effect of the command removed.
is_not_whole() { # NAME COMMAND...: in the folder "two"
	local name=$1
	shift
	(cd "$WORK/two" && "$@"; echo "exit status $?") >"$WORK/cut" 2>&1
	! is_whole "$WORK/cut"
	verdict $? "$name" "$WORK/cut"
}

trace() { # SEED MODEL_FLAGS...
	local seed=$1
	shift
	cd "$WORK" && spin -T -B -u3000 "-n$seed" -DTRACED "$@" "$MODEL" | sed -n 's/^ *trace //p'
}

# The machine follows the model through random runs, of which enough must contain a whole rotation.
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
trap 'kill ${ALL:-} 2>/dev/null; wait; rm -rf "$WORK"' EXIT
if [ "${1:-}" = --trace ]; then
	shift
	trace "$@"
	exit
fi

SAFETY="-O0 -DSAFETY -DCOLLAPSE"
LIVENESS="-O0 -DCOLLAPSE" # and safety: no run is endless, either
# The long ones, on the second core. With lost keys as well there are too many states to store, so
# the search covers the states that it reaches in a minute.
{
	search all "-O1 -DSAFETY -DCOLLAPSE" "" -DNODES=3
	search all_lost "-O0 -DSAFETY -DBITSTATE" "-w30 -k2 -Q1" -DNODES=3 -DLOSE_TUNNEL
} &
ALL=$!
holds "two nodes that both rotate lose nothing, and come to rest on the newest epoch" two "$LIVENESS" -a -DNODES=2
holds "so does each pair of any number of nodes, with stragglers named and lost keys" pair "$LIVENESS" -a \
	-DOTHERS -DSESSIONS -DDEADLINES -DLOSE_TUNNEL
holds "two nodes that stop waiting for proofs name whom they cut off" deadlines "$SAFETY" "" -DDEADLINES
holds "two rotations in a row with a straggler end well" twice "$SAFETY" "" -DKEYS=3 -DROTATING=1 -DDEADLINES
holds "a node that lost its keys comes back while the other rotates" lost "$LIVENESS" -a -DLOSE_TUNNEL
holds "three nodes of which two rotate at once lose nothing, and come to rest" three "$LIVENESS" -a -DNODES=3 -DROTATING=2
is_not_whole "a search that was not deep enough counts as failed" ./pan -n -a -m40
is_not_whole "a search that ran out of memory counts as failed" bash -c 'ulimit -v 100000; exec ./pan -n -a -m20000'
is_not_whole "a search that was ended early counts as failed" timeout 0.01 ./pan -n -a -m20000
catches "publishing before arming tells a key that cannot answer" last_armed unarmed -DPUBLISH_BEFORE_ARM
catches "publishing before arming does so after keys were lost" last_armed unarmed_lost -DPUBLISH_BEFORE_ARM -DLOSE_TUNNEL -DROTATING=0
catches "wiping before the proof cuts a peer off" cut_off unproved -DCLEAR_BEFORE_PROOF
catches "sending under a key not proved is not understood" cut_off preferred -DPREFER_UNPROVED
catches "a pair among others does not hide it" cut_off preferred_others -DPREFER_UNPROVED -DOTHERS
catches "a crash that forgets peers' epochs takes a lower one" taken forgotten -DFORGET_PEER_EPOCH
catches "taking whatever the registry shows takes a lower epoch" taken as_shown -DTAKE_AS_SHOWN
catches "sending while there is no session goes out in clear" is_clear clear -DSESSIONS -DSEND_CLEAR
catches "sending to a peer not known since keys were lost goes out in clear" is_clear unknown -DLOSE_TUNNEL -DSEND_CLEAR_TO_UNKNOWN
catches "a restored registry that is not told again keeps old keys" shown silent -DNO_REPUBLISH
catches "without handshakes to the next key no pair comes to the newest epoch" armed unproved_next -DNEVER_PROVE
catches_endless "publishing an old record again and again never comes to rest" again -DREPUBLISH_OLD
wait $ALL
was_whole "three nodes that all rotate at once lose nothing, and agree when they come to rest" all -DNODES=3
no_error "$WORK/all_lost/found"
verdict $? "the same with keys lost, in the runs that a minute reaches" "$WORK/all_lost/found"
say_states "bit-state search, not every run, of -DNODES=3 -DLOSE_TUNNEL" "$WORK/all_lost/found"
replay "keyd's state machine follows random runs of the model" follows_runs 40
replay "it follows them with deadlines and two rotations" follows_runs 40 -DKEYS=3 -DDEADLINES
replay "it refuses the run in which publishing came first" refuses_counterexample unarmed -DPUBLISH_BEFORE_ARM
replay "it refuses the run that wipes before the proof" refuses_counterexample unproved -DCLEAR_BEFORE_PROOF
echo "1..$TESTS_RUN"
[ "$TESTS_FAILED" -eq 0 ]
