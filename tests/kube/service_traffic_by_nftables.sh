#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Service traffic as the real kube-proxy makes it with nftables goes where docs/traffic.md says: ClusterIP, NodePort and
# hostPort, TCP and UDP, in both families, both ways; the answer to another node's address as well.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/../netns/lib.sh"
# shellcheck source=tests/netns/cni.bash
. "$(dirname "$0")/../netns/cni.bash"
# shellcheck source=tests/netns/class.bash
. "$(dirname "$0")/../netns/class.bash"
# shellcheck source=tests/kube/lib.bash
. "$(dirname "$0")/lib.bash"
# shellcheck source=tests/kube/service.bash
. "$(dirname "$0")/service.bash"

service_traffic_is_as_promised nftables
