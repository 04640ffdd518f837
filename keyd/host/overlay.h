/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The UDP ports of overlays (VXLAN, Geneve) that may carry pod packets on this machine, for the BPF
 * programs that look into them. CORE.
 */
#pragma once

#include "bpf_abi.h"
#include "underlay.h"

/* Fills both lists of the config: first the ports of this machine's devices, then the default
 * ports, because some CNIs build overlays without a device (Open vSwitch, for example). False if
 * the devices have more ports than fit. */
MUST_CHECK bool overlay_list_ports(struct datapath_config *config,
				   const struct underlay_view *view);
