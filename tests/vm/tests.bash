# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034 # for those that source it
#
# Where the tests are that run in virtual machines, and all of those of the BPF programs. Sourced, never run.

VM=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
NETNS=$(cd "$VM/../netns" && pwd)
BUILD=$(cd "$VM/../.." && realpath -m "${BUILD:-build}")
export BUILD

BPF_TESTS=("$VM"/../bpf/test_*.c)
BPF_TESTS=("${BPF_TESTS[@]##*/}")
BPF_TESTS=("${BPF_TESTS[@]/%.c/}")
BPF_TESTS=("${BPF_TESTS[@]/#/$BUILD/tests/}")
