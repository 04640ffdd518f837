// SPDX-License-Identifier: Apache-2.0
/*
 * Watching a port too many costs a look at a few bytes; missing one would let cleartext pod packets
 * inside an overlay go uncounted. So the default ports are always watched, even without a device
 * that uses them.
 */
#include "overlay.h"

#define VXLAN_PORT	 4789 /* IANA */
#define VXLAN_PORT_LINUX 8472 /* the kernel's default before IANA's; used by flannel and Cilium */
#define GENEVE_PORT	 6081

static bool add_port(__u16 ports[static OVERLAY_PORTS_MAX], uint16_t port)
{
	if (!port)
		return true;
	for (unsigned int i = 0; i < OVERLAY_PORTS_MAX; i++) {
		if (!ports[i])
			ports[i] = port;
		if (ports[i] == port)
			return true;
	}
	return false;
}

bool overlay_list_ports(struct datapath_config *config, const struct underlay_view *view)
{
	bool has_all = true;

	memset(config->vxlan_ports, 0, sizeof(config->vxlan_ports));
	memset(config->geneve_ports, 0, sizeof(config->geneve_ports));
	for (uint32_t i = 0; i < view->device_count; i++) {
		has_all &= add_port(config->vxlan_ports, view->devices[i].vxlan_port);
		has_all &= add_port(config->geneve_ports, view->devices[i].geneve_port);
	}
	(void)add_port(config->vxlan_ports, VXLAN_PORT);
	(void)add_port(config->vxlan_ports, VXLAN_PORT_LINUX);
	(void)add_port(config->geneve_ports, GENEVE_PORT);
	return has_all;
}
