#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs last: no sanitizer reported anything about any process of this run, and a report would have
# been found. ThreadSanitizer is not needed because our programs start no threads; if one ever
# does, this test fails. Prints TAP.

set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
BUILD=${BUILD:-build/asan}
number=0

verdict() { # STATUS NAME
	number=$((number + 1))
	[ "$1" -eq 0 ] && echo "ok $number - $2" || echo "not ok $number - $2"
}

program_is_instrumented() { nm -D --undefined-only "$BUILD/$1" | grep __asan_report >/dev/null; }
starts_thread() { nm -D --undefined-only "$1" | grep -E ' (pthread_create|thrd_create|clone)(@|$)' >/dev/null; }

detector_fires() {
	local own=$REPORTS/control
	mkdir -m 1777 "$own" || return 1
	ASAN_OPTIONS=log_path=$own/asan:handle_sigill=1 "$BUILD/tests/overflow" 2>/dev/null
	cat "$own"/asan.* 2>/dev/null | grep 'ERROR: AddressSanitizer' >/dev/null
}

echo "1..6"
detector_fires
verdict $? "positive control: a one-byte overflow by an unprivileged process is reported"
for program in podveil-tunnel podveil-keyd podveil; do
	program_is_instrumented $program
	verdict $? "$program is instrumented"
done
starts_thread "$BUILD/tests/overflow" && ! starts_thread "$BUILD/podveil-tunnel" && ! starts_thread "$BUILD/podveil-keyd" &&
	! starts_thread "$BUILD/podveil"
verdict $? "no program of ours starts a thread (one that does is seen)"
reports=$(find "$REPORTS" -maxdepth 1 -type f)
[ -z "$reports" ]
verdict $? "no sanitizer reported anything"
# shellcheck disable=SC2086 # one word each
[ -z "$reports" ] || head -n 60 $reports | sed 's/^/# /'
