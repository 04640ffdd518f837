#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# On Linux 6.12, as in Debian 13: another verifier, tcx where 6.1 has clsact, and the shapes that 6.1 leaves out.

# shellcheck source=tests/vm/tests.bash
. "$(dirname "$0")/tests.bash"

export SECONDS_PER_MACHINE=${SECONDS_PER_MACHINE:-600}
exec "$VM/machine.sh" 6.12 "${BPF_TESTS[@]}" "$VM/kernel_says_what_it_drops.sh" "$NETNS/agents_carry_ping_tcp_udp.sh" \
	"$VM"/shape_{ip_in_ipv6,vlan}.sh
