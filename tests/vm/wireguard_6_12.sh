#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# On Linux 6.12, as in Debian 13: the kernel's own WireGuard as a peer, and its emulator of bad networks.

# shellcheck source=tests/vm/tests.bash
. "$(dirname "$0")/tests.bash"

export SECONDS_PER_MACHINE=${SECONDS_PER_MACHINE:-600} SECONDS_PER_TEST=${SECONDS_PER_TEST:-450}
exec "$VM/machine.sh" 6.12 "$VM"/{kernel_wireguard_and_podveil_tunnel_talk,netem_breaks_no_stream}.sh
