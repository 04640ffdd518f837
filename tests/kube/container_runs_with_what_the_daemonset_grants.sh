#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Both containers of the DaemonSet under runc, with exactly the capabilities, seccomp profile,
# masked paths, read-only root and mounts that the API server's DaemonSet grants, on two nodes, with
# the real registry: pod traffic is encrypted, the probes report the true state, kubectl podveil
# understands the agents' replies, and the uninstall container removes everything.

# shellcheck source=tests/kube/agents.bash
. "$(dirname "$0")/agents.bash"
# shellcheck source=tests/kube/container.bash
. "$(dirname "$0")/container.bash"

pods_say_the_marker() { # in both families, small and large
	in_ns p1 ping -n -q -c 5 -i 0.05 -W 5 -p "$MARKER" -s 200 "$(pod_v4 2)" &&
		in_ns p2 ping -n -q -c 5 -i 0.05 -W 5 -p "$MARKER" -s 1300 "$(pod_v6 1)"
}

detector_fires_without_agents() {
	watch_start "$MARKER"
	pods_say_the_marker
	watch_stop
	watch_saw_plaintext
}

nothing_is_seen_with_them() {
	watch_start "$MARKER"
	pods_say_the_marker
	local result=$?
	watch_stop
	[ $result -eq 0 ] && watch_saw_nothing
}

# -- what the containers are --

status_of() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"; } # PID FIELD
capability_names() { capsh --decode="$1" | sed 's/.*=//' | tr ',' '\n' | sort; } # HEXADECIMAL

granted() { # NAME: as capsh says them
	jq -r --arg name "$1" '.containers[] | select(.name == $name).securityContext.capabilities.add[] | "cap_" + ascii_downcase' "$TEMPLATE" | sort
}

holds_what_is_granted() { # NAME
	diff <(granted "$1") <(capability_names "$(status_of "$("$1"_pid 1)" CapPrm)")
}

# The parent has dropped the privileges that it needed only at the start.
tunnel_holds_less() {
	diff <(granted tunnel | grep -xE 'cap_(net_admin|kill)') <(capability_names "$(status_of "$(tunnel_pid 1)" CapPrm)") &&
		[ "$(status_of "$(tunnel_pid 1)" CapBnd)" = 0000000000000000 ]
}

engine_holds_nothing() {
	local engine
	engine=$(pgrep -P "$(tunnel_pid 1)") && [ "$(status_of "$engine" CapPrm) $(status_of "$engine" CapBnd)" = \
		"0000000000000000 0000000000000000" ] && [ "$(status_of "$engine" Uid | cut -f 1)" -eq 65534 ]
}

is_confined() { # NAME
	local pid
	pid=$("$1"_pid 1)
	[ "$(status_of "$pid" NoNewPrivs) $(status_of "$pid" Seccomp)" = "1 2" ] && ! touch "/proc/$pid/root/written" &&
		! sh -c "echo 1 >/proc/$pid/root/proc/sys/net/ipv4/ip_forward" && [ ! -s "/proc/$pid/root/proc/kcore" ]
}

only_keyd_has_the_token() {
	[ -s "/proc/$(keyd_pid 1)/root/var/run/secrets/kubernetes.io/serviceaccount/token" ] &&
		[ ! -e "/proc/$(tunnel_pid 1)/root/run/secrets" ]
}

wg_finds_the_tunnel() { test -S "$(agent_dir 1)/wireguard/podveil0.sock"; }

# -- probes --

probe() { # KIND: of keyd on n1, as kubelet does it
	local command
	mapfile -t command < <(jq -r --arg kind "$1Probe" '.containers[] | select(.name == "keyd")[$kind].exec.command[]' "$TEMPLATE")
	[ "${#command[@]}" -gt 0 ] && container_exec 1 keyd "${command[@]}"
}

readiness_fails() { ! probe readiness; }

readiness_follows_the_tunnel() {
	kill_tunnel 1
	wait_until 5 readiness_fails || return 1
	probe liveness && probe startup || return 1
	start_tunnel 1 && wait_until 20 probe readiness
}

keyd_comes_back() { kill_keyd 1 && start_keyd 1 && wait_until 20 agents_are_ready && pods_say_the_marker; }

ends_when_it_is_told() { # NAME: before kubelet's patience is over
	"${RUNC[@]}" kill "$(container_id 1 "$1")" TERM && wait_until 3 is_gone "$("$1"_pid 1)"
}

# -- kubectl podveil, with the real kubectl except for the path to a kubelet, whose exec runc
# carries out --

