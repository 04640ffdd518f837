# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034 # the sourcing script prints the plan, and exits with `failed`
#
# TAP for the tests of the source tree, which need no namespaces. Sourced, never run.

number=0
failed=0

verdict() { # STATUS NAME
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $number - $2"
	else
		echo "not ok $number - $2"
		failed=1
	fi
}
