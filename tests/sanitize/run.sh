#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Tests a build with sanitizers ($BUILD): runs the unit tests named as arguments, which include the
# fuzzing corpora, and two-node tests that exercise every part of both programs. Reports of the
# sanitizers about any process, including the unprivileged engine, go to files, and
# nothing_was_found.sh fails if there are any.
#
# AddressSanitizer turns mlock into a no-op, so locked memory is not checked here
# (engine_has_no_privileges.sh checks it in the plain build). Leaks of the engine are not checked:
# it exits through _exit and must not start a thread. It allocates nothing.

set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1

export BUILD=${BUILD:-build/asan}
REPORTS=$(mktemp -d) || exit 1
trap 'rm -rf "$REPORTS"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 1777 "$REPORTS" # for the engine

export REPORTS
export PODVEIL_SLOW=${PODVEIL_SLOW:-2} # the slowdown by the sanitizers
export ASAN_OPTIONS=log_path=$REPORTS/asan:handle_sigill=1:detect_stack_use_after_return=1:strict_string_checks=1

TWO_NODES=(
	agents_carry_ping_tcp_udp
	agents_carry_every_size
	cli_rotate_key_says_who_has_rotated
	keyd_restart_loses_nothing
	keyd_restart_changes_nothing
	cluster_secret_changes_without_loss
	wg8_configures_the_tunnel
	tunnel_answers_garbage_with_silence
	cli_shows_what_the_agents_do
)

files=("${TWO_NODES[@]/#/tests/netns/}")
SECONDS_PER_FILE=200 tests/run.sh "${@/#/$BUILD/tests/}" "${files[@]/%/.sh}" tests/sanitize/nothing_was_found.sh
