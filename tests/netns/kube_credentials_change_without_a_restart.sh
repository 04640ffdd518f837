#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Tokens expire, certificate authorities are replaced, and another server may answer in the API
# server's place. The agents trust no server that they cannot verify, use every change on disk
# without a restart, and the traffic between the nodes loses no packet.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"
# shellcheck source=tests/netns/kube.bash
. "$(dirname "$0")/kube.bash"

both_say() { away_says 1 "$1" && away_says 2 "$1"; } # PATTERN

is_unknown() { ! is_known 1 && ! is_known 2; }

# An untrusted server has news. Until THEN no agent accepts it.
not_believed() { # WHAT CERTIFICATE PATTERN
	check "connections end, and the server now has $1" serve_certificate "$2"
	check "the nodes say what is wrong with $1" wait_leaping 40 both_say "$3"
	newcomer
	sleep 3
	check "nothing is believed of a server with $1" is_unknown
	check "the nodes and their traffic go on beside $1" others_are_untouched
}

refused_requests() { asked '.status == 401' | jq -e 'length > 0 and length < 60'; }

begin
needs_api
kube_up

mark
tell POST /tokens '{"second-n1": "n1", "second-n2": "n2"}' >/dev/null # kubelet is late
check "connections end, and the tokens have expired" watches '{"path": "", "then": "reset"}'
check "the nodes say that they are refused" wait_leaping 40 both_say '401'
newcomer
check "the nodes and their traffic go on beside expired tokens" others_are_untouched
check "the server is asked again, not hurried" refused_requests
use_tokens second
check "missed changes arrive as soon as there are new tokens" everybody_knows_newcomer 40
converges "expired tokens"

use_tokens third
leap 61
check "tokens that change before they expire are simply used" wait_until 20 watches '{"path": "", "then": "reset"}'
converges "tokens that changed"

not_believed "a certificate of another authority" stranger "certificate"
trust other-ca
leap 61 # also on disk nobody is believed for longer than a minute
check "missed changes arrive as soon as the authority is trusted" everybody_knows_newcomer 40
converges "an authority that was exchanged"

check "connections end, and the old authority is no longer trusted" serve_certificate server
check "the nodes say so" wait_leaping 40 both_say "certificate"
trust ca
leap 61
converges "an authority that came back" 40

not_believed "a certificate that has expired" expired "expired"
serve_certificate server
check "missed changes arrive as soon as it is renewed" everybody_knows_newcomer 40
not_believed "a certificate for another name" elsewhere "$API_V4"
serve_certificate server
check "missed changes arrive as soon as it is the right one" everybody_knows_newcomer 40

check "nobody was ever taken for gone" nobody_left
kube_done
