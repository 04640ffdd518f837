/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The UDP ports of the overlays (VXLAN, Geneve) that may carry pod packets on this machine, for the programs that look
 * into them. CORE.
 */
#pragma once

#include "bpf_abi.h"
#include "underlay.h"

/* Fills both lists of the config: the ports of this machine's own devices first, then the customary ones (CNIs also make
 * overlays without a device, such as Open vSwitch's). False where not all of the devices' had room. */
MUST_CHECK bool overlay_list_ports(struct datapath_config *config,
				   const struct underlay_view *view);
