#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# podveil-keyd does not start with an unusable secret file: one line names the file and the line in
# it, and never quotes its content. While keyd runs, bad content replaces nothing: the last good
# secret stays in use, status and log report the reason, and traffic continues. A file that
# Kubernetes swaps by a symbolic link is read like one that is renamed or written in place.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/secret.bash
. "$(dirname "$0")/secret.bash"

SECRET=$(wg genpsk)
OTHER=$(wg genpsk)
THIRD=$(wg genpsk)

starts_not() { # STATUS TEXT PATH: exactly one line, with the text and without any secret
	local status=$1 text=$2 got
	in_ns n1 timeout 5 "$BUILD/podveil-keyd" --node n1 --registry "file:$RUN_DIR/registry" --cluster-cidr 10.244.0.0/16 \
		--pod-cidr 10.244.1.0/24 --control "$RUN_DIR/n1/keyd.sock" --tunnel "$RUN_DIR/n1/tunnel.sock" \
		--bpffs "$(agent_bpffs 1)" --cluster-secret "$3" >"$RUN_DIR/refused.txt" 2>&1
	got=$?
	cat "$RUN_DIR/refused.txt"
	[ "$got" -eq "$status" ] && [ "$(wc -l <"$RUN_DIR/refused.txt")" -eq 1 ] && grep -F error: "$RUN_DIR/refused.txt" |
		grep -qF -- "$text" && shows_no_secret "$RUN_DIR/refused.txt"
}

# Nor a part of one.
shows_no_secret() { # FILE
	local secret
	for secret in "$SECRET" "$OTHER" "$THIRD"; do
		! grep -qF -e "${secret:0:8}" -e "${secret:20:8}" "$1" || return 1
	done
}

bad_file() { # WHAT TEXT: from stdin
	cat >"$(secret_file x)"
	check "refuses to start with $1" starts_not 1 "--cluster-secret $(secret_file x): $2" "$(secret_file x)"
}

is_troubled() { keyd_status 1 '.state, .reasons[]' | grep -F "$1"; } # TEXT
is_named() { # TEXT: in status and, once, in the log
	wait_until 5 is_troubled "$1" || return 1
	[ "$(keyd_status 1 .state)" = degraded ] && has_ids 1 "$GOOD_IDS" &&
		[ "$(grep -c "warning: .*$1" "$(agent_dir 1)/keyd.log")" -eq 1 ] && shows_no_secret "$(agent_dir 1)/keyd.log" &&
		shows_no_secret "$RUN_DIR/status.1"
}
is_good_again() { wait_until 5 agents_are_ready; }
talk() { in_ns p1 ping -c 2 -i 0.05 -W 1 -q "$(pod_v4 2)" && in_ns p2 ping -c 2 -i 0.05 -W 1 -q "$(pod_v4 1)"; }

bad_change() { # WHAT TEXT: from stdin, in place
	cat >"$(secret_file 1)"
	check "keeps the last good content beside $1, and says so" is_named "$2"
	check "traffic goes on beside $1" talk
}

ids_of_two() { [ "$(own_ids 1 | wc -w)" -eq 2 ]; }
warns_of_mode() { keyd_status 1 '.warnings[]' | grep -F "has mode 0644"; }

# As the kubelet does it: the file leads to ..data/secret, and ..data is replaced.
kubernetes_write() { # LINE...
	local version=$RUN_DIR/volume/..$RANDOM$RANDOM
	mkdir -p "$version"
	printf '%s\n' "$@" >"$version/secret"
	chmod 644 "$version/secret"
	ln -sfn "${version##*/}" "$RUN_DIR/volume/..data_tmp" && mv -T "$RUN_DIR/volume/..data_tmp" "$RUN_DIR/volume/..data"
	[ -e "$RUN_DIR/volume/secret" ] || ln -s ..data/secret "$RUN_DIR/volume/secret"
}

begin
needs podveil-tunnel podveil-keyd podveil
cluster_up 2
mkdir -p "$RUN_DIR/n1"

check "refuses to start with a path that is relative" starts_not 2 "expected the absolute path of a file" secret
check "refuses to start with the secret itself, and does not repeat it" starts_not 2 "expected the absolute path of a file" "$SECRET"
check "also with one that looks like a path" starts_not 2 "not the secret itself" \
	"/$(printf '%s' "$SECRET" | cut -c2-)"
check "refuses to start without the file" starts_not 1 "cannot be read: No such file" "$RUN_DIR/nothing"
check "refuses to start with a folder" starts_not 1 "not a regular file" "$RUN_DIR/n1"
mkfifo "$RUN_DIR/fifo"
check "refuses to start with a FIFO, and does not wait for it" starts_not 1 "not a regular file" "$RUN_DIR/fifo"
bad_file "an empty file" "the file is empty: expected a secret" </dev/null
bad_file "a secret of 31 bytes" "line 1 is not a secret: expected base64 of 32 bytes" < <(head -c 31 /dev/urandom | base64)
bad_file "a bad second line" "line 3 is not a secret" <<<"$SECRET"$'\n\n'"${OTHER%=}"
bad_file "three secrets" "line 3 is one secret too many: expected at most 2" <<<"$SECRET"$'\n'"$OTHER"$'\n'"$THIRD"
bad_file "the same secret twice" "line 2 repeats an earlier line" <<<"$SECRET"$'\n'"$SECRET"
bad_file "none alone" "the file contains only none" <<<none
bad_file "a secret that is all zero" "line 1 is all zero" < <(head -c 32 /dev/zero | base64)
bad_file "a file that is too large" "the file is larger than 4096 bytes" < <(yes "$SECRET" | head -n 200)
bad_file "bytes that are no text" "line 1 is not a secret" < <(head -c 512 /dev/zero)

write_secret 1 "$SECRET"
write_secret 2 "$SECRET"
check "agents start with a good file and protect both nodes" start_agents
GOOD_IDS=$(own_ids 1)
bad_change "an empty file" "is empty" </dev/null
bad_change "a line that is none" "line 2 is not a secret" <<<"$SECRET"$'\n'"${OTHER%=}"
rm "$(secret_file 1)"
check "keeps the last good content without a file, and says so" is_named "No such file"
check "traffic goes on without a file" talk
write_secret 1 "$OTHER" "$SECRET"
check "takes the next good content" wait_until 5 ids_of_two
check "and is protected again" is_good_again
chmod 644 "$(secret_file 1)"
check "warns of a file that others may read, and takes it" wait_until 5 warns_of_mode
check "which is no reason to be less than protected" agents_are_ready
check "a change in place is taken too" eval 'echo "$SECRET" >"$(secret_file 1)" && wait_until 5 has_ids 1 "$GOOD_IDS"'

mkdir "$RUN_DIR/volume"
kubernetes_write "$SECRET"
secret_file() { if [ "$1" = 1 ]; then echo "$RUN_DIR/volume/secret"; else echo "$RUN_DIR/secret.$1"; fi; }
stop_keyd 1 && start_keyd 1
check "a file behind Kubernetes' symbolic link is read" wait_until 10 agents_are_ready
kubernetes_write "$OTHER" "$SECRET"
check "and taken when Kubernetes swaps the link" wait_until 5 ids_of_two
check "traffic goes on all the time" talk
check "nobody wrote a secret anywhere" nobody_says "$SECRET" "$OTHER"
done_testing
