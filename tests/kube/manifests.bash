# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Objects as the API server would take them: server-side dry-run, where an unknown field is an error and a warning counts
# as one. Sourced after netns/lib.sh and lib.bash.

DEPLOY=$ROOT/deploy
CHART=$DEPLOY/chart/podveil

# Objects in a namespace that is only tried out have no namespace to go to.
manifests_up() {
	ns_add wire
	ip -n "$(ns wire)" link add br0 type bridge && ip -n "$(ns wire)" link set br0 up || bail "this kernel has no bridge"
	api_up
	kubectl apply --server-side -f "$DEPLOY/base/namespace.yaml" >/dev/null || bail "no namespace"
}

try_out() { # [OPTION...]: objects on standard input
	kubectl apply --server-side --dry-run=server --validate=strict "$@" -f - >"$RUN_DIR/tried" 2>"$RUN_DIR/tried.err" || {
		tail -n 3 "$RUN_DIR/tried.err"
		return 1
	}
	! grep -i warning "$RUN_DIR/tried.err"
}

kustomized() { "$KUBE_BIN/kubectl" kustomize "$1"; } # FOLDER

helm_find() { # sets HELM
	local folder
	folder=$("$ROOT/tests/kube/helm/build.sh" --built)
	[ -n "$folder" ] || skip_all "needs helm: run make test-kube, or tests/kube/helm/build.sh"
	HELM=$folder/helm
}

rendered() { # [OPTION...]: of helm template
	"$HELM" template podveil "$CHART" --namespace podveil "$@"
}

# Objects on standard input, with all that the API server fills in, in an order that says nothing.
as_taken() {
	try_out -o json >&2 || return 1
	jq -S '[.items[] | del(.status, .metadata.uid, .metadata.resourceVersion, .metadata.creationTimestamp, .metadata.managedFields,
		.metadata.generation)] | sort_by(.kind, .metadata.namespace, .metadata.name)' "$RUN_DIR/tried"
}

manifests_done() {
	show_control_plane
	done_testing
}
