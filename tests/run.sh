#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the tests named as arguments (cmocka programs and scripts that print TAP) under prove, one
# after the other or JOBS at once; tests after --together run at least two at once. Each has a time
# limit. Prints the complete output of failed tests, then the skipped tests with their reasons; the
# last line counts passed, failed and skipped tests. A crash, a timeout and a test without a result
# are failures, and so is a run without any test.
#
# prove calls this file again for each test: run.sh --one FILE saves the output of the test.

set -u -o pipefail

SECONDS_PER_FILE=${SECONDS_PER_FILE:-300}

# cmocka prints "not ok 3 # SKIP name", which is a failure in TAP.
run_one() { # FILE
	local output status
	output=$RESULTS/$(date +%s%N)
	echo "$1" >"$output.name"
	CMOCKA_MESSAGE_OUTPUT=TAP timeout --kill-after=20 "$SECONDS_PER_FILE" "$1" 2>&1 |
		sed -u 's/^not ok \([0-9]*\) # SKIP \(.*\)/ok \1 - \2 # SKIP no reason given/' | tee "$output"
	status=${PIPESTATUS[0]}
	[ "$status" -eq 124 ] && echo "# stopped after $SECONDS_PER_FILE seconds" | tee -a "$output"
	[ "$status" -gt 128 ] && echo "# killed by signal $((status - 128))" | tee -a "$output"
	echo "$status" >"$output.status"
	exit "$status"
}

if [ "${1:-}" = --one ]; then
	run_one "$2"
fi

# Prints one line: passed failed skipped. Planned tests without a result are failures.
count_file() { # OUTPUT STATUS
	awk -v status="$2" '
		/^1\.\.[0-9]+/ { planned = substr($1, 4) + 0; has_plan = 1; if (/# SKIP/) skipped++ }
		/^ok / { if (/# SKIP/) skipped++; else passed++; seen++ }
		/^not ok / { failed++; seen++ }
		END {
			if (has_plan && seen < planned) failed += planned - seen
			if (!failed && (status != 0 || !has_plan || seen > planned)) failed = 1
			print passed + 0, failed + 0, skipped + 0
		}' "$1"
}

list_skipped() { # OUTPUT NAME
	sed -n -e 's/^ok [0-9]* - \(.*\) # SKIP \(.*\)/\1: \2/p' -e 's/^1\.\.0 # SKIP \(.*\)/all of it: \1/p' "$1" |
		sed "s|^|skipped: $2: |"
}

prove_all() { # JOBS FILE...
	prove --merge --timer --jobs "$1" --exec "$(realpath "$0") --one" "${@:2}" 2>&1 |
		sed -u '/^Test Summary Report/,$d; /^Files=/d; /^Result:/d; /^All tests successful/d' &
	wait $!
}

main() {
	local output name passed=0 failed=0 skipped=0 p f s
	[ $# -gt 0 ] || { echo "run.sh: nothing to run: name test programs or scripts" >&2; exit 2; }
	RESULTS=$(mktemp -d) || exit 1
	export RESULTS SECONDS_PER_FILE
	trap 'rm -rf "$RESULTS"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM

	local alone=()
	while [ $# -gt 0 ] && [ "$1" != --together ]; do
		alone+=("$1")
		shift
	done
	[ ${#alone[@]} -eq 0 ] || prove_all "${JOBS:-1}" "${alone[@]}"
	[ $# -le 1 ] || prove_all $((${JOBS:-1} > 2 ? JOBS : 2)) "${@:2}"

	for name in "$RESULTS"/*.name; do
		output=${name%.name}
		name=$(cat "$output.name")
		read -r p f s < <(count_file "$output" "$(cat "$output.status" 2>/dev/null || echo 1)")
		if [ "$f" -gt 0 ]; then
			printf '\n-- %s failed; its output:\n' "$name"
			cat "$output"
			echo "-- end of $name"
		fi
		list_skipped "$output" "$name" >>"$RESULTS/skipped"
		passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	done
	cat "$RESULTS/skipped" 2>/dev/null
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

main "$@"