kubectl_with_exec() {
	mkdir -p "$RUN_DIR/bin"
	cat >"$RUN_DIR/bin/kubectl" <<-SHIM
		#!/bin/bash
		[[ " \$* " = *" exec "* ]] || exec "$KUBE_BIN/kubectl" "\$@"
		while [ "\$1" != exec ]; do shift; done
		pod=\$2
		while [ "\$1" != -- ]; do shift; done
		exec ${RUNC[*]} exec $RUN_NAME-\${pod#podveil-}-keyd "\${@:2}"
	SHIM
	chmod +x "$RUN_DIR/bin/kubectl"
}

pod_is_ready() { # I
	kubectl -n podveil patch pod "podveil-n$1" --subresource=status --type=merge \
		-p '{"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}' >/dev/null
}

veil() {
	in_ns api env PATH="$RUN_DIR/bin:$PATH" KUBECONFIG="$KUBE_DIR/admin.kubeconfig" KUBECACHEDIR="$KUBE_DIR/cache" \
		"$ROOT/deploy/kubectl-podveil" "$@" >"$RUN_DIR/veil" 2>&1
	local status=$?
	cat "$RUN_DIR/veil"
	return $status
}

status_is_understood() {
	veil status && grep -q 'agents ready on 2 of 2 nodes' "$RUN_DIR/veil" &&
		[ "$(tr -s ' ' <"$RUN_DIR/veil" | grep -cE '^n[12] ready strict protected current [0-9]{13} [0-9]+s 0$')" -eq 2 ]
}

verify_is_content() { veil verify && [ "$(grep -c '^  ok ' "$RUN_DIR/veil")" -eq 8 ]; }

# A Node without an agent, which both agents wait for.
verify_finds_a_node_that_is_not_reached() {
	node_object 3
	wait_until 10 peer_says 1 3 '.state == "waiting"' && wait_until 10 peer_says 2 3 '.state == "waiting"' || return 1
	! veil verify && grep -E 'WRONG +all nodes reach each other: not n1 to n3 \(waiting\); n2 to n3 \(waiting\)$' "$RUN_DIR/veil"
}

verify_names_a_container_that_is_gone() {
	kubectl delete node n3 >/dev/null && ends_when_it_is_told keyd || return 1
	! veil verify && grep -E 'UNKNOWN +all nodes reach each other: 1 of 2' "$RUN_DIR/veil" && grep -E '^  n1: exec into podveil-n1: .*exist' "$RUN_DIR/veil"
}

only_the_cleanup_is_left() {
	jq -c '[.initContainers[].name, .containers[].name, .volumes[].name]' "$UNINSTALL" | tee /dev/stderr | grep -qxF '["cleanup","rest","bpf"]'
}

begin
needs_kube kube-apiserver kubectl
needs_runc
needs podveil-tunnel podveil-keyd podveil tools/wirewatch
containers_up
MARKER=$(new_marker)

check "without agents the detector fires" detector_fires_without_agents
check "both containers start on both nodes, and protect them" start_agents
check "nothing of what pods say is on the wire" nothing_is_seen_with_them
check "the startup taint is gone" wait_until 10 has_no_taint 1
check "keyd holds what is granted, and no more" holds_what_is_granted keyd
check "the tunnel holds less than that once it runs" tunnel_holds_less
check "its engine holds nothing, and is nobody" engine_holds_nothing
check "keyd is confined" is_confined keyd
check "the tunnel is confined" is_confined tunnel
check "only keyd has the token" only_keyd_has_the_token
check "wg finds the tunnel from the host" wg_finds_the_tunnel
for kind in readiness startup liveness; do
	check "the $kind probe passes" probe $kind
done
check "without the tunnel readiness fails, and liveness does not" readiness_follows_the_tunnel
check "a killed keyd comes back in its container" keyd_comes_back

kubectl_with_exec
pod_is_ready 1
pod_is_ready 2
check "kubectl podveil status understands the agents' replies" status_is_understood
check "kubectl podveil verify is content" verify_is_content
check "kubectl podveil verify finds a node that is not reached" verify_finds_a_node_that_is_not_reached
check "and a container that is gone" verify_names_a_container_that_is_gone
check "the tunnel ends when it is told to" ends_when_it_is_told tunnel
check "the uninstall leaves nothing of the agent in the DaemonSet" only_the_cleanup_is_left
check "hooks are there" hooks_are_left
check "the uninstall's container takes everything away" everything_is_taken_away
agents_done
