#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The DaemonSet grants nothing that is not needed: without any one of its capabilities or mounts a
# container does not do its work, and names the missing one.

# shellcheck source=tests/kube/agents.bash
. "$(dirname "$0")/agents.bash"
# shellcheck source=tests/kube/container.bash
. "$(dirname "$0")/container.bash"

less_capability() { # NAME CAPABILITY: where the container has that name
	CONTAINER_PATCH="if .process.args[0] == \"podveil-$1\" then .process.capabilities |= map_values(. - [\"CAP_$2\"]) else . end"
}

less_mount() { # NAME PATH
	CONTAINER_PATCH="if .process.args[0] == \"podveil-$1\" then .mounts |= map(select(.destination != \"$2\")) else . end"
}

# Runs the tunnel, which exits at once. Its output ends up in $RUN_DIR/words.
tunnel_ends() {
	local result=0
	container_run 1 tunnel >"$RUN_DIR/words" 2>&1 && result=1
	cat "$RUN_DIR/words"
	CONTAINER_PATCH=.
	return $result
}

# keyd beside a tunnel that has everything, on a node without any state of podveil.
keyd_protects() {
	local result=0
	spawn_keyd 1
	wait_until 4 agent_is_ready 1 || result=1
	container_remove 1 keyd
	cp "$(agent_dir 1)/keyd.log" "$RUN_DIR/words"
	cat "$RUN_DIR/words"
	rm -f "$(agent_dir 1)"/keyd.{log,sock}
	CONTAINER_PATCH=.
	TEMPLATE=$UNINSTALL container_run 1 cleanup >/dev/null
	kill_tunnel 1 # its device went with the rest
	start_tunnel 1
	return $result
}

granted() { # NAME: capabilities
	jq -r --arg name "$1" '.containers[] | select(.name == $name).securityContext.capabilities.add[]' "$TEMPLATE"
}

mounts_of() { jq -r --arg name "$1" '.containers[] | select(.name == $name).volumeMounts[].mountPath' "$TEMPLATE"; } # NAME

says_why() { grep -E "$1" "$RUN_DIR/words"; } # PATTERN

tunnel_names_it() { less_capability tunnel "$1" && tunnel_ends && says_why "missing privileges: CAP_$1"; } # CAPABILITY
tunnel_needs_mount() { less_mount tunnel "$1" && tunnel_ends && says_why "$2"; } # PATH PATTERN
keyd_needs() { less_capability keyd "$1" && ! keyd_protects && says_why ' error: | warning: '; } # CAPABILITY
keyd_needs_mount() { less_mount keyd "$1" && ! keyd_protects && says_why "$2"; } # PATH PATTERN

# The container runs without it, and keys could get into swap.
keys_are_locked_by_it() {
	less_capability tunnel IPC_LOCK
	spawn_tunnel 1
	wait_until 5 grep 'KEYS MAY REACH THE SWAP' "$(agent_dir 1)/tunnel.log"
	local result=$?
	CONTAINER_PATCH=.
	container_remove 1 tunnel
	return $result
}

without_a_warning() { start_tunnel 1 && ! grep 'KEYS MAY' "$(agent_dir 1)/tunnel.log"; }

begin
needs_kube kube-apiserver kubectl
needs_runc
needs podveil-tunnel podveil-keyd podveil
containers_up
mkdir -p "$(agent_dir 1)"
check "node 2 has its agent" start_agent 2
for capability in $(granted tunnel); do
	[ "$capability" = IPC_LOCK ] ||
		check "the tunnel does not run without $capability, and names it" tunnel_names_it "$capability"
done
for path in $(mounts_of tunnel); do
	check "the tunnel needs $path" tunnel_needs_mount "$path" "${path##*/}"
done
check "without IPC_LOCK the tunnel warns of swap" keys_are_locked_by_it
rm "$(agent_dir 1)/tunnel.log"
check "with all that is granted it starts, and does not" without_a_warning

check "with all that is granted keyd protects the node" keyd_protects
for capability in $(granted keyd); do
	check "keyd does not protect without $capability" keyd_needs "$capability"
done
for path in $(mounts_of keyd); do
	check "keyd needs $path" keyd_needs_mount "$path" "${path##*/}"
done
check "and with all of it the node is protected again" keyd_protects
agents_done
