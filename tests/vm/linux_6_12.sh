#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# On Linux 6.12, as in Debian 13: another verifier, tcx where 6.1 has clsact, the shapes that 6.1 leaves out, and the
# kernel's own WireGuard as a peer.

# shellcheck source=tests/vm/tests.bash
. "$(dirname "$0")/tests.bash"

export SECONDS_PER_MACHINE=${SECONDS_PER_MACHINE:-600}
exec "$VM/machine.sh" 6.12 "${BPF_TESTS[@]}" "$VM/kernel_says_what_it_drops.sh" "$NETNS/agents_carry_ping_tcp_udp.sh" \
	"$VM"/shape_{ip_in_ipv6,vlan}.sh "$VM/kernel_wireguard_and_podveil_tunnel_talk.sh"
