# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# The DaemonSet's containers in a node's network namespace, under Debian's runc: from the image's
# file system and from the DaemonSet of the API server, by container.jq. This file prepares host
# paths as kubelet does. Sourced after agents.bash; from then on start_agent starts containers.

RUNC=(runc --root "$RUN_DIR/runc")
SECCOMP=/usr/share/containers/seccomp.json
TEMPLATE=$RUN_DIR/template.json   # the spec of the pod
UNINSTALL=$RUN_DIR/uninstall.json # the same, as overlays/uninstall has it
CONFIGMAP=$RUN_DIR/configmap.json # its data
CONTAINER_PATCH=.                 # what a test takes away from a configuration, in jq

needs_runc() {
	command -v runc >/dev/null || skip_all "needs runc: run tests/deps.sh kube"
	grep -qE ' - cgroup2? ' /proc/self/mountinfo || skip_all "runc needs a mounted cgroup file system"
	[ -r $SECCOMP ] || skip_all "needs $SECCOMP (golang-github-containers-common): run tests/deps.sh kube"
}

# The image's, where it was built; otherwise the same files out of this build.
rootfs_make() {
	local image
	image=$("$ROOT/deploy/image.sh" --built)
	if [ -n "$image" ] && [ "$image" -nt "$BUILD/podveil-keyd" ] && [ "$image" -nt "$BUILD/podveil-tunnel" ]; then
		cp -r "$image" "$RUN_DIR/rootfs"
	else
		"$ROOT/deploy/rootfs.sh" "$BUILD" "$RUN_DIR/rootfs"
	fi || bail "no file system of the image"
}

# The DaemonSet with the API server's defaults.
template_take() { # FILE
	kubectl -n podveil get daemonset podveil -o json | jq .spec.template.spec >"$1" &&
		kubectl -n podveil get configmap podveil -o json | jq .data >"$CONFIGMAP" || bail "no DaemonSet"
}

# -- as kubelet --

agent_bpffs() { echo "$BPFFS_ROOT/$RUN_NAME-n$1/podveil"; } # I
container_id() { echo "$RUN_NAME-n$1-$2"; } # I NAME
bundle() { echo "$RUN_DIR/bundle-n$1-$2"; } # I NAME

# The place of node I for a path that a real host has at its own.
host_paths() { # I
	jq -n --arg dir "$(agent_dir "$1")" --arg bpffs "$(agent_bpffs "$1")" '{"/run/podveil": $dir, "/run/wireguard": "\($dir)/wireguard",
		"/dev/net/tun": "/dev/net/tun", "/sys/fs/bpf": ($bpffs | rtrimstr("/podveil")), "/sys/fs/bpf/podveil": $bpffs}'
}

host_path_prepare() { # PATH TYPE
	case $2 in
	DirectoryOrCreate) mkdir -p -m 755 "$1" ;;
	Directory) test -d "$1" ;;
	CharDevice) test -c "$1" ;;
	*) bail "host path $1 of type '$2': what is kubelet to do?" ;;
	esac
}

host_paths_prepare() { # I
	local path type
	while read -r path type; do
		host_path_prepare "$path" "$type" || { diag "kubelet: $path is no $type"; return 1; }
	done < <(jq -r --argjson host "$(host_paths "$1")" '.volumes[].hostPath | select(.) | "\($host[.path]) \(.type)"' "$TEMPLATE")
}

container_config() { # I NAME
	jq -n -f "$ROOT/tests/kube/container.jq" --argjson pod "$(cat "$TEMPLATE")" --argjson configmap "$(cat "$CONFIGMAP")" \
		--argjson hostpaths "$(host_paths "$1")" --argjson volumes "{\"account\": \"$(account_dir "$1")\"}" \
		--slurpfile profile $SECCOMP --arg container "$2" --arg node "n$1" --arg netns "/run/netns/$(ns "n$1")" \
		--arg rootfs "$(bundle "$1" "$2")/rootfs" --arg cgroup "/$(container_id "$1" "$2")" --arg run "$RUN_NAME" \
		--arg server "$API_V4" --arg port "$API_PORT" | jq "$CONTAINER_PATCH"
}

# -- as containerd --

container_make() { # I NAME
	local bundle
	bundle=$(bundle "$1" "$2")
	rm -rf "$bundle" && mkdir "$bundle" && cp -r "$RUN_DIR/rootfs" "$bundle/rootfs" &&
		host_paths_prepare "$1" && container_config "$1" "$2" >"$bundle/config.json"
}

container_remove() { "${RUNC[@]}" delete --force "$(container_id "$1" "$2")" 2>/dev/null; } # I NAME

# Goes on in the background; its words go where the daemons' go.
container_spawn() { # I NAME
	container_remove "$1" "$2"
	container_make "$1" "$2" || { diag "no configuration for $2"; return 1; }
	"${RUNC[@]}" run --bundle "$(bundle "$1" "$2")" --pid-file "$(agent_dir "$1")/$2.pid" "$(container_id "$1" "$2")" \
		>>"$(agent_dir "$1")/$2.log" 2>&1 </dev/null &
	disown $!
}

# Runs it to its end and says how that was.
container_run() { # I NAME
	container_make "$1" "$2" || { diag "no configuration for $2"; return 1; }
	timeout 20 "${RUNC[@]}" run --bundle "$(bundle "$1" "$2")" "$(container_id "$1" "$2")"
}

container_exec() { # I NAME COMMAND...: as kubectl exec and probes do
	"${RUNC[@]}" exec "$(container_id "$1" "$2")" "${@:3}"
}

spawn_tunnel() { container_spawn "$1" tunnel; }
spawn_keyd() { container_spawn "$1" keyd; }
tunnel_answers() { in_ns "n$1" ss -xlH | grep -qF /run/podveil/tunnel.sock; } # I: by the path that the container has

# -- the uninstall --

# The same DaemonSet after the overlay, which must leave nothing of the agent in it.
uninstall_take() {
	DEPLOY=$ROOT/deploy/overlays/uninstall deploy_apply
	template_take "$UNINSTALL"
	deploy_apply
}

everything_is_taken_away() { # from n1
	container_remove 1 keyd
	container_remove 1 tunnel
	TEMPLATE=$UNINSTALL container_run 1 cleanup || return 1
	[ ! -e "$(agent_bpffs 1)" ] && ! in_ns n1 ip link show podveil0 && ! hooks_are_left
}

hooks_are_left() { in_ns n1 bpftool net show | grep -E 'to_wire|from_wire|wire_guard|from_tunnel'; }

# -- the cluster --

# Two nodes with the agent deployed, and not started.
containers_up() {
	kube_cluster_up 2
	kubectl -n podveil patch configmap podveil --type=merge -p '{"data": {"cluster-cidr": "10.244.0.0/16,fd00:10:244::/48"}}' >/dev/null
	rootfs_make
	uninstall_take
	template_take "$TEMPLATE"
}

# Traces of a run outside its directory.
eval "end_of_lib() $(declare -f end | sed 1d)"
end() {
	end_of_lib
	find /sys/fs/cgroup -depth -type d -name "$RUN_NAME-*" -exec rmdir {} + 2>/dev/null
}
