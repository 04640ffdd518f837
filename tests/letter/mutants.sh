#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Shows that the tests of the protocol's rows can fail: each row's code is broken in a copy of the
# tree as the table says, the programs that depend on it are built, and the row's test, run alone,
# has to print `FAILED`. A mutant that its test does not detect, that does not fit, does not compile
# or runs for ever is a failure; so is a test that fails before anything is broken, or that does not
# reach its beginning in the broken code.
#
#   tests/letter/mutants.sh [ROW...]     JOBS at a time (2)

set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/letter/lib.sh
. tests/letter/lib.sh

SECONDS_PER_TEST=120

# Quick to compile; warnings do not matter here.
make_in() { # DIR TARGET...
	local dir=$1
	shift
	MAKEFLAGS='' make -s -C "$dir" --no-print-directory BUILD=build CFLAGS=-O1 HARDEN=-fPIE WARNINGS=-w -j"${MAKE_JOBS:-1}" \
		"$@" >"$dir/make.log" 2>&1
}

program_of() { # TEST_FILE
	local name=${1##*/}
	echo "build/tests/${name%.c}"
}

run_test() { # DIR TEST_FILE NAME
	CMOCKA_MESSAGE_OUTPUT=TAP timeout --kill-after=5 $SECONDS_PER_TEST "$1/$(program_of "$2")" "$3" >"$1/test.log" 2>&1
}

# One line: the outcome of the row, and the output of the test.
report() { # STATUS TEXT
	echo "$1 - $id $test_name: $2"
	[ "$1" = ok ] || sed 's/^/    # /' "$3" | tail -n 20
}

# Why the test failed: the last place that it names.
reason() {
	grep -o '[a-z_]*\.[ch]:[0-9]*: error: .*' "$1" | tail -n 1
}

try_mutant() { # DIR
	local dir=$1
	if [ "$(occurrences "$source" "$old")" -ne 1 ]; then
		report 'not ok' "stands $(occurrences "$source" "$old") times in $source: $old" /dev/null
		return
	fi
	replaced "$source" "$old" "$new" >"$dir/$source"
	if ! make_in "$dir" "$(program_of "$test_file")"; then
		report 'not ok' "the mutant does not compile" "$dir/make.log"
	elif run_test "$dir" "$test_file" "$test_name"; then
		report 'not ok' "the mutant survives" "$dir/test.log"
	elif grep -q 'Test setup failed' "$dir/test.log"; then
		report 'not ok' "what the test begins with fails already" "$dir/test.log"
	elif grep -q "^not ok .*$test_name" "$dir/test.log"; then
		report ok "fails with \"$new\" ($(reason "$dir/test.log"))"
	else
		report 'not ok' "the test came to no verdict in $SECONDS_PER_TEST s" "$dir/test.log"
	fi
}

try_row() { # LINE
	local dir
	read_row "$1" || { echo "not ok - no row: $1" && return; }
	dir=$(mktemp -d "$WORK/$id.XXXXXX") || exit 1
	cp -a "$WORK/tree/." "$dir"
	if ! run_test "$dir" "$test_file" "$test_name" || [ "$(grep -c '^ok ' "$dir/test.log")" -ne 1 ]; then
		report 'not ok' "fails before anything is broken" "$dir/test.log"
	else
		try_mutant "$dir"
	fi
	rm -rf "$dir"
}

if [ "${1:-}" = --one ]; then
	try_row "$2"
	exit 0
fi

build_tree() { # PROGRAM...
	mkdir -p "$WORK/tree/tests" || return 1
	cp -a Makefile include tunnel keyd "$WORK/tree/" && cp -a tests/tests.mk tests/test.[ch] tests/unit tests/vectors "$WORK/tree/tests/" || return 1
	MAKE_JOBS=${JOBS:-2} make_in "$WORK/tree" "$@" || { cat "$WORK/tree/make.log" && return 1; }
}

# The rows that are asked for and have something to break, one a line.
wanted_rows() { # ROW...
	local line
	while IFS= read -r line; do
		read_row "$line" || continue
		[ "$source" != - ] && [[ $# -eq 0 || " $* " = *" ${id%+} "* ]] && echo "$line"
	done < <(row_lines)
}

WORK=$(mktemp -d) || exit 1
export WORK
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

wanted_rows "$@" >"$WORK/rows"
[ -s "$WORK/rows" ] || { echo "mutants.sh: no such row: $*" >&2 && exit 2; }
mapfile -t programs < <(awk -F ' [|] ' '{ print $3 }' "$WORK/rows" | sort -u | while read -r file; do program_of "$file"; done)
build_tree "${programs[@]}" || { echo "mutants.sh: the tree does not build" && exit 1; }
xargs -d '\n' -n 1 -P "${JOBS:-2}" "$0" --one <"$WORK/rows" | tee "$WORK/verdicts"
passed=$(grep -c '^ok ' "$WORK/verdicts")
failed=$(($(wc -l <"$WORK/rows") - passed))
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
