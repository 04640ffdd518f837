#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# On Linux 6.1, Debian 12's own: no tcx, so that all programs hang on clsact, and a TUN without USO. Two nodes with their
# agents, and the shapes of cluster that need devices which a small kernel lacks.

# shellcheck source=tests/vm/tests.bash
. "$(dirname "$0")/tests.bash"

export SECONDS_PER_MACHINE=${SECONDS_PER_MACHINE:-600}
exec "$VM/machine.sh" 6.1 "${BPF_TESTS[@]}" "$VM/kernel_says_what_it_drops.sh" "$NETNS/agents_carry_ping_tcp_udp.sh" \
	"$VM"/shape_{ip_in_ip,geneve,bond}.sh "$VM/clsact_programs_are_put_back.sh"
