#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A watch of the API server may end in any way: the known state stays in use, the agents learn the
# next changes, and the traffic between the nodes loses no packet.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"
# shellcheck source=tests/netns/kube.bash
. "$(dirname "$0")/kube.bash"

EXPIRED='{"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}}'
BROKEN='{"type": "ERROR", "object": {"kind": "Status", "code": 500, "reason": "InternalError", "message": "etcd: no leader"}}'

# The watch is there to be spoilt, and the spoilt one is not the one that goes on.
watch_goes_wrong() { # JSON
	mark
	wait_until 20 watches "$1" && wait_until 20 was_asked "$IS_WATCH"
}

spoil() { # WHAT JSON
	check "the watch sees $1" watch_goes_wrong "$2"
	converges "$1"
}

begin
needs_api
kube_up

spoil "its end" '{"path": "nodes", "then": "end"}'
spoil "a chunk that is cut off" '{"path": "nodes", "then": "cut"}'
spoil "a reset" '{"path": "nodes", "then": "reset"}'
spoil "an ERROR of 410" "{\"path\": \"nodes\", \"send\": [$EXPIRED], \"then\": \"end\"}"
check "which led to a list" was_asked "$IS_LIST"
spoil "an ERROR of 500" "{\"path\": \"nodes\", \"send\": [$BROKEN], \"then\": \"end\"}"

fault '{"path": "nodes.*watch=", "times": 2, "do": {"kind": "status", "status": 410, "reason": "Expired"}}'
spoil "410 at its beginning" '{"path": "nodes", "then": "end"}'

check "nobody was ever taken for gone" nobody_left
kube_done
