#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the fuzz targets named as arguments for FUZZ_SECONDS each, two at a time. A target starts with its corpus in the
# tree, unpacked into $BUILD/seeds; inputs that reach more code are added to $BUILD/corpus, which the next run reads too.
# Prints for each target the executions and how much of the code they reached; an input that breaks a rule is kept in
# $BUILD/found. The last line counts passed, failed and skipped.
#
# With FUZZ_SEED a target takes the same path each time, as far as it gets, so that the verdict on a change does not depend
# on chance. Without it, each run looks somewhere else.

set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1

BUILD=${BUILD:-build/fuzz}
FUZZ_SECONDS=${FUZZ_SECONDS:-26}
ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=1:handle_abort=1
export ASAN_OPTIONS

# The figures of a log: executions, edges reached, edges there are.
figures() { # LOG
	sed -n -e 's/.*inline 8-bit counters): \([0-9]*\) .*/edges \1/p' -e 's/^#\([0-9]*\)\tDONE *cov: \([0-9]*\) .*/done \1 \2/p' "$1" |
		awk '$1 == "edges" {edges = $2} $1 == "done" {runs = $2; reached = $3}
			END {printf "%10d executions, %4d of %4d edges", runs, reached, edges}'
}

fuzz_one() { # TARGET
	local target=$1 log=$BUILD/$1.log dictionary=tests/fuzz/$1.dict options=() fixed=() seeds=$BUILD/seeds/$1
	local grown=$BUILD/corpus${FUZZ_SEED:+.$FUZZ_SEED}/$target
	rm -rf "$seeds"
	tests/fuzz/corpus.sh unpack "$target" "$seeds" && seeds=("$seeds"/*) || return 1
	[ -z "${FUZZ_SEED:-}" ] || { rm -rf "$grown" && options=(-seed="$FUZZ_SEED") fixed=(setarch -R); }
	mkdir -p "$grown" "$BUILD/found"
	[ -f "$dictionary" ] && options+=(-dict="$dictionary")
	timeout $((FUZZ_SECONDS * 2 + 60)) "${fixed[@]}" "$BUILD/$target" -max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=2048 -len_control=0 -max_len=4096 \
		-artifact_prefix="$BUILD/found/$target-" "${options[@]}" \
		-seed_inputs="$(IFS=, && echo "${seeds[*]}")" "$grown" >"$log" 2>&1
	if [ $? -eq 0 ] && grep -q DONE "$log"; then
		printf '  ok      %-18s %s\n' "$target" "$(figures "$log")"
		return 0
	fi
	printf '  FAILED  %-18s\n' "$target"
	grep -v -e REDUCE -e NEW -e RELOAD -e pulse "$log" | tail -n 40
	return 1
}

if [ "${1:-}" = --one ]; then
	fuzz_one "$2"
	exit
fi

passed=0 failed=0
while read -r status; do
	if [ "$status" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done < <(printf '%s\n' "$@" | xargs -P 2 -I{} sh -c '"$0" --one {} >&2; echo $?' "$0")
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
